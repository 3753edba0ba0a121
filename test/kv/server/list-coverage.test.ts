import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ListCoverage } from '../../../src/kv/server/list-coverage.js';
import type { ListItem, ListPage } from '../../../src/kv/store/index.js';
import {
  ALL_SLOTS,
  containsSlot,
  type SlotRanges,
  slotOfKey,
  slotsOf,
  subtractSlots,
} from '../../../src/shardctrl/index.js';

const KEYS = Array.from({ length: 60 }, (_, i) => Buffer.from(`k${i.toString(36).padStart(2, '0')}`)).sort(
  Buffer.compare,
);
const itemOf = (key: Buffer, value = 'v'): ListItem => ({
  key,
  value: Buffer.from(value),
  contentType: 'text/plain',
  revision: 1,
  version: 1,
  expires_ms: 0,
});

/** What a shard that serves `served` and holds all keys of it answers. */
function pageOf(served: SlotRanges, start: Buffer, limit: number, value = 'v'): ListPage {
  const own = KEYS.filter((key) => key.compare(start) >= 0 && containsSlot(served, slotOfKey(key)));
  const next = own.length > limit ? own[limit]! : null;
  return { items: own.slice(0, limit).map((key) => itemOf(key, value)), served, next };
}

const texts = (items: readonly ListItem[]): string[] => items.map(({ key }) => String(key));
const NOWHERE = Buffer.alloc(0);

describe('a page put together from the pages of shards', () => {
  it('is complete only when every slot has been spoken for', () => {
    const coverage = new ListCoverage();
    const half: SlotRanges = [[0, 8_191]];
    coverage.add(pageOf(half, NOWHERE, 100));
    expect([coverage.complete, coverage.missing]).toEqual([false, [[8_192, 16_383]]]);
    coverage.add(pageOf(subtractSlots(ALL_SLOTS, half), NOWHERE, 100));
    expect(coverage.complete).toBe(true);
    expect(texts(coverage.merge(100, 1e6).items)).toEqual(KEYS.map(String));
  });

  it('takes a slot that moved while it was asked for from the page that came first (F65)', () => {
    const coverage = new ListCoverage();
    coverage.add(pageOf([[0, 10_000]], NOWHERE, 100, 'first'));
    coverage.add(pageOf([[5_000, 16_383]], NOWHERE, 100, 'second'));
    const { items } = coverage.merge(100, 1e6);
    expect(texts(items)).toEqual(KEYS.map(String));
    for (const { key, value } of items) expect(String(value)).toBe(slotOfKey(key) <= 10_000 ? 'first' : 'second');
  });

  it('ends at the limit and at the bytes, but never without a first item', () => {
    const coverage = new ListCoverage();
    coverage.add(pageOf(ALL_SLOTS, NOWHERE, 100));
    const byLimit = coverage.merge(2, 1e6);
    expect([texts(byLimit.items), String(byLimit.next)]).toEqual([KEYS.slice(0, 2).map(String), String(KEYS[2])]);
    const byBytes = coverage.merge(100, 1);
    expect([texts(byBytes.items), String(byBytes.next)]).toEqual([[String(KEYS[0])], String(KEYS[1])]);
  });

  it('gives every key once, page after page, however slots are spread, overlap and come late (F65)', () => {
    const slots = [...new Set(KEYS.map((key) => slotOfKey(key)))];
    const spread = fc.array(fc.subarray(slots), { minLength: 0, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.array(spread, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 20 }),
        (rounds, limit) => {
          const listed: string[] = [];
          let start: Buffer | null = NOWHERE;
          for (let page = 0; start !== null; page++) {
            const coverage = new ListCoverage();
            const early = rounds[page % rounds.length]!;
            for (const served of early) coverage.add(pageOf(slotsOf(served), start, limit + 1));
            coverage.add(pageOf(coverage.missing, start, limit + 1));
            expect(coverage.complete).toBe(true);
            const { items, next } = coverage.merge(limit, 1e6);
            expect(items.length).toBeLessThanOrEqual(limit);
            if (next !== null) expect(next.compare(start)).toBeGreaterThan(0);
            listed.push(...texts(items));
            start = next;
          }
          expect(listed).toEqual(KEYS.map(String));
        },
      ),
      { seed: 65, numRuns: 300 },
    );
  });
});
