/**
 * Reads that wait for a ReadIndex (dissertation, section 6.4): all that arrive in one turn share one request; an answer
 * frees them once the state machine has applied its index. The core answers each request sooner or later, be it with
 * "lost": then they are asked again. (Asking again by the clock would drop answers that are merely slow, for ever.)
 */
import type { Index, ReadState } from '../core/index.js';

export interface ReadWaiter {
  /**
   * The applied state now contains everything acknowledged before the read was asked for. What this throws ends the replica, as
   * damage; then `refused` follows.
   */
  ready(): void;
  /** The replica stops, or too many reads wait here already; ask elsewhere. */
  refused(): void;
}

interface Asked {
  readonly context: number;
  readonly waiters: readonly ReadWaiter[];
}

interface Confirmed {
  readonly index: Index;
  readonly waiters: readonly ReadWaiter[];
}

/** Without a leader nobody is answered, and those who ask do not stop asking (F42). */
const WAITING_MAX = 65_536;

export class PendingReads {
  #fresh: ReadWaiter[] = [];
  /** Few: in the order of their contexts. Not a Map, whose old tables would keep the waiters of later rounds alive (README). */
  #asked: Asked[] = [];
  #confirmed: Confirmed[] = [];
  #size = 0;
  #context = 0;
  #abandoned = false;

  /** Somebody's question is still to be asked. */
  get waiting(): boolean {
    return this.#fresh.length > 0;
  }

  /** False: too many wait already. */
  add(waiter: ReadWaiter): boolean {
    if (this.#size >= WAITING_MAX) return false;
    this.#size++;
    this.#fresh.push(waiter);
    return true;
  }

  /** `ask` returns false where no leader is known: the reads stay and are asked again at the next tick. */
  askAll(ask: (context: number) => boolean): void {
    if (this.#fresh.length === 0) return;
    const context = ++this.#context;
    if (!ask(context)) return;
    this.#asked.push({ context, waiters: this.#fresh });
    this.#fresh = [];
  }

  answered(states: readonly ReadState[]): void {
    for (const { context, index } of states) {
      const at = this.#asked.findIndex((asked) => asked.context === context);
      if (at < 0) continue;
      const [{ waiters }] = this.#asked.splice(at, 1) as [Asked];
      if (index !== null) this.#confirmed.push({ index, waiters });
      else if (this.#fresh.length === 0) this.#fresh = [...waiters];
      else for (const waiter of waiters) this.#fresh.push(waiter);
    }
  }

  applied(index: Index): void {
    for (;;) {
      const at = this.#confirmed.findIndex((confirmed) => confirmed.index <= index);
      if (at < 0) return;
      const [confirmed] = this.#confirmed.splice(at, 1) as [Confirmed];
      this.#serve(confirmed);
    }
  }

  /**
   * A waiter that throws has found what ends the replica: it and those behind it wait on, to be refused with all others. One
   * that ends the replica by itself has had its answer; those behind it are refused.
   */
  #serve({ index, waiters }: Confirmed): void {
    let served = 0;
    try {
      while (served < waiters.length && !this.#abandoned) {
        waiters[served]!.ready();
        served++;
      }
    } finally {
      if (this.#abandoned) for (const waiter of waiters.slice(served)) waiter.refused();
      else {
        this.#size -= served;
        if (served < waiters.length) this.#confirmed.push({ index, waiters: waiters.slice(served) });
      }
    }
  }

  /** Nobody is added any more. */
  abandonAll(): void {
    this.#abandoned = true;
    const all = [...this.#fresh];
    for (const { waiters } of this.#asked) for (const waiter of waiters) all.push(waiter);
    for (const { waiters } of this.#confirmed) for (const waiter of waiters) all.push(waiter);
    this.#fresh = [];
    this.#asked = [];
    this.#confirmed = [];
    this.#size = 0;
    for (const waiter of all) waiter.refused();
  }
}
