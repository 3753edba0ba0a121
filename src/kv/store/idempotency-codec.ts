/**
 * What is remembered of a write that came with an idempotency key: who asked what, and the answer.
 *
 *   row := version:u8=1 outcome:u8 slot:u16 crc:u32 fingerprint:16 expires_ms:f64 revision:f64 version:f64
 *
 * `crc` is the CRC32C of the row's place (key and idempotency key, see key-layout.ts) and of the rest of the row.
 * Of two records in one place the one that expires later is the newer: a place is used again only after it has expired.
 */
import { crc32cOf } from './checksum.js';
import type { WriteResult } from './commands.js';
import { hashPair } from './digest.js';

export const FINGERPRINT_BYTES = 16;
export const IDEMPOTENCY_ROW_BYTES = 48;

const FORMAT = 1;
const CRC_AT = 4;
const FINGERPRINT_AT = 8;
const EXPIRES_AT = 24;
const REVISION_AT = 32;
const VERSION_AT = 40;
const IDEMPOTENCY_SEED = 0x2f6e8c17;

const Outcome = { Created: 1, Replaced: 2, Deleted: 3, Missing: 4, FailedOnRevision: 5, FailedOnAbsence: 6 } as const;

/** The answers that are recorded (http-api.md: 2xx, 404, 412). */
export type RecordedResult = Exclude<WriteResult, { kind: 'conflict' }>;

/** 1 to 128 visible ASCII characters. */
export function isIdempotencyKey(key: string): boolean {
  if (key.length < 1 || key.length > 128) return false;
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}

function outcomeOf(result: RecordedResult): number {
  switch (result.kind) {
    case 'stored':
      return result.created ? Outcome.Created : Outcome.Replaced;
    case 'deleted':
      return Outcome.Deleted;
    case 'missing':
      return Outcome.Missing;
    case 'precondition_failed':
      return result.revision === null ? Outcome.FailedOnAbsence : Outcome.FailedOnRevision;
  }
}

export function encodeIdempotency(
  place: Uint8Array,
  slot: number,
  fingerprint: Uint8Array,
  expires_ms: number,
  result: RecordedResult,
): Buffer {
  const row = Buffer.allocUnsafe(IDEMPOTENCY_ROW_BYTES);
  row[0] = FORMAT;
  row[1] = outcomeOf(result);
  row.writeUInt16LE(slot, 2);
  row.set(fingerprint, FINGERPRINT_AT);
  row.writeDoubleLE(expires_ms, EXPIRES_AT);
  row.writeDoubleLE('revision' in result ? (result.revision ?? 0) : 0, REVISION_AT);
  row.writeDoubleLE(result.kind === 'stored' ? result.version : 0, VERSION_AT);
  row.writeUInt32LE(checksum(place, row), CRC_AT);
  return row;
}

function checksum(place: Uint8Array, row: Buffer): number {
  return crc32cOf(row, FINGERPRINT_AT, row.length, crc32cOf(row, 0, CRC_AT, crc32cOf(place, 0, place.length)));
}

/** What is wrong with the row (format, length, checksum, place), or null. */
export function idempotencyFault(place: Uint8Array, row: Buffer): string | null {
  if (row.length > 0 && row[0] !== FORMAT) return `idempotency record format ${row[0]}, this build knows ${FORMAT}`;
  if (row.length !== IDEMPOTENCY_ROW_BYTES) return 'idempotency record of a wrong length';
  if (row.readUInt32LE(CRC_AT) !== checksum(place, row)) return 'checksum of the idempotency record does not match';
  if (row[1]! < Outcome.Created || row[1]! > Outcome.FailedOnAbsence) return `unknown recorded outcome ${row[1]}`;
  if (!Number.isSafeInteger(row.readDoubleLE(EXPIRES_AT))) return 'idempotency record with a broken time';
  return null;
}

/** Of a row without fault. */
export const idempotencySlot = (row: Buffer): number => row.readUInt16LE(2);
/** Of a row without fault. */
export const idempotencyExpires = (row: Buffer): number => row.readDoubleLE(EXPIRES_AT);

/** Of a row without fault. */
export function sameFingerprint(row: Buffer, fingerprint: Uint8Array): boolean {
  for (let i = 0; i < FINGERPRINT_BYTES; i++) if (row[FINGERPRINT_AT + i] !== fingerprint[i]) return false;
  return true;
}

/** The first answer, again. Of a row without fault. */
export function recordedResult(row: Buffer): RecordedResult {
  const revision = row.readDoubleLE(REVISION_AT);
  switch (row[1]) {
    case Outcome.Created:
    case Outcome.Replaced:
      return { kind: 'stored', created: row[1] === Outcome.Created, revision, version: row.readDoubleLE(VERSION_AT) };
    case Outcome.Deleted:
      return { kind: 'deleted', revision };
    case Outcome.Missing:
      return { kind: 'missing' };
    default:
      return { kind: 'precondition_failed', revision: row[1] === Outcome.FailedOnRevision ? revision : null };
  }
}

/** Leaves the record's hash in `digest.hash`. Of a row without fault. */
export function hashIdempotency(place: Uint8Array, row: Buffer): void {
  hashPair(IDEMPOTENCY_SEED, place, row);
}
