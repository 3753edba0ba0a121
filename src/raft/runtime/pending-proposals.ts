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

export type ProposalRefusal = 'not_leader' | 'transferring' | 'overloaded' | 'superseded';

interface Pending {
  readonly term: Term;
  readonly waiter: ProposalWaiter;
  /** An earlier proposal of this replica for the same index, of an earlier term of leadership. */
  readonly next: Pending | null;
}

export class PendingProposals {
  readonly #byIndex = new Map<number, Pending>();

  get size(): number {
    return this.#byIndex.size;
  }

  add(index: Index, term: Term, waiter: ProposalWaiter): void {
    this.#byIndex.set(index, { term, waiter, next: this.#byIndex.get(index) ?? null });
  }

  committed(index: Index, term: Term, result: unknown): void {
    if (this.#byIndex.size === 0) return;
    let pending = this.#byIndex.get(index) ?? null;
    if (pending === null) return;
    this.#byIndex.delete(index);
    for (; pending !== null; pending = pending.next) {
      if (pending.term === term) pending.waiter.applied(result, index);
      else pending.waiter.refused('superseded');
    }
  }

  /** A snapshot jumped over these indexes: what was committed there is not known any more. */
  skippedTo(index: Index): void {
    for (const [at, pending] of this.#byIndex) {
      if (at > index) continue;
      this.#byIndex.delete(at);
      for (let p: Pending | null = pending; p !== null; p = p.next) p.waiter.unknown();
    }
  }

  abandonAll(): void {
    this.skippedTo(Number.MAX_SAFE_INTEGER as Index);
  }
}
