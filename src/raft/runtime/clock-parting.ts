/**
 * Whether the two clocks of a machine have parted. Where it sleeps, its monotonic clock stands still and its wall clock does
 * not; or the wall clock was set. Which of the two it was cannot be told.
 */
import type { Clock } from '../ports.js';

/** Clocks that run on part by less between two looks, which must be no more than some seconds apart. */
const PARTED_MS = 1_000;

export class ClockParting {
  readonly #clock: Clock;
  /** The wall clock minus the monotonic one, when they were last looked at. */
  #apart_ms: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#apart_ms = clock.wall_ms() - clock.monotonic_ms();
  }

  /** By how much they have parted since the last look, in either direction; 0: they have not. */
  look(monotonic_ms: number): number {
    const apart_ms = this.#clock.wall_ms() - monotonic_ms;
    const parted_ms = Math.abs(apart_ms - this.#apart_ms);
    this.#apart_ms = apart_ms;
    return parted_ms > PARTED_MS ? parted_ms : 0;
  }
}
