/**
 * Writes that wait for space on a full disk. As they came they may not fit although a part of them would give space back: a
 * compaction beside the entries it makes room for, or the end of another group. So they are taken apart by group, the
 * smallest first; each group's records keep their order, which is all that the log promises of writes that are not durable.
 */
import type { GroupTable } from './group-table.js';
import { readPosition } from './record-bodies.js';
import { alignUp, BATCH_HEADER_BYTES, RecordType, type RecordView, recordBytes, recordsOf } from './record-codec.js';

export class WaitingWrites {
  /** A batch for each group, its header and its records' blank as `BatchEncoder.take` leaves them. */
  #batches: Buffer[] = [];

  get empty(): boolean {
    return this.#batches.length === 0;
  }

  /** Behind those that wait already. The bytes are copied. */
  add(batches: readonly Buffer[]): void {
    if (batches.length === 0) return;
    const byGroup = new Map<number, Buffer[]>();
    for (const batch of [...this.#batches, ...batches]) {
      for (const record of recordsOf(batch)) {
        const records = byGroup.get(record.group) ?? [];
        byGroup.set(record.group, records);
        records.push(recordBytes(record, batch));
      }
    }
    this.#batches = [...byGroup.values()].map(batchOf).sort((a, b) => a.length - b.length);
  }

  /** Hands out batch by batch until one is refused; that one and the rest wait on. True: some do not wait any more. */
  writeTo(write: (batch: Buffer) => boolean): boolean {
    let written = 0;
    while (written < this.#batches.length && write(this.#batches[written]!)) written++;
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

/** None behind a truncation or a snapshot: it may speak of entries that come after these. */
function latestCompaction(batch: Buffer, table: GroupTable): RecordView | null {
  let latest: RecordView | null = null;
  for (const record of recordsOf(batch)) {
    const { type } = record;
    if (type === RecordType.Entries || type === RecordType.HardState) continue;
    if (type !== RecordType.Compacted) break;
    const state = table.groups.get(record.group);
    const to = readPosition(record.body).index;
    if (state !== undefined && to > state.compacted.index && to <= state.last) latest = record;
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
