/**
 * Sums over the records of each slot: in memory as flat arrays, in the engine as blocks of slots, with a journal of what
 * has changed since the blocks were written.
 *
 *   block row   (0x03 block:u8)     := version:u8=2 crc:u32 entry*       its slots that have records
 *   journal row (0x05 number:u64)   := version:u8=2 crc:u32 entry*       up to 64 slots
 *   entry := slot:u16 keys:f64 bytes:f64 idempotency:f64 digest:16       little-endian
 *
 * `crc` is the CRC32C of the row's key and of what follows. An entry says what is, not by how much it changed: of several
 * for one slot the journal's count, and among those the one with the highest number.
 *
 * A row for each slot would be half of all rows that small writes cause, since most writes go to another slot than those
 * before. In the journal the changes of many writes share a row, and the blocks are written once for thousands of them.
 */
import type { EngineRow, StateRows } from '../../raft/index.js';
import { SLOT_COUNT } from '../../shardctrl/index.js';
import { crc32cOf } from './checksum.js';
import { DamagedState } from './damaged-state.js';
import { DirtySlots } from './dirty-slots.js';
import { journalKey, numberOfJournal, sumsKey } from './key-layout.js';
import { BLOCK_SLOTS, BLOCKS } from './slot-control.js';

const FORMAT = 2;
const HEAD_BYTES = 5;
const ENTRY_BYTES = 42;
/** Of a journal row: small, since the last one is written anew with each round until it is full. */
const JOURNAL_ENTRIES = 64;
/** Then the blocks are written: at most 1.4 MB to be read at open, and less than 25 bytes of blocks for a change. */
const JOURNAL_ROWS_MAX = 512;

export class SumsTable {
  readonly keys: Float64Array = new Float64Array(SLOT_COUNT);
  readonly bytes: Float64Array = new Float64Array(SLOT_COUNT);
  readonly idempotency: Float64Array = new Float64Array(SLOT_COUNT);
  /** Four 32-bit words a slot, the lowest first. */
  readonly digest: Uint32Array = new Uint32Array(SLOT_COUNT * 4);
  readonly #dirty = new DirtySlots();
  /** Blocks that are not what the arrays say. */
  readonly #staleBlocks = new Uint8Array(BLOCKS);
  readonly #tail = new Uint8Array(JOURNAL_ENTRIES * ENTRY_BYTES);
  readonly #tailView = new DataView(this.#tail.buffer);
  readonly #tailSlots: number[] = [];
  /** Where a slot's entry stands in the tail, from 1; 0: nowhere. */
  readonly #placeInTail = new Uint8Array(SLOT_COUNT);
  /** Numbers of the journal's first row and of its tail. */
  #first = 1;
  #tailNumber = 1;

  /** From the rows of both tables, ascending. Throws `DamagedState` for what is not what was written. */
  open(blocks: readonly EngineRow[], journal: readonly EngineRow[]): void {
    for (const { key, value } of blocks) this.#read(key, value);
    for (const { key, value } of journal) {
      for (const slot of this.#read(key, value)) this.#staleBlocks[blockOf(slot)] = 1;
    }
    const [first, last] = [journal.at(0), journal.at(-1)];
    if (first === undefined || last === undefined) return;
    this.#first = numberOfJournal(first.key);
    this.#tailNumber = numberOfJournal(last.key) + 1;
  }

  isEmpty(slot: number): boolean {
    return this.keys[slot] === 0 && this.idempotency[slot] === 0;
  }

  changed(slot: number): void {
    this.#dirty.add(slot);
  }

  /** Writes what changed since the last call. */
  write(rows: StateRows): void {
    if (this.#dirty.list.length === 0) return;
    for (const slot of this.#dirty.list) {
      this.#staleBlocks[blockOf(slot)] = 1;
      if (this.#placeInTail[slot] === 0) {
        if (this.#tailSlots.length === JOURNAL_ENTRIES) this.#endTail(rows);
        this.#placeInTail[slot] = this.#tailSlots.push(slot);
      }
      this.#encode(this.#tailView, (this.#placeInTail[slot]! - 1) * ENTRY_BYTES, slot);
    }
    this.#dirty.clear();
    this.#writeTail(rows);
    if (this.#tailNumber - this.#first >= JOURNAL_ROWS_MAX) this.#writeBlocks(rows);
  }

  #writeTail(rows: StateRows): void {
    const key = journalKey(this.#tailNumber);
    rows.put(key, sealed(key, this.#tail.subarray(0, this.#tailSlots.length * ENTRY_BYTES)));
  }

  #endTail(rows: StateRows): void {
    this.#writeTail(rows);
    this.#tailNumber++;
    this.#clearTail();
  }

  #clearTail(): void {
    for (const slot of this.#tailSlots) this.#placeInTail[slot] = 0;
    this.#tailSlots.length = 0;
  }

  /** The journal begins anew. */
  #writeBlocks(rows: StateRows): void {
    for (let block = 0; block < BLOCKS; block++) if (this.#staleBlocks[block] === 1) this.#writeBlock(rows, block);
    this.#staleBlocks.fill(0);
    for (let number = this.#first; number <= this.#tailNumber; number++) rows.delete(journalKey(number));
    this.#clearTail();
    this.#first = ++this.#tailNumber;
  }

  #writeBlock(rows: StateRows, block: number): void {
    const entries = new Uint8Array(BLOCK_SLOTS * ENTRY_BYTES);
    const view = new DataView(entries.buffer);
    let at = 0;
    for (let slot = block * BLOCK_SLOTS; slot < (block + 1) * BLOCK_SLOTS; slot++) {
      if (this.isEmpty(slot)) continue;
      this.#encode(view, at, slot);
      at += ENTRY_BYTES;
    }
    const key = sumsKey(block);
    if (at === 0) rows.delete(key);
    else rows.put(key, sealed(key, entries.subarray(0, at)));
  }

  #encode(view: DataView, at: number, slot: number): void {
    view.setUint16(at, slot, true);
    view.setFloat64(at + 2, this.keys[slot]!, true);
    view.setFloat64(at + 10, this.bytes[slot]!, true);
    view.setFloat64(at + 18, this.idempotency[slot]!, true);
    for (let i = 0; i < 4; i++) view.setUint32(at + 26 + i * 4, this.digest[slot * 4 + i]!, true);
  }

  /** Returns the slots that the row speaks of. */
  #read(key: Buffer, row: Buffer): number[] {
    const fault = sumsFault(key, row);
    if (fault !== null) throw new DamagedState(fault);
    const slots: number[] = [];
    for (let at = HEAD_BYTES; at < row.length; at += ENTRY_BYTES) {
      const slot = row.readUInt16LE(at);
      this.keys[slot] = row.readDoubleLE(at + 2);
      this.bytes[slot] = row.readDoubleLE(at + 10);
      this.idempotency[slot] = row.readDoubleLE(at + 18);
      for (let i = 0; i < 4; i++) this.digest[slot * 4 + i] = row.readUInt32LE(at + 26 + i * 4);
      slots.push(slot);
    }
    return slots;
  }
}

const blockOf = (slot: number): number => Math.floor(slot / BLOCK_SLOTS);

const checksum = (key: Buffer, row: Buffer): number =>
  crc32cOf(row, HEAD_BYTES, row.length, crc32cOf(key, 0, key.length));

function sealed(key: Buffer, entries: Uint8Array): Buffer {
  const row = Buffer.allocUnsafe(HEAD_BYTES + entries.length);
  row[0] = FORMAT;
  row.set(entries, HEAD_BYTES);
  row.writeUInt32LE(checksum(key, row), 1);
  return row;
}

/** What is wrong with a block row or a journal row, or null (F38). */
export function sumsFault(key: Buffer, row: Buffer): string | null {
  if (row[0] !== FORMAT) return `sums of slots have format ${row[0]}, this build knows ${FORMAT}`;
  const sound =
    row.length > HEAD_BYTES &&
    (row.length - HEAD_BYTES) % ENTRY_BYTES === 0 &&
    row.readUInt32LE(1) === checksum(key, row);
  return sound ? null : `checksum of the sums of slots (row ${key.toString('hex')}) does not match`;
}
