/**
 * How hard the bulk of a copy works. Beside clients: one page at a time, and then a rest for as long as the page took, so that
 * they have half of the time. Where nobody asks for anything: several pages at once, without a rest. And never more bytes than
 * the plan's rate allows.
 */
import type { Clock } from '../../raft/index.js';

const REST_MS_MAX = 100;
/** Of 32 KiB each. */
const PAGES_AT_ONCE = 4;

export interface CopyPaceOptions {
  readonly clock: Clock;
  /** Bytes a second; null: no limit. */
  readonly maxRate: number | null;
  /** How many requests of clients this node has taken. */
  readonly requests: () => number;
}

export class CopyPace {
  readonly #options: CopyPaceOptions;
  readonly #began_ms: number;
  #sent_bytes = 0;
  #requests: number;
  #alone = false;

  constructor(options: CopyPaceOptions) {
    this.#options = options;
    this.#began_ms = options.clock.monotonic_ms();
    this.#requests = options.requests();
  }

  /** How many pages may be on their way. */
  get atOnce(): number {
    return this.#alone && this.#options.maxRate === null ? PAGES_AT_ONCE : 1;
  }

  /** How long to rest after a page of so many bytes that was begun then and has been confirmed. */
  rest_ms(bytes: number, pageBegan_ms: number): number {
    const { clock, maxRate, requests } = this.#options;
    const now_ms = clock.monotonic_ms();
    const seen = requests();
    this.#alone = seen === this.#requests;
    this.#requests = seen;
    this.#sent_bytes += bytes;
    const fair_ms = this.#alone ? 0 : Math.min(now_ms - pageBegan_ms, REST_MS_MAX);
    if (maxRate === null) return fair_ms;
    const due_ms = this.#began_ms + (this.#sent_bytes * 1000) / maxRate;
    return Math.max(fair_ms, due_ms - now_ms);
  }
}
