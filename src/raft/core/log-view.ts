/**
 * The log as the core sees it: the entries that are still in memory, and how far each of the stages behind it has come.
 *
 *   base ≤ applied ≤ handed out to be applied ≤ min(commit, stable)      stable ≤ handed out to be written ≤ last
 *
 * `base` is the compaction point (or the snapshot from which the log restarted); the entry at `base` itself is gone, its
 * term is known. All stages but `commit` and `applied` go back when a conflict truncates the log.
 */
import { type Entry, EntryKind, type Index, index, NO_ENTRIES, type SnapshotMeta, type Term, term } from './types.js';

/** What an entry costs beside its data, in memory and in a message: a round figure, so that empty entries count too. */
export const ENTRY_OVERHEAD_BYTES = 32;

const GONE: Entry = Object.freeze({ term: term(0), index: index(0), kind: EntryKind.Noop, data: new Uint8Array(0) });

export const entryBytes = (entry: Entry): number => entry.data.length + ENTRY_OVERHEAD_BYTES;

export class LogView {
  /** Live entries from `#head` on; the slots before it are cleared and dropped when they are the bigger part. */
  #entries: Entry[];
  #head = 0;
  #base: number;
  #baseTerm: number;
  #bytes = 0;
  #uncommittedBytes = 0;
  #commit: number;
  #applied: number;
  #stable: number;
  #handedToWrite: number;
  #handedToApply: number;
  /** Indexes of membership changes above `applied`, ascending. */
  readonly #confIndexes: number[] = [];
  #snapshot: SnapshotMeta | null = null;
  #snapshotHanded = false;
  /** The last slice, since followers in step are sent the same one. */
  #sliced: readonly Entry[] = NO_ENTRIES;
  #slicedBytes = 0;

  constructor(
    compacted: { readonly index: Index; readonly term: Term },
    entries: readonly Entry[],
    applied: Index,
    commit: Index,
  ) {
    this.#base = compacted.index;
    this.#baseTerm = compacted.term;
    this.#entries = [];
    if (applied < compacted.index) {
      throw new Error(`invariant: applied up to ${applied}, but the log starts after ${compacted.index}`);
    }
    this.#commit = this.#applied = this.#handedToApply = applied;
    for (const entry of entries) {
      if (entry.index !== this.last + 1 || entry.term < this.lastTerm) {
        throw new Error(`invariant: the log given at start has entry ${entry.index} after ${this.last}`);
      }
      this.append(entry);
    }
    if (this.#applied > this.last) {
      throw new Error(`invariant: applied up to ${this.#applied}, but the log ends at ${this.last}`);
    }
    for (let i = this.#base + 1; i <= this.#applied; i++) this.#uncommittedBytes -= entryBytes(this.at(i));
    this.#dropConfIndexes();
    this.#stable = this.#handedToWrite = this.last;
    this.commitTo(commit);
  }

  get base(): number {
    return this.#base;
  }
  get first(): number {
    return this.#base + 1;
  }
  get last(): number {
    return this.#base + this.#entries.length - this.#head;
  }
  get lastTerm(): number {
    const n = this.#entries.length;
    return n === this.#head ? this.#baseTerm : (this.#entries[n - 1] as Entry).term;
  }
  get commit(): number {
    return this.#commit;
  }
  get applied(): number {
    return this.#applied;
  }
  get stable(): number {
    return this.#stable;
  }
  get handedToApply(): number {
    return this.#handedToApply;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get uncommittedBytes(): number {
    return this.#uncommittedBytes;
  }

  /** The entry at `i`, which must be in memory. */
  at(i: number): Entry {
    const entry = this.#entries[i - this.#base - 1 + this.#head];
    if (entry === undefined || i <= this.#base)
      throw new Error(`invariant: entry ${i} is not in (${this.#base}, ${this.last}]`);
    return entry;
  }

  /** 0 where it is not known: compacted, or beyond the end. */
  termOrZero(i: number): number {
    if (i === this.#base) return this.#baseTerm;
    if (i < this.#base || i > this.last) return 0;
    return this.at(i).term;
  }

  termAt(i: number): Term | null {
    if (i < this.#base || i > this.last) return null;
    return this.termOrZero(i) as Term;
  }

  /** Is there an entry `i` of term `t` here? Index 0 is part of every log. */
  matches(i: number, t: number): boolean {
    return i >= this.#base && i <= this.last && this.termOrZero(i) === t;
  }

  /** Section 5.4.1: the later last term wins; with equal terms, the longer log. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.last);
  }

  /**
   * The highest index at most `from` whose term is at most `maxTerm` (terms only grow along a log, so a binary search);
   * the base where all terms in memory are higher. `from` itself if it is not in memory.
   */
  lastIndexWithTermAtMost(from: number, maxTerm: number): number {
    if (from > this.last || from <= this.#base) return from;
    let low = this.#base;
    let high = from;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.at(middle).term <= maxTerm) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** `entry.index` must be `last + 1`. */
  append(entry: Entry): void {
    const size = entryBytes(entry);
    this.#entries.push(entry);
    this.#bytes += size;
    this.#uncommittedBytes += size;
    if (entry.kind === EntryKind.ConfChange) this.#confIndexes.push(entry.index);
  }

  /** Drops all entries from `from` on: they conflict with the leader's. Throws if one of them is committed. */
  truncateFrom(from: number): void {
    if (from <= this.#commit) {
      throw new Error(`invariant: entry ${from} conflicts with the leader's, but is committed (${this.#commit})`);
    }
    for (let i = from; i <= this.last; i++) {
      const size = entryBytes(this.at(i));
      this.#bytes -= size;
      this.#uncommittedBytes -= size;
    }
    this.#entries.length = from - this.#base - 1 + this.#head;
    this.#stable = Math.min(this.#stable, from - 1);
    this.#handedToWrite = Math.min(this.#handedToWrite, from - 1);
    const conf = this.#confIndexes;
    while (conf.length > 0 && (conf[conf.length - 1] as number) >= from) conf.pop();
    this.#sliced = NO_ENTRIES;
  }

  /** False: nothing new. */
  commitTo(to: number): boolean {
    if (to <= this.#commit) return false;
    if (to > this.last)
      throw new Error(`invariant: commit index ${to} beyond the last entry ${this.last}: the log lost entries`);
    for (let i = this.#commit + 1; i <= to; i++) this.#uncommittedBytes -= entryBytes(this.at(i));
    this.#commit = to;
    return true;
  }

  /** Everything up to `to` is durable. */
  stableTo(to: number): void {
    if (to > this.#stable) this.#stable = to;
  }

  // ------------------------------------------------------------------------------------------- handing out, for Ready

  get hasEntriesToWrite(): boolean {
    return this.#handedToWrite < this.last;
  }

  takeEntriesToWrite(): readonly Entry[] {
    if (!this.hasEntriesToWrite) return NO_ENTRIES;
    const from = this.#handedToWrite + 1;
    this.#handedToWrite = this.last;
    return this.slice(from, Number.POSITIVE_INFINITY);
  }

  get hasEntriesToApply(): boolean {
    return this.#handedToApply < Math.min(this.#commit, this.#stable);
  }

  takeEntriesToApply(): readonly Entry[] {
    if (!this.hasEntriesToApply) return NO_ENTRIES;
    const from = this.#position(this.#handedToApply + 1);
    this.#handedToApply = Math.min(this.#commit, this.#stable);
    return this.#entries.slice(from, this.#position(this.#handedToApply) + 1);
  }

  get hasSnapshotToWrite(): boolean {
    return this.#snapshot !== null && !this.#snapshotHanded;
  }

  takeSnapshot(): SnapshotMeta | null {
    if (this.#snapshotHanded) return null;
    this.#snapshotHanded = true;
    return this.#snapshot;
  }

  /** A received snapshot is not durable yet. */
  get snapshotPending(): boolean {
    return this.#snapshot !== null;
  }

  // ----------------------------------------------------------------------------------------------- applied, compaction

  /** The first membership change that is not applied; 0 if there is none. */
  get firstUnappliedConf(): number {
    return this.#confIndexes[0] ?? 0;
  }

  /** Marks `to` as applied; the caller has dealt with the membership changes up to it. */
  appliedTo(to: number): void {
    if (to > this.#handedToApply) {
      throw new Error(`invariant: applied ${to}, but handed out only up to ${this.#handedToApply}`);
    }
    if (to <= this.#applied) return;
    this.#applied = to;
    this.#dropConfIndexes();
  }

  #dropConfIndexes(): void {
    const conf = this.#confIndexes;
    while (conf.length > 0 && (conf[0] as number) <= this.#applied) conf.shift();
  }

  compact(to: number): void {
    if (to > this.#applied) throw new Error(`invariant: compaction to ${to}, but applied only up to ${this.#applied}`);
    if (to <= this.#base) return;
    const newBaseTerm = this.termOrZero(to);
    const end = this.#position(to);
    for (let i = this.#head; i <= end; i++) {
      this.#bytes -= entryBytes(this.#entries[i] as Entry);
      this.#entries[i] = GONE;
    }
    this.#head = end + 1;
    this.#base = to;
    this.#baseTerm = newBaseTerm;
    if (this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    this.#sliced = NO_ENTRIES;
  }

  /** The log restarts after a snapshot: whatever it held is gone (F5, F6). */
  restore(snapshot: SnapshotMeta): void {
    this.#entries = [];
    this.#head = 0;
    this.#base = snapshot.index;
    this.#baseTerm = snapshot.term;
    this.#bytes = 0;
    this.#uncommittedBytes = 0;
    this.#commit = this.#handedToApply = this.#handedToWrite = snapshot.index;
    this.#stable = Math.min(this.#stable, snapshot.index);
    this.#confIndexes.length = 0;
    this.#snapshot = snapshot;
    this.#snapshotHanded = false;
    this.#sliced = NO_ENTRIES;
  }

  /** The snapshot at `at` is durable and thereby the state. Of two in quick succession only the later one counts (F8). */
  snapshotPersisted(at: number): void {
    if (this.#snapshot === null || this.#snapshot.index !== at) return;
    this.#snapshot = null;
    this.stableTo(at);
    this.appliedTo(at);
  }

  // ----------------------------------------------------------------------------------------------------------- slices

  /**
   * Entries from `from` on, as many as fit, at least one if there is one. Never mutated afterwards. `from` must be in
   * (base, last + 1].
   */
  slice(from: number, maxBytes: number): readonly Entry[] {
    const cached = this.#sliced;
    if (cached.length > 0 && (cached[0] as Entry).index === from && this.#slicedBytes <= maxBytes) {
      if ((cached[cached.length - 1] as Entry).index === this.last) return cached;
    }
    const entries = this.#entries;
    const start = this.#position(from);
    let end = start;
    let bytes = 0;
    while (end < entries.length) {
      const size = entryBytes(entries[end] as Entry);
      if (end > start && bytes + size > maxBytes) break;
      bytes += size;
      end++;
    }
    if (end === start) return NO_ENTRIES;
    this.#sliced = entries.slice(start, end);
    this.#slicedBytes = bytes;
    return this.#sliced;
  }

  /** Size of a slice that `slice` has just returned. */
  sliceBytes(entries: readonly Entry[]): number {
    if (entries === this.#sliced) return this.#slicedBytes;
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    return bytes;
  }

  #position(i: number): number {
    return i - this.#base - 1 + this.#head;
  }
}
