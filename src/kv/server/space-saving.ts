/**
 * The keys that weigh most in a stream, in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation
 * of frequent and top-k elements in data streams", ICDT 2005), with weights.
 *
 * There are so many counters and no more. A key that has none takes over the least of them, with what stands in it: that much
 * its count may be too high from then on (`error`), and never too low. So every key that weighs more than all weight
 * divided by the number of counters has one. Counters stand in a heap, the least first, each knowing its place.
 */
interface Counter {
  key: string;
  count: number;
  error: number;
  place: number;
}

export interface Heavy {
  readonly key: string;
  /** At least what the key weighs, at most that and `error`. */
  readonly count: number;
  readonly error: number;
}

export class SpaceSaving {
  readonly #capacity: number;
  readonly #counters = new Map<string, Counter>();
  readonly #heap: Counter[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** `weight` above 0. */
  add(key: string, weight: number): void {
    const known = this.#counters.get(key);
    if (known !== undefined) {
      known.count += weight;
      this.#sink(known);
    } else if (this.#heap.length < this.#capacity) {
      const counter: Counter = { key, count: weight, error: 0, place: this.#heap.length };
      this.#heap.push(counter);
      this.#counters.set(key, counter);
      this.#rise(counter);
    } else {
      const least = this.#heap[0]!;
      this.#counters.delete(least.key);
      least.key = key;
      least.error = least.count;
      least.count += weight;
      this.#counters.set(key, least);
      this.#sink(least);
    }
  }

  /** No key without a counter weighs more. */
  get floor(): number {
    return this.#heap.length < this.#capacity ? 0 : this.#heap[0]!.count;
  }

  /** Multiplies all there is; `factor` above 0. */
  scale(factor: number): void {
    for (const counter of this.#heap) {
      counter.count *= factor;
      counter.error *= factor;
    }
  }

  /** In no order. */
  entries(): readonly Heavy[] {
    return this.#heap.map(({ key, count, error }) => ({ key, count, error }));
  }

  #put(counter: Counter, place: number): void {
    this.#heap[place] = counter;
    counter.place = place;
  }

  #rise(counter: Counter): void {
    let { place } = counter;
    while (place > 0) {
      const above = this.#heap[(place - 1) >> 1]!;
      if (above.count <= counter.count) break;
      this.#put(above, place);
      place = (place - 1) >> 1;
    }
    this.#put(counter, place);
  }

  #sink(counter: Counter): void {
    let { place } = counter;
    for (;;) {
      const left = this.#heap[2 * place + 1];
      const right = this.#heap[2 * place + 2];
      const least = right !== undefined && right.count < left!.count ? right : left;
      if (least === undefined || least.count >= counter.count) break;
      const below = least.place;
      this.#put(least, place);
      place = below;
    }
    this.#put(counter, place);
  }
}
