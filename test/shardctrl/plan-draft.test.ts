/** What an operator is shown before a plan starts, and what the controller then starts: the same draft. */
import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  completed,
  countSlots,
  type Drafted,
  draftMove,
  draftReshard,
  figuresOf,
  type PlanDraft,
  type ReshardWish,
  SHARDS_MAX,
  type ShardEntry,
  type ShardMap,
  type SlotRanges,
} from '../../src/shardctrl/index.js';
import { nodesOf } from './memory-controller.js';

const shard = (id: number, slots: SlotRanges, nodes: number, weight = 1): ShardEntry => ({
  id,
  slots,
  members: Array.from({ length: nodes }, (_, i) => ({ node: `n${i + 1}`, replica: i + 1 })),
  joining: [],
  replicas: nodes,
  asFounded: true,
  pinned: false,
  avoids: [],
  weight,
});
const mapOf = (shards: readonly ShardEntry[], nodes = 5): ShardMap =>
  completed({ clusterId: 'c', epoch: 7, shards, nodes: nodesOf(nodes) });

function draftOf(drafted: Drafted): PlanDraft {
  if (!drafted.ok) throw new Error(drafted.missing);
  return drafted.draft;
}
const reshard = (map: ShardMap, shards: number, replicas: number | null = null): Drafted =>
  draftReshard(map, 20, { shards, replicas });
const missing = (drafted: Drafted): string => (drafted.ok ? 'nothing' : drafted.missing);
const moved = ({ moves }: PlanDraft) => moves.map(({ from, to, slots }) => [from, to, countSlots(slots)]);

const one = mapOf([shard(1, ALL_SLOTS, 3)]);
/** 16,000, 300, 84 slots, the newest in the middle. */
const three = mapOf([shard(4, [[0, 15_999]], 3), shard(9, [[16_000, 16_299]], 3), shard(12, [[16_300, 16_383]], 3)]);

describe('a reshard', () => {
  it('that grows says which shards are made where, what moves, and what each owns in the end', () => {
    const draft = draftOf(reshard(one, 3));
    expect(draft.newShards.map(({ id, members }) => [id, members.length])).toEqual([
      [20, 3],
      [21, 3],
    ]);
    expect(moved(draft)).toEqual([
      [1, 20, 5461],
      [1, 21, 5461],
    ]);
    expect(draft.shares).toEqual([
      [1, 5462],
      [20, 5461],
      [21, 5461],
    ]);
    expect([draft.retiring, draft.warnings]).toEqual([[], []]);
  });

  it('that shrinks retires those that own the fewest slots, among equals the newest', () => {
    const draft = draftOf(reshard(three, 1));
    expect([draft.retiring, draft.newShards]).toEqual([[9, 12], []]);
    expect(moved(draft)).toEqual([
      [9, 4, 300],
      [12, 4, 84],
    ]);
    expect(draft.shares).toEqual([[4, 16_384]]);
    const equals = mapOf([shard(2, [[0, 99]], 3), shard(10, [[100, 199]], 3), shard(3, [[200, 16_383]], 3)]);
    expect(draftOf(reshard(equals, 2)).retiring).toEqual([10]);
    expect(draftOf(reshard(equals, 1)).retiring).toEqual([2, 10]);
    expect(draftOf(reshard(three, 3)).retiring).toEqual([]);
  });

  it('asks for at least one shard, and for no more than are supported', () => {
    expect(missing(reshard(one, 0))).toBe('at least one shard must be left to own the slots');
    expect(missing(reshard(one, SHARDS_MAX))).toBe('nothing');
    expect(missing(reshard(one, SHARDS_MAX + 1))).toBe('1025 shards are more than the 1024 that are supported');
  });

  it('gives new shards as many replicas as the existing ones have at most, or as many as are asked for', () => {
    const uneven = mapOf([shard(1, [[0, 99]], 2), shard(2, [[100, 16_383]], 3)]);
    expect(draftOf(reshard(uneven, 3)).newShards[0]!.members).toHaveLength(3);
    const fewer = draftOf(reshard(uneven, 3, 2));
    expect(fewer.newShards[0]!.members).toHaveLength(2);
    expect(fewer.warnings).toEqual([
      'shards of two replicas take no writes as soon as one of their nodes is away',
      'replicas applies to new shards; the members of existing shards stay as they are',
    ]);
    expect(draftOf(reshard(one, 2, 3)).warnings).toEqual([]);
  });

  it('that needs nodes that are not there says so; one that shrinks needs none', () => {
    const lonely = mapOf([shard(1, [[0, 99]], 3), shard(2, [[100, 16_383]], 3)], 2);
    expect(missing(reshard(lonely, 3))).toContain('1 more node needed');
    expect(missing(reshard(lonely, 1))).toBe('nothing');
    const shrunk = draftOf(reshard(lonely, 1));
    expect([shrunk.newShards, shrunk.warnings, shrunk.retiring]).toEqual([[], [], [1]]);
    // What is asked for by name and cannot be had is refused even where nothing would be made of it.
    expect(missing(reshard(lonely, 1, 5))).toContain('3 more nodes needed');
  });
});

/** So many bytes in each of these slots, and as many keys as tens of bytes. */
const holding = (...held: readonly (readonly [first: number, last: number, bytes: number])[]) =>
  figuresOf(
    7,
    held.flatMap(([first, last, bytes]) =>
      Array.from({ length: last - first + 1 }, (_, i) => ({ slot: first + i, keys: bytes / 10, bytes })),
    ),
    [],
  );
const wish = (map: ShardMap, shards: number, more: Partial<ReshardWish>): Drafted =>
  draftReshard(map, 20, { shards, replicas: null, ...more });
const two = mapOf([shard(1, [[0, 8_191]], 3), shard(2, [[8_192, 16_383]], 3)]);

describe('a reshard by weight', () => {
  it('gives each its part, with the weights that shards have and those that they are given', () => {
    const weighed = mapOf([shard(1, [[0, 8_191]], 3, 3), shard(2, [[8_192, 16_383]], 3)]);
    expect(draftOf(reshard(weighed, 2)).shares).toEqual([
      [1, 12_288],
      [2, 4_096],
    ]);
    const draft = draftOf(wish(weighed, 3, { weights: [[20, 4]] }));
    expect(draft.shares).toEqual([
      [1, 6_144],
      [2, 2_048],
      [20, 8_192],
    ]);
    expect(draft.weights).toEqual([[20, 4]]);
    expect(draft.balance.map(({ shard: id, weight, slots }) => [id, weight, slots])).toEqual([
      [1, 3, [8_192, 6_144]],
      [2, 1, [8_192, 2_048]],
      [20, 4, [0, 8_192]],
    ]);
  });

  it('keeps what is said again as it is', () => {
    expect(draftOf(wish(two, 2, { weights: [[1, 1]] })).weights).toEqual([]);
    expect(draftOf(wish(two, 2, { weights: [[1, 2]] })).weights).toEqual([[1, 2]]);
  });

  it('names no shard that is not there, and none that the plan retires', () => {
    expect(missing(wish(two, 2, { weights: [[9, 2]] }))).toBe(
      's9 cannot be given a weight: there is no such shard; there are s1, s2, and none is made',
    );
    expect(missing(wish(two, 3, { weights: [[9, 2]] }))).toContain('and s20 would be made');
    expect(missing(wish(two, 1, { weights: [[2, 2]] }))).toContain('s2 cannot be given a weight');
  });
});

describe('a reshard that excludes', () => {
  it('shards: they neither give nor take, and are not retired', () => {
    const draft = draftOf(wish(three, 4, { excludeShards: [4] }));
    expect(draft.shares.find(([id]) => id === 4)).toEqual([4, 16_000]);
    expect(draft.moves.flatMap(({ from, to }) => [from, to])).not.toContain(4);
    expect(draft.excludedShards).toEqual([4]);
    const shrunk = draftOf(wish(three, 2, { excludeShards: [12] }));
    expect([shrunk.retiring, moved(shrunk)]).toEqual([[9], [[9, 4, 300]]]);
  });

  it('so many shards that it cannot be: says which are in the way', () => {
    expect(missing(wish(two, 2, { excludeShards: [7] }))).toBe(
      's7 cannot be excluded: there is no such shard; there are s1, s2',
    );
    expect(missing(wish(three, 1, { excludeShards: [4, 9] }))).toBe(
      '2 of 3 shards are to go, and only s12 is not excluded: exclude fewer of them',
    );
    expect(missing(wish(two, 1, { excludeShards: [1] }))).toBe(
      'the slots of s2 need a shard to go to, and every one that stays is excluded',
    );
    expect(missing(wish(two, 3, { excludeShards: [1, 2] }))).toBe(
      'every shard is excluded: none is left that gives slots to s20',
    );
    expect(missing(wish(two, 2, { excludeShards: [1, 2] }))).toContain('none is left that gives or takes slots');
  });

  it('nodes: no replica of a new shard is placed there, now or later', () => {
    const draft = draftOf(wish(two, 4, { excludeNodes: ['n2'] }));
    expect(draft.newShards.flatMap(({ members }) => members.map(({ node }) => node))).not.toContain('n2');
    expect(draft.newShards.map(({ avoids }) => avoids)).toEqual([['n2'], ['n2']]);
    expect(draftOf(wish(two, 2, { excludeNodes: ['n2'] })).warnings).toEqual([
      'no shard is made: that nodes are excluded changes nothing',
    ]);
  });

  it('so many nodes that too few are left: says how many, and who is not counted', () => {
    expect(missing(wish(two, 3, { excludeNodes: ['n1', 'n2', 'n5'] }))).toBe(
      '3 replicas a shard need 3 nodes, the cluster has 2: 1 more node needed; excluded nodes are not counted: n1, n2, n5',
    );
    expect(missing(wish(two, 3, { excludeNodes: ['n9'] }))).toBe(
      'n9 cannot be excluded: there is no such node; there are n1, n2, n3, n4, n5',
    );
  });
});

describe('a reshard while nodes are down', () => {
  it('places new shards elsewhere, and has them avoid nothing later', () => {
    const [made] = draftOf(wish(two, 3, { downNodes: ['n4', 'n5'] })).newShards;
    expect(made!.members.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n3']);
    expect(made!.avoids).toBeUndefined();
  });

  it('is refused where a new shard would have no majority', () => {
    const excludeNodes = ['n2', 'n3'];
    expect(missing(wish(two, 3, { downNodes: ['n4', 'n5'], excludeNodes }))).toBe(
      'a new shard of 3 replicas needs 2 nodes that are up, and there is 1: n4, n5 are down; excluded nodes are not counted: n2, n3',
    );
    // Nothing has to be placed.
    expect(missing(wish(two, 1, { downNodes: ['n2', 'n3', 'n4', 'n5'], replicas: 3 }))).toBe('nothing');
  });

  it('warns of shards that are there and have no majority: what they give and take waits', () => {
    const [warning, ...more] = draftOf(wish(three, 2, { downNodes: ['n2', 'n3'], excludeShards: [4] })).warnings;
    expect(warning).toBe(
      's9, s12 have no majority while n2, n3 are down: what they give or take waits until then, and so does the end of the plan',
    );
    expect(more).toEqual([]);
    expect(draftOf(wish(three, 2, { downNodes: ['n3'] })).warnings).toEqual([]);
    expect(draftOf(wish(two, 2, { downNodes: ['n2', 'n3'] })).warnings).toEqual([]);
    expect(draftOf(draftMove(three, [[0, 9]], 12, ['n1', 'n2'])).warnings[0]).toContain('s4, s12 have no majority');
  });
});

describe('a reshard by what slots hold', () => {
  it('evens out bytes or keys, and tells what each shard has before and after', () => {
    const figures = holding([0, 99, 100], [8_192, 8_201, 100]);
    const draft = draftOf(wish(two, 2, { by: 'bytes', figures }));
    expect(moved(draft)).toEqual([[1, 2, 45]]);
    expect(draft.balance).toEqual([
      { shard: 1, weight: 1, slots: [8_192, 8_147], keys: [1_000, 550], bytes: [10_000, 5_500] },
      { shard: 2, weight: 1, slots: [8_192, 8_237], keys: [100, 550], bytes: [1_000, 5_500] },
    ]);
    expect(draftOf(wish(two, 2, { by: 'keys', figures })).moves).toEqual(draft.moves);
    expect(draftOf(wish(two, 2, { by: 'slots', figures })).moves).toEqual([]);
  });

  it('retires the shard that holds the least of it', () => {
    const figures = holding([0, 9, 10], [8_192, 16_383, 10]);
    expect(draftOf(wish(two, 1, { by: 'bytes', figures })).retiring).toEqual([1]);
    expect(draftOf(wish(two, 1, { figures })).retiring).toEqual([2]);
  });

  it('needs the figures of every shard that takes part', () => {
    const figures = { ...holding([0, 9, 10]), unknown: two.shards[1]!.slots };
    expect(missing(wish(two, 2, { by: 'bytes' }))).toContain('nobody has asked');
    expect(missing(wish(two, 2, { by: 'keys', figures }))).toBe(
      's2 did not tell how many keys each slot holds: exclude it, or share out slots',
    );
    const without = draftOf(wish(two, 3, { by: 'keys', figures, excludeShards: [2] }));
    expect(moved(without)).toEqual([[1, 20, 5]]);
    expect(without.balance.map(({ keys }) => keys)).toEqual([[10, 5], null, [0, 5]]);
  });

  it('shares out slots where they hold nothing, but moves none that need not', () => {
    const nothing = holding();
    const grown = draftOf(wish(two, 4, { by: 'bytes', figures: nothing }));
    expect(grown.shares.map(([, slots]) => slots)).toEqual([4_096, 4_096, 4_096, 4_096]);
    expect(grown.warnings).toEqual(['there are no bytes to share out yet: shares are of slots']);
    expect(draftOf(wish(three, 3, { by: 'bytes', figures: nothing })).moves).toEqual([]);
    expect(moved(draftOf(wish(two, 1, { by: 'bytes', figures: nothing })))).toEqual([[2, 1, 8_192]]);
  });

  it('warns of slots that no plan can cut, of empty ones that stay, and of shards that get nothing', () => {
    const hot = holding([5, 5, 900], [6, 15, 10]);
    const draft = draftOf(wish(one, 2, { by: 'bytes', figures: hot }));
    expect(draft.warnings).toEqual([
      '16373 slots hold no bytes: they stay where they are, and what comes into them stays there too',
      "slot 5 alone holds 90 % of all bytes, more than a shard's share: no plan can cut it",
    ]);
    const alone = draftOf(wish(one, 2, { by: 'bytes', figures: holding([5, 5, 900]) }));
    expect(alone.warnings.at(-1)).toBe('s20 would get no slots: that is as even as it gets');
  });
});

describe('a move', () => {
  it('takes the slots from all who own them, and balances nothing', () => {
    const draft = draftOf(draftMove(three, [[15_990, 16_309]], 9, []));
    expect(draft.moves).toEqual([
      { from: 4, to: 9, slots: [[15_990, 15_999]] },
      { from: 12, to: 9, slots: [[16_300, 16_309]] },
    ]);
    expect(draft.shares).toEqual([
      [4, 15_990],
      [9, 320],
      [12, 74],
    ]);
    expect([draft.newShards, draft.retiring, draft.warnings]).toEqual([[], [], []]);
  });

  it('to a shard that is not there says which are', () => {
    expect(missing(draftMove(three, [[0, 1]], 5, []))).toBe('there is no shard s5; there are s4, s9, s12');
  });
});
