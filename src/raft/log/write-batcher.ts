/**
 * The calling side of group commit: checks what groups ask for, encodes it into the open batch, and gives all callers of
 * one batch one promise. When a batch leaves is for the owner to decide.
 */
import type { GroupId, Index, Term } from '../core/index.js';
import type { LogWrite } from '../ports.js';
import { BatchEncoder, checkEntrySize } from './batch-encoder.js';
import type { StoredGroup } from './stored-group.js';

/** Those who wait for one batch. */
export interface BatchWaiters {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface ReadyBatch {
  /** Good until the next `take`. */
  readonly bytes: Buffer;
  /** null: nobody waits (a compaction point alone). */
  readonly waiters: BatchWaiters | null;
}

interface KnownGroup {
  readonly damaged: boolean;
  compacted: number;
  last: number;
}

export class WriteBatcher {
  readonly #encoder = new BatchEncoder();
  readonly #groups = new Map<GroupId, KnownGroup>();
  #waiters: BatchWaiters | null = null;

  constructor(recovered: readonly StoredGroup[]) {
    for (const { group, damaged, compacted, last } of recovered) {
      this.#groups.set(group, { damaged: damaged !== null, compacted: compacted.index, last });
    }
  }

  get empty(): boolean {
    return this.#encoder.empty;
  }

  /** Throws, having encoded nothing, on what no correct caller asks for. */
  append(write: LogWrite): Promise<void> {
    const known = this.#check(write);
    const { group, snapshot, hardState, entries } = write;
    const encoder = this.#encoder;
    if (snapshot !== null) {
      encoder.snapshot(group, snapshot);
      known.compacted = snapshot.index;
      known.last = snapshot.index;
    }
    if (entries.length > 0) {
      const before = entries[0]!.index - 1;
      if (before < known.last) encoder.truncate(group, before);
      encoder.entries(group, entries);
      known.last = before + entries.length;
    }
    if (hardState !== null) encoder.hardState(group, hardState);
    return this.#promise();
  }

  #check(write: LogWrite): KnownGroup {
    const { group, snapshot, entries } = write;
    const known = this.#groups.get(group);
    if (known?.damaged) throw new Error(`invariant: a write to group ${group}, whose log is damaged`);
    const base = snapshot !== null ? snapshot.index : known?.compacted;
    const last = snapshot !== null ? snapshot.index : known?.last;
    if (base === undefined || last === undefined) {
      throw new Error(`invariant: a write to group ${group}, which the log does not have`);
    }
    entries.forEach((entry, i) => {
      checkEntrySize(entry);
      if (entry.index !== entries[0]!.index + i)
        throw new Error(`invariant: entries of group ${group} are not in order`);
    });
    const first = entries[0]?.index;
    if (first !== undefined && (first <= base || first > last + 1)) {
      throw new Error(`invariant: entries of group ${group} from ${first}; its log has ${base + 1} to ${last}`);
    }
    if (known !== undefined) return known;
    const fresh: KnownGroup = { damaged: false, compacted: base, last };
    this.#groups.set(group, fresh);
    return fresh;
  }

  compact(group: GroupId, to: Index, toTerm: Term): void {
    const known = this.#groups.get(group);
    // The group may have been removed, or its log replaced by a snapshot, since the caller decided this.
    if (known === undefined || known.damaged || to <= known.compacted) return;
    if (to > known.last) throw new Error(`invariant: group ${group} compacted to ${to}; its log ends at ${known.last}`);
    known.compacted = to;
    this.#encoder.compacted(group, { index: to, term: toTerm });
  }

  remove(group: GroupId): Promise<void> {
    if (!this.#groups.delete(group)) throw new Error(`invariant: group ${group} removed, which the log does not have`);
    this.#encoder.removed(group);
    return this.#promise();
  }

  take(): ReadyBatch | null {
    const bytes = this.#encoder.take();
    if (bytes === null) return null;
    const waiters = this.#waiters;
    this.#waiters = null;
    return { bytes, waiters };
  }

  /** Those whose batch has not left yet will not see it leave. */
  fail(error: Error): void {
    this.#waiters?.reject(error);
    this.#waiters = null;
  }

  #promise(): Promise<void> {
    this.#waiters ??= newWaiters();
    return this.#waiters.promise;
  }
}

function newWaiters(): BatchWaiters {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((onDone, onFailed) => {
    resolve = onDone;
    reject = onFailed;
  });
  return { promise, resolve, reject };
}
