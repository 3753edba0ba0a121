/**
 * How hard the bulk of a copy works. Beside clients: one page at a time, and then a rest, as long as the page took where the node
 * has time to spare, and many times as long where it has none; a page that waits behind what clients ask for takes long
 * anyway, so what was measured is how busy the node was since the last page, whoever kept it busy. Where nobody asks for
 * anything: several pages at once, without a rest. And never more bytes than the plan's rate allows.
 */
import type { Clock } from '../../raft/index.js';

/** Up to here a rest is as long as a page took; from there on it is the longest. */
const BUSY_FROM = 0.4;
const BUSY_TO = 0.6;
const RESTS_MAX = 10;
const REST_MS_MAX = 500;
/**
 * Half of the time that a copy is given is for resting, and of what is left of that no rest takes more than this share: whoever
 * has many pages rests less and less, and comes to an end.
 */
const RESTING_SHARE = 1 / 2;
const REST_SHARE_MAX = 1 / 20;
/** Of 32 KiB each. */
const PAGES_AT_ONCE = 4;

/** What a node is asked for, and what it does. */
export interface NodeWork {
  /** How many requests of clients it has taken. */
  readonly requests: () => number;
  /** For how long its event loop has been at work, milliseconds. */
  readonly busy_ms: () => number;
}

export interface CopyPaceOptions extends NodeWork {
  readonly clock: Clock;
  /** Bytes a second; null: no limit. */
  readonly maxRate: number | null;
  /** Monotonic: when it has to be done; Infinity: when it is done. */
  readonly deadline_ms: number;
}

export class CopyPace {
  readonly #options: CopyPaceOptions;
  readonly #began_ms: number;
  #sent_bytes = 0;
  #requests: number;
  #looked_ms: number;
  #busy_ms: number;
  #restLeft_ms: number;
  #alone = false;

  constructor(options: CopyPaceOptions) {
    this.#options = options;
    this.#began_ms = this.#looked_ms = options.clock.monotonic_ms();
    this.#requests = options.requests();
    this.#busy_ms = options.busy_ms();
    this.#restLeft_ms = (options.deadline_ms - this.#began_ms) * RESTING_SHARE;
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
    const rests = restsAt(this.#utilization(now_ms));
    const most_ms = Math.min(REST_MS_MAX, this.#restLeft_ms * REST_SHARE_MAX);
    const fair_ms = this.#alone ? 0 : Math.min(rests * (now_ms - pageBegan_ms), most_ms);
    this.#restLeft_ms -= fair_ms;
    if (maxRate === null) return fair_ms;
    const due_ms = this.#began_ms + (this.#sent_bytes * 1000) / maxRate;
    return Math.max(fair_ms, due_ms - now_ms);
  }

  /** Of the node since the last look, from 0 to 1. */
  #utilization(now_ms: number): number {
    const busy_ms = this.#options.busy_ms();
    const [passed_ms, worked_ms] = [now_ms - this.#looked_ms, busy_ms - this.#busy_ms];
    this.#looked_ms = now_ms;
    this.#busy_ms = busy_ms;
    return passed_ms <= 0 ? 0 : worked_ms / passed_ms;
  }
}

/** How many times as long as the page took. */
function restsAt(utilization: number): number {
  const share = (utilization - BUSY_FROM) / (BUSY_TO - BUSY_FROM);
  return 1 + (RESTS_MAX - 1) * Math.min(1, Math.max(0, share));
}
