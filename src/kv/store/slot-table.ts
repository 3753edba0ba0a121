/**
 * What a shard knows of each slot: where it stands in its moves (`SlotControl`), and sums over its records (`SumsTable`). In
 * memory as flat arrays; what changed is written once a round.
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
import { DamagedState } from './damaged-state.js';
import { addHash, addSum, digestText, subtractHash, subtractSum } from './digest.js';
import { DirtySlots } from './dirty-slots.js';
import { controlKey, Table, tableStart } from './key-layout.js';
import { BLOCK_SLOTS, SlotControl } from './slot-control.js';
import { hashSlot, isBlank } from './slot-hash.js';
import { type RecordSums, sumsOf } from './slot-sums.js';
import { SumsTable } from './sums-table.js';

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
  readonly #sums = new SumsTable();
  readonly keys: Float64Array = this.#sums.keys;
  readonly bytes: Float64Array = this.#sums.bytes;
  readonly idempotency: Float64Array = this.#sums.idempotency;
  /** Four 32-bit words a slot, the lowest first. */
  readonly digest: Uint32Array = this.#sums.digest;
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
  async open(engine: RowReader): Promise<void> {
    for (const { key, value } of await tableRows(engine, Table.Control)) {
      const fault = this.control.decodeBlock(key[1]!, value);
      if (fault !== null) throw new DamagedState(`${fault} (block ${key[1]})`);
    }
    this.#sums.open(await tableRows(engine, Table.Sums), await tableRows(engine, Table.SumsJournal));
    this.#slotsInState.fill(0);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const floor = this.control.floor[slot]!;
      if (floor > 0) this.#floorUses.set(floor, (this.#floorUses.get(floor) ?? 0) + 1);
      this.#countState(slot, 1);
      if (this.control.state[slot] === SlotState.None) this.#noticeLeftovers(slot);
      if (!isBlank(this.control, this.#sums, slot)) this.#dirtyHashes.add(slot);
    }
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
    this.#changed(slot);
  }

  #changed(slot: number): void {
    if (this.control.state[slot] === SlotState.None) this.#noticeLeftovers(slot);
    this.#sums.changed(slot);
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
    return this.#sums.isEmpty(slot);
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

  /** A copy. */
  sumsOf(slot: number): RecordSums {
    const { keys, bytes, idempotency, digest } = this;
    return {
      keys: keys[slot]!,
      bytes: bytes[slot]!,
      idempotency: idempotency[slot]!,
      digest: digest.slice(slot * 4, slot * 4 + 4),
    };
  }

  /** The slot's records are those of this digest. */
  hasDigest(slot: number, digest: Uint32Array): boolean {
    for (let i = 0; i < 4; i++) if (this.digest[slot * 4 + i] !== digest[i]) return false;
    return true;
  }

  /** Many records went at once. */
  setSums(slot: number, { keys, bytes, idempotency, digest }: RecordSums): void {
    this.keys[slot] = keys;
    this.bytes[slot] = bytes;
    this.idempotency[slot] = idempotency;
    this.digest.set(digest, slot * 4);
    this.#changed(slot);
  }

  sums(slots: SlotRanges): SlotSums {
    return sumsOf(this, slots);
  }

  /** Writes the rows of all slots that changed since the last call. */
  write(rows: StateRows): void {
    this.#sums.write(rows);
    for (const block of this.#dirtyBlocks) rows.put(controlKey(block), this.control.encodeBlock(block));
    this.#dirtyBlocks.clear();
  }

  /** Of states and sums of all slots; only those that changed since the last call are hashed again. */
  stateHash(): string {
    for (const slot of this.#dirtyHashes.list) {
      subtractSum(this.#hash, this.#hashes, slot);
      hashSlot(this.control, this.#sums, slot, this.#hashes);
      addSum(this.#hash, this.#hashes, slot);
    }
    this.#dirtyHashes.clear();
    return digestText(this.#hash);
  }
}

/** An engine, or a view of one. */
export type RowReader = Pick<StateEngine, 'range'>;

export const tableRows = (engine: RowReader, table: number): ReturnType<StateEngine['range']> =>
  engine.range({ gte: tableStart(table), lt: tableStart(table + 1) });
