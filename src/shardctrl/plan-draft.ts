/**
 * From what an operator asks for to a plan that is not started yet: the same pure functions for a dry run and for the
 * controller's state machine, so that a dry run shows exactly what would happen.
 */
import type { GroupId } from '../raft/index.js';
import { type PlacedShard, placeShards } from './placement.js';
import { planShares, type SlotMove } from './planner.js';
import { type ShardMap, shardName } from './shard-map.js';
import { countSlots, intersectSlots, type SlotRanges } from './slot-ranges.js';

/** More groups than that on one cluster cost more than they bring; also bounds the size of a plan. */
export const SHARDS_MAX = 1024;

export interface PlanDraft {
  readonly newShards: readonly PlacedShard[];
  /** Shards that own nothing once the plan is carried out, and are removed then. */
  readonly retiring: readonly GroupId[];
  readonly moves: readonly SlotMove[];
  /** Slots that each shard owns in the end. */
  readonly shares: readonly (readonly [shard: GroupId, slots: number])[];
  readonly warnings: readonly string[];
}

export type Drafted =
  | { readonly ok: true; readonly draft: PlanDraft }
  /** What is missing, in words for whoever asked. */
  | { readonly ok: false; readonly missing: string };

export interface ReshardWish {
  readonly shards: number;
  /** Of shards that have to be made; null: as many as the existing shards have. */
  readonly replicas: number | null;
}

/** `nextShard`: the lowest id that was never used. */
export function draftReshard(map: ShardMap, nextShard: GroupId, wish: ReshardWish): Drafted {
  if (wish.shards < 1) return { ok: false, missing: 'at least one shard must be left to own the slots' };
  if (wish.shards > SHARDS_MAX) {
    return { ok: false, missing: `${wish.shards} shards are more than the ${SHARDS_MAX} that are supported` };
  }
  const growth = Math.max(0, wish.shards - map.shards.length);
  const ids = Array.from({ length: growth }, (_, i) => nextShard + i);
  const nodes = map.nodes.filter((node) => !map.draining.includes(node.id));
  const wished = wish.replicas ?? Math.max(...map.shards.map((shard) => shard.replicas));
  const replicas = wish.replicas ?? Math.max(...map.shards.map((shard) => shard.members.length));
  const placed = placeShards({ nodes, existing: map.shards, newShards: ids, replicas, wished });
  // Shrinking needs no nodes: only what is to be placed can lack them.
  if (!placed.ok && (growth > 0 || wish.replicas !== null)) return placed;
  const retiring = shardsToRetire(map, map.shards.length - wish.shards);
  const staying = map.shards.map((shard) => shard.id).filter((id) => !retiring.includes(id));
  const targets = [...staying, ...ids].map((id) => ({ id, weight: 1 }));
  const moves = planShares(map.shards, targets);
  const warnings = placed.ok ? [...placed.warnings] : [];
  if (wish.replicas !== null && map.shards.some((shard) => shard.members.length !== wish.replicas)) {
    warnings.push('replicas applies to new shards; the members of existing shards stay as they are');
  }
  const newShards = placed.ok ? placed.shards : [];
  return { ok: true, draft: { newShards, retiring, moves, shares: sharesAfter(map, ids, retiring, moves), warnings } };
}

/** Those that own the fewest slots, for then the fewest move; among equals the newest. */
function shardsToRetire(map: ShardMap, count: number): GroupId[] {
  if (count <= 0) return [];
  return [...map.shards]
    .sort((a, b) => countSlots(a.slots) - countSlots(b.slots) || b.id - a.id)
    .slice(0, count)
    .map((shard) => shard.id)
    .sort((a, b) => a - b);
}

/** An explicit move: like any plan, but it balances nothing. Slots that `to` owns already stay. */
export function draftMove(map: ShardMap, slots: SlotRanges, to: GroupId): Drafted {
  if (!map.shards.some((shard) => shard.id === to)) {
    const known = map.shards.map((shard) => shardName(shard.id)).join(', ');
    return { ok: false, missing: `there is no shard ${shardName(to)}; there are ${known}` };
  }
  const moves: SlotMove[] = [];
  for (const shard of map.shards) {
    const leaving = shard.id === to ? [] : intersectSlots(shard.slots, slots);
    if (leaving.length > 0) moves.push({ from: shard.id, to, slots: leaving });
  }
  const draft = { newShards: [], retiring: [], moves, shares: sharesAfter(map, [], [], moves), warnings: [] };
  return { ok: true, draft };
}

function sharesAfter(
  map: ShardMap,
  added: readonly GroupId[],
  retired: readonly GroupId[],
  moves: readonly SlotMove[],
): [GroupId, number][] {
  const shares = new Map<GroupId, number>(map.shards.map((shard) => [shard.id, countSlots(shard.slots)]));
  for (const id of added) shares.set(id, 0);
  for (const { from, to, slots } of moves) {
    shares.set(from, shares.get(from)! - countSlots(slots));
    shares.set(to, shares.get(to)! + countSlots(slots));
  }
  for (const id of retired) shares.delete(id);
  return [...shares].sort((a, b) => a[0] - b[0]);
}
