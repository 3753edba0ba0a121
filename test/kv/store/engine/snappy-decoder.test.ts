import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSnappy } from '../../../../src/kv/store/engine/snappy-decoder.js';

const text = (s: string): number[] => [...Buffer.from(s)];

describe('Snappy decoder', () => {
  it('decodes literals, short and long', () => {
    expect(decodeSnappy(Buffer.of(0))).toEqual(Buffer.alloc(0));
    expect(decodeSnappy(Buffer.of(3, (3 - 1) << 2, ...text('abc')))).toEqual(Buffer.from('abc'));
    const long = Buffer.alloc(300, 'x');
    expect(decodeSnappy(Buffer.concat([Buffer.of(0xac, 0x02, 61 << 2, 0x2b, 0x01), long]))).toEqual(long);
  });

  it('decodes copies with offsets of 1, 2 and 4 bytes, also overlapping ones', () => {
    const abc = [(3 - 1) << 2, ...text('abc')];
    expect(decodeSnappy(Buffer.of(7, ...abc, (0 << 2) | 1, 3)).toString()).toBe('abcabca');
    expect(decodeSnappy(Buffer.of(13, ...abc, ((10 - 1) << 2) | 2, 1, 0)).toString()).toBe('abccccccccccc');
    expect(decodeSnappy(Buffer.of(5, ...abc, ((2 - 1) << 2) | 3, 2, 0, 0, 0)).toString()).toBe('abcbc');
  });

  it('refuses what is not Snappy with a RangeError, and never anything else', () => {
    for (const bad of [
      [],
      [3],
      [3, 8, 97],
      [2, 8, 97, 98, 99],
      [4, 0, 97, 1, 2],
      [0xff, 0xff, 0xff, 0xff, 0x7f, 0, 97],
    ]) {
      expect(() => decodeSnappy(Buffer.from(bad))).toThrow(RangeError);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          decodeSnappy(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { seed: 4, numRuns: 2000 },
    );
  });
});
