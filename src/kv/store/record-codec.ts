/**
 * Records as they stand in the engine. Numbers are little-endian, `f64` a whole number kept in a double.
 *
 *   record := version:u8=1 type:u8 slot:u16 head_crc:u32 value_crc:u32 value_length:u32
 *             revision:f64 version:f64 expires_ms:f64 [length:u16 utf8] value        -- text if type is 255, see content-type.ts
 *
 * `head_crc` is the CRC32C of the user's key and of the head without `head_crc` itself, so that a record under another key is
 * noticed; `value_crc` is the CRC32C of the value. The head alone is enough to replace or remove a record, however big its
 * value is. The digest of a slot takes in key and head (see digest.ts).
 */
import { crc32cOf } from './checksum.js';
import type { KvRecord } from './commands.js';
import { contentTypeCode, contentTypeOfCode, EXPLICIT_TYPE } from './content-type.js';
import { hashPair } from './digest.js';

const FORMAT = 1;
const HEAD_CRC_AT = 4;
const VALUE_CRC_AT = 8;
const VALUE_LENGTH_AT = 12;
const REVISION_AT = 16;
const VERSION_AT = 24;
const EXPIRES_AT = 32;
const TEXT_AT = 40;
const RECORD_SEED = 0x51ab0de5;

export interface RecordFields {
  readonly slot: number;
  readonly contentType: string;
  readonly revision: number;
  readonly version: number;
  /** 0: never. */
  readonly expires_ms: number;
}

/** What is known of a record without its value. */
export interface RecordHead {
  readonly slot: number;
  readonly revision: number;
  readonly version: number;
  readonly expires_ms: number;
}

export function encodeRecord(key: Uint8Array, fields: RecordFields, value: Uint8Array): Buffer {
  const type = contentTypeCode(fields.contentType);
  const textLength = type === EXPLICIT_TYPE ? Buffer.byteLength(fields.contentType) : 0;
  const valueAt = type === EXPLICIT_TYPE ? TEXT_AT + 2 + textLength : TEXT_AT;
  const row = Buffer.allocUnsafe(valueAt + value.length);
  row[0] = FORMAT;
  row[1] = type;
  row[2] = fields.slot & 0xff;
  row[3] = fields.slot >>> 8;
  row.writeUInt32LE(crc32cOf(value, 0, value.length), VALUE_CRC_AT);
  row.writeUInt32LE(value.length, VALUE_LENGTH_AT);
  row.writeDoubleLE(fields.revision, REVISION_AT);
  row.writeDoubleLE(fields.version, VERSION_AT);
  row.writeDoubleLE(fields.expires_ms, EXPIRES_AT);
  if (type === EXPLICIT_TYPE) {
    row.writeUInt16LE(textLength, TEXT_AT);
    row.write(fields.contentType, TEXT_AT + 2);
  }
  row.set(value, valueAt);
  row.writeUInt32LE(headCrc(key, row, valueAt), HEAD_CRC_AT);
  return row;
}

function headCrc(key: Uint8Array, row: Buffer, valueAt: number): number {
  const start = crc32cOf(row, 0, HEAD_CRC_AT, crc32cOf(key, 0, key.length));
  return crc32cOf(row, VALUE_CRC_AT, valueAt, start);
}

/** Where the value begins, or -1 where the row is too short or contradicts itself. */
function valueStart(row: Buffer): number {
  if (row.length < TEXT_AT || row[0] !== FORMAT) return -1;
  let at = TEXT_AT;
  if (row[1] === EXPLICIT_TYPE) {
    if (row.length < TEXT_AT + 2) return -1;
    at = TEXT_AT + 2 + row.readUInt16LE(TEXT_AT);
  }
  return at + row.readUInt32LE(VALUE_LENGTH_AT) === row.length ? at : -1;
}

/** What is wrong with the head (format, lengths, checksum, key), or null. */
export function headFault(key: Uint8Array, row: Buffer): string | null {
  if (row.length > 0 && row[0] !== FORMAT) return `record format ${row[0]}, this build knows ${FORMAT}`;
  const at = valueStart(row);
  if (at === -1) return 'record lengths do not add up';
  if (row.readUInt32LE(HEAD_CRC_AT) !== headCrc(key, row, at)) return 'checksum of the record head does not match';
  return null;
}

/** What is wrong with the record, its value included, or null. */
export function recordFault(key: Uint8Array, row: Buffer): string | null {
  const fault = headFault(key, row);
  if (fault !== null) return fault;
  const at = valueStart(row);
  if (row.readUInt32LE(VALUE_CRC_AT) !== crc32cOf(row, at, row.length)) return 'checksum of the value does not match';
  return null;
}

/** Of a row without fault. */
export const slotOf = (row: Buffer): number => row.readUInt16LE(2);
/** Of a row without fault. */
export const revisionOf = (row: Buffer): number => row.readDoubleLE(REVISION_AT);
/** Of a row without fault. */
export const versionOf = (row: Buffer): number => row.readDoubleLE(VERSION_AT);
/** Of a row without fault; 0: never. */
export const expiresOf = (row: Buffer): number => row.readDoubleLE(EXPIRES_AT);

/** Whole numbers where the format wants them, and a known content type: checked of records from elsewhere. */
export function contentFault(row: Buffer): string | null {
  const revision = revisionOf(row);
  if (!isCount(revision) || revision === 0 || !isCount(versionOf(row)) || !isCount(expiresOf(row))) {
    return 'record numbers are no whole numbers';
  }
  const type = row[1]!;
  return type === EXPLICIT_TYPE || contentTypeOfCode(type) !== undefined ? null : `unknown content type ${type}`;
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** Of a row without fault. The value is a view of the row. */
export function decodeRecord(row: Buffer): KvRecord {
  const at = valueStart(row);
  const type = row[1]!;
  const contentType = type === EXPLICIT_TYPE ? row.toString('utf8', TEXT_AT + 2, at) : contentTypeOfCode(type);
  if (contentType === undefined) throw new Error(`invariant: a record with the unknown content type ${type}`);
  return {
    value: row.subarray(at),
    contentType,
    revision: row.readDoubleLE(REVISION_AT),
    version: row.readDoubleLE(VERSION_AT),
    expires_ms: row.readDoubleLE(EXPIRES_AT),
  };
}

/**
 * Leaves the record's hash in `digest.hash`. Of a row without fault. Takes in key, content type, length and checksum of the
 * value, revision, version and expiry; the slot follows from the key.
 */
export function hashRecord(key: Uint8Array, row: Buffer): void {
  hashPair(RECORD_SEED ^ row[1]!, key, row, VALUE_CRC_AT, valueStart(row));
}
