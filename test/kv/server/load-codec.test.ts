import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeRates,
  decodeSizes,
  encodeRates,
  encodeSizes,
  loadAnswerSchema,
} from '../../../src/kv/server/load-codec.js';

const slot = fc.integer({ min: 0, max: 16_383 });
const rate = fc.float({ min: 0, noNaN: true, noDefaultInfinity: true });
const rates = fc.array(fc.record({ slot, reads: rate, writes: rate }));
const sizes = fc.array(fc.record({ slot, bytes: fc.nat() }));
const answer = (table: Uint8Array, size: Uint8Array = Buffer.alloc(0)) => ({
  rates: table,
  leads: [{ shard: 1, term: 2, sizes: size }],
  keys: [],
  floor: 0,
});

describe('what nodes tell each other of their load', () => {
  it('comes out as it went in', () => {
    fc.assert(
      fc.property(rates, sizes, (listed, stored) => {
        const parsed = loadAnswerSchema.parse(answer(encodeRates(listed), encodeSizes(stored)));
        expect([...decodeRates(parsed.rates)]).toEqual(listed);
        expect([...decodeSizes(parsed.leads[0]!.sizes)]).toEqual(stored);
      }),
    );
  });

  it('is refused where it is no such table: cut off, no slot, no amount', () => {
    const taken = (table: Uint8Array, size?: Uint8Array) => loadAnswerSchema.safeParse(answer(table, size)).success;
    expect(taken(encodeRates([{ slot: 1, reads: 1, writes: 1 }]).subarray(1))).toBe(false);
    expect(taken(encodeRates([{ slot: 16_384, reads: 1, writes: 1 }]))).toBe(false);
    expect(taken(encodeRates([{ slot: 1, reads: Number.NaN, writes: 1 }]))).toBe(false);
    expect(taken(encodeRates([{ slot: 1, reads: 1, writes: -1 }]))).toBe(false);
    expect(taken(Buffer.alloc(0), encodeSizes([{ slot: 20_000, bytes: 1 }]))).toBe(false);
    expect(taken(Buffer.alloc(0), encodeSizes([{ slot: 1, bytes: Number.POSITIVE_INFINITY }]))).toBe(false);
    expect(taken(Buffer.alloc(0), Buffer.alloc(9))).toBe(false);
    expect(taken(Buffer.alloc(0))).toBe(true);
  });
});
