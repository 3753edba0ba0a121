/**
 * How long the bulk of a copy rests between two pages: as long as the page took, so that the shards have half of the time for
 * their clients; and at least until the bytes sent so far are what the plan's rate allows.
 */
import type { Clock } from '../../raft/index.js';

const REST_MS_MAX = 100;

export class CopyPace {
  readonly #clock: Clock;
  readonly #maxRate: number | null;
  readonly #began_ms: number;
  #sent_bytes = 0;

  /** `maxRate` in bytes a second; null: no limit. */
  constructor(clock: Clock, maxRate: number | null) {
    this.#clock = clock;
    this.#maxRate = maxRate;
    this.#began_ms = clock.monotonic_ms();
  }

  /** After a page of so many bytes that was begun then and has been confirmed. */
  rest_ms(bytes: number, pageBegan_ms: number): number {
    this.#sent_bytes += bytes;
    const now_ms = this.#clock.monotonic_ms();
    const fair_ms = Math.min(now_ms - pageBegan_ms, REST_MS_MAX);
    if (this.#maxRate === null) return fair_ms;
    const due_ms = this.#began_ms + (this.#sent_bytes * 1000) / this.#maxRate;
    return Math.max(fair_ms, due_ms - now_ms);
  }
}
