/** The bodies of the log's records, read and written. The grammar is at the top of `record-codec.ts`. */
import type { ConfState, Entry, EntryKind, HardState, Index, Term } from '../core/index.js';
import type { SnapshotRecord } from '../ports.js';
import { LogCorruptError } from './log-error.js';
import { ENTRIES_PREFIX_BYTES, ENTRY_BYTES_MAX } from './record-codec.js';

const KIND_SHIFT = 28;

/** Bytes of the body of an Entries record that holds `entries[from..to)`, which share one term. */
export function entriesBodyBytes(entries: readonly Entry[], from: number, to: number): number {
  let bytes = ENTRIES_PREFIX_BYTES + 4 * (to - from);
  for (let i = from; i < to; i++) bytes += entries[i]!.data.length;
  return bytes;
}

export function writeEntriesBody(bytes: Buffer, at: number, entries: readonly Entry[], from: number, to: number): void {
  const first = entries[from]!;
  bytes.writeDoubleLE(first.index, at);
  bytes.writeDoubleLE(first.term, at + 8);
  bytes.writeUInt32LE(to - from, at + 16);
  let lengthAt = at + ENTRIES_PREFIX_BYTES;
  let dataAt = lengthAt + 4 * (to - from);
  for (let i = from; i < to; i++) {
    const entry = entries[i]!;
    bytes.writeUInt32LE(((entry.kind << KIND_SHIFT) | entry.data.length) >>> 0, lengthAt);
    bytes.set(entry.data, dataAt);
    lengthAt += 4;
    dataAt += entry.data.length;
  }
}

/** First and last index of an Entries or Moved body. */
export function readEntriesRange(body: Buffer): { first: number; last: number } {
  if (body.length < ENTRIES_PREFIX_BYTES) throw new LogCorruptError('a log record of entries is too short');
  const first = body.readDoubleLE(0);
  return { first, last: first + body.readUInt32LE(16) - 1 };
}

/** The entries of a body with an index in [`first`, `last`]; their data are views into `body`. */
export function readEntries(body: Buffer, first: number, last: number, into: Entry[]): void {
  const range = readEntriesRange(body);
  const term = body.readDoubleLE(8) as Term;
  let lengthAt = ENTRIES_PREFIX_BYTES;
  let dataAt = lengthAt + 4 * (range.last - range.first + 1);
  for (let index = range.first; index <= range.last; index++) {
    const word = body.readUInt32LE(lengthAt);
    const length = word & ENTRY_BYTES_MAX;
    if (dataAt + length > body.length) throw new LogCorruptError('a log record of entries is too short');
    if (index >= first && index <= last) {
      const data = body.subarray(dataAt, dataAt + length);
      into.push({ term, index: index as Index, kind: (word >>> KIND_SHIFT) as EntryKind, data });
    }
    lengthAt += 4;
    dataAt += length;
  }
}

export const HARD_STATE_BODY_BYTES = 24;

export function writeHardStateBody(bytes: Buffer, at: number, hard: HardState): void {
  bytes.writeDoubleLE(hard.term, at);
  bytes.writeDoubleLE(hard.vote, at + 8);
  bytes.writeDoubleLE(hard.commit, at + 16);
}

export function readHardStateBody(body: Buffer): HardState {
  return { term: body.readDoubleLE(0) as Term, vote: body.readDoubleLE(8), commit: body.readDoubleLE(16) as Index };
}

export interface Position {
  readonly index: Index;
  readonly term: Term;
}

export const POSITION_BODY_BYTES = 16;

export function writePositionBody(bytes: Buffer, at: number, position: Position): void {
  bytes.writeDoubleLE(position.index, at);
  bytes.writeDoubleLE(position.term, at + 8);
}

export const readPosition = (body: Buffer, at = 0): Position => ({
  index: body.readDoubleLE(at) as Index,
  term: body.readDoubleLE(at + 8) as Term,
});

/** The rare part of a record: configuration and engine name, as JSON. */
interface SnapshotText {
  readonly engine: string;
  readonly conf: ConfState;
  readonly damaged?: string | null;
}

export function encodeSnapshotBody(snapshot: SnapshotRecord): Buffer {
  const text = Buffer.from(JSON.stringify({ engine: snapshot.engine, conf: snapshot.conf } satisfies SnapshotText));
  const body = Buffer.allocUnsafe(POSITION_BODY_BYTES + text.length);
  writePositionBody(body, 0, snapshot);
  text.copy(body, POSITION_BODY_BYTES);
  return body;
}

export function readSnapshotBody(body: Buffer): SnapshotRecord {
  const text = parseText(body.subarray(POSITION_BODY_BYTES));
  return { ...readPosition(body), conf: text.conf, engine: text.engine };
}

/** All that a segment's opening says about one group. */
export interface GroupStateBody {
  readonly hardState: HardState;
  readonly snapshot: SnapshotRecord;
  readonly compacted: Position;
  readonly last: number;
  readonly damaged: string | null;
}

const STATE_FIXED_BYTES = 64;

export function encodeStateBody(state: GroupStateBody): Buffer {
  const { engine, conf } = state.snapshot;
  const text = Buffer.from(JSON.stringify({ engine, conf, damaged: state.damaged } satisfies SnapshotText));
  const body = Buffer.allocUnsafe(STATE_FIXED_BYTES + text.length);
  writeHardStateBody(body, 0, state.hardState);
  writePositionBody(body, 24, state.snapshot);
  writePositionBody(body, 40, state.compacted);
  body.writeDoubleLE(state.last, 56);
  text.copy(body, STATE_FIXED_BYTES);
  return body;
}

export function readStateBody(body: Buffer): GroupStateBody {
  const text = parseText(body.subarray(STATE_FIXED_BYTES));
  return {
    hardState: readHardStateBody(body),
    snapshot: { ...readPosition(body, 24), conf: text.conf, engine: text.engine },
    compacted: readPosition(body, 40),
    last: body.readDoubleLE(56),
    damaged: text.damaged ?? null,
  };
}

function parseText(bytes: Buffer): SnapshotText {
  try {
    return JSON.parse(bytes.toString()) as SnapshotText;
  } catch (error) {
    throw new LogCorruptError(`a log record holds no JSON where it should: ${String(error)}`);
  }
}
