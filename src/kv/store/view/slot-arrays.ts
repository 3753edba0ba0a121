/** Sums of every slot, apart from where they are kept: a copy of them, or what records come to. */
import { SLOT_COUNT, type SlotRanges, type SlotSums } from '../../../shardctrl/index.js';
import { addHash, addSum, digestText } from '../digest.js';
import type { SlotArrays } from '../slot-hash.js';

export const newSlotArrays = (): SlotArrays => ({
  keys: new Float64Array(SLOT_COUNT),
  bytes: new Float64Array(SLOT_COUNT),
  idempotency: new Float64Array(SLOT_COUNT),
  digest: new Uint32Array(SLOT_COUNT * 4),
});

export const copySlotArrays = ({ keys, bytes, idempotency, digest }: SlotArrays): SlotArrays => ({
  keys: keys.slice(),
  bytes: bytes.slice(),
  idempotency: idempotency.slice(),
  digest: digest.slice(),
});

/** One more record of the slot. `hashed`: its hash is in `digest.hash`; else it is counted without. */
export function countRecord(sums: SlotArrays, slot: number, bytes: number, isKey: boolean, hashed: boolean): void {
  const counts = isKey ? sums.keys : sums.idempotency;
  counts[slot] = counts[slot]! + 1;
  sums.bytes[slot] = sums.bytes[slot]! + bytes;
  if (hashed) addHash(sums.digest, slot);
}

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

export const sameCounts = (a: SlotArrays, b: SlotArrays, slot: number): boolean =>
  a.keys[slot] === b.keys[slot] && a.idempotency[slot] === b.idempotency[slot] && a.bytes[slot] === b.bytes[slot];

export function sameDigest(a: SlotArrays, b: SlotArrays, slot: number): boolean {
  for (let i = slot * 4; i < slot * 4 + 4; i++) if (a.digest[i] !== b.digest[i]) return false;
  return true;
}
