/** What a plan has to come to, itself tested: quiet about what the product plans, and not about what is less than was asked for. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlanView, ReshardRequest } from '../../../src/kv/server/api.js';
import {
  draftReshard,
  figuresOf,
  type ReshardWish,
  type ShardMap,
  SLOT_COUNT,
  type SlotMove,
  type SlotRanges,
  subtractSlots,
  unionSlots,
} from '../../../src/shardctrl/index.js';
import { MemoryController } from '../../shardctrl/memory-controller.js';
import { begunFault, ownersFault, type Reshard, type ReshardCommand, reshardFault, shownFault } from './shares.js';

const COMMAND: ReshardCommand = {
  kind: 'reshard',
  shards: 2,
  replicas: null,
  max_pause_ms: null,
  maxRate: null,
  by: 'slots',
  weights: [],
  excludeShards: [],
  excludeNodes: [],
  downNodes: [],
  figures: null,
};
const HALF = SLOT_COUNT / 2;
const FIRST: SlotRanges = [[0, HALF - 1]];
const SECOND: SlotRanges = [[HALF, SLOT_COUNT - 1]];

const two: ShardMap = (await MemoryController.cluster(3, 2)).map;

/** The map with these slots and weights; shards that are not named are gone. */
const mapOf = (shards: Record<number, SlotRanges>, weights: Record<number, number> = {}): ShardMap => ({
  ...two,
  shards: Object.entries(shards).map(([id, slots]) => ({
    ...two.shards[0]!,
    id: Number(id),
    slots,
    weight: weights[Number(id)] ?? 1,
  })),
});

const reshard = (before: ShardMap, after: ShardMap, asked: Partial<ReshardCommand> = {}): Reshard => ({
  before,
  after,
  asked: { ...COMMAND, shards: after.shards.length, ...asked },
});

const move = (from: number, to: number, first: number, last: number): SlotMove => ({
  from,
  to,
  slots: [[first, last]],
});

/** The map that comes of these moves; new shards have nothing before. */
function moved(map: ShardMap, moves: readonly SlotMove[], gone: readonly number[] = []): ShardMap {
  const slots = new Map(map.shards.map((shard) => [shard.id, shard.slots]));
  for (const one of moves) {
    slots.set(one.from, subtractSlots(slots.get(one.from)!, one.slots));
    slots.set(one.to, unionSlots(slots.get(one.to)!, one.slots));
  }
  const shards = map.shards.map((shard) => ({ ...shard, slots: slots.get(shard.id)! }));
  return { ...map, shards: shards.filter(({ id }) => !gone.includes(id)) };
}

/** Every tenth slot holds something: as many bytes as `bytesOf` says. */
const figures = (bytesOf: (slot: number) => number) =>
  figuresOf(
    1,
    Array.from({ length: SLOT_COUNT / 10 }, (_, i) => ({ slot: 10 * i, keys: 1, bytes: bytesOf(10 * i) })),
    [],
  );

describe('what has changed hands', () => {
  const moves = [{ from: 1, to: 2, moved: [[0, 9]] as SlotRanges }];

  it('is what the moves have brought about, and no more', () => {
    const before = mapOf({ 1: FIRST, 2: SECOND });
    const after = moved(before, [move(1, 2, 0, 9)]);
    expect(ownersFault(before, after, moves)).toBeNull();
    expect(ownersFault(before, before, moves)).toMatch('slot 0 is with s1');
    expect(ownersFault(before, moved(after, [move(2, 1, 9_000, 9_000)]), moves)).toMatch('slot 9000 is with s1');
    expect(ownersFault(before, after, [...moves, ...moves])).toMatch('slot 0 has moved from s1, it was with s2');
  });
});

describe('a reshard by slots', () => {
  const before = mapOf({ 1: FIRST, 2: SECOND });

  it('comes to shares in proportion to the weights, each less than a slot away from its ideal', () => {
    // 16,384 by 3 to 1: 12,288 and 4,096.
    const weights = { weights: [[1, 3]] as const };
    const moves = [move(2, 1, HALF, HALF + 4_095)];
    const weighed = (map: ShardMap): ShardMap => ({
      ...map,
      shards: map.shards.map((shard) => (shard.id === 1 ? { ...shard, weight: 3 } : shard)),
    });
    const after = weighed(moved(before, moves));
    expect(begunFault(reshard(before, weighed(before), weights))).toBeNull();
    expect(reshardFault(reshard(before, after, weights), moves)).toBeNull();
    expect(begunFault(reshard(before, before, weights))).toBe('s1 has weight 1, not 3');
    const few = [move(2, 1, HALF, HALF + 4_093)];
    expect(reshardFault(reshard(before, weighed(moved(before, few)), weights), few)).toMatch(
      's1 had 8192 and has 12286, its share is 12288.000: more than 1 from it',
    );
  });

  it('goes by the weights that the map has already', () => {
    const weighed = mapOf({ 1: FIRST, 2: SECOND }, { 2: 3 });
    expect(reshardFault(reshard(weighed, weighed), [])).toMatch('s1 had 8192 and has 8192, its share is 4096.000');
  });

  it('takes nothing from what is excluded, and gives nothing to it', () => {
    const three = mapOf({ 1: [[0, 99]], 2: [[100, HALF - 1]], 3: SECOND });
    const moves = [move(3, 2, HALF, HALF + 49)];
    const asked = { excludeShards: [1] };
    expect(reshardFault(reshard(three, moved(three, moves), asked), moves)).toBeNull();
    const wrong = [move(1, 2, 0, 9)];
    expect(reshardFault(reshard(three, moved(three, wrong), asked), wrong)).toBe(
      's1 is excluded, and has 10-99 instead of 0-99',
    );
  });

  it('makes no shard on an excluded node', () => {
    const made = mapOf({ 1: FIRST, 2: SECOND, 3: [] });
    expect(begunFault(reshard(before, made))).toBeNull();
    expect(begunFault(reshard(before, made, { excludeNodes: ['n2'] }))).toBe('s3 is made on n2, which is excluded');
  });

  it('ends with as many shards as were asked for, and moves no slot that need not', () => {
    expect(reshardFault(reshard(before, before, { shards: 3 }), [])).toBe('there are 2 shards, 3 were asked for');
    const crossed = [move(1, 2, 0, 9), move(2, 1, HALF, HALF + 9)];
    expect(reshardFault(reshard(before, moved(before, crossed)), crossed)).toBe('20 slots moved, 0 would have done');
    const back = [move(1, 2, 0, 9), move(2, 1, 0, 9)];
    expect(reshardFault(reshard(before, before), back)).toMatch('20 slots moved, 0 of them');
  });
});

describe('a reshard by bytes', () => {
  const before = mapOf({ 1: FIRST, 2: SECOND });
  // s1 has 820 slots that hold something, s2 818: with ten bytes each they are ten bytes away from their share.
  const even = { by: 'bytes', figures: figures(() => 10) } as const;
  const uneven = { by: 'bytes', figures: figures((slot) => (slot < 100 ? 30 : 10)) } as const;

  it('moves nothing where shares are even', () => {
    expect(reshardFault(reshard(before, before, even), [])).toBeNull();
  });

  it('is not even where a share is off by more than the largest slot', () => {
    expect(reshardFault(reshard(before, before, uneven), [])).toMatch('more than 30 from it');
    const due: SlotMove[] = Array.from({ length: 10 }, (_, i) => move(1, 2, 1_000 + 10 * i, 1_000 + 10 * i));
    expect(reshardFault(reshard(before, moved(before, due), uneven), due)).toBeNull();
  });

  it('moves no empty slot, none that is better where it was, and none to who has enough', () => {
    const empty = [move(1, 2, 1, 1)];
    expect(reshardFault(reshard(before, moved(before, empty), even), empty)).toBe(
      'slot 1 of s1 holds no bytes, and has moved',
    );
    const needless = [move(1, 2, 10, 10), move(1, 2, 20, 20)];
    expect(reshardFault(reshard(before, moved(before, needless), even), needless)).toMatch('slot 10 of 10 has moved');
    const large = { by: 'bytes', figures: figures((slot) => (slot === 0 ? 100 : 10)) } as const;
    const wrong = [move(2, 1, 16_370, 16_370)];
    expect(reshardFault(reshard(before, moved(before, wrong), large), wrong)).toMatch('it has taken');
  });

  it('shares slots out where nothing is held, but only for the sake of shards that come or go', () => {
    const nothing = { by: 'keys', figures: figuresOf(1, [], []) } as const;
    const lopsided = mapOf({ 1: [[0, 99]], 2: [[100, SLOT_COUNT - 1]] });
    expect(reshardFault(reshard(lopsided, lopsided, nothing), [])).toBeNull();
    const moves = [move(2, 1, 100, HALF - 1)];
    expect(reshardFault(reshard(lopsided, moved(lopsided, moves), nothing), moves)).toBe(
      'no keys are held, and slots have moved',
    );
    const one = mapOf({ 1: FIRST, 2: SECOND });
    const last = [move(2, 1, HALF, SLOT_COUNT - 1)];
    expect(reshardFault(reshard(one, moved(one, last, [2]), nothing), last)).toBeNull();
  });
});

describe('what the product plans', () => {
  const weight = fc.constantFrom(0.01, 0.5, 1, 1, 2, 3.7, 100);
  const wishes = fc.record({
    shards: fc.integer({ min: 1, max: 5 }),
    by: fc.constantFrom('slots' as const, 'bytes' as const, 'keys' as const),
    weights: fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 5 }), weight), { selector: ([id]) => id, maxLength: 3 }),
    excludeShards: fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    sizes: fc.array(fc.tuple(fc.integer({ min: 0, max: SLOT_COUNT - 1 }), fc.integer({ min: 1, max: 40_000 })), {
      maxLength: 60,
    }),
    cuts: fc.tuple(fc.integer({ min: 1, max: 8_000 }), fc.integer({ min: 8_001, max: SLOT_COUNT - 2 })),
  });

  it('has none of these faults, whatever is asked for', () => {
    let planned = 0;
    fc.assert(
      fc.property(wishes, ({ sizes, cuts: [a, b], ...wish }) => {
        const before = mapOf({ 1: [[0, a]], 2: [[a + 1, b]], 3: [[b + 1, SLOT_COUNT - 1]] });
        const stats = [...new Map(sizes)].map(([slot, bytes]) => ({ slot, bytes, keys: 1 + (bytes % 7) }));
        const asked: ReshardWish = { ...wish, replicas: null, figures: figuresOf(1, stats, []) };
        const drafted = draftReshard(before, 4, asked);
        if (!drafted.ok) return;
        planned++;
        const { moves, newShards, retiring } = drafted.draft;
        const weights = new Map(wish.weights);
        const made = newShards.map(({ id, members }) => ({ ...before.shards[0]!, id, members, slots: [] }));
        const shards = [...before.shards, ...made].map((shard) => {
          return { ...shard, weight: weights.get(shard.id) ?? shard.weight };
        });
        const begun: ShardMap = { ...before, shards };
        const command = { ...wish, figures: asked.figures ?? null };
        expect(begunFault(reshard(before, begun, command))).toBeNull();
        expect(reshardFault(reshard(before, moved(begun, moves, retiring), command), moves)).toBeNull();
      }),
      { seed: 7, numRuns: 200 },
    );
    expect(planned).toBeGreaterThan(50);
  });
});

describe('a dry run', () => {
  const ROW = {
    weight: 1,
    excluded: false,
    keys_before: null,
    keys_after: null,
    bytes_before: null,
    bytes_after: null,
  };
  const row = (shard: string, slots_before: number, slots_after: number, other: Partial<typeof ROW> = {}) => ({
    ...ROW,
    shard,
    slots_before,
    slots_after,
    ...other,
  });
  const view = (balance: PlanView['balance'], other: Partial<PlanView> = {}): PlanView => {
    return { id: 'dry-run', state: 'planned', created: '', moves: [], ...(balance ? { balance } : {}), ...other };
  };
  const ASKED: ReshardRequest = { shards: 2, dry_run: true };

  it('shows what was asked for', () => {
    const even = view([row('s1', 10_000, HALF), row('s2', 6_384, HALF)]);
    expect(shownFault(ASKED, even)).toBeNull();
    expect(shownFault({ ...ASKED, shards: 3 }, even)).toBe('2 shards are left, 3 were asked for');
    expect(shownFault(ASKED, view(even.balance, { state: 'running' }))).toBe('it is running');
    expect(shownFault({ ...ASKED, weights: { s1: 2 } }, even)).toBe('s1 has weight 1, not 2');
  });

  it('leaves out what is excluded, and comes to all slots', () => {
    const excluded = row('s1', 384, 384, { excluded: true });
    expect(
      shownFault({ ...ASKED, shards: 3 }, view([excluded, row('s2', 9_000, 8_000), row('s3', 7_000, 8_000)])),
    ).toBeNull();
    const taken = view([{ ...excluded, slots_after: 300 }, row('s2', 16_000, 16_084)]);
    expect(shownFault(ASKED, taken)).toBe('s1 is excluded, and would have 300 slots');
    expect(shownFault(ASKED, view([row('s1', 10_000, HALF), row('s2', 6_384, 8_000)]))).toMatch('come to 16192 slots');
  });

  it('by bytes gives nothing to who has more than its share', () => {
    const bytes = (bytes_before: number, bytes_after: number) =>
      ({ bytes_before, bytes_after }) as unknown as typeof ROW;
    const asked: ReshardRequest = { ...ASKED, by: 'bytes' };
    const good = view([row('s1', HALF, HALF, bytes(900, 500)), row('s2', HALF, HALF, bytes(100, 500))]);
    expect(shownFault(asked, good)).toBeNull();
    const bad = view([row('s1', HALF, HALF, bytes(900, 950)), row('s2', HALF, HALF, bytes(100, 50))]);
    expect(shownFault(asked, bad)).toMatch('s1 had 900 and has 950, its share is 500.000: it has taken');
  });
});
