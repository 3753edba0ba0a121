/**
 * Writes that wait for space on a full disk. As they came they may not fit although a part of them would give space back: a
 * compaction beside the entries it makes room for, or the end of another group. So they are taken apart by group, the
 * smallest first; each group's records keep their order, which is all that the log promises of writes that are not durable.
 */
import type { GroupState, GroupTable } from './group-table.js';
import { POSITION_BODY_BYTES, readPosition } from './record-bodies.js';
import {
  alignUp,
  BATCH_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  RecordType,
  type RecordView,
  recordBytes,
  recordsOf,
} from './record-codec.js';

const COMPACTION_BATCH_BYTES = BATCH_HEADER_BYTES + RECORD_HEADER_BYTES + POSITION_BODY_BYTES;

export class WaitingWrites {
  /** A batch for each group, its header and its records' blank as `BatchEncoder.take` leaves them. */
  #batches: Buffer[] = [];

  get empty(): boolean {
    return this.#batches.length === 0;
  }

  /** Behind those that wait already. The bytes are copied. */
  add(batches: readonly Buffer[]): void {
    if (batches.length === 0) return;
    const byGroup = new Map<number, { type: RecordType; bytes: Buffer }[]>();
    for (const batch of [...this.#batches, ...batches]) {
      for (const record of recordsOf(batch)) {
        let records = byGroup.get(record.group) ?? [];
        if (voids(record.type)) records = records.filter((earlier) => !makesVoid(record.type, earlier.type));
        records.push({ type: record.type, bytes: recordBytes(record, batch) });
        byGroup.set(record.group, records);
      }
    }
    this.#batches = [...byGroup.values()]
      .map((records) => batchOf(records.map(({ bytes }) => bytes)))
      .sort((a, b) => a.length - b.length);
  }

  /**
   * Hands out batch by batch until one is refused; that one and the rest wait on. `frees`: it makes older records useless.
   * True: some do not wait any more.
   */
  writeTo(write: (batch: Buffer, frees: boolean) => boolean): boolean {
    let written = 0;
    for (const batch of this.#batches) {
      if (!write(batch, freesSpace(batch))) break;
      written++;
    }
    this.#batches = this.#batches.slice(written);
    return written > 0;
  }

  /**
   * The compactions among them that concern entries the table knows: true already, and free of what stands before them in
   * their group. They stay where they are too, where they then change nothing. null: there are none.
   */
  compactions(table: GroupTable): Buffer | null {
    const found: Buffer[] = [];
    for (const batch of this.#batches) {
      const record = latestCompaction(batch, table);
      if (record !== null) found.push(recordBytes(record, batch));
    }
    return found.length === 0 ? null : batchOf(found);
  }
}

const voids = (type: RecordType): boolean => type === RecordType.Removed || type === RecordType.Snapshot;

/** Nobody will ever know of the earlier record of the same group: it need not be written, and may be what does not fit. */
function makesVoid(later: RecordType, earlier: RecordType): boolean {
  if (later === RecordType.Removed) return true;
  // A first snapshot is also how a group begins; and a hard state counts on.
  return (
    later === RecordType.Snapshot &&
    earlier !== RecordType.Snapshot &&
    earlier !== RecordType.HardState &&
    earlier !== RecordType.Removed
  );
}

/** Room for these is scarce: what is made useless has to be more than what it takes to say so. */
function isWorthIt(state: GroupState, to: number): boolean {
  let bytes = 0;
  for (const extent of state.extents) if (extent.last <= to) bytes += extent.bytes;
  return bytes > COMPACTION_BATCH_BYTES;
}

function freesSpace(batch: Buffer): boolean {
  for (const { type } of recordsOf(batch)) {
    if (voids(type) || type === RecordType.Truncate) return true;
  }
  return false;
}

/** Behind a snapshot or a removal they speak of entries that the table does not have. */
function latestCompaction(batch: Buffer, table: GroupTable): RecordView | null {
  let latest: RecordView | null = null;
  let kept = Number.POSITIVE_INFINITY;
  for (const record of recordsOf(batch)) {
    const { type } = record;
    if (voids(type)) break;
    if (type === RecordType.Truncate) kept = Math.min(kept, record.body.readDoubleLE(0));
    if (type !== RecordType.Compacted) continue;
    const state = table.groups.get(record.group);
    const to = readPosition(record.body).index;
    if (state !== undefined && to <= Math.min(state.last, kept) && isWorthIt(state, to)) latest = record;
  }
  return latest;
}

function batchOf(records: readonly Buffer[]): Buffer {
  const bytes = records.reduce((sum, record) => sum + record.length, BATCH_HEADER_BYTES);
  const batch = Buffer.alloc(alignUp(bytes));
  let at = BATCH_HEADER_BYTES;
  for (const record of records) at += record.copy(batch, at);
  return batch;
}
