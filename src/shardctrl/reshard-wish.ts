/**
 * What an operator can ask of a reshard beside a number of shards, and why it cannot be had: which shards take part, and with
 * which weights. Pure, in words for whoever asked.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import { type ShardEntry, type ShardMap, shardName } from './shard-map.js';
import { type ShareBy, type SlotFigures, SlotSizes } from './slot-figures.js';
import { countSlots, intersectSlots } from './slot-ranges.js';

export const WEIGHT_DEFAULT = 1;
/** Beyond these a shard gets nothing, or everything. */
export const WEIGHT_MIN = 0.01;
export const WEIGHT_MAX = 100;

export type ShardWeight = readonly [shard: GroupId, weight: number];

export interface ReshardWish {
  readonly shards: number;
  /** Of shards that have to be made; null: as many as the existing shards have. */
  readonly replicas: number | null;
  /** Default: slots. */
  readonly by?: ShareBy;
  /** Of these shards from now on; others keep theirs. Shards that the plan makes may be named. */
  readonly weights?: readonly ShardWeight[];
  /** Shards that neither give nor take. */
  readonly excludeShards?: readonly GroupId[];
  /** Nodes that no replica of a new shard is placed on. */
  readonly excludeNodes?: readonly NodeId[];
  /** Nodes that are down, as whoever proposes sees it: replicas of new shards are placed there last. */
  readonly downNodes?: readonly NodeId[];
  /** What slots hold: needed unless `by` is slots. */
  readonly figures?: SlotFigures | null;
}

export const completedWish = (wish: ReshardWish): Required<ReshardWish> => ({
  by: 'slots',
  weights: [],
  excludeShards: [],
  excludeNodes: [],
  downNodes: [],
  figures: null,
  ...wish,
});

/** Who gives and takes. */
export interface Parties {
  /** Shards of now that are not excluded. */
  readonly free: readonly ShardEntry[];
  /** Of these: those that go. */
  readonly retiring: readonly GroupId[];
  /** Those that stay, and those that are made. */
  readonly targets: readonly { readonly id: GroupId; readonly weight: number }[];
}

export type FoundParties =
  | { readonly ok: true; readonly parties: Parties; readonly sizes: SlotSizes | null }
  | { readonly ok: false; readonly missing: string };

const refused = (missing: string): { readonly ok: false; readonly missing: string } => ({ ok: false, missing });

/** `made`: ids of the shards that the plan makes. */
export function findParties(map: ShardMap, made: readonly GroupId[], wish: Required<ReshardWish>): FoundParties {
  const unknown = unknownName(map, made, wish);
  if (unknown !== null) return refused(unknown);
  const free = map.shards.filter((shard) => !wish.excludeShards.includes(shard.id));
  const leaving = Math.max(0, map.shards.length - wish.shards);
  if (leaving > free.length) {
    const left = free.length === 0 ? 'all of them are excluded' : `only ${namesOf(free)} not excluded`;
    return refused(`${leaving} of ${map.shards.length} shards are to go, and ${left}: exclude fewer of them`);
  }
  const unmeasured = whatIsUnmeasured(free, wish);
  if (unmeasured !== null) return refused(unmeasured);
  const sizes = wish.figures === null ? null : new SlotSizes(wish.figures);
  const retiring = shardsToRetire(free, leaving, wish.by, sizes);
  const stay = [...free.filter(({ id }) => !retiring.includes(id)).map(({ id }) => id), ...made];
  const unfit = whatIsUnfit(free, retiring, stay, made, wish);
  if (unfit !== null) return refused(unfit);
  const weights = new Map([...map.shards.map(({ id, weight }) => [id, weight] as const), ...wish.weights]);
  const targets = stay.map((id) => ({ id, weight: weights.get(id) ?? WEIGHT_DEFAULT }));
  return { ok: true, parties: { free, retiring, targets }, sizes };
}

const namesOf = (shards: readonly { readonly id: GroupId }[]): string =>
  `${shards.map(({ id }) => shardName(id)).join(', ')} ${shards.length === 1 ? 'is' : 'are'}`;

function unknownName(map: ShardMap, made: readonly GroupId[], wish: Required<ReshardWish>): string | null {
  const shards = map.shards.map(({ id }) => id);
  const known = shards.map(shardName).join(', ');
  const stranger = wish.excludeShards.find((id) => !shards.includes(id));
  if (stranger !== undefined) {
    return `${shardName(stranger)} cannot be excluded: there is no such shard; there are ${known}`;
  }
  const node = wish.excludeNodes.find((id) => !map.nodes.some((entry) => entry.id === id));
  if (node !== undefined) {
    const nodes = map.nodes.map(({ id }) => id).join(', ');
    return `${node} cannot be excluded: there is no such node; there are ${nodes}`;
  }
  const weighed = wish.weights.find(([id]) => !shards.includes(id) && !made.includes(id));
  if (weighed === undefined) return null;
  const new_ = made.length === 0 ? 'none is made' : `${made.map(shardName).join(', ')} would be made`;
  return `${shardName(weighed[0])} cannot be given a weight: there is no such shard; there are ${known}, and ${new_}`;
}

function whatIsUnmeasured(free: readonly ShardEntry[], { by, figures }: Required<ReshardWish>): string | null {
  if (by === 'slots') return null;
  if (figures === null) return `to share out ${by}, it has to be known how many each slot holds, and nobody has asked`;
  const silent = free.filter(({ slots }) => intersectSlots(slots, figures.unknown).length > 0);
  if (silent.length === 0) return null;
  const names = silent.map(({ id }) => shardName(id)).join(', ');
  return `${names} did not tell how many ${by} each slot holds: exclude ${silent.length === 1 ? 'it' : 'them'}, or share out slots`;
}

/** Those that hold the least, for then the least moves; among equals the newest. */
function shardsToRetire(free: readonly ShardEntry[], count: number, by: ShareBy, sizes: SlotSizes | null): GroupId[] {
  const held = ({ slots }: ShardEntry): number =>
    by === 'slots' || sizes === null ? 0 : (sizes.sum(slots)?.[by] ?? 0);
  return [...free]
    .sort((a, b) => held(a) - held(b) || countSlots(a.slots) - countSlots(b.slots) || b.id - a.id)
    .slice(0, count)
    .map(({ id }) => id)
    .sort((a, b) => a - b);
}

function whatIsUnfit(
  free: readonly ShardEntry[],
  retiring: readonly GroupId[],
  stay: readonly GroupId[],
  made: readonly GroupId[],
  { weights }: Required<ReshardWish>,
): string | null {
  if (made.length > 0 && free.length === 0) {
    return `every shard is excluded: none is left that gives slots to ${made.map(shardName).join(', ')}`;
  }
  if (stay.length === 0) {
    return retiring.length === 0
      ? 'every shard is excluded: none is left that gives or takes slots'
      : `the slots of ${retiring.map(shardName).join(', ')} need a shard to go to, and every one that stays is excluded`;
  }
  const weighed = weights.find(([id]) => retiring.includes(id));
  if (weighed === undefined) return null;
  return `${shardName(weighed[0])} cannot be given a weight: it holds the least, and so it would be retired`;
}
