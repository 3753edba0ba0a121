/**
 * Which slots have to change hands so that every shard has its share: a pure function, the same in a dry run and on every
 * replica of the controller.
 *
 * Balanced: every share is its ideal (all slots × weight ÷ weights) rounded down or up. Minimal: only the surplus of
 * shards above their share moves, only to shards below theirs; which shards are rounded up is chosen so that the least
 * moves. Within that, ranges are kept in one piece where they can be: a map of few ranges is short in logs and messages.
 */
import type { GroupId } from '../raft/index.js';
import {
  countSlots,
  intersectSlots,
  type SlotRange,
  type SlotRanges,
  subtractSlots,
  unionSlots,
} from './slot-ranges.js';

export interface Holding {
  readonly id: GroupId;
  readonly slots: SlotRanges;
}

export interface Target {
  readonly id: GroupId;
  /** Above 0; shares are in proportion. */
  readonly weight: number;
}

export interface SlotMove {
  readonly from: GroupId;
  readonly to: GroupId;
  readonly slots: SlotRanges;
}

/**
 * The shares that the targets should have, in slots: each within one slot of its ideal, their sum `total`, and as close
 * to what the shards hold now as that allows.
 */
export function fairShares(
  total: number,
  holdings: readonly Holding[],
  targets: readonly Target[],
): Map<GroupId, number> {
  const weights = targets.reduce((sum, target) => sum + target.weight, 0);
  const held = new Map(holdings.map((holding) => [holding.id, countSlots(holding.slots)]));
  const parts = targets.map((target) => {
    const ideal = (total * target.weight) / weights;
    const floor = Math.floor(ideal);
    return { id: target.id, floor, fraction: ideal - floor, saves: (held.get(target.id) ?? 0) > floor };
  });
  let extra = total - parts.reduce((sum, part) => sum + part.floor, 0);
  // A slot more where one more is held already: that slot need not move.
  const order = [...parts].sort(
    (a, b) =>
      Number(a.fraction === 0) - Number(b.fraction === 0) ||
      Number(b.saves) - Number(a.saves) ||
      b.fraction - a.fraction ||
      a.id - b.id,
  );
  const shares = new Map<GroupId, number>();
  for (const part of order) {
    shares.set(part.id, part.floor + (extra > 0 ? 1 : 0));
    if (extra > 0) extra--;
  }
  return shares;
}

/**
 * The moves that turn `holdings` into fair shares of `targets`. Shards that are no target give all they have. At most one
 * move a pair of shards, ascending by (from, to). Slots of all holdings together stay the same set.
 */
export function planShares(holdings: readonly Holding[], targets: readonly Target[]): SlotMove[] {
  if (targets.length === 0) throw new Error('invariant: a plan needs a shard to move slots to');
  const total = holdings.reduce((sum, holding) => sum + countSlots(holding.slots), 0);
  const shares = fairShares(total, holdings, targets);
  const slots = new Map<GroupId, SlotRanges>(targets.map((target) => [target.id, []]));
  for (const holding of holdings) slots.set(holding.id, holding.slots);
  const ids = [...slots.keys()].sort((a, b) => a - b);
  const surplus = (id: GroupId): number => countSlots(slots.get(id)!) - (shares.get(id) ?? 0);
  const givers = ids.filter((id) => surplus(id) > 0);
  const takers = ids.filter((id) => surplus(id) < 0);
  const moves: SlotMove[] = [];
  for (let g = 0, t = 0; g < givers.length && t < takers.length; ) {
    const from = givers[g]!;
    const to = takers[t]!;
    const moved = pickSlots(slots.get(from)!, Math.min(surplus(from), -surplus(to)), slots.get(to)!);
    slots.set(from, subtractSlots(slots.get(from)!, moved));
    slots.set(to, unionSlots(slots.get(to)!, moved));
    moves.push({ from, to, slots: moved });
    if (surplus(from) === 0) g++;
    if (surplus(to) === 0) t++;
  }
  return moves.sort((a, b) => a.from - b.from || a.to - b.to);
}

/** `count` slots of `from` that leave the fewest ranges behind and at the taker. */
function pickSlots(from: SlotRanges, count: number, taker: SlotRanges): SlotRanges {
  let rest = from;
  let picked: SlotRanges = [];
  for (let left = count; left > 0; ) {
    const piece = nextPiece(rest, left, unionSlots(taker, picked));
    picked = unionSlots(picked, [piece]);
    rest = subtractSlots(rest, [piece]);
    left -= piece[1] - piece[0] + 1;
  }
  return picked;
}

/** First a piece that touches what the taker has, then the largest whole range that fits, else the end of the largest. */
function nextPiece(rest: SlotRanges, left: number, taker: SlotRanges): SlotRange {
  for (const [first, last] of rest) {
    if (touches(taker, first - 1)) return [first, Math.min(last, first + left - 1)];
    if (touches(taker, last + 1)) return [Math.max(first, last - left + 1), last];
  }
  let whole: SlotRange | null = null;
  let largest: SlotRange = rest[0]!;
  for (const range of rest) {
    const length = range[1] - range[0] + 1;
    if (length <= left && (whole === null || length > whole[1] - whole[0] + 1)) whole = range;
    if (length > largest[1] - largest[0] + 1) largest = range;
  }
  return whole ?? [largest[1] - left + 1, largest[1]];
}

const touches = (slots: SlotRanges, slot: number): boolean => intersectSlots(slots, [[slot, slot]]).length > 0;
