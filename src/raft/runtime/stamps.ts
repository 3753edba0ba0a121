/**
 * Numbers that a follower puts on its answers to heartbeats. Its leader sends the last one back with the next heartbeat: so that
 * one was sent after the answer, however long it has been under way since, be it behind entries, in sockets, or in front of a
 * process that was paused. Clocks of two nodes are never compared.
 */
import type { Random } from '../ports.js';

/** Answers whose times are known. More of them are under way only on a line on which nothing is fresh. */
const KEPT = 1024;
const FIRST_MAX = 2 ** 48;

export class Stamps {
  readonly #sent_ms = new Float64Array(KEPT);
  readonly #first: number;
  #next: number;

  /** Begins anywhere: what comes back may be of a process that has ended. */
  constructor(random: Random) {
    this.#first = 1 + Math.floor(random.next() * FIRST_MAX);
    this.#next = this.#first;
  }

  /** For an answer that goes now. */
  take(now_ms: number): number {
    this.#sent_ms[this.#next % KEPT] = now_ms;
    return this.#next++;
  }

  /** null: not of this process, or too long ago. */
  sentAt_ms(stamp: number): number | null {
    const known = stamp >= Math.max(this.#first, this.#next - KEPT) && stamp < this.#next;
    return known ? this.#sent_ms[stamp % KEPT]! : null;
  }
}
