/** A recovered group with its entries still encoded: what the worker hands to the main thread, without copying. */
import { type Entry, type GroupId, type HardState, index } from '../core/index.js';
import type { RecoveredGroup, SnapshotRecord } from '../ports.js';
import type { GroupTable } from './group-table.js';
import { type Position, readEntries } from './record-bodies.js';

export interface StoredGroup {
  readonly group: GroupId;
  readonly hardState: HardState;
  readonly snapshot: SnapshotRecord;
  readonly compacted: Position;
  readonly last: number;
  readonly damaged: string | null;
  readonly runs: readonly StoredRun[];
}

export interface StoredRun {
  readonly first: number;
  readonly last: number;
  /** Body of an Entries record, alone in its ArrayBuffer. */
  readonly body: Uint8Array;
}

/** Takes the bodies out of the table. */
export function takeStoredGroups(table: GroupTable): StoredGroup[] {
  const groups: StoredGroup[] = [];
  for (const state of table.groups.values()) {
    const runs: StoredRun[] = [];
    for (const extent of state.extents) {
      if (extent.body === null) throw new Error('invariant: an entry was recovered without its body');
      runs.push({ first: extent.first, last: extent.last, body: extent.body });
      extent.body = null;
    }
    const { group, hardState, snapshot, compacted, last, damaged } = state;
    groups.push({ group, hardState, snapshot, compacted, last, damaged, runs });
  }
  return groups;
}

export function toRecovered(stored: StoredGroup): RecoveredGroup {
  const entries: Entry[] = [];
  for (const run of stored.runs) {
    const { buffer, byteOffset, byteLength } = run.body;
    readEntries(Buffer.from(buffer, byteOffset, byteLength), run.first, run.last, entries);
  }
  const { group, hardState, snapshot, damaged } = stored;
  const compacted = { index: index(stored.compacted.index), term: stored.compacted.term };
  return { group, hardState, snapshot, compacted, entries, damaged };
}
