import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  containsSlot,
  countSlots,
  eachSlot,
  equalSlots,
  firstSlots,
  formatSlots,
  includesSlots,
  intersectSlots,
  isNormalized,
  normalizeSlots,
  parseSlots,
  SLOT_COUNT,
  type SlotRanges,
  slotsOf,
  subtractSlots,
  unionSlots,
} from '../../src/shardctrl/index.js';

/** Small numbers, so that ranges meet, touch and overlap. */
const slotSet = fc.uniqueArray(fc.nat(60), { maxLength: 40, size: 'max' });
const check = <A, B>(a: fc.Arbitrary<A>, b: fc.Arbitrary<B>, run: (a: A, b: B) => void): void =>
  fc.assert(fc.property(a, b, run), { seed: 7, numRuns: 500 });
const sorted = (slots: Iterable<number>): number[] => [...slots].sort((x, y) => x - y);
const list = (slots: SlotRanges): number[] => [...eachSlot(slots)];

describe('sets of slots', () => {
  it('behave like sets of numbers', () => {
    check(slotSet, slotSet, (a, b) => {
      const [left, right] = [slotsOf(a), slotsOf(b)];
      const inB = new Set(b);
      const results: [SlotRanges, number[]][] = [
        [left, sorted(a)],
        [unionSlots(left, right), sorted(new Set([...a, ...b]))],
        [intersectSlots(left, right), sorted(a.filter((s) => inB.has(s)))],
        [subtractSlots(left, right), sorted(a.filter((s) => !inB.has(s)))],
        [firstSlots(left, b.length), sorted(a).slice(0, b.length)],
      ];
      for (const [ranges, expected] of results) {
        expect(list(ranges)).toEqual(expected);
        expect(isNormalized(ranges)).toBe(true);
        expect(countSlots(ranges)).toBe(expected.length);
      }
      for (let slot = 0; slot <= 61; slot++) expect(containsSlot(right, slot)).toBe(inB.has(slot));
      expect(includesSlots(left, right)).toBe(b.every((s) => a.includes(s)));
      expect(equalSlots(left, right)).toBe(JSON.stringify(sorted(a)) === JSON.stringify(sorted(b)));
      expect(equalSlots(left, slotsOf(new Set([...a].reverse())))).toBe(true);
    });
  });

  it('are equal only if both ends of all ranges are', () => {
    const slots = slotsOf([1, 2, 5, 6]);
    for (const other of [
      [1, 2, 5],
      [1, 2, 6],
      [2, 5, 6],
      [1, 5, 6],
      [1, 2],
      [1, 2, 5, 6, 9],
    ]) {
      expect([equalSlots(slots, slotsOf(other)), equalSlots(slotsOf(other), slots)]).toEqual([false, false]);
    }
  });

  it('survive being written and read', () => {
    check(slotSet, fc.constant(null), (a) => {
      const slots = slotsOf(a);
      expect(parseSlots(formatSlots(slots))).toEqual({ ok: true, slots });
    });
    expect(formatSlots(slotsOf([0, 1, 2, 99, 200]))).toBe('0-2,99,200');
    expect(formatSlots(ALL_SLOTS)).toBe(`0-${SLOT_COUNT - 1}`);
  });

  it('are read in any order, with overlaps and spaces', () => {
    expect(parseSlots('200, 5-9,0-4')).toEqual({
      ok: true,
      slots: [
        [0, 9],
        [200, 200],
      ],
    });
    for (const nothing of ['', '  ']) expect(parseSlots(nothing)).toEqual({ ok: true, slots: [] });
  });

  it('are refused with the reason', () => {
    const detail = (text: string): string => {
      const parsed = parseSlots(text);
      return parsed.ok ? 'ok' : parsed.detail;
    };
    expect(detail('1,x')).toContain('"x" is neither a slot nor a range');
    expect(detail('1, x ,3')).toBe('"x" is neither a slot nor a range of slots like 0-99');
    expect(detail('1, 9-3 ')).toBe('"9-3" ends before it begins');
    expect(detail(' 16384-16390 ')).toBe('"16384-16390" is beyond the last slot, 16383');
    expect(detail('16384-5')).toContain('beyond the last slot');
    expect(detail('1,,2')).toContain('neither');
    expect(detail('-5')).toContain('neither');
    expect(detail('1.5')).toContain('neither');
    expect(detail('9-3')).toContain('ends before it begins');
    expect(detail('0-16384')).toContain('beyond the last slot, 16383');
    expect(detail('99999')).toContain('beyond the last slot');
  });

  it('from peers are checked for the one form', () => {
    expect(
      isNormalized([
        [0, 1],
        [3, 3],
      ]),
    ).toBe(true);
    for (const bad of [
      [
        [0, 1],
        [2, 3],
      ],
      [[5, 4]],
      [[-1, 4]],
      [[0, SLOT_COUNT]],
      [[0.5, 1]],
      [
        [3, 3],
        [0, 1],
      ],
      [[1]],
      [[1, 2, 3]],
    ]) {
      expect(isNormalized(bad), JSON.stringify(bad)).toBe(false);
    }
    expect(
      normalizeSlots([
        [5, 9],
        [0, 4],
        [7, 12],
      ]),
    ).toEqual([[0, 12]]);
  });
});
