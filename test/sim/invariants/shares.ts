/**
 * What a plan has to come to, by what was asked for and by the map of before. Said once more without the product's planner:
 * which slots go is for the planner to say, but not this.
 *
 *   any plan   what its moves have brought about is all that has changed hands
 *   reshard    as many shards as were asked for, with the weights that were asked for; what is excluded has what it had; shards
 *              that are made keep away from excluded nodes; no slot has moved that has not come to another shard. And of
 *              what is shared out among the others, by weight:
 *     slots         no share is a slot or more away from its ideal, and a shard either gives or takes
 *     bytes, keys   as they were when the plan was made: no share is further than the largest slot from its ideal; who had more
 *                   than its share has taken nothing, who had less has given nothing; a slot that is empty has stayed, and so
 *                   has each whose way back would make the two shards more even. Of a shard that goes all slots go
 *                   somewhere, also empty ones; where nothing is held at all, slots are shared out, if shards come or go.
 *
 * A dry run says what would come of it: the same, as far as it can be seen in its answer.
 */
import type { PlanView, ReshardRequest } from '../../../src/kv/server/api.js';
import type { GroupId } from '../../../src/raft/index.js';
import {
  type CheckedCommand,
  countSlots,
  eachSlot,
  equalSlots,
  formatSlots,
  NO_SLOTS,
  type PlanMove,
  type ShardMap,
  SLOT_COUNT,
  type SlotMove,
  type SlotRanges,
  shardName,
} from '../../../src/shardctrl/index.js';

export type ReshardCommand = Extract<CheckedCommand, { kind: 'reshard' }>;

/** One that takes part: what it has before and after, of whatever is shared out. */
export interface Party {
  readonly name: string;
  readonly weight: number;
  /** False: it goes, and has no share. */
  readonly stays: boolean;
  readonly before: number;
  readonly after: number;
}

/** Ideals are fractions. */
const HAIR = 1e-6;

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** The share that each should have, in the order given. */
function idealsOf(parties: readonly Party[]): number[] {
  const total = sum(parties.map(({ before }) => before));
  const weights = sum(parties.map(({ stays, weight }) => (stays ? weight : 0)));
  return parties.map(({ stays, weight }) => (stays ? (total * weight) / weights : 0));
}

/** `within`: so far from its ideal a share may be. */
export function sharesFault(parties: readonly Party[], within: number): string | null {
  const ideals = idealsOf(parties);
  for (const [i, { name, stays, before, after }] of parties.entries()) {
    const ideal = ideals[i]!;
    const share = `${name} had ${before} and has ${after}, its share is ${ideal.toFixed(3)}`;
    if (!stays && after !== 0) return `${name} goes, and keeps ${after}`;
    if (Math.abs(after - ideal) > within + HAIR) return `${share}: more than ${within} from it`;
    if (before > ideal + HAIR && after > before + HAIR) return `${share}: it has taken`;
    if (before < ideal - HAIR && after < before - HAIR) return `${share}: it has given`;
  }
  return null;
}

// -------------------------------------------------------------------------------------------------------------- any plan

/** By slot; 0: nobody. */
function ownersOf({ shards }: ShardMap): Int32Array {
  const owners = new Int32Array(SLOT_COUNT);
  for (const { id, slots } of shards) for (const [first, last] of slots) owners.fill(id, first, last + 1);
  return owners;
}

export function ownersFault(
  before: ShardMap,
  after: ShardMap,
  moves: readonly Pick<PlanMove, 'from' | 'to' | 'moved'>[],
): string | null {
  const due = ownersOf(before);
  for (const { from, to, moved } of moves) {
    for (const slot of eachSlot(moved)) {
      if (due[slot] !== from) return `slot ${slot} has moved from ${shardName(from)}, it was with s${due[slot]}`;
      due[slot] = to;
    }
  }
  const found = ownersOf(after);
  const slot = found.findIndex((owner, at) => owner !== due[at]);
  return slot < 0 ? null : `slot ${slot} is with s${found[slot]}, by its moves it is with s${due[slot]}`;
}

/** The shard has all of them now. */
export function arrivedFault(after: ShardMap, slots: SlotRanges, to: GroupId): string | null {
  const owners = ownersOf(after);
  for (const slot of eachSlot(slots))
    if (owners[slot] !== to) return `slot ${slot} was to come to ${shardName(to)}, and is with s${owners[slot]}`;
  return null;
}

// --------------------------------------------------------------------------------------------------------------- reshard

export interface Reshard {
  readonly before: ShardMap;
  readonly after: ShardMap;
  readonly asked: ReshardCommand;
}

const shardOf = ({ shards }: ShardMap, id: GroupId) => shards.find((shard) => shard.id === id);
const slotsIn = (map: ShardMap, id: GroupId): SlotRanges => shardOf(map, id)?.slots ?? NO_SLOTS;

/** As soon as it is begun: weights, and places of the shards that are made. */
export function begunFault({ before, after, asked }: Reshard): string | null {
  const wanted = new Map([...before.shards.map(({ id, weight }) => [id, weight] as const), ...asked.weights]);
  for (const { id, weight, members } of after.shards) {
    const due = wanted.get(id) ?? 1;
    if (weight !== due) return `${shardName(id)} has weight ${weight}, not ${due}`;
    if (shardOf(before, id) !== undefined) continue;
    const wrong = members.find(({ node }) => asked.excludeNodes.includes(node));
    if (wrong !== undefined) return `${shardName(id)} is made on ${wrong.node}, which is excluded`;
  }
  return null;
}

/** Of a plan that is done. */
export function reshardFault(reshard: Reshard, moves: readonly SlotMove[]): string | null {
  const { before, after, asked } = reshard;
  if (after.shards.length !== asked.shards)
    return `there are ${after.shards.length} shards, ${asked.shards} were asked for`;
  for (const id of asked.excludeShards) {
    const [had, has] = [slotsIn(before, id), slotsIn(after, id)];
    if (!equalSlots(had, has))
      return `${shardName(id)} is excluded, and has ${formatSlots(has)} instead of ${formatSlots(had)}`;
  }
  const was = ownersOf(before);
  const changed = ownersOf(after).filter((owner, slot) => owner !== was[slot]).length;
  const moved = sum(moves.map(({ slots }) => countSlots(slots)));
  if (moved > changed) return `${moved} slots moved, ${changed} of them to where they had not been`;
  return evenFault(reshard, moves);
}

function evenFault(reshard: Reshard, moves: readonly SlotMove[]): string | null {
  const { before, after, asked } = reshard;
  const sizeOf = sizesOf(asked);
  if (sizeOf !== null) {
    const free = before.shards.filter(({ id }) => !asked.excludeShards.includes(id));
    const sizes = free.flatMap(({ slots }) => Array.from(eachSlot(slots), sizeOf));
    if (sum(sizes) > 0)
      return sizesFault(
        reshard,
        moves,
        sizeOf,
        sizes.reduce((a, b) => Math.max(a, b), 0),
      );
    const ids = (map: ShardMap): string => map.shards.map(({ id }) => id).join();
    if (ids(before) === ids(after)) return moves.length === 0 ? null : `no ${asked.by} are held, and slots have moved`;
  }
  const parties = partiesOf(reshard, countSlots);
  const wrong = sharesFault([...parties.values()], 1);
  if (wrong !== null) return wrong;
  const moved = sum(moves.map(({ slots }) => countSlots(slots)));
  const needed = sum([...parties.values()].map((party) => Math.max(0, party.before - party.after)));
  return moved > needed ? `${moved} slots moved, ${needed} would have done` : null;
}

/** By the figures that the command holds; null: it goes by slots. */
function sizesOf({ by, figures }: ReshardCommand): ((slot: number) => number) | null {
  if (by === 'slots' || figures === null) return null;
  const sizes = new Map<number, number>();
  for (const slot of eachSlot(figures.slots)) sizes.set(slot, figures[by][sizes.size]!);
  return (slot) => sizes.get(slot) ?? 0;
}

/** Those that are not excluded. */
function partiesOf({ before, after, asked }: Reshard, measure: (slots: SlotRanges) => number): Map<GroupId, Party> {
  const ids = new Set([...before.shards, ...after.shards].map(({ id }) => id));
  const parties = new Map<GroupId, Party>();
  for (const id of ids) {
    if (asked.excludeShards.includes(id)) continue;
    const now = shardOf(after, id);
    const [had, has] = [measure(slotsIn(before, id)), measure(slotsIn(after, id))];
    const stays = now !== undefined;
    parties.set(id, { name: shardName(id), weight: now?.weight ?? 0, stays, before: had, after: has });
  }
  return parties;
}

function sizesFault(
  reshard: Reshard,
  moves: readonly SlotMove[],
  sizeOf: (slot: number) => number,
  largest: number,
): string | null {
  const parties = partiesOf(reshard, (slots) => sum(Array.from(eachSlot(slots), sizeOf)));
  const all = [...parties.values()];
  const wrong = sharesFault(all, largest);
  if (wrong !== null) return wrong;
  const ideals = idealsOf(all);
  const over = new Map([...parties.keys()].map((id, i) => [id, all[i]!.after - ideals[i]!]));
  for (const { from, to, slots } of moves) {
    if (parties.get(from)?.stays !== true) continue;
    const more = over.get(to)! - over.get(from)!;
    for (const slot of eachSlot(slots)) {
      const size = sizeOf(slot);
      if (size === 0) return `slot ${slot} of ${shardName(from)} holds no ${reshard.asked.by}, and has moved`;
      if (size < more - HAIR)
        return `slot ${slot} of ${size} has moved from ${shardName(from)} to ${shardName(to)}, which is ${more.toFixed(3)} further above its share`;
    }
  }
  return null;
}

// --------------------------------------------------------------------------------------------------------------- dry run

type BalanceRow = NonNullable<PlanView['balance']>[number];

/** What a dry run shows must be what was asked for. */
export function shownFault({ shards, by = 'slots', weights = {} }: ReshardRequest, view: PlanView): string | null {
  if (view.state !== 'planned') return `it is ${view.state}`;
  const retired = view.retired_shards ?? [];
  const rows = view.balance ?? [];
  const stay = rows.filter(({ shard }) => !retired.includes(shard));
  if (stay.length !== shards) return `${stay.length} shards are left, ${shards} were asked for`;
  for (const count of [(row: BalanceRow) => row.slots_before, (row: BalanceRow) => row.slots_after])
    if (sum(rows.map(count)) !== SLOT_COUNT) return `shares come to ${sum(rows.map(count))} slots`;
  const moved = rows.find(({ excluded, slots_before, slots_after }) => excluded && slots_before !== slots_after);
  if (moved !== undefined) return `${moved.shard} is excluded, and would have ${moved.slots_after} slots`;
  const other = stay.find(({ shard, weight }) => weight !== (weights[shard] ?? weight));
  if (other !== undefined) return `${other.shard} has weight ${other.weight}, not ${weights[other.shard]}`;
  const free = rows.filter(({ excluded }) => !excluded);
  const party = ({ shard, weight }: BalanceRow, before: number | null, after: number | null): Party => {
    return { name: shard, weight, stays: !retired.includes(shard), before: before ?? 0, after: after ?? 0 };
  };
  const sizes = free.map((row) =>
    by === 'keys' ? party(row, row.keys_before, row.keys_after) : party(row, row.bytes_before, row.bytes_after),
  );
  const bySize = by !== 'slots' && sum(sizes.map(({ before }) => before)) > 0;
  if (bySize) return sharesFault(sizes, Number.POSITIVE_INFINITY);
  const same = retired.length === 0 && (view.new_shards ?? []).length === 0;
  if (by !== 'slots' && same) return view.moves.length === 0 ? null : `no ${by} are held, and slots would move`;
  return sharesFault(
    free.map((row) => party(row, row.slots_before, row.slots_after)),
    1,
  );
}
