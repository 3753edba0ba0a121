/** Slot sets made from a test on single slots. */
import { SLOT_COUNT, type SlotRange, type SlotRanges } from '../../shardctrl/index.js';

/** The slots from `from` to `to` (inclusive) for which `test` holds. */
export function slotsWhere(test: (slot: number) => boolean, from = 0, to = SLOT_COUNT - 1): SlotRanges {
  const ranges: SlotRange[] = [];
  let first = -1;
  for (let slot = from; slot <= to; slot++) {
    if (test(slot)) {
      if (first === -1) first = slot;
    } else if (first !== -1) {
      ranges.push([first, slot - 1]);
      first = -1;
    }
  }
  if (first !== -1) ranges.push([first, to]);
  return ranges;
}
