/** How many slots make a batch: few enough to be frozen for a short time, enough to be worth the round trips. */
import type { SlotStats } from './shard-port.js';
import type { Held } from './slot-figures.js';
import { eachSlot, type SlotRanges, slotsOf } from './slot-ranges.js';

export interface BatchLimits {
  readonly keys: number;
  readonly bytes: number;
  readonly slots: number;
}

/**
 * The lowest of `slots`, until the next would exceed a limit; at least one. Slots without stats are empty. After a
 * failure the limits are halved each time: what could not be copied within the pause may be in pieces.
 */
export function packBatch(
  slots: SlotRanges,
  stats: readonly SlotStats[],
  limits: BatchLimits,
  failures: number,
): SlotRanges {
  const sizes = new Map(stats.map((stat) => [stat.slot, stat]));
  const part = 2 ** Math.min(failures, 30);
  const left = { keys: limits.keys / part, bytes: limits.bytes / part, slots: limits.slots / part };
  const packed: number[] = [];
  for (const slot of eachSlot(slots)) {
    const size = sizes.get(slot);
    left.keys -= size?.keys ?? 0;
    left.bytes -= size?.bytes ?? 0;
    left.slots -= 1;
    if (packed.length > 0 && (left.keys < 0 || left.bytes < 0 || left.slots < 0)) break;
    packed.push(slot);
  }
  return slotsOf(packed);
}

/** How many batches `packBatch` would make of all these slots, one after the other, where none fails. */
export function countBatches(slots: SlotRanges, sizeOf: (slot: number) => Held, limits: BatchLimits): number {
  let count = 0;
  let left = { keys: -1, bytes: -1, slots: -1 };
  for (const slot of eachSlot(slots)) {
    const { keys, bytes } = sizeOf(slot);
    left = { keys: left.keys - keys, bytes: left.bytes - bytes, slots: left.slots - 1 };
    if (left.keys >= 0 && left.bytes >= 0 && left.slots >= 0) continue;
    count++;
    left = { keys: limits.keys - keys, bytes: limits.bytes - bytes, slots: limits.slots - 1 };
  }
  return count;
}
