/** What the records of slots come to. */
import type { SlotRanges, SlotSums } from '../../shardctrl/index.js';
import { addSum, digestText } from './digest.js';

/** Sums of every slot as flat arrays. */
export interface SlotArrays {
  readonly keys: Float64Array;
  readonly bytes: Float64Array;
  readonly idempotency: Float64Array;
  /** Four 32-bit words a slot, the lowest first. */
  readonly digest: Uint32Array;
}

/** Of one slot. */
export interface RecordSums {
  readonly keys: number;
  readonly bytes: number;
  readonly idempotency: number;
  /** Four 32-bit words, the lowest first. */
  readonly digest: Uint32Array;
}

/** Of several slots together. */
export function sumsOf(sums: SlotArrays, slots: SlotRanges): SlotSums {
  const digest = new Uint32Array(4);
  let keys = 0;
  let bytes = 0;
  let idempotencyRecords = 0;
  for (const [first, last] of slots) {
    for (let slot = first; slot <= last; slot++) {
      keys += sums.keys[slot]!;
      bytes += sums.bytes[slot]!;
      idempotencyRecords += sums.idempotency[slot]!;
      addSum(digest, sums.digest, slot);
    }
  }
  return { keys, bytes, digest: digestText(digest), idempotencyRecords };
}
