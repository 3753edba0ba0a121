/** Sums of every slot, apart from where they are kept: a copy of them, or what records come to. */
import { SLOT_COUNT } from '../../../shardctrl/index.js';
import { addHash } from '../digest.js';
import type { SlotArrays } from '../slot-sums.js';

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

export const sameCounts = (a: SlotArrays, b: SlotArrays, slot: number): boolean =>
  a.keys[slot] === b.keys[slot] && a.idempotency[slot] === b.idempotency[slot] && a.bytes[slot] === b.bytes[slot];

export function sameDigest(a: SlotArrays, b: SlotArrays, slot: number): boolean {
  for (let i = slot * 4; i < slot * 4 + 4; i++) if (a.digest[i] !== b.digest[i]) return false;
  return true;
}
