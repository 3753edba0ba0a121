/**
 * Opening a log: all segments in order, every record applied to the group table, holes noted, the torn tail cut.
 *
 * A new segment's opening is synced before anything else is written to it. A last segment that is hardly longer than
 * that, and in which no batch says that anything was synced, was never in use: it goes, and the one before it is the last.
 * Not so where the one before it is gone: it was given up because this one's opening was safe, and is all there is now. If
 * nothing of that can be read, there is no telling which groups there were: an empty log would have them begun anew.
 */
import { missingGroup, sameCensus } from './group-census.js';
import { GroupTable } from './group-table.js';
import { LogCorruptError } from './log-error.js';
import type { LogFile, LogFiles } from './log-files.js';
import {
  decodeSegmentHeader,
  recordsOf,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentOfName,
} from './record-codec.js';
import { encodeOpening } from './segment-opening.js';
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
  /** There was no segment at all, used or not. */
  readonly fresh: boolean;
  /** null for a new log. */
  readonly salt: Buffer | null;
  /** The verdict is not yet on disk: a new segment has to be opened before anything else is written. */
  readonly verdictIsNew: boolean;
}

export const FIRST_SEGMENT = 1;

/** Reasons of damage that this recovery has yet to find may be in the opening: only a clearly longer file was in use. */
const OPENING_SLACK_BYTES = 4096;

interface Candidate extends OpenSegment {
  readonly name: string;
  readonly header: SegmentHeader | null;
}

/** Throws `LogCorrupt` when the bytes can't be from this log, or groups are lost whose ids nothing tells. */
export function recover(files: LogFiles): Recovery {
  const candidates: Candidate[] = [];
  try {
    return recoverFrom(files, candidates);
  } catch (error) {
    for (const candidate of candidates) candidate.file.close();
    throw error;
  }
}

function recoverFrom(files: LogFiles, candidates: Candidate[]): Recovery {
  openCandidates(files, candidates);
  const fresh = candidates.length === 0;
  const salt = saltOf(files, candidates);
  const table = new GroupTable();
  const replay: Replay = { table, salt, last: null, lastHasHole: false };
  for (let i = 0; i < candidates.length - 1; i++) replayOld(replay, candidates, i);
  replayLast(files, replay, candidates);
  if (candidates.length > 0 && salt === null) {
    throw new LogCorruptError(`${files.directory}: no segment of the log has a readable header`);
  }
  findLostGroups(files, table, replay.last);
  const known = damagedCount(table);
  table.judge();
  const verdictIsNew = replay.lastHasHole || damagedCount(table) > known;
  return { fresh, table, segments: candidates, salt: candidates.length === 0 ? null : salt, verdictIsNew };
}

interface Replay {
  readonly table: GroupTable;
  readonly salt: Buffer | null;
  /** The last batch that counts. */
  last: ScannedBatch | null;
  lastHasHole: boolean;
}

function saltOf(files: LogFiles, candidates: readonly Candidate[]): Buffer | null {
  let salt: Buffer | null = null;
  for (const { header, name } of candidates) {
    if (header === null) continue;
    if (salt !== null && !salt.equals(header.salt)) {
      throw new LogCorruptError(`${files.directory}: ${name} is from another log than the segments before it`);
    }
    salt = header.salt;
  }
  return salt;
}

function replayOld(replay: Replay, candidates: readonly Candidate[], i: number): void {
  const candidate = candidates[i]!;
  noteMissing(replay.table, candidates, i);
  const bytes = candidate.file.read(0, candidate.file.sizeBytes());
  const sealed = sealedLength(candidate, candidates[i + 1]!, bytes.length);
  const scan = scanSegment(bytes, candidate.segment, replay.salt, sealed, candidate.name);
  applyScan(replay, candidate, bytes, scan);
}

function noteMissing(table: GroupTable, candidates: readonly Candidate[], i: number): void {
  const candidate = candidates[i]!;
  const previous = candidates[i - 1];
  if (previous === undefined || previous.segment + 1 === candidate.segment) return;
  table.hole(`the log's segments between ${previous.name} and ${candidate.name} are missing`);
}

/**
 * The segment that was being written; takes it away if it never was in use. The first one is left to be written anew in its
 * place: at no moment there is no file, for that would look like a log that was taken away (F25).
 */
function replayLast(files: LogFiles, replay: Replay, candidates: Candidate[]): void {
  const last = candidates.at(-1);
  if (last === undefined) return;
  const bytes = last.file.read(0, last.file.sizeBytes());
  const mayBeUnused = last.segment === FIRST_SEGMENT || candidates.at(-2)?.segment === last.segment - 1;
  const proven = mayBeUnused ? provenOpening(replay.table, last.segment, bytes.length) : 'opening';
  const scan = scanSegment(bytes, last.segment, replay.salt, proven, last.name);
  if (scan.synced === 0 && mayBeUnused) {
    candidates.pop();
    last.file.close();
    if (candidates.length === 0 && last.segment === FIRST_SEGMENT) return;
    files.remove(last.name);
    files.syncDirectory();
    const before = candidates.at(-1);
    if (before !== undefined) cutTail(before, before.file.read(0, before.file.sizeBytes()));
    return;
  }
  if (scan.items.every((item) => item.kind === 'hole') && (!mayBeUnused || candidates.length === 1)) {
    throw new LogCorruptError(
      `${files.directory}: nothing can be read of ${last.name}, which was in use, and what came before it is gone`,
    );
  }
  noteMissing(replay.table, candidates, candidates.length - 1);
  applyScan(replay, last, bytes, scan);
  replay.lastHasHole = scan.items.some((item) => item.kind === 'hole');
  cutTail(last, bytes);
}

/** What a file's length alone tells: about what an opening takes that holds the groups as they are, or nothing. */
function provenOpening(table: GroupTable, segment: number, fileBytes: number): number {
  const header = { segment, salt: Buffer.alloc(8), previousSegment: 0, previousLength: 0 };
  const opening = encodeOpening(table, header).length;
  return fileBytes > 2 * opening + OPENING_SLACK_BYTES ? opening : 0;
}

function openCandidates(files: LogFiles, candidates: Candidate[]): void {
  const segments = files
    .list()
    .map(segmentOfName)
    .filter((segment) => segment !== null)
    .sort((a, b) => a - b);
  for (const segment of segments) {
    const name = segmentName(segment);
    const file = files.open(name);
    const candidate: Candidate = { segment, name, file, header: null, lengthBytes: file.sizeBytes() };
    candidates.push(candidate);
    const header = decodeSegmentHeader(file.read(0, SEGMENT_HEADER_BYTES), name);
    if (header !== null && header.segment !== segment) {
      throw new LogCorruptError(`${files.directory}: ${name} holds segment ${header.segment}`);
    }
    candidates[candidates.length - 1] = { ...candidate, header };
  }
}

/** What the next segment says of this one's length; else the file's own, to which it was cut when it was sealed. */
function sealedLength(candidate: Candidate, next: Candidate, fileBytes: number): number {
  const header = next.header;
  return header !== null && header.previousSegment === candidate.segment ? header.previousLength : fileBytes;
}

function applyScan(replay: Replay, candidate: Candidate, bytes: Buffer, scan: SegmentScan): void {
  const { table } = replay;
  candidate.lengthBytes = scan.tail;
  for (const item of scan.items) {
    if (item.kind === 'hole') {
      table.hole(`bytes ${item.from} to ${item.to} of ${candidate.name} are corrupt`);
      continue;
    }
    const offset = item.header.offset;
    const batch = bytes.subarray(offset, item.end);
    const place = { segment: candidate.segment, offset, keepBodies: true };
    for (const record of recordsOf(batch)) table.apply(record, place);
    replay.last = item;
  }
}

/** What lies behind the tail was never acknowledged, and must not be taken for a later batch some day. */
function cutTail(candidate: Candidate, bytes: Buffer): void {
  if (isZero(bytes, candidate.lengthBytes)) return;
  candidate.file.truncate(candidate.lengthBytes);
  candidate.file.sync();
}

function isZero(bytes: Buffer, from: number): boolean {
  for (let at = from; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

/**
 * Compares the table with what the last batch says the log holds: a group's only record may have been lost, or the one
 * that removed it (that group then is damaged already). What can't be resolved is no basis to go on.
 */
function findLostGroups(files: LogFiles, table: GroupTable, last: ScannedBatch | null): void {
  if (last === null) return;
  const { census } = last.header;
  if (sameCensus(census, table.census) || missingGroup(table.census, census) !== null) return;
  const group = missingGroup(census, table.census);
  if (group === null) {
    throw new LogCorruptError(
      `${files.directory}: the log held ${census.count} groups; ${table.groups.size} are left, and which are lost can't be told`,
    );
  }
  table.createLost(group, `all records of group ${group} are lost`);
}

function damagedCount(table: GroupTable): number {
  let count = 0;
  for (const state of table.groups.values()) if (state.damaged !== null) count++;
  return count;
}
