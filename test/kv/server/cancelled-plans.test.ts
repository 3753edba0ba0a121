/**
 * A plan that is cancelled in each of its phases: what the destination had installed goes forward, all else is rolled back, and
 * the answers say which. Messages take so long here that a phase lasts until the cancel has reached the log.
 */
import { describe, expect, it } from 'vitest';
import type { MoveEndingView, PlanView } from '../../../src/kv/server/api.js';
import { Method } from '../../../src/kv/server/rpc.js';
import {
  type Batch,
  containsSlot,
  eachSlot,
  formatSlots,
  parseSlots,
  type SlotRanges,
  SlotState,
  slotOfKey,
} from '../../../src/shardctrl/index.js';
import { requestedMethod } from '../../sim/rpc-frames.js';
import { granted, SimCluster } from './sim-cluster.js';

const SLOTS: SlotRanges = [[0, 99]];
const KEYS = Array.from({ length: 4_000 }, (_, i) => `key-${i}`).filter((key) =>
  containsSlot(SLOTS, slotOfKey(Buffer.from(key))),
);

interface World {
  readonly cluster: SimCluster;
  readonly id: string;
  readonly batch: () => Batch | undefined;
  /** Of the first slot, at its old and at its new owner. */
  readonly states: () => readonly [source: SlotState, destination: SlotState];
}

/** A plan of one move that has just been started. */
async function moving(): Promise<World> {
  const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 12 });
  for (const key of KEYS) await cluster.put('n1', key, 'v');
  // So that whoever drives the plan hears late of what happens there.
  const [driver, source] = [cluster.leaderOf(0)!, cluster.controller().map()!.shards[0]!];
  const elsewhere = source.members.map(({ node }) => node).find((node) => node !== driver && node !== 'n4')!;
  for (const [shard, node] of [
    ['s1', elsewhere],
    ['s2', 'n4'],
  ] as const) {
    granted(await cluster.settle(cluster.node('n1').admin.transferLeader(shard, node, 5_000)));
  }
  cluster.network.setFaults({ delayMin_ms: 20, delayMax_ms: 25 });
  // Steps take far more than 50 ms on such lines.
  const request = { slots: formatSlots(SLOTS), to: 's2', dry_run: false, max_pause_ms: 5_000 };
  const at = cluster.leaderOf(0)!;
  const { id } = granted(await cluster.settle(cluster.node(at).admin.move(request, 5_000)));
  const stateAt = (shard: number): SlotState =>
    cluster.leaderOf(shard) === null ? SlotState.None : cluster.shard(shard).stateOf(SLOTS[0]![0]);
  return {
    cluster,
    id,
    batch: () => cluster.controller().batches()[0],
    states: () => [stateAt(1), stateAt(2)],
  };
}

async function cancel({ cluster, id }: World): Promise<PlanView> {
  const at = cluster.leaderOf(0)!;
  return granted(await cluster.settle(cluster.node(at).admin.steerPlan(id, 'cancel', 5_000)));
}

const counts = ({ outcome, forward, undoing, undone, not_begun }: MoveEndingView) => ({
  outcome,
  forward: forward.slot_count,
  undoing: undoing.slot_count,
  undone: undone.slot_count,
  not_begun: not_begun.slot_count,
});

/** How it ended: as it is told at another node, and as it is. */
async function ended({ cluster, id }: World) {
  await cluster.planOver();
  cluster.network.setFaults({ delayMin_ms: 0.1, delayMax_ms: 1 });
  await cluster.scheduler.runFor(1_000);
  const view = granted(await cluster.settle(cluster.node('n4').admin.plan(id, 5_000)));
  const ending = view.moves[0]!.ending!;
  expect(ending.undoing.slot_count).toBe(0);
  const there = parseSlots(ending.forward.slots);
  if (!there.ok) throw new Error(there.detail);
  const owned = cluster.controller().map()!.shards[1]!.slots;
  for (const slot of eachSlot(SLOTS)) {
    const forward = containsSlot(there.slots, slot);
    expect([slot, containsSlot(owned, slot)]).toEqual([slot, forward]);
    const [source, destination] = forward ? [SlotState.None, SlotState.Own] : [SlotState.Own, SlotState.None];
    expect([slot, cluster.shard(1).stateOf(slot), cluster.shard(2).stateOf(slot)]).toEqual([slot, source, destination]);
  }
  for (const key of KEYS) expect([key, await cluster.value('n3', key)]).toEqual([key, 'v']);
  expect(cluster.errors).toEqual([]);
  return { state: view.state, reason: view.reason, ...counts(ending), why: ending.why };
}

const NOTHING = { forward: 0, undoing: 0, undone: 0, not_begun: 0 };
const CANCELLED = { state: 'cancelled', reason: 'cancelled by request' } as const;

describe('a plan that is cancelled', () => {
  it('before it has begun, moves nothing', async () => {
    const world = await moving();
    const answer = await cancel(world);
    expect(counts(answer.moves[0]!.ending!)).toEqual({ ...NOTHING, outcome: 'undone', not_begun: 100 });
    expect(await ended(world)).toEqual({
      ...CANCELLED,
      ...NOTHING,
      outcome: 'undone',
      not_begun: 100,
      why: '100 slots had not begun and stay at s1',
    });
  });

  it('while it is paused, stays where it is', async () => {
    const world = await moving();
    const at = world.cluster.leaderOf(0)!;
    granted(await world.cluster.settle(world.cluster.node(at).admin.steerPlan(world.id, 'pause', 5_000)));
    await world.cluster.scheduler.runFor(3_000);
    expect(world.batch()).toBeUndefined();
    await cancel(world);
    expect(await ended(world)).toMatchObject({ ...CANCELLED, ...NOTHING, outcome: 'undone', not_begun: 100 });
  });

  it.each([
    ['copies', [SlotState.Exporting, SlotState.Importing]],
    ['has frozen its slots', [SlotState.Frozen, SlotState.Importing]],
  ] as const)('while it %s, is rolled back', async (_name, [source, destination]) => {
    const world = await moving();
    await world.cluster.until(() => world.states()[0] === source && world.states()[1] === destination, 'that phase');
    // What has left for the destination may be Install: it decides.
    world.cluster.network.holdUp((frame) => requestedMethod(frame) === Method.Page, 2_000);
    const answer = await cancel(world);
    expect(world.states()[1]).toBe(SlotState.Importing);
    expect(counts(answer.moves[0]!.ending!)).toEqual({ ...NOTHING, outcome: 'undoing', undoing: 100 });
    expect(answer.moves[0]!.ending!.why).toBe(
      '100 slots on the way go back to s1, unless s2 turns out to have installed them',
    );
    expect(await ended(world)).toEqual({
      ...CANCELLED,
      ...NOTHING,
      outcome: 'undone',
      undone: 100,
      why: '100 slots not installed yet were rolled back to s1',
    });
  });

  it('once its slots are installed, goes forward although the controller does not know it yet', async () => {
    const world = await moving();
    await world.cluster.until(() => world.states()[1] === SlotState.Own, 'the installation');
    expect(world.batch()!.phase).toBe('running');
    const answer = await cancel(world);
    expect(counts(answer.moves[0]!.ending!)).toEqual({ ...NOTHING, outcome: 'undoing', undoing: 100 });
    expect(await ended(world)).toEqual({
      state: 'done',
      reason: 'cancelled by request, when all of it had been installed',
      ...NOTHING,
      outcome: 'forward',
      forward: 100,
      why: '100 slots had been installed and stay at s2, 100 of them as the plan was being ended',
    });
  });

  it('while the source deletes what it has given away, goes on with that', async () => {
    const world = await moving();
    await world.cluster.until(() => world.batch()?.phase === 'published', 'the publication');
    const answer = await cancel(world);
    expect(counts(answer.moves[0]!.ending!)).toEqual({ ...NOTHING, outcome: 'forward', forward: 100 });
    expect(answer.moves[0]!.ending!.why).toBe(
      '100 slots had been installed and stay at s2; s1 is deleting what it has of them',
    );
    expect(await ended(world)).toMatchObject({ state: 'done', outcome: 'forward', forward: 100 });
  });

  it('says nothing of an ending where there is none', async () => {
    const world = await moving();
    await world.cluster.planOver();
    const view = granted(await world.cluster.settle(world.cluster.node('n4').admin.plan(world.id, 5_000)));
    expect([view.state, view.moves[0]!.ending, view.reason]).toEqual(['done', undefined, undefined]);
  });
});

describe('a plan of many batches that is cancelled midway', () => {
  it('tells of each move how much went forward, was undone, and had not begun', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 13 });
    const { id } = granted(
      await cluster.settle(cluster.node('n4').admin.reshard({ shards: 4, dry_run: false }, 5_000)),
    );
    const plan = () => cluster.controller().latestPlan()!;
    await cluster.until(() => plan().moves.some(({ moved }) => moved.length > 0), 'some slots to arrive');
    await cluster.settle(cluster.node('n4').admin.steerPlan(id, 'cancel', 5_000));
    await cluster.planOver();
    const view = granted(await cluster.settle(cluster.node('n2').admin.plan(id, 5_000)));
    expect(view.state).toBe('cancelled');
    const map = cluster.controller().map()!;
    for (const move of view.moves) {
      const { forward, undoing, undone, not_begun } = move.ending!;
      expect(forward.slot_count + undone.slot_count + not_begun.slot_count).toBe(move.slot_count);
      expect(undoing.slot_count).toBe(0);
      const owner = (name: string) => map.shards.find((shard) => `s${shard.id}` === name)!.slots;
      for (const [part, at] of [
        [forward, move.to],
        [undone, move.from],
        [not_begun, move.from],
      ] as const) {
        const parsed = parseSlots(part.slots);
        if (!parsed.ok) throw new Error(parsed.detail);
        for (const slot of eachSlot(parsed.slots)) expect([slot, containsSlot(owner(at), slot)]).toEqual([slot, true]);
      }
    }
    expect(view.moves.some((move) => move.ending!.outcome === 'forward')).toBe(true);
  });
});
