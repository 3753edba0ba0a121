/**
 * When what arrives now was sent, at the earliest that this node can rule out: messages have no times on them, and those
 * that a process finds in its sockets after a pause (SIGSTOP, a suspended machine) look as new as any. So what arrives counts
 * as of the last tick; where ticks came late, as of the last one before that, until a heartbeat's time has passed without
 * such a gap and what lay there has been read.
 *
 * All times are of a clock of its own. Where the machine sleeps, its monotonic clock stands still and its wall clock does
 * not; so when the two have parted, this one goes on by as much. It may be the wall clock that was set: then all seems old
 * until it has been heard anew, which takes three heartbeats at most.
 */
import type { Clock } from '../ports.js';
import { ClockParting } from './clock-parting.js';
import { TICKS_PER_HEARTBEAT } from './environment.js';

/** Of more ticks ago nothing is known: longer than any election timeout that makes sense. */
const HISTORY = 256;

export class Pulse {
  readonly #clock: Clock;
  readonly #late_ms: number;
  /** When the last ticks were, one more than a heartbeat has. */
  readonly #ticks: number[];
  /** As of when what came after a tick counts; by the number of the tick. */
  readonly #asOf = new Array<number>(HISTORY).fill(Number.NEGATIVE_INFINITY);
  #count = 0;
  readonly #parting: ClockParting;
  /** By how much wall and monotonic clock have parted, in either direction, all in all. */
  #slept_ms = 0;

  constructor(clock: Clock, heartbeat_ms: number) {
    this.#clock = clock;
    this.#late_ms = heartbeat_ms;
    this.#parting = new ClockParting(clock);
    this.#ticks = [clock.monotonic_ms()];
    this.#asOf[0] = this.#ticks[0]!;
  }

  /** Never goes back. Only to be compared with what `asOf_ms` says. */
  now_ms(): number {
    const monotonic_ms = this.#clock.monotonic_ms();
    this.#slept_ms += this.#parting.look(monotonic_ms);
    return monotonic_ms + this.#slept_ms;
  }

  tick(): void {
    const ticks = this.#ticks;
    ticks.push(this.now_ms());
    if (ticks.length > TICKS_PER_HEARTBEAT + 1) ticks.shift();
    let asOf_ms = ticks.at(-1)!;
    // From the last gap to the first: what came before the first late one was read before it.
    for (let i = ticks.length - 1; i > 0; i--) if (ticks[i]! - ticks[i - 1]! > this.#late_ms) asOf_ms = ticks[i - 1]!;
    this.#count++;
    this.#asOf[this.#count % HISTORY] = asOf_ms;
  }

  /** What has arrived after the last tick but `ticksAgo` was sent after this moment, or shortly before. */
  asOf_ms(ticksAgo = 0): number {
    if (ticksAgo >= HISTORY || ticksAgo > this.#count) return Number.NEGATIVE_INFINITY;
    return this.#asOf[(this.#count - ticksAgo) % HISTORY]!;
  }
}
