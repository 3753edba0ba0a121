import { describe, expect, it } from 'vitest';
import type { Rpc } from '../../../src/kv/server/rpc.js';
import type { ShardCaller } from '../../../src/kv/server/shard-caller.js';
import { ShardService } from '../../../src/kv/server/shard-service.js';
import type { ReplicaHost } from '../../../src/raft/index.js';
import { ShardUnavailable, type SlotAnswer } from '../../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

describe('a copy whose destination does not answer', () => {
  function world() {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler);
    const machine = {
      newestNote: 0,
      notedAfter: () => 0,
      slotsInState: () => [],
      exportRecords: async () => ({ records: [], next: null }),
    };
    const replica = {
      leads: true,
      leaderNode: 'n1',
      term: 1,
      damage: null,
      machine,
      settled: async () => undefined,
      read: ({ ready }: { ready: () => void }) => ready(),
    };
    const page = (_shard: number, _page: Buffer, timeout_ms: number): Promise<SlotAnswer> =>
      new Promise((_resolve, reject) => {
        clock.after(timeout_ms, () => reject(new ShardUnavailable('nobody')));
      });
    const service = new ShardService({
      host: { get: () => replica, groups: () => [1] } as unknown as ReplicaHost,
      rpc: { self: 'n1', handle: () => undefined } as unknown as Rpc,
      clock,
      stampOf: () => {
        throw new Error('nothing is proposed here');
      },
      caller: { page } as unknown as ShardCaller,
      slotsChanged: () => undefined,
      requests: () => 0,
      reclaiming: () => undefined,
      failed: (error) => {
        throw error;
      },
    });
    const answers: (readonly [object, number])[] = [];
    void service
      .copy({ from: 1, to: 2, move: 7, slots: [[0, 9]], since: null, maxRate: null, timeout_ms: 600_000 })
      .then((answer) => answers.push([answer, scheduler.now_ms]));
    return { scheduler, replica, answers };
  }

  it('goes on for as long as it was given while its source leads', async () => {
    const { scheduler, answers } = world();
    await scheduler.runFor(599_000);
    expect(answers).toEqual([]);
    await scheduler.runFor(2_000);
    expect(answers).toMatchObject([[{ ok: false }, expect.any(Number)]]);
  });

  it('ends soon after its source is deposed: the next leader is asked', async () => {
    const { scheduler, replica, answers } = world();
    await scheduler.runFor(10_000);
    replica.leads = false;
    replica.leaderNode = 'n3';
    await scheduler.runFor(3_000);
    expect(answers).toMatchObject([[{ ok: false, leader: 'n3' }, expect.any(Number)]]);
  });
});
