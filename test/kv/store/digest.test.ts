/** Hashes of records and their sums. Shards on different builds compare them, so what they are must not change. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addHash,
  addSum,
  digestText,
  hash,
  hashPair,
  hashWords,
  subtractHash,
  subtractSum,
} from '../../../src/kv/store/digest.js';
import { encodeIdempotency, hashIdempotency } from '../../../src/kv/store/idempotency-codec.js';
import { placeOf } from '../../../src/kv/store/key-layout.js';
import { encodeRecord, hashRecord } from '../../../src/kv/store/record-codec.js';

const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff));
const ofPair = (seed: number, a: Uint8Array, b: Uint8Array, from?: number, to?: number): string => {
  hashPair(seed, a, b, from, to);
  return digestText(hash);
};

describe('hashes', () => {
  it('of pairs of byte strings are what they were in every build of this format', () => {
    const found = [0, 1, 15, 16, 17, 32, 45].map((length) => ofPair(7, bytes(length), bytes(49 - length)));
    expect(found).toEqual([
      '4dbb5fbd8db8c497a8b283bef0eb8cd4',
      'bf7074d38d9a22f48d907cead2f77cd7',
      '1963ef250c862e531cd365dc023d8123',
      '838b921cdb1dcbea0d2dcf70fe919f6b',
      'bcbc39006287e0823323c7d9a99e1aba',
      '64e0a7583e21057e975d2b5ac649c40a',
      '4ea853305fcc4353a2a305e441e4bc54',
    ]);
  });

  it('of records take in all but their place on the disk', () => {
    const key = Buffer.from('ab');
    const fields = { slot: 1, contentType: 'text/x-mine', revision: 258, version: 2, expires_ms: 1_000_000 };
    hashRecord(key, encodeRecord(key, fields, Buffer.from('hello')));
    const record = digestText(hash);
    const place = placeOf(1, key, 'tok');
    hashIdempotency(place, encodeIdempotency(place, 1, Buffer.alloc(16, 7), 1_000_000, { kind: 'missing' }));
    expect([record, digestText(hash)]).toEqual([
      'c2f699f8636377ceda28c59b88d811da',
      '4a07ad6914383bdb85b93fbb2add2f82',
    ]);
  });

  it('of slots in their moves are what they were in every build of this format', () => {
    hashWords(
      0x77c1a0f3,
      Int32Array.from({ length: 16 }, (_, i) => Math.imul(i + 1, 0x9e3779b1)),
    );
    expect(digestText(hash)).toBe('b7a4abb478a880072016725ece0c4831');
  });

  it('tell apart where one string ends and the other begins, and what zeroes fill up', () => {
    const parts = [
      ['', 'ab'],
      ['a', 'b'],
      ['ab', ''],
      ['ab', '\0'],
      ['ab\0', ''],
    ].map(([a, b]) => ofPair(1, Buffer.from(a!), Buffer.from(b!)));
    expect(new Set(parts).size).toBe(parts.length);
    expect(ofPair(2, Buffer.from('a'), Buffer.from('b'))).not.toBe(ofPair(1, Buffer.from('a'), Buffer.from('b')));
  });

  it('of a part of a string are those of that part', () => {
    expect(ofPair(1, bytes(3), bytes(60), 10, 50)).toBe(ofPair(1, bytes(3), bytes(60).subarray(10, 50)));
  });
});

describe('sums of hashes', () => {
  const words = fc.array(fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff, 0xffff_fffe), fc.nat(0xffff_ffff)), {
    minLength: 4,
    maxLength: 4,
  });
  const numberOf = (sum: Uint32Array): bigint => BigInt(`0x${digestText(sum)}`);
  const MODULUS = 1n << 128n;

  it('are those of numbers modulo 2^128, and differences undo them', () => {
    fc.assert(
      fc.property(words, words, (one, other) => {
        const [a, b] = [Uint32Array.from(one), Uint32Array.from(other)];
        const expected = (numberOf(a) + numberOf(b)) % MODULUS;
        // The sum stands at the second place, what is before and after it stays.
        const sums = Uint32Array.from([9, 9, 9, 9, ...a, 9, 9, 9, 9]);
        hash.set(b);
        addHash(sums, 1);
        expect(numberOf(sums.subarray(4, 8))).toBe(expected);
        subtractHash(sums, 1);
        expect([...sums]).toEqual([9, 9, 9, 9, ...a, 9, 9, 9, 9]);
        const into = Uint32Array.from(b);
        addSum(into, sums, 1);
        expect(numberOf(into)).toBe(expected);
        subtractSum(into, sums, 1);
        expect([...into]).toEqual([...b]);
      }),
      { seed: 9, numRuns: 300 },
    );
  });

  it('are written with the most significant digit first, all of them', () => {
    expect(digestText(Uint32Array.of(0x1, 0xab, 0, 0xf000_0000))).toBe('f000000000000000000000ab00000001');
  });
});
