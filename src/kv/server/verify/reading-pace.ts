/**
 * How fast a view is read: no faster than asked for, and never more than half of the time, so that a node whose rows are small
 * and many still has the other half for its clients.
 */
import type { Clock } from '../../../raft/index.js';
import { delay } from '../waiting.js';

/** A single page may have waited long for the disk: that is no work of this process. */
const REST_MS_MAX = 100;

export class ReadingPace {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  #resumed_ms: number;

  constructor(clock: Clock, bytesPerS: number) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerS / 1_000;
    this.#resumed_ms = clock.monotonic_ms();
  }

  /** Resolves when the next page may be read after one of so many bytes. What a slow disk costs is not made up for. */
  async rest(bytes: number): Promise<void> {
    const worked_ms = this.#clock.monotonic_ms() - this.#resumed_ms;
    const early_ms = bytes / this.#bytesPerMs - worked_ms;
    await delay(this.#clock, Math.max(early_ms, Math.min(worked_ms, REST_MS_MAX)));
    this.#resumed_ms = this.#clock.monotonic_ms();
  }
}
