/**
 * The hash of all that is known of one slot. The hash of a shard's slots is the sum of them, so that it can be kept up slot by
 * slot, or made from a copy in as many slices as one likes. It is compared, between replicas too, and never kept.
 */
import { SLOT_COUNT, SlotState } from '../../shardctrl/index.js';
import { hash, hashWords } from './digest.js';
import type { SlotControl } from './slot-control.js';
import type { SlotArrays } from './slot-sums.js';

const HASH_SEED = 0x77c1a0f3;

/** Hashes of slots that are owned, empty and never moved: most are, in a store that has just been opened. */
const unmovedHashes = new Uint32Array(SLOT_COUNT * 4);
const unmovedKnown = new Uint8Array(SLOT_COUNT);

/** Never seen, or as good as: counts nothing in the state's hash, whether it was read from rows or not. */
export function isBlank({ state, outcome, move, floor }: SlotControl, sums: SlotArrays, slot: number): boolean {
  return (
    state[slot] === SlotState.None &&
    outcome[slot] === 0 &&
    move[slot] === 0 &&
    floor[slot] === 0 &&
    sums.keys[slot] === 0 &&
    sums.idempotency[slot] === 0
  );
}

/** All of them, whatever they say of each other: the hash is there to find out. */
function sumsAreZero({ keys, idempotency, bytes, digest }: SlotArrays, slot: number): boolean {
  for (let i = slot * 4; i < slot * 4 + 4; i++) if (digest[i] !== 0) return false;
  return keys[slot] === 0 && idempotency[slot] === 0 && bytes[slot] === 0;
}

/** Four words into `hashes`, at the slot's place. */
export function hashSlot(control: SlotControl, sums: SlotArrays, slot: number, hashes: Uint32Array): void {
  if (isBlank(control, sums, slot)) {
    hashes.fill(0, slot * 4, slot * 4 + 4);
    return;
  }
  const unmoved = control.state[slot] === SlotState.Own && control.isUnmoved(slot) && sumsAreZero(sums, slot);
  if (unmoved && unmovedKnown[slot] === 1) {
    for (let i = slot * 4; i < slot * 4 + 4; i++) hashes[i] = unmovedHashes[i]!;
    return;
  }
  describe(control, sums, slot);
  hashWords(HASH_SEED ^ slot, slotWords);
  for (let i = 0; i < 4; i++) hashes[slot * 4 + i] = hash[i]!;
  if (!unmoved) return;
  for (let i = 0; i < 4; i++) unmovedHashes[slot * 4 + i] = hash[i]!;
  unmovedKnown[slot] = 1;
}

/** What is hashed of a slot: eight numbers and its digest, as words in the machine's order. */
const SLOT_BYTES = 80;
const described = new ArrayBuffer(SLOT_BYTES);
const slotNumbers = new Float64Array(described, 0, 8);
const slotDigest = new Uint32Array(described, 64, 4);
const slotWords = new Int32Array(described);

/** Into `slotNumbers` and `slotDigest`. */
function describe(control: SlotControl, sums: SlotArrays, slot: number): void {
  slotNumbers[0] = control.state[slot]! + 256 * control.outcome[slot]!;
  slotNumbers[1] = control.move[slot]!;
  slotNumbers[2] = control.floor[slot]!;
  slotNumbers[3] = control.freezeRound[slot]!;
  slotNumbers[4] = control.barredRound[slot]!;
  slotNumbers[5] = sums.keys[slot]!;
  slotNumbers[6] = sums.bytes[slot]!;
  slotNumbers[7] = sums.idempotency[slot]!;
  for (let i = 0; i < 4; i++) slotDigest[i] = sums.digest[slot * 4 + i]!;
}
