/**
 * What scenarios have in common: a simulated cluster (production nodes over simulated ports), clients of production that speak
 * HTTP to it, reshards that are followed to their end, and maps judged slot by slot.
 */
import { expect } from 'vitest';
import { QuorateClient } from '../../src/kv/client/index.js';
import { type PlanState, type ShardMap, SLOT_COUNT, slotOfKey } from '../../src/shardctrl/index.js';
import { errorOf, get, granted, put, type SimCluster } from '../kv/server/sim-cluster.js';

export { errorOf, get, granted, put, SimCluster } from '../kv/server/sim-cluster.js';

export const keysNamed = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

export const idsOf = (cluster: SimCluster): string[] => [...cluster.machines.keys()];

/** As the controller's leader has it. */
export function mapOf(cluster: SimCluster): ShardMap {
  const map = cluster.controller().map();
  if (map === null) throw new Error('the cluster has no map');
  return map;
}

/** Every map from the first to the present one. */
export function allMaps(cluster: SimCluster): ShardMap[] {
  const controller = cluster.controller();
  return Array.from({ length: mapOf(cluster).epoch }, (_, i) => controller.mapAt(i + 1)!);
}

/** Owner of each slot. Fails where one has none, or two. */
export function ownersOf(map: ShardMap): readonly number[] {
  const owners: number[] = new Array(SLOT_COUNT).fill(0);
  for (const shard of map.shards) {
    for (const [first, last] of shard.slots) {
      for (let slot = first; slot <= last; slot++) {
        if (owners[slot] !== 0) throw new Error(`epoch ${map.epoch}: slot ${slot} has two owners`);
        owners[slot] = shard.id;
      }
    }
  }
  const lost = owners.indexOf(0);
  if (lost >= 0) throw new Error(`epoch ${map.epoch}: slot ${lost} has no owner`);
  return owners;
}

export const ownerOf = (map: ShardMap, key: string): number => ownersOf(map)[slotOfKey(Buffer.from(key))]!;

export function sharesOf(owners: readonly number[]): ReadonlyMap<number, number> {
  const shares = new Map<number, number>();
  for (const owner of owners) shares.set(owner, (shares.get(owner) ?? 0) + 1);
  return shares;
}

/** As many shards as asked for, each with its share of the slots and with members that really host it, and nobody else does. */
export function expectExact(cluster: SimCluster, shards: number): void {
  const map = mapOf(cluster);
  expect(map.shards).toHaveLength(shards);
  const shares = [...sharesOf(ownersOf(map)).values()];
  expect(shares).toHaveLength(shards);
  expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  for (const { id, members } of map.shards) {
    const hosts = idsOf(cluster).filter((node) => cluster.node(node).host.knows(id));
    expect(hosts).toEqual(members.map(({ node }) => node).sort());
    expect(hosts).toHaveLength(cluster.bootstrap.replicas!);
  }
}

/** Starts a reshard at any node that will take it. */
export async function startReshard(cluster: SimCluster, shards: number, at = 'n1'): Promise<string> {
  return granted(await cluster.settle(cluster.node(at).admin.reshard({ shards, dry_run: false }, 5_000))).id;
}

export async function startMove(cluster: SimCluster, slots: string, to: string, at = 'n1'): Promise<string> {
  return granted(
    await cluster.settle(cluster.node(at).admin.move({ slots, to, dry_run: false, max_pause_ms: 5_000 }, 5_000)),
  ).id;
}

/** Lets the plan come to its end, which must be `done`. */
export async function planDone(cluster: SimCluster, id: string): Promise<PlanState> {
  await cluster.planOver();
  const plan = cluster.controller().plan(id);
  expect({ status: plan?.status, reason: plan?.reason }).toEqual({ status: 'done', reason: null });
  return plan!;
}

export async function reshard(cluster: SimCluster, shards: number, at = 'n1'): Promise<PlanState> {
  return planDone(cluster, await startReshard(cluster, shards, at));
}

/** The code with which a reshard is refused. */
export async function refusedReshard(cluster: SimCluster, shards: number, at: string): Promise<string> {
  return errorOf(await cluster.settle(cluster.node(at).admin.reshard({ shards, dry_run: false }, 5_000))).code;
}

/** The production client over simulated HTTP. */
export function clientOf(cluster: SimCluster, name: string, options: { direct?: boolean; at?: string } = {}) {
  const { scheduler, http, random } = cluster;
  const endpoints = (options.at === undefined ? idsOf(cluster) : [options.at]).map((id) => `http://${id}`);
  return new QuorateClient({
    endpoints,
    timeout_ms: 30_000,
    direct: options.direct ?? true,
    send: http.send,
    clock: { monotonic_ms: () => scheduler.now_ms, after: (delay_ms, run) => scheduler.after(delay_ms, run) },
    random: random.fork(`client ${name}`),
  });
}

/** Writes all at once; every write must be acknowledged. */
export async function putAll(cluster: SimCluster, keys: readonly string[], value: (key: string) => string, at = 'n1') {
  const outcomes = await cluster.settle(Promise.all(keys.map((key) => cluster.send(at, put(key, value(key))))));
  expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['stored']));
}

/** Keys that do not have this value when they are read at this node: there must be none. */
export async function wrongKeys(
  cluster: SimCluster,
  keys: readonly string[],
  value: (key: string) => string,
  at = 'n1',
): Promise<string[]> {
  const outcomes = await cluster.settle(Promise.all(keys.map((key) => cluster.send(at, get(key)))));
  return outcomes.flatMap((outcome, i) => {
    if (outcome.kind === 'found' && String(outcome.value) === value(keys[i]!)) return [];
    return [`${keys[i]}: ${outcome.kind === 'found' ? String(outcome.value) : JSON.stringify(outcome)}`];
  });
}
