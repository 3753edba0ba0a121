/**
 * Chance from a seed: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state, its own counter in it. Streams are forked by
 * label, not by position: what one part draws never shifts what another part gets.
 */
import type { Random } from '../../../src/raft/index.js';

export class SimRandom implements Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: string | number) {
    this.#seed = String(seed);
    [this.#a, this.#b, this.#c] = hash(this.#seed);
    for (let i = 0; i < 15; i++) this.u32();
  }

  /** A stream of its own: the same for the same seed and label, whatever was drawn from this one before. */
  fork(label: string | number): SimRandom {
    return new SimRandom(`${this.#seed}/${label}`);
  }

  u32(): number {
    const out = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + out;
    this.#c |= 0;
    return out >>> 0;
  }

  next(): number {
    return (this.u32() * 0x20_0000 + (this.u32() >>> 11)) / 0x20_0000_0000_0000;
  }

  /** Uniform among the whole numbers from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** Uniform in [min, max). */
  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new Error('invariant: pick from nothing');
    return items[this.int(0, items.length - 1)]!;
  }

  /** A shuffled copy. */
  shuffle<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
}

/** Three words from a text: FNV-1a with three bases, each finished with the mixer of MurmurHash3. */
function hash(text: string): [number, number, number] {
  return [word(text, 0x811c9dc5), word(text, 0x9e3779b9), word(text, 0x85ebca6b)];
}

function word(text: string, base: number): number {
  let h = base;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}
