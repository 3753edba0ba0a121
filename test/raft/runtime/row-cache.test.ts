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

it('of no size keeps nothing', () => {
  const rows = new RowCache(0).scope();
  rows.learn(rows.nameOf(key('a')), key('1'));
  expect(rows.get(rows.nameOf(key('a')))).toBeUndefined();
});
