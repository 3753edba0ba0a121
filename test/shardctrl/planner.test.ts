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

  it('moves what touches the slots of the taker first, so that its ranges grow', () => {
    const after: Holding[] = [
      {
        id: 1,
        slots: [
          [10, 19],
          [40, 59],
        ],
      },
      { id: 2, slots: [[5, 9]] },
    ];
    // Twelve: all that follows on the taker's, and the end of the rest.
    expect(planShares(after, targets([1, 2]))).toEqual([
      {
        from: 1,
        to: 2,
        slots: [
          [10, 19],
          [58, 59],
        ],
      },
    ]);
    const before: Holding[] = [
      { id: 1, slots: [[10, 19]] },
      { id: 2, slots: [[20, 24]] },
    ];
    expect(planShares(before, targets([1, 2]))).toEqual([{ from: 1, to: 2, slots: [[18, 19]] }]);
    const between: Holding[] = [
      {
        id: 1,
        slots: [
          [0, 9],
          [15, 29],
        ],
      },
      { id: 2, slots: [[10, 14]] },
    ];
    expect(planShares(between, targets([1, 2]))).toEqual([{ from: 1, to: 2, slots: [[0, 9]] }]);
    /** What shard 1 gives to shard 2, which has a range already, so that they have their shares. */
    const given = (from: Holding['slots'], to: Holding['slots'], shares: readonly [number, number]) => {
      const wanted = shares.map((weight, i) => ({ id: i + 1, weight }));
      return planShares(
        [
          { id: 1, slots: from },
          { id: 2, slots: to },
        ],
        wanted,
      )[0]?.slots;
    };
    // Even where another whole range would fit, or the end of the largest one is free.
    const three: Holding['slots'] = [
      [10, 14],
      [40, 47],
      [100, 139],
    ];
    expect(given(three, [[5, 9]], [45, 13])).toEqual([
      [10, 14],
      [137, 139],
    ]);
    const two: Holding['slots'] = [
      [30, 49],
      [100, 199],
    ];
    expect(given(two, [[50, 59]], [115, 15])).toEqual([[45, 49]]);
    expect(given(two, [[20, 29]], [115, 15])).toEqual([[30, 34]]);
  });

  it('moves the largest whole ranges that fit, then the end of the largest one', () => {
    /** Ten slots of a hundred go to shard 2. */
    const tenOf = (...slots: Holding['slots']): Holding['slots'] => {
      const wanted = [
        { id: 1, weight: 9 },
        { id: 2, weight: 1 },
      ];
      const moves = planShares([{ id: 1, slots }], wanted);
      expect(moves.map(({ from, to }) => [from, to])).toEqual([[1, 2]]);
      return moves[0]!.slots;
    };
    expect(tenOf([0, 3], [10, 15], [20, 27], [30, 111])).toEqual([
      [20, 27],
      [110, 111],
    ]);
    expect(tenOf([0, 3], [10, 15], [20, 29], [40, 119])).toEqual([[20, 29]]);
    expect(tenOf([0, 5], [10, 15], [20, 107])).toEqual([
      [0, 5],
      [104, 107],
    ]);
    expect(tenOf([0, 49], [100, 149])).toEqual([[40, 49]]);
    expect(tenOf([50, 69], [100, 179])).toEqual([[170, 179]]);
    expect(tenOf([0, 79], [100, 119])).toEqual([[70, 79]]);
  });

  it('leaves a shard alone that has its share', () => {
    const holdings: Holding[] = [
      { id: 1, slots: [[0, 4]] },
      { id: 2, slots: [[5, 12]] },
      { id: 3, slots: [[13, 14]] },
    ];
    expect(planShares(holdings, targets([1, 2, 3]))).toEqual([{ from: 2, to: 3, slots: [[10, 12]] }]);
  });

  it('needs somewhere to move slots to', () => {
    expect(() => planShares(start, [])).toThrow('a plan needs a shard to move slots to');
  });

  it('rounds up the largest fractions, among equals the lowest ids, and never an ideal that is whole', () => {
    const shares = (total: number, weights: readonly number[], held: readonly Holding[] = []): number[] => {
      const wanted = weights.map((weight, i) => ({ id: i + 1, weight }));
      const found = fairShares(total, held, wanted);
      expect(fairShares(total, held, [...wanted].reverse())).toEqual(found);
      return wanted.map(({ id }) => found.get(id)!);
    };
    expect(shares(11, [2, 3, 5])).toEqual([2, 3, 6]);
    expect(shares(11, [5, 3, 2])).toEqual([6, 3, 2]);
    expect(shares(11, [3, 5, 2])).toEqual([3, 6, 2]);
    expect(shares(10, [1, 1, 1])).toEqual([4, 3, 3]);
    expect(shares(11, [1, 1, 1])).toEqual([4, 4, 3]);
    // Who holds everything has its exact share nevertheless.
    expect(shares(10, [2, 1, 1], [{ id: 1, slots: [[0, 9]] }])).toEqual([5, 3, 2]);
    expect(shares(10, [1, 2, 1], [{ id: 2, slots: [[0, 9]] }])).toEqual([3, 5, 2]);
    expect(shares(10, [1, 1, 2], [{ id: 3, slots: [[0, 9]] }])).toEqual([3, 2, 5]);
  });
});
