/**
 * The format of the log on disk. All numbers little-endian; `f64` holds integers below 2^53; CRCs are CRC-32C.
 *
 *     segment  := header header batch* zero*            one file, `<number, 10 digits>.wal`
 *     header   := magic:"QRTLOG\r\n" version:u32 segment:u32 salt:u64 previousSegment:u32 previousLength:u32 zero*
 *                 crc:u32                               512 bytes, twice, so that no single sector takes both;
 *                                                       previousSegment 0: there is none, or it had been removed
 *     batch    := magic:u32 headerCrc:u32 salt:u64 version:u16 groupCheck:u16 payloadLength:u32 payloadCrc:u32 segment:u32
 *                 offset:u32 synced:u32 groupCount:u32 groupXor:u32 payload          starts at a multiple of 8
 *                 headerCrc is over salt..groupXor; offset is the batch's own; synced: all of this segment below that
 *                 offset had been synced before the batch was written (and all earlier segments whole); the group
 *                 fields: which groups the log has after this batch, see group-census.ts
 *     payload  := record* zero*                         empty in a batch that only states what is synced
 *     record   := type:u8 zero:u24 bodyLength:u32 group:u32 bodyCrc:u32 seq:f64 body
 *                 seq: of one group's records, each one more than the one before; the first one's is drawn from its place
 *     body of  Entries   := first:f64 term:f64 count:u32 (kind<<28 | length):u32{count} data{count}   first = last + 1
 *              Moved     := as Entries: live entries copied out of an old segment; takes nothing away
 *              HardState := term:f64 vote:f64 commit:f64
 *              Truncate  := last:f64                    the last index that stays
 *              Snapshot  := index:f64 term:f64 json     {engine, conf}: drops all entries; creates the group
 *              Compacted := index:f64 term:f64
 *              Removed   :=
 *              State     := term:f64 vote:f64 commit:f64 snapshotIndex:f64 snapshotTerm:f64 compactedIndex:f64
 *                           compactedTerm:f64 last:f64 json    {engine, conf, damaged}; its seq is that of the
 *                           group's latest record: it repeats what is known and adds nothing
 *
 * A segment opens with the State of every group, in two copies of the same batches (synced: 0), and, once these are synced, an
 * empty batch that states it.
 */
import { crc32c } from '@node-rs/crc32';
import type { GroupCensus } from './group-census.js';
import { LogCorruptError } from './log-error.js';

export const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_COPY_BYTES = 512;
export const SEGMENT_HEADER_BYTES = 2 * SEGMENT_HEADER_COPY_BYTES;
export const BATCH_HEADER_BYTES = 48;
export const RECORD_HEADER_BYTES = 24;
export const ENTRIES_PREFIX_BYTES = 20;
/** Four bits of the length word are the kind. */
export const ENTRY_BYTES_MAX = 0x0fff_ffff;

export const RecordType = {
  Entries: 1,
  Moved: 2,
  HardState: 3,
  Truncate: 4,
  Snapshot: 5,
  Compacted: 6,
  Removed: 7,
  State: 8,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

const SEGMENT_MAGIC = Buffer.from('QRTLOG\r\n', 'latin1');
const BATCH_MAGIC = 0xb5a7_c4e9;
const BATCH_MAGIC_BYTES = Buffer.from([0xe9, 0xc4, 0xa7, 0xb5]);

/** Batches and with them the log's tail lie at multiples of this. */
export const alignUp = (bytes: number): number => (bytes + 7) & ~7;

export const segmentName = (segment: number): string => `${String(segment).padStart(10, '0')}.wal`;

/** null: not the name of a segment. */
export function segmentOfName(name: string): number | null {
  return /^\d{10}\.wal$/.test(name) ? Number.parseInt(name, 10) : null;
}

export interface SegmentHeader {
  readonly segment: number;
  /** Eight random bytes of this log: bytes of another log, or of a client who guesses, are not taken for a batch. */
  readonly salt: Buffer;
  readonly previousSegment: number;
  readonly previousLength: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(header.segment, 12);
  header.salt.copy(bytes, 16, 0, 8);
  bytes.writeUInt32LE(header.previousSegment, 24);
  bytes.writeUInt32LE(header.previousLength, 28);
  const crcAt = SEGMENT_HEADER_COPY_BYTES - 4;
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  bytes.copy(bytes, SEGMENT_HEADER_COPY_BYTES, 0, SEGMENT_HEADER_COPY_BYTES);
  return bytes;
}

/** From either copy; null: neither is whole. Throws `LogCorrupt` on a format this build does not know. */
export function decodeSegmentHeader(bytes: Buffer, name: string): SegmentHeader | null {
  for (let at = 0; at + SEGMENT_HEADER_COPY_BYTES <= bytes.length && at < SEGMENT_HEADER_BYTES; at += 512) {
    const copy = bytes.subarray(at, at + SEGMENT_HEADER_COPY_BYTES);
    const crcAt = SEGMENT_HEADER_COPY_BYTES - 4;
    if (!copy.subarray(0, 8).equals(SEGMENT_MAGIC)) continue;
    if (copy.readUInt32LE(crcAt) !== crc32c(copy.subarray(0, crcAt))) continue;
    checkVersion(copy.readUInt32LE(8), name);
    return {
      segment: copy.readUInt32LE(12),
      salt: Buffer.from(copy.subarray(16, 24)),
      previousSegment: copy.readUInt32LE(24),
      previousLength: copy.readUInt32LE(28),
    };
  }
  return null;
}

function checkVersion(version: number, name: string): void {
  if (version !== FORMAT_VERSION) {
    throw new LogCorruptError(`${name} has log format ${version}; this build reads format ${FORMAT_VERSION} only`);
  }
}

export interface BatchHeader {
  readonly salt: Buffer;
  readonly segment: number;
  readonly offset: number;
  readonly synced: number;
  readonly census: GroupCensus;
}

/** `batch` is room for the header followed by the payload; its length is a multiple of 8. */
export function sealBatch(batch: Buffer, header: BatchHeader): void {
  batch.writeUInt32LE(BATCH_MAGIC, 0);
  header.salt.copy(batch, 8, 0, 8);
  batch.writeUInt16LE(FORMAT_VERSION, 16);
  batch.writeUInt16LE(header.census.check, 18);
  batch.writeUInt32LE(batch.length - BATCH_HEADER_BYTES, 20);
  batch.writeUInt32LE(crc32c(batch.subarray(BATCH_HEADER_BYTES)), 24);
  batch.writeUInt32LE(header.segment, 28);
  batch.writeUInt32LE(header.offset, 32);
  batch.writeUInt32LE(header.synced, 36);
  batch.writeUInt32LE(header.census.count, 40);
  batch.writeUInt32LE(header.census.xor, 44);
  batch.writeUInt32LE(crc32c(batch.subarray(8, BATCH_HEADER_BYTES)), 4);
}

export interface ScannedHeader extends BatchHeader {
  readonly payloadLength: number;
  readonly payloadCrc: number;
}

/** null: there is no whole batch header of this segment and (if given) this salt at `at`. */
export function readBatchHeader(
  bytes: Buffer,
  at: number,
  segment: number,
  salt: Buffer | null,
  name: string,
): ScannedHeader | null {
  if (at + BATCH_HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== BATCH_MAGIC) return null;
  if (bytes.readUInt32LE(at + 4) !== crc32c(bytes.subarray(at + 8, at + BATCH_HEADER_BYTES))) return null;
  if (bytes.readUInt32LE(at + 28) !== segment || bytes.readUInt32LE(at + 32) !== at) return null;
  if (salt !== null && bytes.compare(salt, 0, 8, at + 8, at + 16) !== 0) return null;
  checkVersion(bytes.readUInt16LE(at + 16), name);
  return {
    salt: Buffer.from(bytes.subarray(at + 8, at + 16)),
    segment,
    offset: at,
    synced: bytes.readUInt32LE(at + 36),
    census: {
      count: bytes.readUInt32LE(at + 40),
      xor: bytes.readUInt32LE(at + 44),
      check: bytes.readUInt16LE(at + 18),
    },
    payloadLength: bytes.readUInt32LE(at + 20),
    payloadCrc: bytes.readUInt32LE(at + 24),
  };
}

/** The next place at or after `from` where a batch could start, or -1. */
export function findBatchMagic(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(BATCH_MAGIC_BYTES, from); at >= 0; at = bytes.indexOf(BATCH_MAGIC_BYTES, at + 1)) {
    if ((at & 7) === 0) return at;
  }
  return -1;
}

/** Writes a record's header; `seq` and `bodyCrc` are filled in by `finishRecord` when the record's place is known. */
export function writeRecordHeader(
  bytes: Buffer,
  at: number,
  type: RecordType,
  group: number,
  bodyLength: number,
): void {
  bytes.writeUInt32LE(type, at);
  bytes.writeUInt32LE(bodyLength, at + 4);
  bytes.writeUInt32LE(group, at + 8);
  bytes.writeUInt32LE(0, at + 12);
  bytes.writeDoubleLE(0, at + 16);
}

export function finishRecord(bytes: Buffer, at: number, seq: number): void {
  const body = at + RECORD_HEADER_BYTES;
  bytes.writeUInt32LE(crc32c(bytes.subarray(body, body + bytes.readUInt32LE(at + 4))), at + 12);
  bytes.writeDoubleLE(seq, at + 16);
}

export interface RecordView {
  readonly type: RecordType;
  readonly group: number;
  readonly seq: number;
  /** Where the record starts, in the bytes it was read from. */
  readonly at: number;
  readonly body: Buffer;
}

/**
 * The record at `at`, or null at the padding that ends a payload. The bytes are covered by a CRC: what does not fit the
 * grammar was written by another program, and throws `LogCorrupt`.
 */
export function readRecord(bytes: Buffer, at: number, end: number): RecordView | null {
  if (at + RECORD_HEADER_BYTES > end) return null;
  const type = bytes.readUInt32LE(at);
  if (type === 0) return null;
  const body = at + RECORD_HEADER_BYTES;
  const bodyEnd = body + bytes.readUInt32LE(at + 4);
  if (type > RecordType.State) throw new LogCorruptError(`a log record has unknown type ${type}`);
  if (bodyEnd > end) throw new LogCorruptError(`a log record of type ${type} is longer than its batch`);
  return {
    type: type as RecordType,
    group: bytes.readUInt32LE(at + 8),
    seq: bytes.readDoubleLE(at + 16),
    at,
    body: bytes.subarray(body, bodyEnd),
  };
}

/** The records of a batch, in order; as it may be changed meanwhile, each is read when it is asked for. Throws as `readRecord`. */
export function* recordsOf(batch: Buffer): Generator<RecordView, void> {
  for (let at = BATCH_HEADER_BYTES; ; ) {
    const record = readRecord(batch, at, batch.length);
    if (record === null) return;
    at = record.body.byteOffset - batch.byteOffset + record.body.length;
    yield record;
  }
}

/** The whole record, its header too, out of the batch that it was read from. */
export const recordBytes = (record: RecordView, batch: Buffer): Buffer =>
  batch.subarray(record.at, record.at + RECORD_HEADER_BYTES + record.body.length);

/** For a record read alone, outside its batch. */
export function recordIsWhole(record: RecordView, bytes: Buffer): boolean {
  return bytes.readUInt32LE(record.at + 12) === crc32c(record.body);
}
