/**
 * The source's half of a copy: walks the records of slots through the slot index.
 * The rows of all applied entries must be in the engine.
 */
import type { SlotRange, SlotRanges } from '../../shardctrl/index.js';
import type { PageRecord } from './commands.js';
import { DamagedState } from './damaged-state.js';
import { idempotencyFault } from './idempotency-codec.js';
import {
  after,
  idempotencyKey,
  idempotencyStart,
  keyOfSlotIndex,
  parsePlace,
  placeOf,
  placeOfIdempotency,
  recordKey,
  slotIndexKey,
} from './key-layout.js';
import { encodePageRecord, encodeRemoval, PageKind } from './page-codec.js';
import { recordFault } from './record-codec.js';
import { type Subject, SubjectKind } from './side-table.js';
import type { StoreState } from './store-state.js';

/** Keys, then idempotency records; or only what changed while the slots were exported. */
export type ExportPass = 'keys' | 'idempotency' | 'noted';

/** Where an export goes on: in which range of the slots, in which pass, at which row. Means something only with the same slots. */
export interface ExportCursor {
  readonly range: number;
  readonly pass: ExportPass;
  /** First row; empty: the first of the range. */
  readonly from: Buffer;
}

export interface ExportPage {
  readonly records: PageRecord[];
  /** null: that was all. */
  readonly next: ExportCursor | null;
}

interface PassPage {
  readonly records: PageRecord[];
  /** Where the pass goes on, or null at its end. */
  readonly from: Buffer | null;
}

const ROWS_PER_READ = 256;
const EMPTY = Buffer.alloc(0);
const FOLLOWING = { keys: 'idempotency', idempotency: null, noted: null } as const;

/**
 * The next records of the slots, up to the one that reaches `maxBytes`, of all ranges as far as that goes.
 *
 * `since` null: every record that is there throughout is in some page; what changes meanwhile (EXPORTING) is noted. Else what
 * has been noted with a number above `since`: the record as it is now, or its removal. Rejects with `DamagedState` for a record
 * that is not what was written.
 */
export async function exportRecords(
  state: StoreState,
  slots: SlotRanges,
  since: number | null,
  cursor: ExportCursor | null,
  maxBytes: number,
): Promise<ExportPage> {
  const at: ExportCursor = cursor ?? { range: 0, pass: since === null ? 'keys' : 'noted', from: EMPTY };
  if (since !== null) return exportChanges(state, slots, since, at, maxBytes);
  const records: PageRecord[] = [];
  let left = maxBytes;
  for (let next: ExportCursor | null = at; next !== null; ) {
    const current: ExportCursor = next;
    const page = await runPass(state, slots[current.range]!, current, left);
    for (const record of page.records) left -= record.length;
    records.push(...page.records);
    next = page.from === null ? passAfter(slots, current) : { ...current, from: page.from };
    if (left <= 0) return { records, next };
  }
  return { records, next: null };
}

function passAfter(slots: SlotRanges, { range, pass }: ExportCursor): ExportCursor | null {
  const following = FOLLOWING[pass];
  if (following !== null) return { range, pass: following, from: EMPTY };
  return range + 1 < slots.length ? { range: range + 1, pass: 'keys', from: EMPTY } : null;
}

function runPass(state: StoreState, [first, last]: SlotRange, at: ExportCursor, maxBytes: number): Promise<PassPage> {
  const begun = at.from.length > 0;
  if (at.pass === 'keys')
    return exportKeys(state, begun ? at.from : slotIndexKey(first), slotIndexKey(last + 1), maxBytes);
  return exportIdempotency(state, begun ? at.from : idempotencyStart(first), idempotencyStart(last + 1), maxBytes);
}

/** Of all ranges as far as one page goes: each page is a commit, and clients may be waiting for the last one. */
function exportChanges(
  state: StoreState,
  slots: SlotRanges,
  since: number,
  at: ExportCursor,
  maxBytes: number,
): ExportPage {
  const records: PageRecord[] = [];
  let left = maxBytes;
  for (let range = at.range; range < slots.length; range++) {
    const [first, last] = slots[range]!;
    const begun = range === at.range && at.from.length > 0;
    const page = exportNoted(state, since, begun ? at.from : notedPosition(first, 0), last, left);
    for (const record of page.records) left -= record.length;
    records.push(...page.records);
    if (page.from !== null) return { records, next: { range, pass: 'noted', from: page.from } };
  }
  return { records, next: null };
}

async function exportKeys(state: StoreState, from: Buffer, to: Buffer, maxBytes: number): Promise<PassPage> {
  const records: PageRecord[] = [];
  let bytes = 0;
  for (let gte = from; ; ) {
    const index = await state.engine.range({ gte, lt: to, limit: ROWS_PER_READ });
    const keys = index.map((row) => keyOfSlotIndex(row.key));
    const rows = await state.engine.getMany(keys.map(recordKey));
    for (let i = 0; i < keys.length; i++) {
      const row = rows[i];
      if (row === undefined) continue; // removed since the index was read
      const fault = recordFault(keys[i]!, row);
      if (fault !== null) throw new DamagedState(fault);
      const record = encodePageRecord(PageKind.Key, keys[i]!, '', row);
      records.push(record);
      bytes += record.length;
      if (bytes >= maxBytes) return { records, from: after(index[i]!.key) };
    }
    if (index.length < ROWS_PER_READ) return { records, from: null };
    gte = after(index[index.length - 1]!.key);
  }
}

async function exportIdempotency(state: StoreState, from: Buffer, to: Buffer, maxBytes: number): Promise<PassPage> {
  const records: PageRecord[] = [];
  let bytes = 0;
  for (let gte = from; ; ) {
    const rows = await state.engine.range({ gte, lt: to, limit: ROWS_PER_READ });
    for (const { key: rowKey, value } of rows) {
      const place = placeOfIdempotency(rowKey);
      const fault = idempotencyFault(place, value);
      if (fault !== null) throw new DamagedState(fault);
      const { key, token } = parsePlace(place);
      const record = encodePageRecord(PageKind.Idempotency, key, token, value);
      records.push(record);
      bytes += record.length;
      if (bytes >= maxBytes) return { records, from: after(rowKey) };
    }
    if (rows.length < ROWS_PER_READ) return { records, from: null };
    gte = after(rows[rows.length - 1]!.key);
  }
}

/** Where the pass over noted changes stands: a slot, and how many of its notes were seen. New notes come at the end. */
function notedPosition(slot: number, seen: number): Buffer {
  const position = Buffer.allocUnsafe(6);
  position.writeUInt16BE(slot, 0);
  position.writeUInt32BE(seen, 2);
  return position;
}

function exportNoted(state: StoreState, since: number, from: Buffer, last: number, maxBytes: number): PassPage {
  const records: PageRecord[] = [];
  let bytes = 0;
  let skip = from.readUInt32BE(2);
  for (let slot = from.readUInt16BE(0); slot <= last; slot++) {
    let seen = 0;
    for (const subject of state.noted.subjects(slot)) {
      if (seen++ < skip || subject.order <= since) continue;
      const record = presentRecord(state, slot, subject);
      records.push(record);
      bytes += record.length;
      if (bytes >= maxBytes) return { records, from: notedPosition(slot, seen) };
    }
    skip = 0;
  }
  return { records, from: null };
}

/** What has become of a noted key or idempotency record: as it is now, or that it is gone. */
function presentRecord(state: StoreState, slot: number, subject: Subject & { readonly revision: number }): PageRecord {
  const { kind, key, token, revision } = subject;
  const place = kind === SubjectKind.Key ? null : placeOf(slot, key, token);
  const row = state.rows.get(place === null ? recordKey(key) : idempotencyKey(place));
  if (row === undefined) return encodeRemoval(key, token, revision);
  const fault = place === null ? recordFault(key, row) : idempotencyFault(place, row);
  if (fault !== null) throw new DamagedState(fault);
  return encodePageRecord(place === null ? PageKind.Key : PageKind.Idempotency, key, token, row);
}
