import { describe, expect, it } from 'vitest';
import type { KvCommand, KvResult } from '../../src/kv/store/index.js';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import { Heirs } from './heirs.js';
import type { ReplicaView } from './invariants/invariant.js';
import { Trace } from './trace.js';

const frozen = {} as unknown as Extract<KvResult, { kind: 'frozen' }>['receipt'];
const freeze: KvCommand = { kind: 'freeze', move: 7, round: 1, slots: [[1, 2]] };

function world(leads: () => string | null) {
  const scheduler = new SimScheduler();
  const log: string[] = [];
  const members = ['n1', 'n2', 'n3'].map((node) => ({ node }));
  const heirs = new Heirs({
    scheduler,
    random: new SimRandom(3),
    trace: new Trace(scheduler, false),
    leaders: () => {
      const node = leads();
      return node === null ? [] : [{ node, group: 1, replica: { leads: true, members } } as unknown as ReplicaView];
    },
    bounce: (node) => log.push(`${node} restarts`),
    handOver: (view, to) => log.push(`${view.node} hands over to ${to}`),
  });
  return { scheduler, log, heirs };
}

/** Chance decides whether it comes to anything. */
function often(heirs: Heirs, command: KvCommand, answer: KvResult, group = 1): void {
  for (let i = 0; i < 30; i++) heirs.applied(command, answer, group);
}

describe('an heir', () => {
  it('is another member, restarts as slots are frozen, and leads when it is up again', async () => {
    const { scheduler, log, heirs } = world(() => 'n2');
    often(heirs, freeze, { kind: 'stale' });
    often(heirs, freeze, { kind: 'frozen', receipt: frozen }, 2);
    expect(log).toEqual([]);
    often(heirs, freeze, { kind: 'frozen', receipt: frozen });
    const heir = log[0]!.slice(0, 2);
    expect(['n1', 'n3']).toContain(heir);
    expect(log).toEqual([`${heir} restarts`]);
    await scheduler.runFor(5_000);
    expect(log).toEqual([`${heir} restarts`, `n2 hands over to ${heir}`]);
    often(heirs, { kind: 'thaw', move: 7, round: 1, slots: [[1, 2]] }, { kind: 'thawed' });
    expect(log).toHaveLength(3);
  });

  it('is left alone where it leads already, or nobody does', async () => {
    for (const after of [null, 'n1', 'n3']) {
      let leads: string | null = 'n2';
      const { scheduler, log, heirs } = world(() => leads);
      often(heirs, freeze, { kind: 'frozen', receipt: frozen });
      leads = after;
      await scheduler.runFor(5_000);
      const heir = log[0]!.slice(0, 2);
      expect(log.slice(1)).toEqual(after === null || after === heir ? [] : [`${after} hands over to ${heir}`]);
    }
  });
});
