/** The leader of the controller is cut off at every step of a plan, and comes back later. */
import { describe, expect, it } from 'vitest';
import { containsSlot, SlotState, slotOfKey } from '../../src/shardctrl/index.js';
import {
  allMaps,
  idsOf,
  keysNamed,
  mapOf,
  planDone,
  putAll,
  SimCluster,
  startMove,
  wrongKeys,
} from './scenario-world.js';

const KEYS = keysNamed('key-', 100);
const SLOTS = '0-499';
/** One of them that holds a key. */
const SLOT = KEYS.map((key) => slotOfKey(Buffer.from(key))).find((slot) => slot < 500)!;
const same = (key: string): string => key;

interface Move {
  readonly cluster: SimCluster;
  readonly from: number;
  readonly to: number;
}

const stateAt = ({ cluster }: Move, shard: number): SlotState | null =>
  cluster.leaderOf(shard) === null ? null : cluster.shard(shard).stateOf(SLOT);
const published = ({ cluster, to }: Move): boolean =>
  containsSlot(mapOf(cluster).shards.find(({ id }) => id === to)!.slots, SLOT);

/** In the order in which they come. */
const STEPS: readonly (readonly [string, (move: Move) => boolean])[] = [
  ['the plan is stored', ({ cluster }) => cluster.controller().runningPlan() !== null],
  ['a batch has begun', ({ cluster }) => cluster.controller().batches().length > 0],
  ['the source exports', (move) => stateAt(move, move.from) === SlotState.Exporting],
  ['the destination imports', (move) => stateAt(move, move.to) === SlotState.Importing],
  ['the source is frozen', (move) => stateAt(move, move.from) === SlotState.Frozen],
  ['the destination has installed', (move) => stateAt(move, move.to) === SlotState.Own],
  ['the new owner is published', published],
  ['the source purges', (move) => published(move) && stateAt(move, move.from) === SlotState.Purging],
  ['the source has purged', (move) => published(move) && stateAt(move, move.from) === SlotState.None],
  ['the plan is done', ({ cluster }) => cluster.controller().runningPlan() === null],
];

/** All that the controller has decided. */
const decided = (cluster: SimCluster): string =>
  JSON.stringify([allMaps(cluster), cluster.controller().history(), cluster.controller().batches()]);

describe('the leader of the controller', () => {
  it('RecoverController, FencedController (F54, F57): is cut off at every step; its successor finishes that plan, and when it is back it changes nothing', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 501 });
    await putAll(cluster, KEYS, same);
    for (const [i, [step, reached]] of STEPS.entries()) {
      const [from, to] = i % 2 === 0 ? [1, 2] : [2, 1];
      const move = { cluster, from, to };
      const plan = await startMove(cluster, SLOTS, `s${to}`, 'n4');
      // Some last less than a millisecond.
      const seen = await cluster.scheduler.runWhile(() => !reached(move), cluster.scheduler.now_ms + 10_000);
      expect([step, seen]).toEqual([step, true]);
      const deposed = cluster.leaderOf(0)!;
      cluster.isolate(deposed);
      const others = idsOf(cluster).filter((id) => id !== deposed);
      const leads = (id: string): boolean => cluster.node(id).host.get(0)?.leads === true;
      await cluster.until(() => others.some(leads), `a successor after ${step}`);
      await planDone(cluster, plan);
      expect([step, published(move)]).toEqual([step, true]);
      expect([step, await wrongKeys(cluster, KEYS, same, others[0]!)]).toEqual([step, []]);

      const before = decided(cluster);
      const receipts = cluster.controller().receipts(plan);
      expect(receipts.reduce((sum, { slots }) => sum + slots.length, 0)).toBeGreaterThan(0);
      cluster.heal();
      await cluster.untilHealthy();
      await cluster.scheduler.runFor(3_000);
      expect([step, decided(cluster)]).toEqual([step, before]);
      expect(cluster.controller().receipts(plan)).toEqual(receipts);
      const ofOld = cluster.replica(deposed, 0);
      await cluster.until(
        () => ofOld.applied === cluster.replica(cluster.leaderOf(0)!, 0).applied,
        'the old one to catch up',
      );
      expect(ofOld.machine.stateHash()).toBe(cluster.controller().stateHash());
      expect([step, await wrongKeys(cluster, KEYS, same, deposed)]).toEqual([step, []]);
    }
    expect(cluster.errors).toEqual([]);
  });
});
