/** Shares of what slots hold: even within the largest slot, and no slot moves that need not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  countSlots,
  eachSlot,
  type Holding,
  intersectSlots,
  planSizes,
  type SlotMove,
  slotsOf,
  subtractSlots,
  unionSlots,
} from '../../src/shardctrl/index.js';

interface Case {
  /** By slot: who has it, and how large it is. */
  readonly slots: readonly (readonly [owner: number, size: number])[];
  readonly targets: readonly { readonly id: number; readonly weight: number }[];
}

const holdingsOf = ({ slots }: Case): Holding[] => {
  const ids = [...new Set(slots.map(([owner]) => owner))].sort((a, b) => a - b);
  return ids.map((id) => ({ id, slots: slotsOf(slots.flatMap(([owner], slot) => (owner === id ? [slot] : []))) }));
};
const sizeIn =
  ({ slots }: Case) =>
  (slot: number): number =>
    slots[slot]?.[1] ?? 0;
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const plan = (one: Case): SlotMove[] => planSizes(holdingsOf(one), one.targets, sizeIn(one));

/** What each party has beyond its share: before and after the moves. */
function oversOf(one: Case, moves: readonly SlotMove[]) {
  const total = sum(one.slots.map(([, size]) => size));
  const weights = sum(one.targets.map(({ weight }) => weight));
  const ideal = new Map(one.targets.map(({ id, weight }) => [id, (total * weight) / weights]));
  const owners = one.slots.map(([owner]) => owner);
  const over = (): Map<number, number> => {
    const held = new Map([...new Set([...owners, ...ideal.keys()])].map((id) => [id, -(ideal.get(id) ?? 0)]));
    for (const [slot, id] of owners.entries()) held.set(id, held.get(id)! + sizeIn(one)(slot));
    return held;
  };
  const before = over();
  for (const { from, to, slots } of moves) {
    for (const slot of eachSlot(slots)) {
      if (owners[slot] !== from) throw new Error(`s${from} gives slot ${slot}, which it does not have`);
      owners[slot] = to;
    }
  }
  return { before, after: over(), owners, largest: Math.max(0, ...one.slots.map(([, size]) => size)) };
}

/** A hair: ideals are fractions. */
const HAIR = 1e-6;

const size = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 5_000 }) },
);
const owner = fc.integer({ min: 1, max: 6 });
/** Slots in runs of one owner, as they are, or one by one. */
const slots = fc.oneof(
  fc.array(fc.tuple(owner, size), { minLength: 1, maxLength: 200, size: 'max' }),
  fc
    .array(fc.tuple(owner, fc.array(size, { minLength: 1, maxLength: 60, size: 'max' })), {
      minLength: 1,
      maxLength: 8,
    })
    .map((runs) => runs.flatMap(([id, sizes]) => sizes.map((one) => [id, one] as const))),
);
const targets = fc
  .uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 })
  .chain((ids) =>
    fc
      .array(fc.integer({ min: 1, max: 9 }), { minLength: ids.length, maxLength: ids.length })
      .map((weights) => ids.map((id, i) => ({ id, weight: weights[i]! }))),
  );
const cases: fc.Arbitrary<Case> = fc.record({ slots, targets }).filter((one) => one.slots.some(([, held]) => held > 0));
const RUNS = { seed: 21, numRuns: 300 };

describe('planSizes', () => {
  it('evens out by weight, each share within the largest slot of its ideal', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const { after, largest } = oversOf(one, plan(one));
        for (const { id } of one.targets) expect(Math.abs(after.get(id)!)).toBeLessThanOrEqual(largest + HAIR);
      }),
      RUNS,
    );
  });

  it('takes everything from shards that are no target, and gives it to targets', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const ids = one.targets.map(({ id }) => id);
        const { owners } = oversOf(one, plan(one));
        expect(owners.filter((id) => !ids.includes(id))).toEqual([]);
      }),
      RUNS,
    );
  });

  it('MinimalTransfer: who has too much gives only, who has too little takes only, and empty slots stay', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const moves = plan(one);
        const { before } = oversOf(one, moves);
        const stays = (id: number): boolean => one.targets.some((target) => target.id === id);
        for (const { from, to, slots: moved } of moves) {
          if (!stays(from)) continue;
          expect(before.get(from)!).toBeGreaterThan(0);
          expect(before.get(to)!).toBeLessThan(0);
          expect([...eachSlot(moved)].filter((slot) => sizeIn(one)(slot) === 0)).toEqual([]);
        }
        const [givers, takers] = [moves.map(({ from }) => from), moves.map(({ to }) => to)];
        expect(givers.filter((id) => takers.includes(id))).toEqual([]);
      }),
      RUNS,
    );
  });

  it('MinimalTransfer: giving any one slot back would make the two shards less even', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const moves = plan(one);
        const { after } = oversOf(one, moves);
        for (const { from, to, slots: moved } of moves) {
          if (!one.targets.some(({ id }) => id === from)) continue;
          const difference = after.get(to)! - after.get(from)! - HAIR;
          expect([...eachSlot(moved)].filter((slot) => sizeIn(one)(slot) < difference)).toEqual([]);
        }
      }),
      RUNS,
    );
  });

  it('is deterministic: the order in which shards are named does not matter, and moves are in order', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const moves = plan(one);
        const reversed = planSizes([...holdingsOf(one)].reverse(), [...one.targets].reverse(), sizeIn(one));
        expect(reversed).toEqual(moves);
        const pairs = moves.map(({ from, to }) => from * 100 + to);
        expect(pairs).toEqual([...new Set(pairs)].sort((a, b) => a - b));
        const all = moves.map(({ slots: moved }) => moved);
        expect(countSlots(all.reduce(unionSlots, []))).toBe(sum(all.map(countSlots)));
      }),
      RUNS,
    );
  });

  it('moves nothing where no share is off by more than a slot of middling size', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const owners = new Set(one.slots.map(([id]) => id));
        const still: Case = { ...one, targets: [...owners].map((id) => ({ id, weight: 1 })) };
        const nonEmpty = still.slots.filter(([, held]) => held > 0);
        const grain = sum(nonEmpty.map(([, held]) => held)) / nonEmpty.length;
        const { before } = oversOf(still, []);
        const even = [...before.values()].every((over) => Math.abs(over) <= grain);
        if (even) expect(plan(still)).toEqual([]);
      }),
      RUNS,
    );
  });
});

describe('which slots go', () => {
  const run = (owner_: number, count: number, one = 1): (readonly [number, number])[] =>
    Array.from({ length: count }, () => [owner_, one] as const);
  const even = (...ids: number[]) => ids.map((id) => ({ id, weight: 1 }));

  it('of slots of one size: runs from the end, or from where the taker is', () => {
    expect(plan({ slots: run(1, 100), targets: even(1, 2) })).toEqual([{ from: 1, to: 2, slots: [[50, 99]] }]);
    const beside: Case = { slots: [...run(2, 10), ...run(1, 90)], targets: even(1, 2) };
    expect(plan(beside)).toEqual([{ from: 1, to: 2, slots: [[10, 49]] }]);
    const before: Case = { slots: [...run(1, 90), ...run(2, 10), ...run(1, 4)], targets: even(1, 2) };
    expect(plan(before)).toEqual([{ from: 1, to: 2, slots: [[48, 89]] }]);
  });

  it('a slot that is larger than a share stays, and all others leave it', () => {
    const hot: Case = { slots: [...run(1, 50), [1, 1_000], ...run(1, 50), ...run(2, 100)], targets: even(1, 2) };
    const moves = plan(hot);
    expect(moves.map(({ from, to }) => [from, to])).toEqual([[1, 2]]);
    expect(moves[0]!.slots).toEqual([
      [0, 49],
      [51, 100],
    ]);
  });

  it('of a shard that goes, the large ones are placed first, so that small ones fill what is left', () => {
    const leaving: Case = {
      slots: [...run(3, 1_000), [3, 1_000], ...run(1, 500), ...run(2, 1_500)],
      targets: [
        { id: 1, weight: 1 },
        { id: 2, weight: 1 },
      ],
    };
    const { after } = oversOf(leaving, plan(leaving));
    expect([...after.values()].every((over) => Math.abs(over) <= 1)).toBe(true);
    expect(plan(leaving).find(({ to }) => to === 1)!.slots).toContainEqual([500, 1_000]);
  });

  it('of a shard that goes, empty slots go where their neighbours go', () => {
    const sparse: Case = { slots: [...run(1, 10, 5), ...run(2, 30, 0), ...run(3, 10, 5)], targets: even(1, 3) };
    const moves = plan(sparse);
    expect(moves.reduce((count, { slots: moved }) => count + countSlots(moved), 0)).toBe(30);
    for (const { slots: moved } of moves) expect(moved).toHaveLength(1);
  });

  it('a shard of twice the weight gets twice as much', () => {
    const one: Case = {
      slots: run(1, 300, 7),
      targets: [
        { id: 1, weight: 1 },
        { id: 2, weight: 2 },
      ],
    };
    expect(plan(one)).toEqual([{ from: 1, to: 2, slots: [[100, 299]] }]);
  });

  it('dense slots of differing sizes leave in few ranges', () => {
    const sizes = Array.from({ length: 2_000 }, (_, i) => 1 + ((i * 7_919) % 13));
    const one: Case = { slots: sizes.map((held) => [1, held] as const), targets: even(1, 2, 3, 4) };
    const moves = plan(one);
    expect(moves).toHaveLength(3);
    for (const { slots: moved } of moves) expect(moved.length).toBeLessThanOrEqual(5);
    const left = moves.reduce((rest, { slots: moved }) => subtractSlots(rest, moved), holdingsOf(one)[0]!.slots);
    expect(left.length).toBeLessThanOrEqual(8);
    expect(moves.map(({ slots: moved }) => countSlots(intersectSlots(moved, left)))).toEqual([0, 0, 0]);
  });

  it('needs somewhere to move slots to', () => {
    expect(() => planSizes([{ id: 1, slots: [[0, 1]] }], [], () => 1)).toThrow('a plan needs a shard');
  });
});
