/**
 * What a shard knows of each slot: where it stands in its moves (`SlotControl`), and sums over its records. In memory as
 * flat arrays; changed slots are written once a round.
 *
 *   sums row := version:u8=1 crc:u32 keys:f64 bytes:f64 idempotency:f64 digest:16
 *
 * `crc` is the CRC32C of the row's key and of what follows. A slot without records has no row.
 */

import type { StateEngine, StateRows } from '../../raft/index.js';
import {
  type MoveId,
  type MoveOutcome,
  SLOT_COUNT,
  type SlotRanges,
  SlotState,
  type SlotSums,
} from '../../shardctrl/index.js';
import { crc32cOf } from './checksum.js';
import { DamagedState } from './damaged-state.js';
import { addHash, addSum, digestText, hash, hashWords, subtractHash, subtractSum } from './digest.js';
import { controlKey, sumsKey, Table, tableStart } from './key-layout.js';
import { BLOCK_SLOTS, SlotControl } from './slot-control.js';

const FORMAT = 1;
const SUMS_BYTES = 45;
const KEYS_AT = 5;
const BYTES_AT = 13;
const IDEMPOTENCY_AT = 21;
const DIGEST_AT = 29;
const HASH_SEED = 0x77c1a0f3;

/** Hashes of slots that are owned, empty and never moved: most are, in a store that has just been opened. */
const unmovedHashes = new Uint32Array(SLOT_COUNT * 4);
const unmovedKnown = new Uint8Array(SLOT_COUNT);

/** Slots that changed since somebody looked. */
class DirtySlots {
  readonly #marks = new Uint8Array(SLOT_COUNT);
  readonly list: number[] = [];

  add(slot: number): void {
    if (this.#marks[slot] === 1) return;
    this.#marks[slot] = 1;
    this.list.push(slot);
  }

  clear(): void {
    for (const slot of this.list) this.#marks[slot] = 0;
    this.list.length = 0;
  }
}

/** What a step of a move changes of a slot. */
export interface SlotStep {
  readonly state?: SlotState;
  readonly outcome?: MoveOutcome;
  readonly move?: MoveId;
  readonly floor?: MoveId;
  readonly freezeRound?: number;
  readonly barredRound?: number;
}

export class SlotTable {
  readonly control: SlotControl = new SlotControl();
  readonly keys: Float64Array = new Float64Array(SLOT_COUNT);
  readonly bytes: Float64Array = new Float64Array(SLOT_COUNT);
  readonly idempotency: Float64Array = new Float64Array(SLOT_COUNT);
  /** Four 32-bit words a slot, the lowest first. */
  readonly digest: Uint32Array = new Uint32Array(SLOT_COUNT * 4);
  readonly #dirtySums = new DirtySlots();
  readonly #dirtyBlocks = new Set<number>();
  readonly #dirtyHashes = new DirtySlots();
  readonly #hashes = new Uint32Array(SLOT_COUNT * 4);
  readonly #hash = new Uint32Array(4);
  /** Slots at NONE that still have records: what an aborted import left. Usually none, and asked for often. */
  readonly leftovers: Set<number> = new Set();
  readonly #slotsInState = new Int32Array(6);
  /** How many slots have a move for their floor. */
  readonly #floorUses = new Map<MoveId, number>();

  constructor() {
    this.#slotsInState[SlotState.None] = SLOT_COUNT;
  }

  /** Throws `DamagedState` for rows that are not what was written. */
  async open(engine: StateEngine): Promise<void> {
    for (const { key, value } of await tableRows(engine, Table.Control)) {
      const fault = this.control.decodeBlock(key[1]!, value);
      if (fault !== null) throw new DamagedState(`${fault} (block ${key[1]})`);
    }
    for (const { key, value } of await tableRows(engine, Table.Sums)) this.#decodeSums(key, value);
    this.#slotsInState.fill(0);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const floor = this.control.floor[slot]!;
      if (floor > 0) this.#floorUses.set(floor, (this.#floorUses.get(floor) ?? 0) + 1);
      this.#countState(slot, 1);
      if (this.control.state[slot] === SlotState.None) this.#noticeLeftovers(slot);
      if (!this.#isBlank(slot)) this.#dirtyHashes.add(slot);
    }
  }

  /** Never seen, or as good as: counts nothing in the state's hash, whether it was read from rows or not. */
  #isBlank(slot: number): boolean {
    const { state, outcome, move, floor } = this.control;
    return (
      state[slot] === SlotState.None &&
      outcome[slot] === 0 &&
      move[slot] === 0 &&
      floor[slot] === 0 &&
      this.isEmpty(slot)
    );
  }

  /** A record came: its hash is in `digest.hash`. */
  add(slot: number, bytes: number, isKey: boolean): void {
    addHash(this.digest, slot);
    this.#count(slot, bytes, isKey, 1);
  }

  /** A record went: its hash is in `digest.hash`. */
  subtract(slot: number, bytes: number, isKey: boolean): void {
    subtractHash(this.digest, slot);
    this.#count(slot, -bytes, isKey, -1);
  }

  #count(slot: number, bytes: number, isKey: boolean, one: 1 | -1): void {
    const counts = isKey ? this.keys : this.idempotency;
    counts[slot] = counts[slot]! + one;
    this.bytes[slot] = this.bytes[slot]! + bytes;
    if (counts[slot]! < 0 || this.bytes[slot]! < 0) throw new DamagedState(`sums of slot ${slot} fell below zero`);
    if (this.control.state[slot] === SlotState.None) this.#noticeLeftovers(slot);
    this.#dirtySums.add(slot);
    this.#dirtyHashes.add(slot);
  }

  #countState(slot: number, one: 1 | -1): void {
    const state = this.control.state[slot]!;
    this.#slotsInState[state] = this.#slotsInState[state]! + one;
  }

  #noticeLeftovers(slot: number): void {
    if (this.control.state[slot] === SlotState.None && !this.isEmpty(slot)) this.leftovers.add(slot);
    else this.leftovers.delete(slot);
  }

  /** How many slots are in this state. */
  countIn(state: SlotState): number {
    return this.#slotsInState[state]!;
  }

  isEmpty(slot: number): boolean {
    return this.keys[slot] === 0 && this.idempotency[slot] === 0;
  }

  /** Returns a move that is no slot's floor any more, or 0. */
  step(slot: number, step: SlotStep): MoveId {
    const { control } = this;
    if (step.state !== undefined) {
      this.#countState(slot, -1);
      control.state[slot] = step.state;
      this.#countState(slot, 1);
      this.#noticeLeftovers(slot);
    }
    if (step.outcome !== undefined) control.outcome[slot] = step.outcome;
    if (step.move !== undefined) control.move[slot] = step.move;
    if (step.freezeRound !== undefined) control.freezeRound[slot] = step.freezeRound;
    if (step.barredRound !== undefined) control.barredRound[slot] = step.barredRound;
    this.#dirtyBlocks.add(Math.floor(slot / BLOCK_SLOTS));
    this.#dirtyHashes.add(slot);
    return step.floor === undefined ? 0 : this.#raiseFloor(slot, step.floor);
  }

  #raiseFloor(slot: number, floor: MoveId): MoveId {
    const before = this.control.floor[slot]!;
    if (floor < before) throw new Error(`invariant: the floor of slot ${slot} fell from ${before} to ${floor}`);
    if (floor === before) return 0;
    this.control.floor[slot] = floor;
    this.#floorUses.set(floor, (this.#floorUses.get(floor) ?? 0) + 1);
    if (before === 0) return 0;
    const uses = this.#floorUses.get(before)! - 1;
    if (uses > 0) {
      this.#floorUses.set(before, uses);
      return 0;
    }
    this.#floorUses.delete(before);
    return before;
  }

  sums(slots: SlotRanges): SlotSums {
    const digest = new Uint32Array(4);
    let keys = 0;
    let bytes = 0;
    let idempotencyRecords = 0;
    for (const [first, last] of slots) {
      for (let slot = first; slot <= last; slot++) {
        keys += this.keys[slot]!;
        bytes += this.bytes[slot]!;
        idempotencyRecords += this.idempotency[slot]!;
        addSum(digest, this.digest, slot);
      }
    }
    return { keys, bytes, digest: digestText(digest), idempotencyRecords };
  }

  /** Writes the rows of all slots that changed since the last call. */
  write(rows: StateRows): void {
    for (const slot of this.#dirtySums.list) {
      const key = sumsKey(slot);
      if (this.isEmpty(slot)) rows.delete(key);
      else rows.put(key, this.#encodeSums(key, slot));
    }
    this.#dirtySums.clear();
    for (const block of this.#dirtyBlocks) rows.put(controlKey(block), this.control.encodeBlock(block));
    this.#dirtyBlocks.clear();
  }

  #encodeSums(key: Buffer, slot: number): Buffer {
    const row = Buffer.allocUnsafe(SUMS_BYTES);
    row[0] = FORMAT;
    row.writeDoubleLE(this.keys[slot]!, KEYS_AT);
    row.writeDoubleLE(this.bytes[slot]!, BYTES_AT);
    row.writeDoubleLE(this.idempotency[slot]!, IDEMPOTENCY_AT);
    for (let i = 0; i < 4; i++) row.writeUInt32LE(this.digest[slot * 4 + i]!, DIGEST_AT + i * 4);
    row.writeUInt32LE(crc32cOf(row, KEYS_AT, SUMS_BYTES, crc32cOf(key, 0, key.length)), 1);
    return row;
  }

  #decodeSums(key: Buffer, row: Buffer): void {
    const fault = sumsFault(key, row);
    if (fault !== null) throw new DamagedState(fault);
    const slot = key.readUInt16BE(1);
    this.keys[slot] = row.readDoubleLE(KEYS_AT);
    this.bytes[slot] = row.readDoubleLE(BYTES_AT);
    this.idempotency[slot] = row.readDoubleLE(IDEMPOTENCY_AT);
    for (let i = 0; i < 4; i++) this.digest[slot * 4 + i] = row.readUInt32LE(DIGEST_AT + i * 4);
  }

  /** Of states and sums of all slots; only those that changed since the last call are hashed again. */
  stateHash(): string {
    for (const slot of this.#dirtyHashes.list) {
      subtractSum(this.#hash, this.#hashes, slot);
      this.#hashSlot(slot);
      addSum(this.#hash, this.#hashes, slot);
    }
    this.#dirtyHashes.clear();
    return digestText(this.#hash);
  }

  /** All of them, whatever they say of each other: the hash is there to find out. */
  #sumsAreZero(slot: number): boolean {
    for (let i = slot * 4; i < slot * 4 + 4; i++) if (this.digest[i] !== 0) return false;
    return this.isEmpty(slot) && this.bytes[slot] === 0;
  }

  /** Into `#hashes`. */
  #hashSlot(slot: number): void {
    if (this.#isBlank(slot)) {
      this.#hashes.fill(0, slot * 4, slot * 4 + 4);
      return;
    }
    const unmoved =
      this.control.state[slot] === SlotState.Own && this.control.isUnmoved(slot) && this.#sumsAreZero(slot);
    if (unmoved && unmovedKnown[slot] === 1) {
      for (let i = slot * 4; i < slot * 4 + 4; i++) this.#hashes[i] = unmovedHashes[i]!;
      return;
    }
    this.#describe(slot);
    hashWords(HASH_SEED ^ slot, slotWords);
    for (let i = 0; i < 4; i++) this.#hashes[slot * 4 + i] = hash[i]!;
    if (!unmoved) return;
    for (let i = 0; i < 4; i++) unmovedHashes[slot * 4 + i] = hash[i]!;
    unmovedKnown[slot] = 1;
  }

  /** Into `slotNumbers` and `slotDigest`: all that is known of the slot. */
  #describe(slot: number): void {
    const { control } = this;
    slotNumbers[0] = control.state[slot]! + 256 * control.outcome[slot]!;
    slotNumbers[1] = control.move[slot]!;
    slotNumbers[2] = control.floor[slot]!;
    slotNumbers[3] = control.freezeRound[slot]!;
    slotNumbers[4] = control.barredRound[slot]!;
    slotNumbers[5] = this.keys[slot]!;
    slotNumbers[6] = this.bytes[slot]!;
    slotNumbers[7] = this.idempotency[slot]!;
    for (let i = 0; i < 4; i++) slotDigest[i] = this.digest[slot * 4 + i]!;
  }
}

/** What is hashed of a slot: eight numbers and its digest, as words in the machine's order. The hash is compared, never kept. */
const SLOT_BYTES = 80;
const described = new ArrayBuffer(SLOT_BYTES);
const slotNumbers = new Float64Array(described, 0, 8);
const slotDigest = new Uint32Array(described, 64, 4);
const slotWords = new Int32Array(described);

export const tableRows = (engine: StateEngine, table: number): ReturnType<StateEngine['range']> =>
  engine.range({ gte: tableStart(table), lt: tableStart(table + 1) });

/** What is wrong with a row of sums, or null (F38). */
export function sumsFault(key: Buffer, row: Buffer): string | null {
  const slot = key.readUInt16BE(1);
  if (row[0] !== FORMAT) return `sums of slot ${slot} have format ${row[0]}, this build knows ${FORMAT}`;
  const sound =
    row.length === SUMS_BYTES &&
    row.readUInt32LE(1) === crc32cOf(row, KEYS_AT, SUMS_BYTES, crc32cOf(key, 0, key.length));
  return sound ? null : `checksum of the sums of slot ${slot} does not match`;
}
