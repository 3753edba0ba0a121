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

/**
 * Those of one term of leadership, in the order of their indexes: a queue, from whose head committed ones leave. An array
 * with a head, not a `Map`, whose old tables would keep everything alive that comes after them (README).
 */
class TermQueue {
  readonly term: Term;
  readonly #indexes: number[] = [];
  readonly #waiters: (ProposalWaiter | null)[] = [];
  #head = 0;

  constructor(term: Term) {
    this.term = term;
  }

  get size(): number {
    return this.#indexes.length - this.#head;
  }

  push(index: Index, waiter: ProposalWaiter): void {
    const last = this.#indexes.at(-1);
    if (this.size > 0 && index <= (last as number)) throw new Error('invariant: a leader proposes at growing indexes');
    this.#indexes.push(index);
    this.#waiters.push(waiter);
  }

  /** Whoever waits for exactly this index, if he is next. */
  take(index: Index): ProposalWaiter | null {
    return this.#indexes[this.#head] === index ? this.#shift() : null;
  }

  /** Those who wait for an index up to this one. */
  takeUpTo(index: Index): ProposalWaiter[] {
    const taken: ProposalWaiter[] = [];
    while (this.size > 0 && this.#indexes[this.#head]! <= index) taken.push(this.#shift());
    return taken;
  }

  #shift(): ProposalWaiter {
    const waiter = this.#waiters[this.#head]!;
    this.#waiters[this.#head] = null;
    this.#head++;
    if (this.#head === this.#indexes.length || this.#head >= SHIFTED_MAX) {
      this.#indexes.splice(0, this.#head);
      this.#waiters.splice(0, this.#head);
      this.#head = 0;
    }
    return waiter;
  }
}

/** Places before the head of a queue that stay empty. */
const SHIFTED_MAX = 4_096;

export class PendingProposals {
  /** By growing terms. All but the last are of leaderships that were lost. */
  #queues: TermQueue[] = [];
  /** Term of the last entry that was reported committed while somebody waited. */
  #term = 0;

  get size(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.size, 0);
  }

  /** `index` grows within a term, terms never shrink. */
  add(index: Index, term: Term, waiter: ProposalWaiter): void {
    let queue = this.#queues.at(-1);
    if (queue === undefined || queue.term !== term) {
      queue = new TermQueue(term);
      this.#queues.push(queue);
    }
    queue.push(index, waiter);
  }

  committed(index: Index, term: Term, result: unknown): void {
    if (this.#queues.length === 0) return;
    for (const queue of this.#queues) {
      const waiter = queue.take(index);
      if (waiter === null) continue;
      if (queue.term === term) waiter.applied(result, index);
      else waiter.refused('superseded');
    }
    if (term > this.#term) {
      this.#term = term;
      this.#supersede(term);
    }
  }

  /** Terms only grow along a log: behind a committed entry of `term`, nothing of an earlier term can ever be committed. */
  #supersede(term: Term): void {
    const superseded = this.#queues.filter((queue) => queue.term < term);
    if (superseded.length === 0) return;
    this.#queues = this.#queues.filter((queue) => queue.term >= term);
    for (const queue of superseded) for (const waiter of queue.takeUpTo(LAST_INDEX)) waiter.refused('superseded');
  }

  /** A snapshot jumped over these indexes: what was committed there is not known any more. */
  skippedTo(index: Index): void {
    const skipped = this.#queues.flatMap((queue) => queue.takeUpTo(index));
    for (const waiter of skipped) waiter.unknown();
  }

  abandonAll(): void {
    this.skippedTo(LAST_INDEX);
  }
}

const LAST_INDEX = Number.MAX_SAFE_INTEGER as Index;
