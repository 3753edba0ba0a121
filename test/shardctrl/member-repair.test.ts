import { describe, expect, it } from 'vitest';
import type { ShardMap } from '../../src/shardctrl/index.js';
import { drainProblem, emptied, nextLeaderWish, nextMemberWish } from '../../src/shardctrl/member-repair.js';
import { mapOf } from './map-of.js';

const wish = (map: ShardMap, more: { away?: string[]; busy?: number[]; calm?: boolean } = {}) =>
  nextMemberWish({
    map,
    busy: new Set(more.busy ?? []),
    healthy: (node) => !(more.away ?? []).includes(node),
    calm: more.calm ?? true,
  });

const THREE = ['n1', 'n2', 'n3'];
const FOUR = [...THREE, 'n4'];

describe('which change of members is due by itself', () => {
  it('none where every group has what it should and nodes carry alike', () => {
    expect(wish(mapOf(THREE, [THREE, THREE]))).toBeNull();
    expect(wish(mapOf(FOUR, [THREE]))).toBeNull();
  });

  it('replicas leave a node that is drained, the controller first; each goes where fewest are', () => {
    const map = mapOf(
      FOUR,
      [
        ['n1', 'n2', 'n3'],
        ['n2', 'n3', 'n4'],
      ],
      { draining: ['n1'] },
    );
    expect(wish(map)).toMatchObject({ group: 0, add: ['n4'], remove: ['n1'] });
    const then = {
      ...map,
      controller: { ...map.controller, members: mapOf(['n2', 'n3', 'n4'], []).controller.members },
    };
    expect(wish(then)).toMatchObject({ group: 1, add: ['n4'], remove: ['n1'] });
    expect(emptied(then)).toEqual([]);
    const last = { ...then, shards: then.shards.slice(1) };
    expect(wish(last)).toBeNull();
    expect(emptied(last)).toEqual(['n1']);
  });

  it('no replica goes by itself to a node that the shard avoids, unless there is no other for one that is drained', () => {
    const avoiding = (map: ShardMap, node: string): ShardMap => ({
      ...map,
      shards: map.shards.map((shard) => ({ ...shard, avoids: [node] })),
    });
    const lacks = mapOf(THREE, [['n1', 'n2']], { replicas: 3 });
    expect(wish(lacks)).toMatchObject({ group: 1, add: ['n3'] });
    expect(wish(avoiding(lacks, 'n3'))).toBeNull();
    const uneven = mapOf(FOUR, [THREE, THREE, THREE]);
    expect(wish(uneven)).toMatchObject({ add: ['n4'] });
    expect(wish(avoiding(uneven, 'n4'))).toBeNull();
    const drained = mapOf(FOUR, [THREE], { draining: ['n1'], controller: ['n2', 'n3', 'n4'] });
    expect(wish(avoiding(drained, 'n4'))).toMatchObject({ add: ['n4'], remove: ['n1'] });
    const two = mapOf([...FOUR, 'n5'], [THREE], { draining: ['n1'], controller: ['n2', 'n3', 'n4'] });
    expect(wish(avoiding(two, 'n4'))).toMatchObject({ group: 1, add: ['n5'], remove: ['n1'] });
  });

  it('no replica goes to a node that is away, or is being drained too', () => {
    const map = mapOf(['n1', 'n2', 'n3', 'n4', 'n5'], [THREE], {
      draining: ['n1', 'n4'],
      controller: ['n2', 'n3', 'n5'],
    });
    expect(wish(map)).toMatchObject({ group: 1, add: ['n5'] });
    expect(wish(map, { away: ['n5'] })).toBeNull();
  });

  it('a group gets the replicas that it lacks, as far as there are nodes', () => {
    const two = mapOf(THREE, [['n1', 'n2']], { replicas: 3, controller: ['n1', 'n2'] });
    expect(wish(two)).toMatchObject({ group: 0, add: ['n3'], remove: [] });
    expect(wish(two, { busy: [0] })).toMatchObject({ group: 1, add: ['n3'], remove: [] });
    expect(wish(mapOf(['n1', 'n2'], [['n1', 'n2']], { replicas: 3 }))).toBeNull();
    // What an operator wanted stays.
    expect(wish(mapOf(THREE, [['n1', 'n2']], { replicas: 2 }))).toBeNull();
  });

  it('nothing leaves that a majority could be missed with: who is away counts as gone', () => {
    const map = mapOf(THREE, [['n1', 'n2']], { draining: ['n3'], controller: THREE });
    expect(wish(map)).toMatchObject({ group: 0, add: [], remove: ['n3'] });
    expect(wish(map, { away: ['n2'] })).toMatchObject({ remove: ['n2'] });
    const five = [...FOUR, 'n5'];
    const big = mapOf(five, [], { draining: ['n1'], controller: five });
    expect(wish(big, { away: ['n5'] })).toMatchObject({ remove: ['n1'] });
    expect(wish(big, { away: ['n4', 'n5'] })).toMatchObject({ remove: ['n4'] });
  });

  it('a group without a majority holds up no other', () => {
    const map = mapOf(['n1', 'n2', 'n3', 'n4'], [['n1', 'n2'], THREE], {
      draining: ['n1'],
      controller: ['n2', 'n3', 'n4'],
    });
    expect(wish(map)).toMatchObject({ group: 1 });
    expect(wish(map, { away: ['n2'] })).toMatchObject({ group: 2, add: ['n4'], remove: ['n1'] });
  });

  it('of too many members of the controller one that is away goes first', () => {
    expect(wish(mapOf(FOUR, [], { controller: FOUR }), { away: ['n2'] })).toMatchObject({ remove: ['n2'] });
  });

  it('five members of the controller are for five nodes', () => {
    const five = [...FOUR, 'n5'];
    expect(wish(mapOf(five, [], { controller: THREE }))).toMatchObject({ group: 0, add: ['n4'], remove: [] });
    expect(wish(mapOf(FOUR, [], { controller: FOUR }))).toMatchObject({ group: 0, add: [], remove: ['n4'] });
  });

  it('replicas spread over a node that has just joined, but not while anything else goes on', () => {
    const map = mapOf(FOUR, [THREE, THREE, THREE]);
    expect(wish(map)).toMatchObject({ group: 1, add: ['n4'], remove: ['n3'] });
    expect(wish(map, { calm: false })).toBeNull();
    expect(wish(map, { away: ['n2'] })).toBeNull();
    expect(wish(map, { busy: [3] })).toBeNull();
  });

  it('replicas do not move closer together for that', () => {
    const labels = { n1: { host: 'a' }, n2: { host: 'b' }, n3: { host: 'c' }, n4: { host: 'a' } };
    // Beside n1 on its host, n4 can only take what n1 has.
    expect(wish(mapOf(FOUR, [THREE, THREE, THREE], { labels }))).toMatchObject({ add: ['n4'], remove: ['n1'] });
  });
});

describe('whether a node can be drained', () => {
  it('depends on how many would be left', () => {
    expect(drainProblem(mapOf(FOUR, [THREE]), 'n1')).toBeNull();
    expect(drainProblem(mapOf(THREE, [['n1', 'n2']]), 'n1')).toBeNull();
    expect(drainProblem(mapOf(THREE, [['n1', 'n2']], { draining: ['n3'] }), 'n1')).toBe(
      's1 has 2 replicas, and only 1 node would be left: add 1 more node first, or take a replica off each',
    );
    expect(drainProblem(mapOf(THREE, [['n1', 'n2']]), 'n3')).toBeNull();
  });
});

describe('who should lead', () => {
  const leader = (map: ShardMap) => nextLeaderWish({ map, busy: new Set(), healthy: () => true, calm: true });

  it('is spread over the nodes', () => {
    expect(leader(mapOf(THREE, [THREE, ['n2', 'n1', 'n3']]))).toBeNull();
    expect(leader(mapOf(THREE, [THREE, THREE, THREE]))).toEqual({ group: 1, node: 'n2' });
    // What an operator said stays, and as far as members go.
    const pinned = mapOf(THREE, [THREE, THREE, THREE]);
    expect(leader({ ...pinned, shards: pinned.shards.map((shard) => ({ ...shard, pinned: true })) })).toBeNull();
    expect(
      leader(
        mapOf(FOUR, [
          ['n1', 'n2'],
          ['n1', 'n2'],
          ['n3', 'n4'],
        ]),
      ),
    ).toEqual({ group: 1, node: 'n2' });
    expect(
      leader(
        mapOf(FOUR, [
          ['n1', 'n2'],
          ['n2', 'n1'],
          ['n2', 'n1'],
          ['n3', 'n4'],
        ]),
      ),
    ).toBeNull();
  });
});
