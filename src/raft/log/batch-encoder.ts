/**
 * Encodes what groups want written into one batch's bytes, with room for the batch header in front. Two buffers take
 * turns: one is being filled while the other one's bytes are on their way to the disk.
 */
import type { Entry, HardState } from '../core/index.js';
import type { SnapshotRecord } from '../ports.js';
import {
  encodeSnapshotBody,
  encodeStateBody,
  entriesBodyBytes,
  type GroupStateBody,
  HARD_STATE_BODY_BYTES,
  POSITION_BODY_BYTES,
  type Position,
  writeEntriesBody,
  writeHardStateBody,
  writePositionBody,
} from './record-bodies.js';
import {
  alignUp,
  BATCH_HEADER_BYTES,
  ENTRY_BYTES_MAX,
  RECORD_HEADER_BYTES,
  RecordType,
  writeRecordHeader,
} from './record-codec.js';

const INITIAL_BYTES = 64 * 1024;
/** A buffer that one huge batch made grow beyond this is not kept. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;

export class BatchEncoder {
  #bytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #spare: Buffer | null = null;
  #length = BATCH_HEADER_BYTES;

  get empty(): boolean {
    return this.#length === BATCH_HEADER_BYTES;
  }

  get bytes(): number {
    return this.#length;
  }

  /** One record for each run of equal terms. */
  entries(group: number, entries: readonly Entry[], type: RecordType = RecordType.Entries): void {
    for (let from = 0; from < entries.length; ) {
      const term = entries[from]!.term;
      let to = from + 1;
      while (to < entries.length && entries[to]!.term === term) to++;
      const bodyBytes = entriesBodyBytes(entries, from, to);
      const body = this.#record(type, group, bodyBytes);
      writeEntriesBody(this.#bytes, body, entries, from, to);
      from = to;
    }
  }

  hardState(group: number, hard: HardState): void {
    const body = this.#record(RecordType.HardState, group, HARD_STATE_BODY_BYTES);
    writeHardStateBody(this.#bytes, body, hard);
  }

  truncate(group: number, last: number): void {
    const body = this.#record(RecordType.Truncate, group, 8);
    this.#bytes.writeDoubleLE(last, body);
  }

  compacted(group: number, position: Position): void {
    const body = this.#record(RecordType.Compacted, group, POSITION_BODY_BYTES);
    writePositionBody(this.#bytes, body, position);
  }

  snapshot(group: number, snapshot: SnapshotRecord): void {
    this.#copy(RecordType.Snapshot, group, encodeSnapshotBody(snapshot));
  }

  removed(group: number): void {
    this.#record(RecordType.Removed, group, 0);
  }

  state(group: number, state: GroupStateBody): void {
    this.#copy(RecordType.State, group, encodeStateBody(state));
  }

  /**
   * The batch, padded, its header still blank; null: nothing was written. The bytes are good until the next `take`;
   * encoding may go on meanwhile.
   */
  take(): Buffer | null {
    if (this.empty) return null;
    const length = alignUp(this.#length);
    this.#reserve(length - this.#length);
    this.#bytes.fill(0, this.#length, length);
    const batch = this.#bytes.subarray(0, length);
    const spare = this.#spare;
    this.#spare = this.#bytes.length > KEPT_BYTES_MAX ? null : this.#bytes;
    this.#bytes = spare ?? Buffer.allocUnsafeSlow(INITIAL_BYTES);
    this.#length = BATCH_HEADER_BYTES;
    return batch;
  }

  #copy(type: RecordType, group: number, body: Buffer): void {
    const at = this.#record(type, group, body.length);
    body.copy(this.#bytes, at);
  }

  /** Returns where the body goes. */
  #record(type: RecordType, group: number, bodyBytes: number): number {
    this.#reserve(RECORD_HEADER_BYTES + bodyBytes);
    writeRecordHeader(this.#bytes, this.#length, type, group, bodyBytes);
    const body = this.#length + RECORD_HEADER_BYTES;
    this.#length = body + bodyBytes;
    return body;
  }

  #reserve(more: number): void {
    const need = this.#length + more;
    if (need <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(alignUp(Math.max(need, 2 * this.#bytes.length)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** The invariant that `entriesBodyBytes` and the length word rely on. */
export function checkEntrySize(entry: Entry): void {
  if (entry.data.length > ENTRY_BYTES_MAX) throw new Error(`invariant: an entry of ${entry.data.length} bytes`);
}
