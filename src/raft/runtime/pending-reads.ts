/**
 * Reads that wait for a ReadIndex (dissertation, section 6.4): all that arrive in one turn share one request; an answer
 * frees them once the state machine has applied its index.
 */
import type { Index, ReadState } from '../core/index.js';

export interface ReadWaiter {
  /** The applied state now contains everything acknowledged before the read was asked for. */
  ready(): void;
  /** The replica stops; ask elsewhere. */
  refused(): void;
}

interface Round {
  readonly waiters: readonly ReadWaiter[];
  readonly askedAtTick: number;
}

interface Confirmed {
  readonly index: Index;
  readonly waiters: readonly ReadWaiter[];
}

export class PendingReads {
  #fresh: ReadWaiter[] = [];
  readonly #asked = new Map<number, Round>();
  #confirmed: Confirmed[] = [];
  #context = 0;

  get waiting(): boolean {
    return this.#fresh.length > 0;
  }

  add(waiter: ReadWaiter): void {
    this.#fresh.push(waiter);
  }

  /** `ask` returns false where no leader is known: the reads stay and are asked again at the next tick. */
  askAll(ask: (context: number) => boolean, tick: number): void {
    if (this.#fresh.length === 0) return;
    const context = ++this.#context;
    if (!ask(context)) return;
    this.#asked.set(context, { waiters: this.#fresh, askedAtTick: tick });
    this.#fresh = [];
  }

  answered(states: readonly ReadState[]): void {
    for (const state of states) {
      const round = this.#asked.get(state.context);
      if (round === undefined) continue;
      this.#asked.delete(state.context);
      if (state.index === null) for (const waiter of round.waiters) this.#fresh.push(waiter);
      else this.#confirmed.push({ index: state.index, waiters: round.waiters });
    }
  }

  /** A request or its answer may be lost between nodes: what waits longer than `ticks` is asked again. */
  askAgain(now: number, ticks: number): void {
    for (const [context, round] of this.#asked) {
      if (now - round.askedAtTick < ticks) return;
      this.#asked.delete(context);
      for (const waiter of round.waiters) this.#fresh.push(waiter);
    }
  }

  applied(index: Index): void {
    if (this.#confirmed.length === 0) return;
    const rest: Confirmed[] = [];
    const now: Confirmed[] = [];
    for (const confirmed of this.#confirmed) (confirmed.index <= index ? now : rest).push(confirmed);
    this.#confirmed = rest;
    for (const confirmed of now) for (const waiter of confirmed.waiters) waiter.ready();
  }

  abandonAll(): void {
    const all = [...this.#fresh];
    for (const round of this.#asked.values()) all.push(...round.waiters);
    for (const confirmed of this.#confirmed) all.push(...confirmed.waiters);
    this.#fresh = [];
    this.#asked.clear();
    this.#confirmed = [];
    for (const waiter of all) waiter.refused();
  }
}
