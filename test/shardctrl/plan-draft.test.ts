/** What an operator is shown before a plan starts, and what the controller then starts: the same draft. */
import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  completed,
  countSlots,
  type Drafted,
  draftMove,
  draftReshard,
  type PlanDraft,
  SHARDS_MAX,
  type ShardEntry,
  type ShardMap,
  type SlotRanges,
} from '../../src/shardctrl/index.js';
import { nodesOf } from './memory-controller.js';

const shard = (id: number, slots: SlotRanges, nodes: number): ShardEntry => ({
  id,
  slots,
  members: Array.from({ length: nodes }, (_, i) => ({ node: `n${i + 1}`, replica: i + 1 })),
  joining: [],
  replicas: nodes,
  asFounded: true,
  pinned: false,
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

describe('a move', () => {
  it('takes the slots from all who own them, and balances nothing', () => {
    const draft = draftOf(draftMove(three, [[15_990, 16_309]], 9));
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
    expect(missing(draftMove(three, [[0, 1]], 5))).toBe('there is no shard s5; there are s4, s9, s12');
  });
});
