import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Assessment,
  assess,
  BYTES_MIN,
  type Carried,
  type Carrier,
  countSlots,
  eachSlot,
  LOAD_MIN_PER_S,
  SLOT_COUNT,
  type SlotRanges,
  shardName,
  subtractSlots,
  unionSlots,
} from '../../src/shardctrl/index.js';

const LIMIT = 0.3;

type Amounts = Readonly<Record<number, number>>;

function byIndex(amounts: Amounts): Float64Array {
  const all = new Float64Array(SLOT_COUNT);
  for (const [slot, amount] of Object.entries(amounts)) all[Number(slot)] = amount;
  return all;
}

const carried = (load: Amounts, bytes: Amounts = {}): Carried => ({ load: byIndex(load), bytes: byIndex(bytes) });

/** Shards s1, s2, … with these slots. */
const carriers = (...slots: SlotRanges[]): Carrier[] => slots.map((own, i) => ({ id: i + 1, slots: own, weight: 1 }));

/** `0,5 s1→s2`. */
const movesOf = ({ moves }: Assessment): string[] =>
  moves.map(({ from, to, slots }) => `${[...eachSlot(slots)]} ${shardName(from)}→${shardName(to)}`);

function carriedOut(before: readonly Carrier[], { moves }: Assessment): Carrier[] {
  return before.map((carrier) => {
    let { slots } = carrier;
    for (const move of moves) {
      if (move.from === carrier.id) slots = subtractSlots(slots, move.slots);
      if (move.to === carrier.id) slots = unionSlots(slots, move.slots);
    }
    return { ...carrier, slots };
  });
}

/** How far beyond the limit all shards are together, in fair shares. */
function excess({ shards }: Assessment, limit: number): number {
  let sum = 0;
  for (const { loadShare, bytesShare, fairShare } of shards) {
    for (const share of [loadShare, bytesShare]) sum += Math.max(0, share / fairShare - (1 + limit));
  }
  return sum;
}

const about = (share: number): number => expect.closeTo(share, 9) as number;

const HALVES = carriers([[0, 8191]], [[8192, 16_383]]);

describe('a balance of load', () => {
  it('is left alone as long as no shard has more than the limit above its fair share', () => {
    const assessment = assess(HALVES, carried({ 0: 40, 1: 25, 9000: 35 }), LIMIT);
    expect(assessment).toMatchObject({ worst: null, rest: null, moves: [], hot: [] });
    expect(assessment.shards).toMatchObject([
      { id: 1, load: 65, loadShare: about(0.65), fairShare: 0.5 },
      { id: 2, load: 35, loadShare: about(0.35), fairShare: 0.5 },
    ]);
  });

  it('is brought about by the fewest slots that take away what is too much, and no more', () => {
    const load = { 0: 40, 1: 20, 2: 10, 3: 1, 9000: 29 };
    const assessment = assess(HALVES, carried(load), LIMIT);
    expect(assessment.worst).toEqual({ shard: 1, resource: 'load', share: about(0.71), fairShare: 0.5 });
    // 16 of 100 are to go for s1 to have 55. What comes next is more than that, and more than s2 should take.
    expect(movesOf(assessment)).toEqual(['2,3 s1→s2']);
    expect(assessment.rest).toBeNull();
  });

  it('takes a larger slot where the smaller ones do not do', () => {
    const assessment = assess(HALVES, carried({ 0: 45, 1: 28, 9000: 27 }), LIMIT);
    expect(movesOf(assessment)).toEqual(['1 s1→s2']);
    expect(assessment.rest).toBeNull();
  });

  it('is not for a few requests, or a few megabytes', () => {
    const few = LOAD_MIN_PER_S - 1;
    expect(assess(HALVES, carried({ 0: few }), LIMIT).worst).toBeNull();
    expect(assess(HALVES, carried({}, { 0: BYTES_MIN - 1 }), LIMIT).worst).toBeNull();
    expect(assess(HALVES, carried({}, { 0: BYTES_MIN }), LIMIT).worst).toMatchObject({ resource: 'bytes', share: 1 });
  });

  it('cannot be had from a slot that alone is too much, and says which; what else is there goes', () => {
    const lone = assess(HALVES, carried({ 5: 80, 9000: 20 }), LIMIT);
    expect(lone.hot).toEqual([{ slot: 5, shard: 1, resource: 'load', share: about(0.8) }]);
    expect([lone.moves, lone.rest]).toEqual([[], lone.worst]);
    const beside = assess(HALVES, carried({ 5: 70, 6: 20, 9000: 10 }), LIMIT);
    expect(movesOf(beside)).toEqual(['6 s1→s2']);
    expect(beside.rest).toMatchObject({ shard: 1, share: about(0.7) });
    expect(beside.hot).toMatchObject([{ slot: 5 }]);
  });

  it('is not worth moves that hardly help', () => {
    const assessment = assess(HALVES, carried({ 5: 78, 6: 1, 7: 1, 9000: 20 }), LIMIT);
    expect(assessment.moves).toEqual([]);
    expect(assessment.rest).toMatchObject({ shard: 1, resource: 'load', share: about(0.8) });
  });

  it('gives no shard more data than it should have', () => {
    const thirds = carriers([[0, 99]], [[100, 199]], [[200, 299]]);
    const load = { 0: 60, 1: 30, 100: 5, 200: 5 };
    // s2 has next to no load, and all the bytes that it may.
    const bytes = { 0: 25 * BYTES_MIN, 1: 2 * BYTES_MIN, 100: 42 * BYTES_MIN, 200: 31 * BYTES_MIN };
    const assessment = assess(thirds, carried(load, bytes), LIMIT);
    expect(movesOf(assessment)).toEqual(['1 s1→s3']);
  });

  it('is one of bytes as well', () => {
    const mib = 1024 * 1024;
    const assessment = assess(HALVES, carried({}, { 0: 60 * mib, 1: 30 * mib, 9000: 10 * mib }), LIMIT);
    expect(assessment.worst).toMatchObject({ shard: 1, resource: 'bytes', share: about(0.9) });
    expect(movesOf(assessment)).toEqual(['1 s1→s2']);
  });

  it('goes by weights', () => {
    const weighted = [
      { id: 1, slots: [[0, 8191]] as SlotRanges, weight: 3 },
      { id: 2, slots: [[8192, 16_383]] as SlotRanges, weight: 1 },
    ];
    expect(assess(weighted, carried({ 0: 40, 1: 35, 9000: 25 }), LIMIT).worst).toBeNull();
    const assessment = assess(weighted, carried({ 0: 50, 9000: 30, 9001: 20 }), LIMIT);
    expect(assessment.worst).toMatchObject({ shard: 2, fairShare: 0.25 });
    expect(movesOf(assessment)).toEqual(['9001 s2→s1']);
  });

  it('leaves shards without slots alone: a reshard fills or retires them', () => {
    const assessment = assess([...HALVES, { id: 3, slots: [], weight: 1 }], carried({ 0: 60, 9000: 40 }), LIMIT);
    expect(assessment.shards.map(({ id }) => id)).toEqual([1, 2]);
    expect(assessment.worst).toBeNull();
  });

  it('leaves every shard a slot: one that has none takes no part any more', () => {
    const lone = [
      { id: 1, slots: [[0, 9]] as SlotRanges, weight: 9 },
      { id: 2, slots: [[10, 10]] as SlotRanges, weight: 1 },
    ];
    const assessment = assess(lone, carried({ 0: 50, 10: 50 }), LIMIT);
    expect([assessment.worst?.shard, assessment.moves]).toEqual([2, []]);
  });

  it('has nobody to share with where there is one shard', () => {
    const assessment = assess(carriers([[0, SLOT_COUNT - 1]]), carried({ 0: 1_000 }), LIMIT);
    expect([assessment.worst, assessment.moves, assessment.hot]).toEqual([null, [], []]);
  });
});

describe('whatever shards carry', () => {
  const amounts = fc.oneof(
    // Even, skewed, and with a slot that is hotter than all others.
    fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 12, maxLength: 60 }),
    fc.array(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 500, max: 5_000 })), {
      minLength: 12,
      maxLength: 60,
    }),
  );
  const world = fc.record({
    shards: fc.integer({ min: 1, max: 6 }),
    load: amounts,
    bytes: amounts,
    owners: fc.array(fc.nat(), { minLength: 60, maxLength: 60 }),
    weights: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 6, maxLength: 6 }),
    limit: fc.constantFrom(0.1, 0.3, 1),
  });
  type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

  function build({ shards, load, bytes, owners, weights }: World) {
    const slots: [number, number][][] = Array.from({ length: shards }, () => []);
    for (const [slot, owner] of owners.entries()) slots[owner % shards]!.push([slot * 2, slot * 2]);
    const all = slots.map((own, i): Carrier => ({ id: i + 1, slots: own, weight: weights[i]! }));
    const spread = (list: readonly number[], unit: number): Amounts =>
      Object.fromEntries(list.map((amount, slot) => [slot * 2, amount * unit]));
    return { all, what: carried(spread(load, 1), spread(bytes, 1024 * 1024)) };
  }

  it('nothing is proposed within the limit, and only what is owned goes, from overloaded shards to others', () => {
    fc.assert(
      fc.property(world, (drawn) => {
        const { all, what } = build(drawn);
        const assessment = assess(all, what, drawn.limit);
        if (assessment.worst === null) expect(assessment.moves).toEqual([]);
        const burden = new Map(assessment.shards.map((shard) => [shard.id, shard]));
        const over = (id: number): boolean => {
          const { loadShare, bytesShare, fairShare } = burden.get(id)!;
          return Math.max(loadShare, bytesShare) > fairShare * (1 + drawn.limit);
        };
        for (const { from, slots } of assessment.moves) {
          expect(over(from)).toBe(true);
          const owned = all.find(({ id }) => id === from)!.slots;
          expect(countSlots(subtractSlots(slots, owned))).toBe(0);
        }
        const moved = assessment.moves.flatMap(({ slots }) => [...eachSlot(slots)]);
        expect(new Set(moved).size).toBe(moved.length);
      }),
      { numRuns: 300 },
    );
  });

  it('a proposal that is carried out leaves less to complain of, and none follows under the same load', () => {
    fc.assert(
      fc.property(world, (drawn) => {
        const { all, what } = build(drawn);
        const first = assess(all, what, drawn.limit);
        if (first.moves.length === 0) return;
        const second = assess(carriedOut(all, first), what, drawn.limit);
        expect(second.moves).toEqual([]);
        expect(excess(second, drawn.limit)).toBeLessThan(excess(first, drawn.limit));
        expect(second.worst === null).toBe(first.rest === null);
      }),
      { numRuns: 1_000 },
    );
  });

  it('where no slot is large, shards that had too much have no more than a third of the limit above their share', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.array(fc.nat(5), { minLength: 6, maxLength: 6 }),
        (shards, heat) => {
          const size = Math.floor(SLOT_COUNT / shards);
          const own = Array.from({ length: shards }, (_, i): SlotRanges => [[i * size, (i + 1) * size - 1]]);
          const load = new Float64Array(SLOT_COUNT);
          for (let slot = 0; slot < size * shards; slot++) load[slot] = 1 + heat[Math.floor(slot / size)]!;
          const what = { load, bytes: new Float64Array(SLOT_COUNT) };
          const all = carriers(...own);
          const first = assess(all, what, LIMIT);
          expect(first.rest).toBeNull();
          const second = assess(carriedOut(all, first), what, LIMIT);
          first.shards.forEach(({ loadShare, fairShare }, i) => {
            if (loadShare <= fairShare * (1 + LIMIT)) return;
            expect(second.shards[i]!.loadShare).toBeLessThanOrEqual(fairShare * (1 + LIMIT / 3) + 0.001);
            // And no more than had to.
            expect(second.shards[i]!.loadShare).toBeGreaterThan(fairShare * (1 + LIMIT / 3) - 0.001);
          });
        },
      ),
    );
  });
});
