/**
 * When a request has to be answered. One for all its steps: each gets what those before it have left, so that a request of
 * several steps does not take its time several times over.
 */
import type { Clock } from '../../raft/index.js';

export class Deadline {
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #at_ms: number;

  constructor(clock: Pick<Clock, 'monotonic_ms'>, timeout_ms: number) {
    this.#clock = clock;
    this.#at_ms = clock.monotonic_ms() + timeout_ms;
  }

  /** Never below zero. */
  get left_ms(): number {
    return Math.max(0, this.#at_ms - this.#clock.monotonic_ms());
  }

  /** Nothing that takes `needed_ms` would be ready in time. */
  isOver(needed_ms = 0): boolean {
    return this.left_ms <= needed_ms;
  }
}
