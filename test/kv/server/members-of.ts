/** Members of a cluster's groups: who they are, and that they are whole. */
import { expect } from 'vitest';
import { groupsOf, type ShardMap } from '../../../src/shardctrl/index.js';
import type { SimCluster } from './sim-cluster.js';

const KEYS = Array.from({ length: 120 }, (_, i) => `key-${i}`);

export const mapOf = (cluster: SimCluster): ShardMap => cluster.controller().map()!;

/** Nodes of the members, by group. */
export const membersOf = (cluster: SimCluster, group: number): string[] =>
  (groupsOf(mapOf(cluster)).find(([id]) => id === group)?.[1].members ?? []).map(({ node }) => node).sort();

export async function fill(cluster: SimCluster, by: string): Promise<void> {
  for (const key of KEYS) expect((await cluster.put(by, key, `value of ${key}`)).kind).toBe('stored');
}

export async function expectAll(cluster: SimCluster, by: string): Promise<void> {
  for (const key of KEYS) expect(await cluster.value(by, key)).toBe(`value of ${key}`);
}

/** Every group's Raft configuration is what the map says, and the members hold the same. */
export async function expectSettled(cluster: SimCluster): Promise<void> {
  await cluster.until(() => cluster.leaderOf(0) !== null && cluster.controller().changes().length === 0, 'no change');
  await cluster.untilHealthy();
  const same = (group: number, nodes: readonly string[]): boolean => {
    const leader = cluster.leaderOf(group);
    if (leader === null) return false;
    const { conf, applied } = cluster.replica(leader, group);
    const voters = conf.voters.map(({ node }) => node).sort();
    if (conf.outgoing.length > 0 || conf.learners.length > 0 || String(voters) !== String(nodes)) return false;
    const up = nodes.filter((node) => cluster.machine(node).node !== null);
    return up.every((node) => cluster.node(node).host.get(group)?.applied === applied);
  };
  const groups = groupsOf(mapOf(cluster)).map(([group]) => group);
  await cluster.until(() => groups.every((group) => same(group, membersOf(cluster, group))), 'members as in the map');
  for (const group of groups) {
    const up = membersOf(cluster, group).filter((node) => cluster.machine(node).node !== null);
    const hashes = up.map((node) => cluster.replica(node, group).machine.stateHash());
    expect(new Set(hashes).size).toBe(1);
  }
}

export const joined = (cluster: SimCluster, id: string): Promise<number> =>
  cluster.until(() => mapOf(cluster).nodes.some((node) => node.id === id), `${id} in the map`);

export const left = (cluster: SimCluster, id: string): Promise<number> =>
  cluster.until(() => cluster.leaderOf(0) !== null && mapOf(cluster).gone.includes(id), `${id} to have left`, 240_000);
