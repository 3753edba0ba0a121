/**
 * Whether some shard carries more than it should, and which slots have to move so that it does not: a pure function of what the
 * slots carry now.
 *
 * A shard's fair share is its part of all weights. It is overloaded in a resource (requests, or bytes stored) when it
 * carries more than its fair share and `limit` of it again. What has to move is what it carries beyond its fair share and a third
 * of the limit: less than that would be found unbalanced again by the next breath of wind, more need not move. No shard
 * becomes overloaded by what it is given, in neither resource, so the same load never asks for a second plan.
 *
 * Too little to compare (a few requests, a few megabytes) is no reason for anything. Shards that own no slots take no
 * part: a reshard has just made them, or has left them.
 */
import type { GroupId } from '../raft/index.js';
import { isOverloaded, RESOURCES, type Resource, type Scale, type SlotShares } from './overload.js';
import type { SlotMove } from './planner.js';
import { relieve } from './relief.js';
import { SLOT_COUNT, type SlotRanges, slotsOf } from './slot-ranges.js';

/** Less than that in all shards together is not compared. */
export const LOAD_MIN_PER_S = 50;
export const BYTES_MIN = 64 * 1024 * 1024;

/** By slot. */
export interface Carried {
  /** Requests a second. */
  readonly load: Float64Array;
  /** Stored. */
  readonly bytes: Float64Array;
}

export interface Carrier {
  readonly id: GroupId;
  readonly slots: SlotRanges;
  /** Above 0; fair shares are in proportion. */
  readonly weight: number;
}

/** Shares are fractions of what all shards carry. */
export interface ShardBurden {
  readonly id: GroupId;
  readonly load: number;
  readonly bytes: number;
  readonly loadShare: number;
  readonly bytesShare: number;
  readonly fairShare: number;
}

export interface Overload {
  readonly shard: GroupId;
  readonly resource: Resource;
  readonly share: number;
  readonly fairShare: number;
}

/** A slot that alone is more than any shard should carry: no move helps against that. */
export interface HotSlot {
  readonly slot: number;
  readonly shard: GroupId;
  readonly resource: Resource;
  readonly share: number;
}

export interface Assessment {
  /** Those that own slots, in the order given. */
  readonly shards: readonly ShardBurden[];
  /** The worst there is; null: no shard is overloaded. */
  readonly worst: Overload | null;
  /** The worst there would be after `moves`. */
  readonly rest: Overload | null;
  readonly moves: readonly SlotMove[];
  /** Of overloaded shards, the hottest first. */
  readonly hot: readonly HotSlot[];
}

/** `limit`: 0.3 is 30 % above the fair share. */
export function assess(carriers: readonly Carrier[], carried: Carried, limit: number): Assessment {
  const shards = carriers.filter(({ slots }) => slots.length > 0);
  const shares = sharesOf(shards, carried);
  const weights = shards.reduce((sum, { weight }) => sum + weight, 0);
  const scales = shards.map(({ id, slots, weight }): Scale => {
    return { id, fair: weight / weights, load: sumOf(shares.load, slots), bytes: sumOf(shares.bytes, slots) };
  });
  const burdens = shards.map(({ id, slots }, i): ShardBurden => {
    const { fair, load, bytes } = scales[i]!;
    const sums = { load: sumOf(carried.load, slots), bytes: sumOf(carried.bytes, slots) };
    return { id, ...sums, loadShare: load, bytesShare: bytes, fairShare: fair };
  });
  const worst = worstOf(scales, limit);
  if (worst === null) return { shards: burdens, worst, rest: null, moves: [], hot: [] };
  const owner = ownersOf(shards);
  const hot = hotSlots(scales, shares, owner, limit);
  const before = owner.slice();
  relieve(scales, shares, owner, limit);
  return { shards: burdens, worst, rest: worstOf(scales, limit), moves: movesBetween(before, owner), hot };
}

function sharesOf(shards: readonly Carrier[], carried: Carried): SlotShares {
  const fractions = (amounts: Float64Array, least: number): Float64Array => {
    const total = shards.reduce((sum, { slots }) => sum + sumOf(amounts, slots), 0);
    return total < least ? new Float64Array(SLOT_COUNT) : amounts.map((amount) => amount / total);
  };
  return { load: fractions(carried.load, LOAD_MIN_PER_S), bytes: fractions(carried.bytes, BYTES_MIN) };
}

function sumOf(amounts: Float64Array, slots: SlotRanges): number {
  let sum = 0;
  for (const [first, last] of slots) for (let slot = first; slot <= last; slot++) sum += amounts[slot]!;
  return sum;
}

/** 0: nobody's. */
function ownersOf(shards: readonly Carrier[]): Int32Array {
  const owner = new Int32Array(SLOT_COUNT);
  for (const { id, slots } of shards) for (const [first, last] of slots) owner.fill(id, first, last + 1);
  return owner;
}

function worstOf(shards: readonly Scale[], limit: number): Overload | null {
  let worst: Overload | null = null;
  for (const shard of shards) {
    for (const resource of RESOURCES) {
      if (!isOverloaded(shard, resource, limit)) continue;
      const overload = { shard: shard.id, resource, share: shard[resource], fairShare: shard.fair };
      if (worst === null || overload.share * worst.fairShare > worst.share * overload.fairShare) worst = overload;
    }
  }
  return worst;
}

function hotSlots(shards: readonly Scale[], shares: SlotShares, owner: Int32Array, limit: number): HotSlot[] {
  const most = Math.max(...shards.map(({ fair }) => fair)) * (1 + limit);
  const hot: HotSlot[] = [];
  for (const shard of shards) {
    for (const resource of RESOURCES) {
      if (!isOverloaded(shard, resource, limit)) continue;
      shares[resource].forEach((share, slot) => {
        if (owner[slot] === shard.id && share > most) hot.push({ slot, shard: shard.id, resource, share });
      });
    }
  }
  return hot.sort((a, b) => b.share - a.share);
}

/** At most one a pair of shards, ascending by (from, to). */
function movesBetween(before: Int32Array, after: Int32Array): SlotMove[] {
  const slots = new Map<string, { readonly from: GroupId; readonly to: GroupId; readonly slots: number[] }>();
  before.forEach((from, slot) => {
    const to = after[slot]!;
    if (from === to) return;
    const key = `${from} ${to}`;
    const move = slots.get(key) ?? { from, to, slots: [] };
    slots.set(key, move);
    move.slots.push(slot);
  });
  return [...slots.values()]
    .sort((a, b) => a.from - b.from || a.to - b.to)
    .map(({ from, to, slots: moved }) => ({ from, to, slots: slotsOf(moved) }));
}
