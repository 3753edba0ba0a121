/**
 * Where what stands in the engine: layout version 2. Numbers inside keys are big-endian, so that rows sort by them.
 *
 *   0x00 …                              the runtime's own; never touched here
 *   0x01                                meta: layout version, revision counter, clock (store-state.ts)
 *   0x02 block:u8                       state of 256 slots in their moves (slot-control.ts)
 *   0x03 block:u8                       sums over the records of 256 slots (sums-table.ts)
 *   0x04 move:u64                       receipt of a freeze or an install (receipts.ts)
 *   0x05 number:u64                     sums that changed since their blocks were written (sums-table.ts)
 *   0x10 key                            record, in byte order of the user's key (record-codec.ts)
 *   0x11 slot:u16 key                   which keys a slot has: empty; written only when a key is created or removed
 *   0x12 place                          idempotency record (idempotency-codec.ts)
 *   0x13 time_ms:u64 key                when a key expires: slot:u16 revision:f64, little-endian
 *   0x14 time_ms:u64 place              when an idempotency record expires: empty
 *   0x15 slot:u16 kind:u8 length:u16 key token     changed while the slot is exported: revision:f64 (side-table.ts)
 *   0x16 slot:u16 kind:u8 length:u16 key token     removed while the slot is imported: revision:f64
 *   place := slot:u16 length:u16 key token
 *   token := the idempotency key in ASCII
 */

export const LAYOUT_VERSION = 2;

export const Table = {
  Meta: 0x01,
  Control: 0x02,
  Sums: 0x03,
  Receipt: 0x04,
  SumsJournal: 0x05,
  Record: 0x10,
  SlotIndex: 0x11,
  Idempotency: 0x12,
  KeyExpiry: 0x13,
  IdempotencyExpiry: 0x14,
  Noted: 0x15,
  Tombstone: 0x16,
} as const;
export type Table = (typeof Table)[keyof typeof Table];

export const META_KEY: Buffer = Buffer.from([Table.Meta]);

/** First key of a table, and with `table + 1` the end of it. */
export const tableStart = (table: number): Buffer => Buffer.from([table]);

export const controlKey = (block: number): Buffer => Buffer.from([Table.Control, block]);

export const sumsKey = (block: number): Buffer => Buffer.from([Table.Sums, block]);

export function journalKey(number: number): Buffer {
  const row = Buffer.allocUnsafe(9);
  row[0] = Table.SumsJournal;
  writeCount(row, 1, number);
  return row;
}

export const numberOfJournal = (row: Buffer): number => readCount(row, 1);

export function receiptKey(move: number): Buffer {
  const row = Buffer.allocUnsafe(9);
  row[0] = Table.Receipt;
  writeCount(row, 1, move);
  return row;
}

/** A whole number up to 2^53 as eight bytes, big-endian. */
function writeCount(row: Buffer, at: number, value: number): void {
  row.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  row.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}

const readCount = (row: Buffer, at: number): number => row.readUInt32BE(at) * 0x1_0000_0000 + row.readUInt32BE(at + 4);

export function recordKey(key: Uint8Array): Buffer {
  const row = Buffer.allocUnsafe(1 + key.length);
  row[0] = Table.Record;
  row.set(key, 1);
  return row;
}

/** A view of a record's row key. */
export const keyOfRecord = (row: Buffer): Buffer => row.subarray(1);

const NO_KEY = Buffer.alloc(0);

export function slotIndexKey(slot: number, key: Uint8Array = NO_KEY): Buffer {
  const row = Buffer.allocUnsafe(3 + key.length);
  row[0] = Table.SlotIndex;
  row[1] = slot >>> 8;
  row[2] = slot & 0xff;
  row.set(key, 3);
  return row;
}

export const slotOfIndex = (row: Buffer): number => row.readUInt16BE(1);

/** A view of a slot index row's key. */
export const keyOfSlotIndex = (row: Buffer): Buffer => row.subarray(3);

/** Where an idempotency record stands, without the table: part of its checksum and digest. */
export function placeOf(slot: number, key: Uint8Array, token: string): Buffer {
  const place = Buffer.allocUnsafe(4 + key.length + token.length);
  place.writeUInt16BE(slot, 0);
  place.writeUInt16BE(key.length, 2);
  place.set(key, 4);
  place.write(token, 4 + key.length, 'latin1');
  return place;
}

export interface Place {
  readonly slot: number;
  /** A view. */
  readonly key: Buffer;
  readonly token: string;
}

export function parsePlace(place: Buffer): Place {
  const end = 4 + place.readUInt16BE(2);
  return { slot: place.readUInt16BE(0), key: place.subarray(4, end), token: place.toString('latin1', end) };
}

export function idempotencyKey(place: Uint8Array): Buffer {
  const row = Buffer.allocUnsafe(1 + place.length);
  row[0] = Table.Idempotency;
  row.set(place, 1);
  return row;
}

/** First possible row of a slot's idempotency records. */
export const idempotencyStart = (slot: number): Buffer => Buffer.from([Table.Idempotency, slot >>> 8, slot & 0xff]);

/** A view of an idempotency row's place. */
export const placeOfIdempotency = (row: Buffer): Buffer => row.subarray(1);

function timeKey(table: number, time_ms: number, rest: Uint8Array): Buffer {
  const row = Buffer.allocUnsafe(9 + rest.length);
  row[0] = table;
  writeCount(row, 1, time_ms);
  row.set(rest, 9);
  return row;
}

export const keyExpiryKey = (time_ms: number, key: Uint8Array = NO_KEY): Buffer =>
  timeKey(Table.KeyExpiry, time_ms, key);
export const idempotencyExpiryKey = (time_ms: number, place: Uint8Array = NO_KEY): Buffer =>
  timeKey(Table.IdempotencyExpiry, time_ms, place);

/** The time of an expiry row. */
export const timeOfExpiry = (row: Buffer): number => readCount(row, 1);
/** A view: the key, or the place, of an expiry row. */
export const subjectOfExpiry = (row: Buffer): Buffer => row.subarray(9);

export function encodeKeyExpiry(slot: number, revision: number): Buffer {
  const value = Buffer.allocUnsafe(10);
  value.writeUInt16LE(slot, 0);
  value.writeDoubleLE(revision, 2);
  return value;
}

/** What a key's expiry row says; null where it is not what was written. */
export function decodeKeyExpiry(value: Buffer): { readonly slot: number; readonly revision: number } | null {
  if (value.length !== 10) return null;
  return { slot: value.readUInt16LE(0), revision: value.readDoubleLE(2) };
}

/** The smallest key above `key`: as an inclusive bound, everything after it. */
export function after(key: Uint8Array): Buffer {
  const next = Buffer.alloc(key.length + 1);
  next.set(key);
  return next;
}
