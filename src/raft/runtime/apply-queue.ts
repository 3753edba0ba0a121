/** Committed entries that wait to be applied, oldest first, and how much they hold. */
import type { Entry } from '../core/index.js';

/** Applied entries are let go when they are so many and the bigger part. */
const SHED_MIN = 4096;

export class ApplyQueue {
  #entries: Entry[] = [];
  #head = 0;
  #bytes = 0;

  get empty(): boolean {
    return this.#head === this.#entries.length;
  }

  /** Of the entries' data. */
  get bytes(): number {
    return this.#bytes;
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#bytes += entry.data.length;
    }
  }

  /** The next entries up to either limit; at least one if there is one. */
  take(maxEntries: number, maxBytes: number): readonly Entry[] {
    const entries = this.#entries;
    const from = this.#head;
    const end = Math.min(entries.length, from + maxEntries);
    let to = from;
    let bytes = 0;
    while (to < end && bytes < maxBytes) bytes += entries[to++]!.data.length;
    this.#bytes -= bytes;
    const whole = from === 0 && to === entries.length;
    const taken = whole ? entries : entries.slice(from, to);
    this.#head = to;
    if (to === entries.length) {
      this.#entries = [];
      this.#head = 0;
    } else if (to >= SHED_MIN && to * 2 > entries.length) {
      this.#entries = entries.slice(to);
      this.#head = 0;
    }
    return taken;
  }

  clear(): void {
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
