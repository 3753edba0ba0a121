import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareNodeIds, type NodeEntry, type PlacedShard, placeShards } from '../../src/shardctrl/index.js';
import { nodeOf, nodesOf } from './memory-controller.js';

function place(
  nodes: readonly NodeEntry[],
  shards: number,
  replicas: number | null,
  existing: readonly PlacedShard[] = [],
) {
  const newShards = Array.from({ length: shards }, (_, i) => existing.length + i + 1);
  return placeShards({ nodes, existing, newShards, replicas });
}

function placed(
  nodes: readonly NodeEntry[],
  shards: number,
  replicas: number | null,
  existing: readonly PlacedShard[] = [],
) {
  const result = place(nodes, shards, replicas, existing);
  if (!result.ok) throw new Error(result.missing);
  return result;
}

function counts(
  shards: readonly PlacedShard[],
  pick: (shard: PlacedShard) => string[],
  nodes: readonly NodeEntry[],
): number[] {
  const all = shards.flatMap(pick);
  return nodes.map((node) => all.filter((id) => id === node.id).length);
}

const members = (shard: PlacedShard): string[] => shard.members.map((member) => member.node);
const first = (shard: PlacedShard): string[] => members(shard).slice(0, 1);
const spread = (numbers: readonly number[]): number => Math.max(...numbers) - Math.min(...numbers);

describe('placeShards', () => {
  it('ReshardRefused: says what is missing', () => {
    const missing = (nodes: number, replicas: number | null) => {
      const result = place(nodesOf(nodes), 1, replicas);
      return result.ok ? 'nothing' : result.missing;
    };
    expect(missing(2, 3)).toBe('3 replicas a shard need 3 nodes, the cluster has 2: 1 more node needed');
    expect(missing(2, 5)).toContain('3 more nodes needed');
    expect(missing(1, null)).toBe('a shard needs at least 2 nodes, the cluster has 1: 1 more needed');
    expect(missing(3, 1)).toContain('at least 2 replicas');
    expect(missing(9, 8)).toContain('more than the 7');
    expect([missing(2, 2), missing(7, 7)]).toEqual(['nothing', 'nothing']);
  });

  it('gives three replicas by default, fewer on fewer nodes, and warns of groups of two', () => {
    expect(placed(nodesOf(5), 1, null).shards[0]!.members).toHaveLength(3);
    expect(placed(nodesOf(5), 1, null).warnings).toEqual([]);
    expect(placed(nodesOf(2), 1, null).shards[0]!.members).toHaveLength(2);
    expect(placed(nodesOf(2), 1, null).warnings.join()).toContain('two replicas');
    // Where nothing is made there is nothing to warn of.
    expect(placed(nodesOf(2), 0, null).warnings).toEqual([]);
  });

  it('spreads replicas and first members evenly, also as shards are added bit by bit', () => {
    const sizes = fc.record({
      nodes: fc.integer({ min: 2, max: 9 }),
      replicas: fc.integer({ min: 2, max: 5 }),
      steps: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
    });
    fc.assert(
      fc.property(sizes, ({ nodes: count, replicas, steps }) => {
        fc.pre(replicas <= count);
        const nodes = nodesOf(count);
        let all: PlacedShard[] = [];
        for (const step of steps) {
          all = [...all, ...placed(nodes, step, replicas, all).shards];
          expect(spread(counts(all, members, nodes))).toBeLessThanOrEqual(1);
          expect(spread(counts(all, first, nodes))).toBeLessThanOrEqual(count === replicas ? 1 : 2);
        }
        for (const shard of all) {
          expect(new Set(members(shard)).size).toBe(replicas);
          expect(members(shard).slice(1)).toEqual(members(shard).slice(1).sort(compareNodeIds));
          expect(shard.members.map((member) => member.replica)).toEqual(shard.members.map((_, i) => i + 1));
        }
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  it('keeps replicas of one shard on different hosts, and warns where it cannot', () => {
    const nodes = ['a', 'a', 'b', 'b', 'c', 'c'].map((host, i) => nodeOf(`n${i + 1}`, { host }));
    for (const shard of placed(nodes, 6, 3).shards) {
      expect(new Set(members(shard).map((id) => nodes.find((node) => node.id === id)!.labels['host'])).size).toBe(3);
    }
    expect(placed(nodes, 6, 3).warnings).toEqual([]);
    expect(placed(nodes.slice(0, 4), 2, 3).warnings).toEqual([
      'there are fewer hosts than replicas: some replicas of s1, s2 share a host',
    ]);
  });

  it('puts no two replicas of a shard on one node, even where all nodes share a host and a zone', () => {
    const nodes = ['n1', 'n2', 'n3', 'n4'].map((id) => nodeOf(id, { host: 'h', zone: 'z' }));
    for (const shard of placed(nodes, 3, 3).shards) expect(new Set(members(shard)).size).toBe(3);
  });

  it('does not depend on the order in which nodes are named: among equals n2 comes before n10', () => {
    const nodes = nodesOf(12);
    const shards = placed(nodes, 5, 3).shards;
    expect(members(shards[0]!)).toEqual(['n1', 'n2', 'n3']);
    expect(placed([...nodes].reverse(), 5, 3).shards).toEqual(shards);
    expect(['n10', 'n2', 'n1', 'n12', 'n9'].sort(compareNodeIds)).toEqual(['n1', 'n2', 'n9', 'n10', 'n12']);
    expect([compareNodeIds('b', 'a'), compareNodeIds('a', 'b'), compareNodeIds('a', 'a')]).toEqual([1, -1, 0]);
  });

  it('prefers different zones', () => {
    const nodes = ['x', 'x', 'x', 'y', 'z'].map((zone, i) => nodeOf(`n${i + 1}`, { zone }));
    for (const shard of placed(nodes, 4, 3).shards) {
      expect(new Set(members(shard).map((id) => nodes.find((node) => node.id === id)!.labels['zone'])).size).toBe(3);
    }
  });

  it('takes a node without a zone for a zone of its own', () => {
    const nodes = [...nodesOf(3), nodeOf('n4', { zone: 'x' })];
    expect(members(placed(nodes, 1, 3).shards[0]!)).toEqual(['n1', 'n2', 'n3']);
  });

  it('takes nodes that are down last, whatever speaks for them, and has none of them lead', () => {
    // n4 and n5 carry nothing, just because they are down, and stand alone in their zones.
    const nodes = ['x', 'x', 'x', 'y', 'z'].map((zone, i) => nodeOf(`n${i + 1}`, { zone }));
    const existing = placed(nodes.slice(0, 3), 2, 3).shards;
    const make = (down: string[], replicas: number) => {
      const result = placeShards({ nodes, existing, newShards: [3, 4], replicas, down });
      if (!result.ok) throw new Error(result.missing);
      return result;
    };
    const three = make(['n4', 'n5'], 3);
    for (const shard of three.shards) expect([...members(shard)].sort()).toEqual(['n1', 'n2', 'n3']);
    expect(three.warnings).toEqual([]);
    const five = make(['n4', 'n5', 'n9'], 5);
    for (const shard of five.shards) {
      expect(members(shard)).toHaveLength(5);
      expect(['n1', 'n2', 'n3']).toContain(first(shard)[0]);
    }
    expect(five.warnings).toEqual(['too few nodes are up: s3, s4 start with replicas missing, as n4, n5 are down']);
  });

  it('makes no shard whose majority is down from the start, and says who is', () => {
    const missing = (replicas: number, down: string[], newShards = [1]) => {
      const result = placeShards({ nodes: nodesOf(5), existing: [], newShards, replicas, down });
      return result.ok ? 'nothing' : result.missing;
    };
    expect(missing(3, ['n1', 'n2', 'n5'])).toBe('nothing');
    expect(missing(3, ['n1', 'n2', 'n3', 'n5'])).toBe(
      'a new shard of 3 replicas needs 2 nodes that are up, and there is 1: n1, n2, n3, n5 are down',
    );
    expect(missing(5, ['n1', 'n2', 'n3'])).toContain('needs 3 nodes that are up, and there are 2');
    expect(missing(2, ['n1', 'n2', 'n3', 'n4'])).toContain('of 2 replicas needs 2 nodes that are up');
    expect(missing(3, ['n1', 'n2', 'n3', 'n5'], [])).toBe('nothing');
  });

  it('LateJoiner: a node that joins gets the next replicas', () => {
    const before = placed(nodesOf(3), 4, 3).shards;
    const after = placed(nodesOf(4), 2, 3, before).shards;
    expect(after.every((shard) => members(shard).includes('n4'))).toBe(true);
  });
});
