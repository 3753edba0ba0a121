/**
 * What this node's replicas have been asked for lately: requests a second by slot, reads and writes apart, and the keys that
 * are asked for most. It counts what replicas here carry out, as leader or as follower (any replica serves reads), and
 * never what is only passed on: so what all nodes say adds up to what the cluster does, whoever leads, and a slot that
 * moves takes its load along. It is in memory only: a process that ends takes its part with it.
 *
 * Counting is on the path of every request, so it is one addition to one array, without a clock and without garbage. The
 * decay is forward (Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay", ICDE 2009): what has been counted does not shrink as
 * time passes, but each new request counts for more, twice as much after each half-life; whoever reads divides by what one
 * counts for at that moment. The weight is computed once a second; once an hour everything is scaled back to it.
 *
 * Keys go into a sketch (`space-saving.ts`), one request in sixteen, at chance: a key has to be copied for it.
 */
import type { Clock, Random, Timer } from '../../raft/index.js';
import { SLOT_COUNT } from '../../shardctrl/index.js';
import { SpaceSaving } from './space-saving.js';

export const HALF_LIFE_S = 60;
/** With keys of 1 KiB each the sketch takes some 300 KiB; the arrays of slots take 256 KiB. */
const KEYS_COUNTED = 256;
/** One request in so many has its key counted, for so many. */
const SAMPLE = 16;
const BEAT_MS = 1_000;
/** Weights grow to 2^60 in between, far from where doubles end. */
const RESCALE_S = 60 * HALF_LIFE_S;
/** Slower than one request in a quarter of an hour is no load. */
const RATE_MIN = 0.001;

/** Counts requests; each answer is whether `note` should be told of its key. */
export interface RequestCounter {
  read(slot: number): boolean;
  wrote(slot: number): boolean;
  note(key: Uint8Array): void;
}

export interface SlotRate {
  readonly slot: number;
  /** A second. */
  readonly reads: number;
  readonly writes: number;
}

/** In requests a second. */
export interface KeyRate {
  readonly key: Buffer;
  readonly rate: number;
  /** What the sketch may have counted too much. */
  readonly excess: number;
  /** Standard deviation of what sampling makes of it. */
  readonly deviation: number;
}

export interface HeavyKeys {
  readonly keys: readonly KeyRate[];
  /** No key that is not among them has more, in requests a second. */
  readonly floor: number;
}

export class LoadMeter implements RequestCounter {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #reads = new Float64Array(SLOT_COUNT);
  readonly #writes = new Float64Array(SLOT_COUNT);
  readonly #keys = new SpaceSaving(KEYS_COUNTED);
  readonly #begun_ms: number;
  /** When a request counted for one. */
  #landmark_ms: number;
  #weight = 1;
  /** Requests until the next key is counted. */
  #left = 1;
  #timer: Timer;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#begun_ms = clock.monotonic_ms();
    this.#landmark_ms = this.#begun_ms;
    this.#timer = clock.after(BEAT_MS, () => this.#beat());
  }

  read(slot: number): boolean {
    this.#reads[slot]! += this.#weight;
    return this.#isSampled();
  }

  wrote(slot: number): boolean {
    this.#writes[slot]! += this.#weight;
    return this.#isSampled();
  }

  /** Steps of random length: clients that go round in a circle would else always show the same key. */
  #isSampled(): boolean {
    if (--this.#left > 0) return false;
    this.#left = 1 + Math.floor(this.#random.next() * (2 * SAMPLE - 1));
    return true;
  }

  note(key: Uint8Array): void {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    this.#keys.add(bytes.toString('latin1'), SAMPLE * this.#weight);
  }

  #beat(): void {
    this.#timer = this.#clock.after(BEAT_MS, () => this.#beat());
    this.#weight = this.#weightNow();
    if (this.#weight > 2 ** (RESCALE_S / HALF_LIFE_S)) this.#rescale();
  }

  #weightNow(): number {
    return 2 ** ((this.#clock.monotonic_ms() - this.#landmark_ms) / 1_000 / HALF_LIFE_S);
  }

  #rescale(): void {
    const factor = 1 / this.#weight;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      this.#reads[slot]! *= factor;
      this.#writes[slot]! *= factor;
    }
    this.#keys.scale(factor);
    this.#landmark_ms = this.#clock.monotonic_ms();
    this.#weight = 1;
  }

  // ------------------------------------------------------------------------------------------------------------ readings

  /**
   * Seconds of a steady load that the counts are worth; of their squares with half the half-life. A meter that has just
   * begun is worth no more than it has seen, so that it does not show too little for minutes.
   */
  #window_s(halfLife_s: number): number {
    const age_s = Math.max(BEAT_MS, this.#clock.monotonic_ms() - this.#begun_ms) / 1_000;
    return (halfLife_s / Math.LN2) * (1 - 2 ** (-age_s / halfLife_s));
  }

  /** What a count has to be multiplied with to be requests a second. */
  #scale(): number {
    return 1 / this.#weightNow() / this.#window_s(HALF_LIFE_S);
  }

  /** Slots that have any load, ascending. */
  slots(): readonly SlotRate[] {
    const scale = this.#scale();
    const rates: SlotRate[] = [];
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const reads = this.#reads[slot]! * scale;
      const writes = this.#writes[slot]! * scale;
      if (reads + writes >= RATE_MIN) rates.push({ slot, reads, writes });
    }
    return rates;
  }

  /** Of all the slots together, inclusive ranges. */
  sum(ranges: readonly (readonly [first: number, last: number])[]): {
    readonly reads: number;
    readonly writes: number;
  } {
    let reads = 0;
    let writes = 0;
    for (const [first, last] of ranges) {
      for (let slot = first; slot <= last; slot++) {
        reads += this.#reads[slot]!;
        writes += this.#writes[slot]!;
      }
    }
    const scale = this.#scale();
    return { reads: reads * scale, writes: writes * scale };
  }

  /** Those asked for most, in no order. */
  keys(): HeavyKeys {
    const scale = this.#scale();
    const keys = this.#keys.entries().map(({ key, count, error }): KeyRate => {
      const rate = count * scale;
      return { key: Buffer.from(key, 'latin1'), rate, excess: error * scale, deviation: this.#deviation(rate) };
    });
    return { keys, floor: this.#keys.floor * scale };
  }

  #deviation(rate: number): number {
    return Math.sqrt((SAMPLE - 1) * rate * this.#window_s(HALF_LIFE_S / 2)) / this.#window_s(HALF_LIFE_S);
  }

  close(): void {
    this.#timer.cancel();
  }
}
