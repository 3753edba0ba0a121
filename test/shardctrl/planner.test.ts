import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  countSlots,
  fairShares,
  type Holding,
  planShares,
  subtractSlots,
  unionSlots,
} from '../../src/shardctrl/index.js';

const TOTAL = 16_384;
const targets = (ids: readonly number[]) => ids.map((id) => ({ id, weight: 1 }));
const start: Holding[] = [{ id: 1, slots: ALL_SLOTS }];

function carried(holdings: readonly Holding[], wanted: readonly { id: number; weight: number }[]) {
  const moves = planShares(holdings, wanted);
  const slots = new Map(holdings.map((holding) => [holding.id, holding.slots]));
  for (const { id } of wanted) if (!slots.has(id)) slots.set(id, []);
  for (const { from, to, slots: moved } of moves) {
    expect(countSlots(subtractSlots(moved, slots.get(from)!)), 'a shard gives only what it has').toBe(0);
    slots.set(from, subtractSlots(slots.get(from)!, moved));
    slots.set(to, unionSlots(slots.get(to)!, moved));
  }
  const after = [...slots].map(([id, owned]): Holding => ({ id, slots: owned }));
  expect(after.reduce((sum, holding) => sum + countSlots(holding.slots), 0)).toBe(TOTAL);
  return { moves, after: after.filter(({ id }) => wanted.some((target) => target.id === id)) };
}

const spread = (holdings: readonly Holding[]): number => {
  const counts = holdings.map((holding) => countSlots(holding.slots));
  return Math.max(...counts) - Math.min(...counts);
};

describe('planShares', () => {
  it('BasicJoinLeave: shares differ by at most one slot', () => {
    for (const shards of [2, 3, 5, 7, 100, 1024]) {
      const ids = Array.from({ length: shards }, (_, i) => i + 1);
      expect(spread(carried(start, targets(ids)).after)).toBeLessThanOrEqual(1);
    }
  });

  it('MinimalTransfer: through random growing and shrinking nothing moves that need not', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.boolean(), (counts, oldestLeave) => {
        let now = start;
        let next = 2;
        for (const count of counts) {
          const ids = now.map((holding) => holding.id);
          const staying = oldestLeave ? ids.slice(-count) : ids.slice(0, count);
          const wanted = [...staying];
          while (wanted.length < count) wanted.push(next++);
          const { moves, after } = carried(now, targets(wanted));
          expect(spread(after)).toBeLessThanOrEqual(1);
          const stay = new Set(staying);
          expect(moves.filter((move) => stay.has(move.from) && stay.has(move.to))).toEqual([]);
          // What new shards got and what leaving shards had: no more than needed.
          const least =
            staying.length < ids.length
              ? now.filter(({ id }) => !stay.has(id)).reduce((sum, { slots }) => sum + countSlots(slots), 0)
              : after.filter(({ id }) => !stay.has(id)).reduce((sum, { slots }) => sum + countSlots(slots), 0);
          expect(moves.reduce((sum, move) => sum + countSlots(move.slots), 0)).toBe(least);
          now = after;
        }
      }),
      { seed: 3, numRuns: 150 },
    );
  });

  it('is deterministic and moves nothing where all is even already', () => {
    const { after } = carried(start, targets([1, 2, 3]));
    expect(planShares(after, targets([1, 2, 3]))).toEqual([]);
    expect(planShares(after, targets([1, 2, 3, 4]))).toEqual(planShares([...after].reverse(), targets([4, 3, 2, 1])));
  });

  it('keeps ranges in one piece: doubling makes no more ranges than shards', () => {
    let now = start;
    for (const shards of [2, 4, 8]) {
      now = carried(now, targets(Array.from({ length: shards }, (_, i) => i + 1))).after;
      expect(now.every((holding) => holding.slots.length === 1)).toBe(true);
    }
    const back = carried(now, targets([1, 2, 3, 4])).after;
    expect(back.reduce((sum, holding) => sum + holding.slots.length, 0)).toBeLessThanOrEqual(10);
  });

  it('shares by weight, each within one slot of its ideal', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(weights, (list) => {
        const wanted = list.map((weight, i) => ({ id: i + 1, weight }));
        const sum = list.reduce((a, b) => a + b, 0);
        for (const { id, slots } of carried(start, wanted).after) {
          expect(Math.abs(countSlots(slots) - (TOTAL * list[id - 1]!) / sum)).toBeLessThan(1);
        }
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  it('rounds up those that hold more already', () => {
    const holdings: Holding[] = [
      { id: 1, slots: [[0, 2]] },
      { id: 2, slots: [[3, 6]] },
    ];
    expect([...fairShares(7, holdings, targets([1, 2]))].sort()).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });
});
