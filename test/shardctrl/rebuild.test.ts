import { describe, expect, it } from 'vitest';
import {
  lostReplicas,
  type MemberChange,
  nextRebuild,
  type RebuildView,
  rebuildView,
  type ShardMap,
} from '../../src/shardctrl/index.js';
import { mapOf } from './map-of.js';

const LIMIT_MS = 600_000;
const THREE = ['n1', 'n2', 'n3'];
const FOUR = [...THREE, 'n4'];
const FIVE = [...FOUR, 'n5'];

interface Scene {
  /** Nodes that are down, and for how long. */
  readonly down?: Readonly<Record<string, number>>;
  /** Silent, but not for long enough to be called down. */
  readonly suspect?: readonly string[];
  readonly changes?: readonly MemberChange[];
  readonly retiring?: readonly number[];
  readonly limit_ms?: number | null;
}

const see = (map: ShardMap, { down = {}, suspect = [], changes = [], retiring, limit_ms }: Scene): RebuildView =>
  rebuildView({
    map,
    changes,
    plan: retiring === undefined ? null : { retiring },
    settings: { rebuildAfter_ms: limit_ms === undefined ? LIMIT_MS : limit_ms },
    healthy: (node) => down[node] === undefined && !suspect.includes(node),
    downFor_ms: (node) => down[node] ?? null,
  });

const next = (map: ShardMap, scene: Scene) => nextRebuild(see(map, scene));

/** What becomes of each lost replica, by `group/node`. */
const outlooks = (map: ShardMap, scene: Scene) =>
  Object.fromEntries(lostReplicas(see(map, scene)).map(({ group, node, outlook }) => [`${group}/${node}`, outlook]));

const change = (map: ShardMap, group: number, out: string, into: string | null, more: Partial<MemberChange> = {}) => {
  const before = map.shards.find(({ id }) => id === group)!.members;
  const newcomers = into === null ? [] : [{ node: into, replica: 161 }];
  const target = [...before.filter(({ node }) => node !== out), ...newcomers];
  const common = { id: 10, group, before, target, replicas: before.length, started_ms: 0, givenUp: null };
  return { ...common, cause: 'asked for by an operator', ...more };
};

describe('a replica whose node stays away', () => {
  const map = mapOf(FOUR, [THREE], { controller: ['n1', 'n2', 'n4'] });

  it('is rebuilt on another node once its own has been down for as long as operators say', () => {
    expect(next(map, { down: { n3: LIMIT_MS } })).toMatchObject({
      group: 1,
      add: ['n4'],
      remove: ['n3'],
      rebuild: true,
      cause: 'n4 takes the place of n3, which is down',
    });
    expect(next(map, { down: { n3: LIMIT_MS - 1 } })).toBeNull();
    expect(outlooks(map, { down: { n3: 0 } })).toEqual({ '1/n3': { kind: 'waiting', rebuildAfter_ms: LIMIT_MS } });
  });

  it('is not, as long as they have not allowed it', () => {
    const scene = { down: { n3: 1e12 }, limit_ms: null };
    expect(next(map, scene)).toBeNull();
    expect(outlooks(map, scene)).toEqual({ '1/n3': { kind: 'not_allowed' } });
  });

  it('is not lost where the node is merely slow to answer', () => {
    expect(outlooks(map, { suspect: ['n3'] })).toEqual({});
    expect(next(map, { suspect: ['n3'] })).toBeNull();
  });

  it('stays where each healthy node has one, or is being drained', () => {
    for (const full of [mapOf(THREE, [THREE]), { ...map, draining: ['n4'] }]) {
      expect(next(full, { down: { n3: LIMIT_MS } })).toBeNull();
      expect(outlooks(full, { down: { n3: LIMIT_MS } })['1/n3']).toEqual({ kind: 'no_place' });
    }
    expect(next(map, { down: { n3: LIMIT_MS }, suspect: ['n4'] })).toBeNull();
  });

  it('stays where the group has no majority: of two, one is not enough', () => {
    const pair = mapOf(FOUR, [['n1', 'n2'], THREE], { controller: ['n1', 'n3', 'n4'] });
    const scene = { down: { n2: LIMIT_MS } };
    expect(outlooks(pair, scene)['1/n2']).toEqual({ kind: 'no_majority', there: 1, needed: 2 });
    // The other group does not wait for it.
    expect(next(pair, scene)).toMatchObject({ group: 2, add: ['n4'], remove: ['n2'] });
    // Also where the second one is only suspected to be away: the change could not be agreed on.
    expect(next(map, { down: { n3: LIMIT_MS }, suspect: ['n2'] })).toBeNull();
    expect(outlooks(map, { down: { n3: LIMIT_MS }, suspect: ['n1', 'n2'] })['1/n3']).toEqual({
      kind: 'no_majority',
      there: 0,
      needed: 2,
    });
  });

  it('waits while its group changes for another reason, or is about to go', () => {
    const other = change(map, 1, 'n2', 'n4');
    const scene = { down: { n3: LIMIT_MS } };
    expect(next(map, { ...scene, changes: [other] })).toBeNull();
    expect(outlooks(map, { ...scene, changes: [other] })['1/n3']).toEqual({ kind: 'busy', cause: other.cause });
    expect(next(map, { ...scene, retiring: [1] })).toBeNull();
    expect(outlooks(map, { ...scene, retiring: [1] })['1/n3']).toEqual({ kind: 'retiring' });
    expect(outlooks({ ...map, draining: ['n3'] }, scene)['1/n3']).toEqual({ kind: 'draining' });
  });

  it('is shown as being rebuilt while that goes on, whoever has asked for it, and no more once it is given up', () => {
    const scene = { down: { n3: LIMIT_MS } };
    const rebuilding = { kind: 'rebuilding', to: ['n4'] };
    expect(outlooks(map, { ...scene, changes: [change(map, 1, 'n3', 'n4')] })['1/n3']).toEqual(rebuilding);
    expect(outlooks(map, { ...scene, limit_ms: null, changes: [change(map, 1, 'n3', 'n4')] })['1/n3']).toEqual(
      rebuilding,
    );
    expect(outlooks(map, { ...scene, changes: [change(map, 1, 'n3', null)] })['1/n3']).toEqual({
      kind: 'rebuilding',
      to: [],
    });
    const back = change(map, 1, 'n3', 'n4', { target: map.shards[0]!.members, givenUp: 'n4 was away' });
    expect(outlooks(map, { ...scene, changes: [back] })['1/n3']).toMatchObject({ kind: 'busy' });
  });
});

describe('of several lost replicas', () => {
  it('the controller’s comes first, then those of lower ids, and each goes where fewest are', () => {
    const map = mapOf(FIVE, [['n1', 'n2', 'n3'], ['n2', 'n3', 'n4'], THREE], { controller: ['n1', 'n2', 'n3'] });
    const down = { n3: LIMIT_MS };
    expect(next(map, { down })).toMatchObject({ group: 0, add: ['n5'], remove: ['n3'] });
    const moved = mapOf(FIVE, [['n1', 'n2', 'n3'], ['n2', 'n3', 'n4'], THREE], { controller: ['n1', 'n2', 'n5'] });
    // Of shards n5 carries none yet.
    expect(next(moved, { down })).toMatchObject({ group: 1, add: ['n5'] });
  });

  it('those come first whose group would be the first to lose its majority', () => {
    const map = mapOf([...FIVE, 'n6'], [FIVE, ['n2', 'n4', 'n5']], { controller: ['n1', 'n2', 'n3'] });
    expect(next(map, { down: { n5: LIMIT_MS } })).toMatchObject({ group: 2, add: ['n6'], remove: ['n5'] });
    // Of five, two are away: that is as few as one of three.
    expect(next(map, { down: { n4: LIMIT_MS, n5: 5 }, suspect: [] })).toMatchObject({ group: 1, remove: ['n4'] });
  });

  it('keep away from the hosts and zones of those that stay', () => {
    const labels = {
      n1: { host: 'a', zone: 'x' },
      n2: { host: 'b', zone: 'y' },
      n3: { host: 'c', zone: 'z' },
      n4: { host: 'a', zone: 'x' },
      n5: { host: 'd', zone: 'y' },
      n6: { host: 'e', zone: 'z' },
    };
    const map = mapOf([...FIVE, 'n6'], [THREE], { labels, controller: ['n1', 'n2', 'n4'] });
    const down = { n3: LIMIT_MS };
    expect(next(map, { down })).toMatchObject({ add: ['n6'] });
    expect(next(map, { down: { ...down, n6: 5 } })).toMatchObject({ add: ['n5'] });
    // Beside another one on its host is still better than nowhere.
    expect(next(map, { down: { ...down, n6: 5, n5: 5 } })).toMatchObject({ add: ['n4'] });
  });
});
