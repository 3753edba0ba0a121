/** Copies live entries out of an old segment, so that a few entries of idle groups do not keep all of it. */
import type { Entry } from '../core/index.js';
import type { BatchEncoder } from './batch-encoder.js';
import { findExtent } from './extents.js';
import type { GroupTable } from './group-table.js';
import { LogCorruptError } from './log-error.js';
import { readEntries } from './record-bodies.js';
import { RecordType, readRecord, recordIsWhole } from './record-codec.js';
import type { OpenSegment } from './recovery.js';

interface Job {
  readonly group: number;
  readonly index: number;
}

export class SegmentCleaner {
  readonly #table: GroupTable;
  #segment = 0;
  #jobs: Job[] = [];

  constructor(table: GroupTable) {
    this.#table = table;
  }

  /** Encodes about `budgetBytes` of the segment's live entries; nothing only if it has none. Throws `LogCorrupt`. */
  copyFrom(segment: OpenSegment, budgetBytes: number, into: BatchEncoder): void {
    for (let round = 0; round < 2 && into.empty; round++) {
      if (this.#segment !== segment.segment || this.#jobs.length === 0) this.#plan(segment.segment);
      while (this.#jobs.length > 0 && (into.empty || into.bytes < budgetBytes))
        this.#copy(this.#jobs.pop()!, segment, into);
    }
  }

  #plan(segment: number): void {
    this.#segment = segment;
    this.#jobs = [];
    for (const state of this.#table.groups.values()) {
      for (const extent of state.extents) {
        if (extent.segment === segment) this.#jobs.push({ group: state.group, index: extent.last });
      }
    }
  }

  /** The log may have moved on since the job was planned: what is there now counts. */
  #copy(job: Job, segment: OpenSegment, into: BatchEncoder): void {
    const extents = this.#table.groups.get(job.group)?.extents ?? [];
    const extent = extents[findExtent(extents, job.index)];
    if (extent === undefined || extent.segment !== segment.segment) return;
    const bytes = segment.file.read(extent.offset, extent.bytes);
    const record = bytes.length === extent.bytes ? readRecord(bytes, 0, bytes.length) : null;
    if (record === null || record.group !== job.group || !recordIsWhole(record, bytes)) {
      throw new LogCorruptError(`segment ${segment.segment} of the log is corrupt at byte ${extent.offset}`);
    }
    const entries: Entry[] = [];
    readEntries(record.body, extent.first, extent.last, entries);
    into.entries(job.group, entries, RecordType.Moved);
  }
}
