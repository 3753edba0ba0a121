/**
 * Rows that follow from records: the slot index, times of expiry. Their values say nothing that could carry a checksum, so they
 * are held to what the records call for: by slot, each row that is called for is added to a sum of hashes and each row that is
 * there is taken off. What is left is not zero where they differ, whatever the order in which they are read.
 */
import { SLOT_COUNT } from '../../../shardctrl/index.js';
import { addHash, hashPair, subtractHash } from '../digest.js';

export type DerivedKind = 'index' | 'expiry' | 'idempotencyExpiry';

interface Balance {
  readonly seed: number;
  /** Called for and not there, or (below zero) there and not called for. */
  readonly counts: Int32Array;
}

const balance = (seed: number): Balance => ({ seed, counts: new Int32Array(SLOT_COUNT) });

const WORDS: Readonly<Record<DerivedKind, string>> = {
  index: 'of the index of keys',
  expiry: 'of keys that expire',
  idempotencyExpiry: 'of idempotency records that expire',
};
const KINDS = ['index', 'expiry', 'idempotencyExpiry'] as const;

const rows = (count: number): string => `${count} ${count === 1 ? 'row' : 'rows'}`;

export class DerivedRows {
  readonly #left = new Uint32Array(SLOT_COUNT * 4);
  readonly #balances: Readonly<Record<DerivedKind, Balance>> = {
    index: balance(0x1d3a7c11),
    expiry: balance(0x1d3a7c13),
    idempotencyExpiry: balance(0x1d3a7c14),
  };

  /** A record calls for this row. */
  due(kind: DerivedKind, slot: number, key: Uint8Array, value: Uint8Array): void {
    const { seed, counts } = this.#balances[kind];
    hashPair(seed, key, value);
    addHash(this.#left, slot);
    counts[slot] = counts[slot]! + 1;
  }

  /** This row is there. */
  found(kind: DerivedKind, slot: number, key: Uint8Array, value: Uint8Array): void {
    const { seed, counts } = this.#balances[kind];
    hashPair(seed, key, value);
    subtractHash(this.#left, slot);
    counts[slot] = counts[slot]! - 1;
  }

  /** What is wrong with the slot's rows, once all have been read; null: nothing. */
  fault(slot: number): string | null {
    if (this.#isEven(slot)) return null;
    const parts = KINDS.flatMap((kind) => {
      const left = this.#balances[kind].counts[slot]!;
      if (left === 0) return [];
      return left > 0 ? [`${rows(left)} ${WORDS[kind]} missing`] : [`${rows(-left)} ${WORDS[kind]} too many`];
    });
    return parts.length === 0 ? 'rows of its index are those of other keys' : parts.join(', ');
  }

  #isEven(slot: number): boolean {
    for (let i = slot * 4; i < slot * 4 + 4; i++) if (this.#left[i] !== 0) return false;
    return true;
  }
}
