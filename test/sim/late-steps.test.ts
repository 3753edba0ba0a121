import { describe, expect, it } from 'vitest';
import { decodeCommand, type KvCommand, type KvResult } from '../../src/kv/store/index.js';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import type { Fault } from './faults.js';
import type { ReplicaView } from './invariants/invariant.js';
import { LateSteps } from './late-steps.js';
import type { SimNode } from './sim-node.js';
import { Trace } from './trace.js';

const slots: [number, number][] = [[1, 2]];
const RECEIPT = {
  index: 1,
  keys: 0,
  bytes: 0,
  idempotencyRecords: 0,
  digest: 'ab'.repeat(16),
  revision: 9,
  clock_ms: 3,
};
const frozen: KvResult = { kind: 'frozen', receipt: RECEIPT };
const freeze = (round: number): KvCommand => ({ kind: 'freeze', move: 7, round, slots });
const bar = (round: number): KvCommand => ({ kind: 'bar', move: 7, round, slots });

/** What comes again to the leader of shard 2 when these commands have been applied, each by the shard with its number. */
async function late(faults: readonly Fault[], ...applied: readonly [number, KvCommand, KvResult][]): Promise<string[]> {
  const scheduler = new SimScheduler();
  const proposed: string[] = [];
  const replica = {
    leads: true,
    machine: { clock_ms: 5 },
    propose: (bytes: Uint8Array) => {
      const decoded = decodeCommand(bytes);
      if (!('command' in decoded)) throw new Error('bytes that are no command');
      proposed.push(`${decoded.command.kind} ${'round' in decoded.command ? decoded.command.round : ''}`);
    },
  };
  const steps = new LateSteps({
    scheduler,
    nodes: [{ id: 'n1', clock: { run: (what: () => void) => what() } } as unknown as SimNode],
    random: new SimRandom(2),
    faults: new Set(faults),
    leaders: () => [{ node: 'n1', group: 2, replica } as unknown as ReplicaView],
    trace: new Trace(scheduler, false),
  });
  for (const [group, command, answer] of applied) steps.applied(command, answer, group);
  await scheduler.runFor(1_000);
  return proposed;
}

const rounds = Array.from({ length: 10 }, (_, i): [number, KvCommand, KvResult][] => [
  [1, freeze(i + 1), frozen],
  [2, bar(i + 1), { kind: 'ok' }],
]).flat();

describe('late steps', () => {
  it('follow on later ones: Bars of earlier rounds, and the Install of a round that is barred', async () => {
    const found = await late(['late_step'], ...rounds);
    expect(found.filter((step) => step.startsWith('bar')).length).toBeGreaterThan(1);
    expect(found.filter((step) => step.startsWith('install')).length).toBeGreaterThan(1);
    expect(found.filter((step) => step.startsWith('freeze'))).toEqual([]);
  });

  it('bring no others in their wake, and are none where it is not in the seed', async () => {
    const again = Array.from({ length: 50 }, (): [number, KvCommand, KvResult] => [2, bar(1), { kind: 'ok' }]);
    expect((await late(['late_step'], ...again)).length).toBeLessThanOrEqual(1);
    expect(await late(['late_install'], ...rounds)).toEqual([]);
  });
});
