/**
 * What the log knows of each group: the result of all records in order. The same code runs when records are written and
 * when they are read back, so that the two can't differ. Entries themselves are not kept, only where they are.
 *
 * A hole is a place where records were lost. The chain of `seq` tells whose: a group whose next record follows on its
 * last one has lost nothing. After a loss, whatever later records say in full is good again (`trust`).
 */
import { type HardState, index, type Term, term } from '../core/index.js';
import type { SnapshotRecord } from '../ports.js';
import { dropThrough, type Extent, placeExtent, truncateAfter } from './extents.js';
import { type GroupCensus, NO_GROUPS, withGroup, withoutGroup } from './group-census.js';
import {
  type GroupStateBody,
  type Position,
  readEntriesRange,
  readHardStateBody,
  readPosition,
  readSnapshotBody,
  readStateBody,
} from './record-bodies.js';
import { RECORD_HEADER_BYTES, RecordType, type RecordView } from './record-codec.js';

export const NO_HARD_STATE: HardState = { term: 0 as Term, vote: 0, commit: index(0) };
const NO_SNAPSHOT: SnapshotRecord = {
  index: index(0),
  term: term(0),
  conf: { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false },
  engine: '',
};

/** What has been said in full since records of the group were lost. */
interface Trust {
  hardState: boolean;
  base: boolean;
  /** Entries from here on. */
  from: number;
}

export interface GroupState {
  readonly group: number;
  seq: number;
  hardState: HardState;
  snapshot: SnapshotRecord;
  compacted: Position;
  last: number;
  extents: Extent[];
  /** A hole came after the group's latest record: it may have swallowed one. */
  suspect: boolean;
  trust: Trust | null;
  damaged: string | null;
}

/** Where a record lies, or (`offset` -1) will lie once its batch has a place. */
export interface RecordPlace {
  readonly segment: number;
  readonly offset: number;
  /** Keep the bodies of entries: recovery hands them out. */
  readonly keepBodies: boolean;
}

export class GroupTable {
  readonly groups = new Map<number, GroupState>();
  /** Bytes of records with live entries, by segment. */
  readonly liveBytes = new Map<number, number>();
  #census = NO_GROUPS;
  #holes: string | null = null;

  get census(): GroupCensus {
    return this.#census;
  }

  get liveBytesTotal(): number {
    let sum = 0;
    for (const bytes of this.liveBytes.values()) sum += bytes;
    return sum;
  }

  /** The sequence number for the next record of `group`, which is about to be written at `place`. */
  nextSeq(group: number, place: RecordPlace): number {
    return (this.groups.get(group)?.seq ?? firstSeq(place) - 1) + 1;
  }

  /** Records may have been lost here. */
  hole(reason: string): void {
    this.#holes = reason;
    for (const state of this.groups.values()) state.suspect = true;
  }

  apply(record: RecordView, place: RecordPlace): void {
    const state = this.groups.get(record.group);
    if (record.type === RecordType.State) {
      this.#applyState(state ?? this.#create(record), record);
      return;
    }
    if (state === undefined) {
      this.#applyFirst(record, place);
      return;
    }
    if (record.seq !== state.seq + 1) this.#lost(state);
    state.suspect = false;
    state.seq = record.seq;
    this.#applyTo(state, record, place);
  }

  #applyFirst(record: RecordView, place: RecordPlace): void {
    const born = record.type === RecordType.Snapshot && record.seq === firstSeq(place);
    if (record.type === RecordType.Removed) return;
    const state = this.#create(record);
    if (!born) this.#lost(state);
    this.#applyTo(state, record, place);
  }

  #applyTo(state: GroupState, record: RecordView, place: RecordPlace): void {
    switch (record.type) {
      case RecordType.Entries:
        this.#appendEntries(state, record, place);
        return;
      case RecordType.Moved:
        this.#place(state, record, place);
        return;
      case RecordType.HardState:
        state.hardState = readHardStateBody(record.body);
        if (state.trust !== null) state.trust.hardState = true;
        return;
      case RecordType.Truncate:
        this.#truncate(state, record.body.readDoubleLE(0));
        return;
      case RecordType.Snapshot:
        this.#applySnapshot(state, readSnapshotBody(record.body));
        return;
      case RecordType.Compacted:
        this.#compact(state, readPosition(record.body));
        return;
      case RecordType.Removed:
        this.#drop(state);
        return;
      case RecordType.State:
        return;
      default:
        record.type satisfies never;
    }
  }

  #create(record: RecordView): GroupState {
    const state: GroupState = {
      group: record.group,
      seq: record.seq,
      hardState: NO_HARD_STATE,
      snapshot: NO_SNAPSHOT,
      compacted: { index: index(0), term: term(0) },
      last: 0,
      extents: [],
      suspect: false,
      trust: null,
      damaged: null,
    };
    this.groups.set(record.group, state);
    this.#census = withGroup(this.#census, record.group);
    return state;
  }

  /** A group of which nothing is left but its id. */
  createLost(group: number, reason: string): void {
    this.#create({ type: RecordType.State, group, seq: 0, at: 0, body: Buffer.alloc(0) }).damaged = reason;
  }

  #drop(state: GroupState): void {
    for (const extent of state.extents) this.#dead(extent);
    this.groups.delete(state.group);
    this.#census = withoutGroup(this.#census, state.group);
  }

  #lost(state: GroupState): void {
    state.trust = { hardState: false, base: false, from: Number.POSITIVE_INFINITY };
  }

  #applyState(state: GroupState, record: RecordView): void {
    const body: GroupStateBody = readStateBody(record.body);
    if (record.seq !== state.seq) this.#lost(state);
    state.seq = record.seq;
    state.suspect = false;
    state.hardState = body.hardState;
    state.snapshot = body.snapshot;
    state.damaged = body.damaged ?? state.damaged;
    if (state.trust !== null) {
      state.trust.hardState = true;
      state.trust.base = true;
    }
    this.#dropThrough(state, body.compacted.index);
    state.compacted = body.compacted;
    truncateAfter(state.extents, body.last, this.#dead);
    state.last = body.last;
  }

  #appendEntries(state: GroupState, record: RecordView, place: RecordPlace): void {
    const { first, last } = readEntriesRange(record.body);
    if (first !== state.last + 1) {
      if (state.trust === null) this.#inconsistent(state, `entries from ${first} after ${state.last}`);
      else truncateAfter(state.extents, first - 1, this.#dead);
    }
    if (state.trust !== null) state.trust.from = Math.min(state.trust.from, first);
    const extent = this.#extent(record, place, first, last);
    if (state.damaged === null) state.extents.push(extent);
    else this.#dead(extent);
    state.last = last;
  }

  #place(state: GroupState, record: RecordView, place: RecordPlace): void {
    const { first, last } = readEntriesRange(record.body);
    const extent = this.#extent(record, place, first, last);
    if (state.damaged === null) placeExtent(state.extents, extent, this.#dead);
    else this.#dead(extent);
  }

  #extent(record: RecordView, place: RecordPlace, first: number, last: number): Extent {
    const bytes = RECORD_HEADER_BYTES + record.body.length;
    this.liveBytes.set(place.segment, (this.liveBytes.get(place.segment) ?? 0) + bytes);
    const body = place.keepBodies ? copyOf(record.body) : null;
    return { segment: place.segment, offset: place.offset + record.at, bytes, first, last, body };
  }

  readonly #dead = (extent: Extent): void => {
    const left = (this.liveBytes.get(extent.segment) ?? 0) - extent.bytes;
    if (left > 0) this.liveBytes.set(extent.segment, left);
    else this.liveBytes.delete(extent.segment);
  };

  #dropThrough(state: GroupState, through: number): void {
    dropThrough(state.extents, through, this.#dead);
  }

  #truncate(state: GroupState, last: number): void {
    if (last < state.compacted.index || last > state.last) {
      if (state.trust === null) this.#inconsistent(state, `truncated to ${last} of ${state.last}`);
    }
    truncateAfter(state.extents, last, this.#dead);
    state.last = last;
    if (state.trust !== null) state.trust.from = Math.min(state.trust.from, last + 1);
  }

  #applySnapshot(state: GroupState, snapshot: SnapshotRecord): void {
    for (const extent of state.extents) this.#dead(extent);
    state.extents = [];
    state.snapshot = snapshot;
    state.compacted = { index: snapshot.index, term: snapshot.term };
    state.last = snapshot.index;
    if (state.trust !== null) {
      state.trust.base = true;
      state.trust.from = snapshot.index + 1;
    }
  }

  #compact(state: GroupState, position: Position): void {
    if (position.index <= state.compacted.index) return;
    if (position.index > state.last && state.trust === null) {
      this.#inconsistent(state, `compacted to ${position.index}, beyond ${state.last}`);
    }
    this.#dropThrough(state, position.index);
    state.compacted = position;
  }

  #inconsistent(state: GroupState, what: string): void {
    state.damaged ??= `the log of group ${state.group} contradicts itself: ${what}`;
  }

  /**
   * The verdict at the end of recovery: decides which groups are damaged and forgets the doubts about the others.
   * A damaged group keeps its state as a best effort, and none of its entries.
   */
  judge(): void {
    for (const state of this.groups.values()) {
      state.damaged ??= this.#doubt(state) ?? missingEntries(state);
      state.trust = null;
      state.suspect = false;
      if (state.damaged === null) continue;
      for (const extent of state.extents) this.#dead(extent);
      state.extents = [];
    }
  }

  #doubt(state: GroupState): string | null {
    if (state.suspect) return this.#holes;
    if (state.trust === null) return null;
    const { hardState, base, from } = state.trust;
    const covered = state.last <= state.compacted.index || from <= state.compacted.index + 1;
    return hardState && base && covered ? null : (this.#holes ?? 'records of the group are missing');
  }
}

const copyOf = (body: Buffer): Buffer => {
  const copy = Buffer.allocUnsafeSlow(body.length);
  body.copy(copy);
  return copy;
};

/**
 * Unique in the log for ever, and above every number that an earlier group of the same id has used: numbers grow by one
 * a record, places by at least a record header.
 */
const firstSeq = (place: RecordPlace): number => place.segment * 2 ** 32 + place.offset + 1;

function missingEntries(state: GroupState): string | null {
  let next = state.compacted.index + 1;
  for (const extent of state.extents) {
    if (extent.first !== next) return `entries ${next} to ${extent.first - 1} are missing from the log`;
    next = extent.last + 1;
  }
  return next > state.last ? null : `entries ${next} to ${state.last} are missing from the log`;
}
