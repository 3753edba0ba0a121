/**
 * Opening a log: all segments in order, every record applied to the group table, holes noted, the torn tail cut.
 *
 * A new segment's opening is synced before anything else is written to it, and every later batch says so. A last segment
 * in which nothing says so was never in use: it goes, and the one before it is the last.
 */
import { GroupTable } from './group-table.js';
import { LogCorruptError } from './log-error.js';
import type { LogFile, LogFiles } from './log-files.js';
import {
  BATCH_HEADER_BYTES,
  decodeSegmentHeader,
  readRecord,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentOfName,
} from './record-codec.js';
import { type ScannedBatch, type SegmentScan, scanSegment } from './segment-scan.js';

export interface OpenSegment {
  readonly segment: number;
  readonly file: LogFile;
  /** Bytes in use; the last segment's file may go on with zeros. */
  lengthBytes: number;
}

export interface Recovery {
  readonly table: GroupTable;
  /** In order; empty for a new log. */
  readonly segments: OpenSegment[];
  /** null for a new log. */
  readonly salt: Buffer | null;
  /** The verdict is not yet on disk: a new segment has to be opened before anything else is written. */
  readonly verdictIsNew: boolean;
}

interface Candidate extends OpenSegment {
  readonly name: string;
  /** What was read already, of the last segment only: the rest of the log need not be in memory at once. */
  bytes: Buffer | null;
  readonly header: SegmentHeader | null;
}

/** Throws `LogCorrupt` when the bytes can't be from this log, or groups are lost whose ids nothing tells. */
export function recover(files: LogFiles): Recovery {
  const candidates = openCandidates(files);
  let salt = candidates.find((candidate) => candidate.header !== null)?.header?.salt ?? null;
  dropUnusedLast(files, candidates, salt);
  if (candidates.length === 0) salt = null;
  else if (salt === null) throw new LogCorruptError(`${files.directory}: no segment of the log has a readable header`);
  const table = new GroupTable();
  let last: ScannedBatch | null = null;
  let lastHasHole = false;
  candidates.forEach((candidate, i) => {
    const next = candidates[i + 1];
    const previous = candidates[i - 1];
    if (previous !== undefined && previous.segment + 1 !== candidate.segment) {
      table.hole(`the log's segments between ${previous.name} and ${candidate.name} are missing`);
    }
    const bytes = candidate.bytes ?? candidate.file.read(0, candidate.file.sizeBytes());
    candidate.bytes = null;
    const sealed = next === undefined ? null : sealedLength(candidate, next, bytes.length);
    const scan = scanSegment(bytes, candidate.segment, salt, sealed ?? 0, candidate.name);
    last = applyScan(table, candidate, bytes, scan) ?? last;
    lastHasHole = scan.items.some((item) => item.kind === 'hole');
    candidate.lengthBytes = scan.tail;
    if (next === undefined) cutTail(candidate, bytes, scan.tail);
  });
  findLostGroups(files, table, last);
  const known = damagedCount(table);
  table.judge();
  return { table, segments: candidates, salt, verdictIsNew: lastHasHole || damagedCount(table) > known };
}

function openCandidates(files: LogFiles): Candidate[] {
  const segments = files
    .list()
    .map(segmentOfName)
    .filter((segment) => segment !== null)
    .sort((a, b) => a - b);
  return segments.map((segment) => {
    const name = segmentName(segment);
    const file = files.open(name);
    const header = decodeSegmentHeader(file.read(0, SEGMENT_HEADER_BYTES), name);
    if (header !== null && header.segment !== segment) {
      throw new LogCorruptError(`${files.directory}: ${name} holds segment ${header.segment}`);
    }
    return { segment, name, file, header, lengthBytes: file.sizeBytes(), bytes: null };
  });
}

function dropUnusedLast(files: LogFiles, candidates: Candidate[], salt: Buffer | null): void {
  const last = candidates.at(-1);
  if (last === undefined) return;
  last.bytes = last.file.read(0, last.file.sizeBytes());
  if (scanSegment(last.bytes, last.segment, salt, 0, last.name).synced > 0) return;
  candidates.pop();
  last.file.close();
  files.remove(last.name);
  files.syncDirectory();
}

/** What the next segment says of this one's length; else the file's own, to which it was cut when it was sealed. */
function sealedLength(candidate: Candidate, next: Candidate, fileBytes: number): number {
  const header = next.header;
  return header !== null && header.previousSegment === candidate.segment ? header.previousLength : fileBytes;
}

/** Returns the last batch. */
function applyScan(table: GroupTable, candidate: Candidate, bytes: Buffer, scan: SegmentScan): ScannedBatch | null {
  let last: ScannedBatch | null = null;
  for (const item of scan.items) {
    if (item.kind === 'hole') {
      table.hole(`bytes ${item.from} to ${item.to} of ${candidate.name} are corrupt`);
      continue;
    }
    const offset = item.header.offset;
    const batch = bytes.subarray(offset, item.end);
    const place = { segment: candidate.segment, offset, keepBodies: true };
    for (let at = BATCH_HEADER_BYTES; ; ) {
      const record = readRecord(batch, at, batch.length);
      if (record === null) break;
      table.apply(record, place);
      at = record.body.byteOffset - batch.byteOffset + record.body.length;
    }
    last = item;
  }
  return last;
}

/** What lies behind the tail was never acknowledged, and must not be taken for a later batch some day. */
function cutTail(candidate: Candidate, bytes: Buffer, tail: number): void {
  if (isZero(bytes, tail)) return;
  candidate.file.truncate(tail);
  candidate.file.sync();
}

function isZero(bytes: Buffer, from: number): boolean {
  for (let at = from; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** Compares the table with what the last batch says the log holds: a group's only record may have been lost. */
function findLostGroups(files: LogFiles, table: GroupTable, last: ScannedBatch | null): void {
  if (last === null) return;
  const { groupCount, groupXor } = last.header;
  if (groupCount === table.groups.size && groupXor === table.xor) return;
  if (groupCount < table.groups.size) return;
  if (groupCount === table.groups.size + 1) {
    const group = (groupXor ^ table.xor) >>> 0;
    table.createLost(group, `all records of group ${group} are lost`);
    return;
  }
  throw new LogCorruptError(
    `${files.directory}: the log held ${groupCount} groups, ${table.groups.size} are left; the others can't be named`,
  );
}

function damagedCount(table: GroupTable): number {
  let count = 0;
  for (const state of table.groups.values()) if (state.damaged !== null) count++;
  return count;
}
