import { describe, expect, it } from 'vitest';
import type { Rpc } from '../../../src/kv/server/rpc.js';
import type { ShardCaller } from '../../../src/kv/server/shard-caller.js';
import { type CopyRequest, ShardService } from '../../../src/kv/server/shard-service.js';
import type { StampClock } from '../../../src/kv/server/stamp-clock.js';
import { decodeCommand, encodeCommand } from '../../../src/kv/store/index.js';
import type { ReplicaHost } from '../../../src/raft/index.js';
import { ShardUnavailable, type SlotAnswer } from '../../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

describe('a page and Install in one breath', () => {
  const encoded = [
    encodeCommand({ kind: 'page', move: 7, slots: [[0, 9]], records: [] }, 0),
    encodeCommand({ kind: 'bar', move: 7, slots: [[0, 9]], round: 1 }, 0),
  ].map((bytes) => new Uint8Array(bytes));

  /** Answers of the log, in the order in which they were proposed. */
  async function answerTo(...results: (SlotAnswer | 'refused')[]) {
    const proposed: Buffer[] = [];
    const later: (() => void)[] = [];
    const replica = {
      leads: true,
      leaderNode: 'n2',
      machine: { clock_ms: 5 },
      propose: (data: Buffer, to: { applied: (result: SlotAnswer, index: number) => void; refused: () => void }) => {
        const result = results[proposed.push(data) - 1]!;
        later.push(() => (result === 'refused' ? to.refused() : to.applied(result, 1)));
      },
    };
    let changes = 0;
    const service = new ShardService({
      host: { get: () => replica } as unknown as ReplicaHost,
      rpc: { self: 'n1', handle: () => undefined } as unknown as Rpc,
      clock: new SimClock(new SimScheduler()),
      stampOf: () => ({ next: () => 6 }) as unknown as StampClock,
      caller: {} as unknown as ShardCaller,
      slotsChanged: () => changes++,
      work: { requests: () => 0, busy_ms: () => 0 },
      reclaiming: () => undefined,
      failed: (error) => {
        throw error;
      },
    });
    const answer = service.page({ shard: 2, commands: encoded });
    // Both before anything is awaited: they go into one batch of the log.
    expect(proposed.map((data) => (decodeCommand(data) as { command: { kind: string } }).command.kind)).toEqual([
      'page',
      'bar',
    ]);
    for (const settle of later) settle();
    return [await answer, changes];
  }
  const sums = { keys: 1, bytes: 1, digest: '0'.repeat(32), idempotencyRecords: 0 };
  const installed: SlotAnswer = { kind: 'installed', index: 4, sums };

  it('are answered as Install is', async () => {
    expect(await answerTo({ kind: 'ok' }, installed)).toEqual([{ ok: true, value: installed }, 1]);
    expect(await answerTo({ kind: 'ok' }, { kind: 'mismatch', sums })).toMatchObject([
      { value: { kind: 'mismatch' } },
      0,
    ]);
  });

  it('F56: are answered as Install is also where it was carried out before, and takes no page any more', async () => {
    expect(await answerTo({ kind: 'stale' }, installed)).toEqual([{ ok: true, value: installed }, 1]);
  });

  it('are answered as a page that is not taken', async () => {
    expect(await answerTo({ kind: 'busy' }, { kind: 'stale' })).toEqual([{ ok: true, value: { kind: 'busy' } }, 0]);
  });

  it('are asked for again where either was not carried out for certain', async () => {
    expect(await answerTo('refused', { kind: 'mismatch', sums })).toEqual([{ ok: false, leader: 'n2' }, 0]);
    expect(await answerTo({ kind: 'ok' }, 'refused')).toEqual([{ ok: false, leader: 'n2' }, 0]);
  });
});

describe('a copy whose destination does not answer', () => {
  function world(install: CopyRequest['install'] = null, answer: (() => Promise<SlotAnswer>) | null = null) {
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
    const nobody = (_shard: number, _pages: readonly Buffer[], timeout_ms: number): Promise<SlotAnswer> =>
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
      caller: { page: answer ?? nobody } as unknown as ShardCaller,
      slotsChanged: () => undefined,
      work: { requests: () => 0, busy_ms: () => 0 },
      reclaiming: () => undefined,
      failed: (error) => {
        throw error;
      },
    });
    const answers: (readonly [object, number])[] = [];
    void service
      .copy({
        from: 1,
        to: 2,
        move: 7,
        slots: [[0, 9]],
        since: null,
        maxRate: null,
        install,
        timeout_ms: 600_000,
      })
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

  it('F56: tells that the slots are installed, whoever leads the source by then', async () => {
    const sums = { keys: 0, bytes: 0, digest: '0'.repeat(32), idempotencyRecords: 0 };
    const command = {
      kind: 'install',
      move: 7,
      slots: [[0, 9]],
      round: 1,
      digest: sums.digest,
      revision: 1,
      clock_ms: 0,
    } as const;
    const install = { command: { ...command, slots: [[0, 9] as [number, number]] }, within_ms: 50 };
    const { scheduler, replica, answers } = world(install, async () => {
      replica.leads = false;
      return { kind: 'installed', index: 3, sums };
    });
    await scheduler.runFor(1_000);
    expect(answers).toMatchObject([
      [{ ok: true, value: { kind: 'answered', answer: { kind: 'installed' } } }, expect.any(Number)],
    ]);
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
