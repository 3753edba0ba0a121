/**
 * Who waits for which log entry. A proposal is answered by what is committed at its index: its own entry (same term), or
 * another one, and then it certainly never will be (state machine safety).
 */
import type { Index, Term } from '../core/index.js';

export interface ProposalWaiter {
  /** The entry was committed and applied here; `result` is the state machine's. */
  applied(result: unknown, index: Index): void;
  /** Certainly not applied, now or ever. */
  refused(reason: ProposalRefusal): void;
  /** May or may not be applied some day; this replica will not know. */
  unknown(): void;
}

export type ProposalRefusal = 'not_leader' | 'transferring' | 'overloaded' | 'disk_full' | 'superseded';

interface Pending {
  readonly term: Term;
  readonly waiter: ProposalWaiter;
  /** An earlier proposal of this replica for the same index, of an earlier term of leadership. */
  readonly next: Pending | null;
}

export class PendingProposals {
  readonly #byIndex = new Map<number, Pending>();
  /** Term of the last entry that was reported committed while somebody waited. */
  #term = 0;

  get size(): number {
    return this.#byIndex.size;
  }

  add(index: Index, term: Term, waiter: ProposalWaiter): void {
    this.#byIndex.set(index, { term, waiter, next: this.#byIndex.get(index) ?? null });
  }

  committed(index: Index, term: Term, result: unknown): void {
    if (this.#byIndex.size === 0) return;
    const pending = this.#byIndex.get(index) ?? null;
    if (pending !== null) this.#byIndex.delete(index);
    for (let p = pending; p !== null; p = p.next) {
      if (p.term === term) p.waiter.applied(result, index);
      else p.waiter.refused('superseded');
    }
    if (term > this.#term) {
      this.#term = term;
      this.#supersede(term);
    }
  }

  /** Terms only grow along a log: behind a committed entry of `term`, nothing of an earlier term can ever be committed. */
  #supersede(term: Term): void {
    const superseded: Pending[] = [];
    for (const [at, first] of this.#byIndex) {
      let kept: Pending | null = null;
      for (let p: Pending | null = first; p !== null; p = p.next) {
        if (p.term < term) superseded.push(p);
        else kept = { ...p, next: kept };
      }
      if (kept === null) this.#byIndex.delete(at);
      else this.#byIndex.set(at, kept);
    }
    for (const { waiter } of superseded) waiter.refused('superseded');
  }

  /** A snapshot jumped over these indexes: what was committed there is not known any more. */
  skippedTo(index: Index): void {
    const skipped: Pending[] = [];
    for (const [at, pending] of this.#byIndex) {
      if (at > index) continue;
      this.#byIndex.delete(at);
      skipped.push(pending);
    }
    for (const pending of skipped) for (let p: Pending | null = pending; p !== null; p = p.next) p.waiter.unknown();
  }

  abandonAll(): void {
    this.skippedTo(Number.MAX_SAFE_INTEGER as Index);
  }
}
