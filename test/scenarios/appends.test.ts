/** Clients append to lists in many slots while shards come and go, restart, and the network misbehaves. */
import { describe, expect, it } from 'vitest';
import { networkFaults } from '../sim/faults.js';
import { Appenders } from './appenders.js';
import {
  expectExact,
  idsOf,
  keysNamed,
  mapOf,
  planDone,
  putAll,
  reshard,
  SimCluster,
  startReshard,
  wrongKeys,
} from './scenario-world.js';

const LISTS = keysNamed('list-', 8);
const KEYS = keysNamed('key-', 100);
const same = (key: string): string => key;

/** The machines of a shard lose their power at once, and are started again one by one. */
async function restartShard(cluster: SimCluster, shard: number): Promise<void> {
  const members = mapOf(cluster)
    .shards.find(({ id }) => id === shard)!
    .members.map(({ node }) => node);
  for (const id of members) cluster.kill(id, 'power-cut');
  await cluster.scheduler.runFor(500);
  for (const id of members) {
    await cluster.start(id);
    await cluster.scheduler.runFor(200);
  }
  await cluster.untilHealthy();
}

describe('appends', () => {
  it('JoinLeave: a client appends while the cluster grows and shrinks; then all but the last shard is stopped, and every key is there', async () => {
    const cluster = await SimCluster.healthy({ nodes: 6, shards: 1, seed: 301 });
    await putAll(cluster, KEYS, same);
    const appenders = Appenders.start(cluster, LISTS, 1);
    for (const shards of [3, 1]) {
      const before = appenders.acknowledged;
      await reshard(cluster, shards);
      expect(appenders.acknowledged).toBeGreaterThan(before);
    }
    expectExact(cluster, 1);
    const [last] = mapOf(cluster).shards;
    const members = last!.members.map(({ node }) => node);
    for (const id of idsOf(cluster)) if (!members.includes(id)) cluster.kill(id);
    await cluster.until(() => cluster.leaderOf(last!.id) !== null, 'the last shard to have a leader');
    const { acknowledged, ...rest } = await appenders.stop();
    expect(acknowledged).toBeGreaterThan(20);
    expect(rest).toEqual({ refused: 0, unknown: 0, complaints: [] });
    for (const id of members) expect(await wrongKeys(cluster, KEYS, same, id)).toEqual([]);
  });

  it('ConcurrentAppends: while maps change and whole shards restart; the order of each client’s appends is exact', async () => {
    const cluster = await SimCluster.healthy({ nodes: 6, shards: 2, seed: 302 });
    const appenders = Appenders.start(cluster, LISTS, 4);
    const plan = await startReshard(cluster, 4);
    await cluster.until(() => mapOf(cluster).epoch > 4, 'the plan to be midway');
    await restartShard(cluster, 1);
    await planDone(cluster, plan);
    await restartShard(cluster, 3);
    const back = await startReshard(cluster, 2);
    await restartShard(cluster, 2);
    await planDone(cluster, back);
    expectExact(cluster, 2);
    const { acknowledged, ...rest } = await appenders.stop();
    expect(acknowledged).toBeGreaterThan(100);
    expect(rest).toEqual({ refused: 0, unknown: 0, complaints: [] });
    expect(cluster.errors).toEqual([]);
  });

  it('Unreliable (F45): the same over a network that loses, repeats and reorders by seconds, also requests of clients and of moves', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 303 });
    const { network, http } = cluster;
    network.setFaults({
      ...networkFaults(new Set(), cluster.random.fork('faults')),
      loss: 0.02,
      duplicate: 0.1,
      reorder: 0.05,
      reset: 0.002,
      held: 0.3,
      late: 0.3,
      late_ms: 4_000,
    });
    http.faults.loss = 0.03;
    const appenders = Appenders.start(cluster, LISTS, 4);
    for (const shards of [4, 2]) {
      const plan = await startReshard(cluster, shards);
      await cluster.until(() => cluster.controller().plan(plan)?.status !== 'running', 'the plan to end', 300_000);
    }
    // Plans may be quick; appends go on over such a network until enough of them have got through.
    await cluster.until(() => appenders.acknowledged > 100, 'the appends', 300_000);
    const { lost, duplicated, reordered, resets } = network.stats;
    expect(Math.min(lost, duplicated, reordered, resets)).toBeGreaterThan(5);
    network.setFaults({ loss: 0, duplicate: 0, reorder: 0, reset: 0, held: 0, late: 0 });
    http.faults.loss = 0;
    await cluster.untilHealthy();
    const { acknowledged, complaints } = await appenders.stop();
    expect(complaints).toEqual([]);
    expect(acknowledged).toBeGreaterThan(100);
    expectExact(cluster, 2);
  });
});
