/**
 * From what an operator asks for to a plan that is not started yet: the same pure functions for a dry run and for the
 * controller's state machine, so that a dry run shows exactly what would happen.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import { type PlacedShard, type Placement, placeShards } from './placement.js';
import type { ShardBalance } from './plan.js';
import { balanceOf } from './plan-balance.js';
import { planShares, type SlotMove } from './planner.js';
import { awayWarnings, sizeWarnings, wishWarnings } from './reshard-warnings.js';
import { completedWish, findParties, type Parties, type ReshardWish, type ShardWeight } from './reshard-wish.js';
import { type ShardMap, shardName } from './shard-map.js';
import { planSizes } from './size-planner.js';
import { type ShareBy, type SlotFigures, SlotSizes } from './slot-figures.js';
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
  /** What is evened out. */
  readonly by: ShareBy;
  /** Weights that differ from those of now. */
  readonly weights: readonly ShardWeight[];
  readonly excludedShards: readonly GroupId[];
  readonly excludedNodes: readonly NodeId[];
  readonly balance: readonly ShardBalance[];
}

export type Drafted =
  | { readonly ok: true; readonly draft: PlanDraft }
  /** What is missing, in words for whoever asked. */
  | { readonly ok: false; readonly missing: string };

/** `nextShard`: the lowest id that was never used. */
export function draftReshard(map: ShardMap, nextShard: GroupId, asked: ReshardWish): Drafted {
  const wish = completedWish(asked);
  if (wish.shards < 1) return { ok: false, missing: 'at least one shard must be left to own the slots' };
  if (wish.shards > SHARDS_MAX) {
    return { ok: false, missing: `${wish.shards} shards are more than the ${SHARDS_MAX} that are supported` };
  }
  const growth = Math.max(0, wish.shards - map.shards.length);
  const made = Array.from({ length: growth }, (_, i) => nextShard + i);
  const placed = placeNew(map, made, wish);
  // Shrinking needs no nodes: only what is to be placed can lack them.
  if (!placed.ok && (growth > 0 || wish.replicas !== null)) return placed;
  const found = findParties(map, made, wish);
  if (!found.ok) return found;
  const { parties, sizes } = found;
  const { moves, evened } = movesFor(parties, made, wish.by, sizes);
  const shares = sharesAfter(map, made, parties.retiring, moves);
  const weights = new Map([...parties.targets.map(({ id, weight }) => [id, weight] as const), ...wish.weights]);
  const draft: PlanDraft = {
    newShards: placed.ok ? placed.shards : [],
    retiring: parties.retiring,
    moves,
    shares,
    warnings: [
      ...(placed.ok ? placed.warnings : []),
      ...wishWarnings(map, made, wish),
      ...awayWarnings(map, moves, parties.retiring, wish.downNodes),
      ...(sizes === null || wish.by === 'slots'
        ? []
        : sizeWarnings({ parties, shares, made, by: wish.by, evened, sizes })),
    ],
    by: wish.by,
    weights: wish.weights.filter(([id, weight]) => map.shards.find((shard) => shard.id === id)?.weight !== weight),
    excludedShards: wish.excludeShards,
    excludedNodes: wish.excludeNodes,
    balance: balanceOf(map, made, moves, sizes, weights),
  };
  return { ok: true, draft };
}

function placeNew(map: ShardMap, made: readonly GroupId[], wish: Required<ReshardWish>): Placement {
  const { excludeNodes, downNodes: down } = wish;
  const nodes = map.nodes.filter((node) => !map.draining.includes(node.id) && !excludeNodes.includes(node.id));
  const wished = wish.replicas ?? Math.max(...map.shards.map((shard) => shard.replicas));
  const replicas = wish.replicas ?? Math.max(...map.shards.map((shard) => shard.members.length));
  const placed = placeShards({ nodes, existing: map.shards, newShards: made, replicas, wished, down });
  if (excludeNodes.length === 0) return placed;
  return placed.ok
    ? { ...placed, shards: placed.shards.map((shard) => ({ ...shard, avoids: excludeNodes })) }
    : { ...placed, missing: `${placed.missing}; excluded nodes are not counted: ${excludeNodes.join(', ')}` };
}

interface FoundMoves {
  readonly moves: readonly SlotMove[];
  /** What was evened out in fact. */
  readonly evened: ShareBy;
}

function movesFor(
  { free, retiring, targets }: Parties,
  made: readonly GroupId[],
  by: ShareBy,
  sizes: SlotSizes | null,
): FoundMoves {
  if (by === 'slots' || sizes === null) return { moves: planShares(free, targets), evened: 'slots' };
  const total = free.reduce((sum, { slots }) => sum + (sizes.sum(slots)?.[by] ?? 0), 0);
  if (total > 0) return { moves: planSizes(free, targets, sizes.by(by)), evened: by };
  // Nothing to go by. Still shards that are made must get slots, and those that go must lose them.
  const changes = made.length > 0 || retiring.length > 0;
  return { moves: changes ? planShares(free, targets) : [], evened: 'slots' };
}

/** An explicit move: like any plan, but it balances nothing. Slots that `to` owns already stay. */
export function draftMove(
  map: ShardMap,
  slots: SlotRanges,
  to: GroupId,
  down: readonly NodeId[],
  figures: SlotFigures | null = null,
): Drafted {
  if (!map.shards.some((shard) => shard.id === to)) {
    const known = map.shards.map((shard) => shardName(shard.id)).join(', ');
    return { ok: false, missing: `there is no shard ${shardName(to)}; there are ${known}` };
  }
  const moves: SlotMove[] = [];
  for (const shard of map.shards) {
    const leaving = shard.id === to ? [] : intersectSlots(shard.slots, slots);
    if (leaving.length > 0) moves.push({ from: shard.id, to, slots: leaving });
  }
  return { ok: true, draft: draftOfMoves(map, moves, down, figures) };
}

/** Of moves as they are given: no shard comes or goes, and nothing is evened out. */
export function draftOfMoves(
  map: ShardMap,
  moves: readonly SlotMove[],
  down: readonly NodeId[],
  figures: SlotFigures | null,
): PlanDraft {
  const sizes = figures === null ? null : new SlotSizes(figures);
  return {
    newShards: [],
    retiring: [],
    moves,
    shares: sharesAfter(map, [], [], moves),
    warnings: awayWarnings(map, moves, [], down),
    by: 'slots',
    weights: [],
    excludedShards: [],
    excludedNodes: [],
    balance: balanceOf(map, [], moves, sizes, new Map()),
  };
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
