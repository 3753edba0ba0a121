import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RowCache } from '../../../src/raft/runtime/row-cache.js';

const key = (name: string): Buffer => Buffer.from(name);

it('knows what it was told of a row last, byte for byte, and that a row is not there', () => {
  const rows = new RowCache(10_000).scope();
  const name = rows.nameOf(key('a'));
  expect(rows.get(name)).toBeUndefined();
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  rows.learn(name, bytes);
  expect(rows.get(name)).toEqual(bytes);
  rows.change(name, Buffer.alloc(0));
  expect(rows.get(name)).toEqual(Buffer.alloc(0));
  rows.change(name, null);
  expect(rows.get(name)).toBeNull();
});

it('does not take up rows that are only written', () => {
  const rows = new RowCache(10_000).scope();
  rows.change(rows.nameOf(key('a')), key('1'));
  expect(rows.get(rows.nameOf(key('a')))).toBeUndefined();
});

it('never says an older value where the newer one is too large to keep', () => {
  const rows = new RowCache(1_000_000).scope();
  const name = rows.nameOf(key('a'));
  rows.learn(name, key('1'));
  rows.change(name, Buffer.alloc(100_000));
  expect(rows.get(name)).toBeUndefined();
});

it('keeps the rows of engines apart that have the same keys', () => {
  const cache = new RowCache(10_000);
  const [one, other] = [cache.scope(), cache.scope()];
  one.learn(one.nameOf(key('a')), key('1'));
  expect(other.get(other.nameOf(key('a')))).toBeUndefined();
});

it('F42: stays within its budget, whatever passes through, and keeps what is asked for', () => {
  const cache = new RowCache(50_000);
  const rows = cache.scope();
  const popular = rows.nameOf(key('popular'));
  rows.learn(popular, key('1'));
  for (let i = 0; i < 10_000; i++) {
    rows.learn(rows.nameOf(key(`row ${i}`)), Buffer.alloc(i % 4_000));
    expect(rows.get(popular)).toEqual(key('1'));
    expect(cache.bytes).toBeLessThanOrEqual(50_000);
  }
});

it('says the newest value or none, in any order of calls and of two scopes with the same keys', () => {
  const step = fc.record({
    scope: fc.nat(1),
    key: fc.nat(1),
    kind: fc.constantFrom('get' as const, 'learn' as const, 'change' as const),
    // Equal lengths, other lengths, none, too large to keep, and so large that others are pushed out.
    value: fc.constantFrom('a', 'b', 'cc', null, 'x'.repeat(5_000), 'y'.repeat(600)),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const cache = new RowCache(1_500);
      const scopes = [cache.scope(), cache.scope()].map((rows) => ({ rows, truth: new Map<number, string | null>() }));
      for (const { scope, key: number, kind, value } of steps) {
        const { rows, truth } = scopes[scope]!;
        const name = rows.nameOf(key(String(number)));
        if (kind === 'get') {
          const told = rows.get(name);
          if (told !== undefined) expect(told?.toString() ?? null).toBe(truth.get(number) ?? null);
        } else if (kind === 'change') {
          truth.set(number, value);
          rows.change(name, value === null ? null : key(value));
        } else {
          // As the caller does: what is learnt is what the row is.
          const now = truth.get(number) ?? null;
          rows.learn(name, now === null ? null : key(now));
        }
      }
      for (const { rows, truth } of scopes) {
        for (const [number, now] of truth) {
          const told = rows.get(rows.nameOf(key(String(number))));
          if (told !== undefined) expect(told?.toString() ?? null).toBe(now);
        }
      }
    }),
    { numRuns: 3_000 },
  );
});

it('of no size keeps nothing', () => {
  const rows = new RowCache(0).scope();
  rows.learn(rows.nameOf(key('a')), key('1'));
  expect(rows.get(rows.nameOf(key('a')))).toBeUndefined();
});
