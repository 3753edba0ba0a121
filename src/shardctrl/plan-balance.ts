/** What each shard has before and after a plan: slots, and keys and bytes where it is known what slots hold. Pure. */
import type { GroupId } from '../raft/index.js';
import type { ShardBalance } from './plan.js';
import type { SlotMove } from './planner.js';
import { WEIGHT_DEFAULT } from './reshard-wish.js';
import type { ShardMap } from './shard-map.js';
import type { Held, SlotSizes } from './slot-figures.js';
import { countSlots, NO_SLOTS, type SlotRanges, subtractSlots, unionSlots } from './slot-ranges.js';

/** Of all shards that are there before or after, ascending. `weights`: of those that have another one then. */
export function balanceOf(
  map: ShardMap,
  made: readonly GroupId[],
  moves: readonly SlotMove[],
  sizes: SlotSizes | null,
  weights: ReadonlyMap<GroupId, number>,
): ShardBalance[] {
  const shards = [
    ...map.shards.map(({ id, slots, weight }) => ({ id, slots, weight })),
    ...made.map((id) => ({ id, slots: NO_SLOTS, weight: WEIGHT_DEFAULT })),
  ];
  return shards
    .sort((a, b) => a.id - b.id)
    .map(({ id, slots, weight }) => {
      const after = slotsAfter(id, slots, moves);
      const [held, then] = [sizes?.sum(slots) ?? null, sizes?.sum(after) ?? null];
      return {
        shard: id,
        weight: weights.get(id) ?? weight,
        slots: [countSlots(slots), countSlots(after)],
        keys: pairOf(held, then, 'keys'),
        bytes: pairOf(held, then, 'bytes'),
      };
    });
}

const pairOf = (
  before: Held | null,
  after: Held | null,
  what: keyof Held,
): readonly [before: number, after: number] | null =>
  before === null || after === null ? null : [before[what], after[what]];

function slotsAfter(shard: GroupId, slots: SlotRanges, moves: readonly SlotMove[]): SlotRanges {
  let after = slots;
  for (const move of moves) {
    if (move.from === shard) after = subtractSlots(after, move.slots);
    if (move.to === shard) after = unionSlots(after, move.slots);
  }
  return after;
}
