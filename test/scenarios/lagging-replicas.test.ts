/** Replicas that sleep, lag behind and restart while shards come and go. */
import { describe, expect, it } from 'vitest';
import {
  expectExact,
  idsOf,
  keysNamed,
  mapOf,
  planDone,
  putAll,
  SimCluster,
  startReshard,
  wrongKeys,
} from './scenario-world.js';

const KEYS = keysNamed('key-', 100);

describe('replicas that lag behind', () => {
  it('SnapshotMoves: with a tiny limit for logs, through growing, shrinking and a restart of everything, all data is there', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 401, raft: { snapshotLogBytes: 2_000 } });
    const value = (round: number) => (key: string) => `${key} ${round} ${'.'.repeat(100)}`;
    await putAll(cluster, KEYS, value(0));
    const sleeper = idsOf(cluster).find(
      (id) => [0, 1, 2].every((group) => cluster.leaderOf(group) !== id) && cluster.node(id).host.knows(1),
    )!;
    const awake = idsOf(cluster).find((id) => id !== sleeper)!;
    const missed = cluster.replica(sleeper, 1).lastIndex;
    cluster.kill(sleeper);
    await planDone(cluster, await startReshard(cluster, 3, awake));
    for (const round of [1, 2, 3]) await putAll(cluster, KEYS, value(round), awake);
    await cluster.start(sleeper);
    await cluster.untilHealthy();
    const leader = (): number => cluster.replica(cluster.leaderOf(1)!, 1).applied;
    await cluster.until(() => cluster.replica(sleeper, 1).applied === leader(), 'the one that slept to catch up');
    // What it missed was in no log any more: it was given a state.
    expect(cluster.replica(sleeper, 1).status().firstIndex).toBeGreaterThan(missed + 1);

    await planDone(cluster, await startReshard(cluster, 2, sleeper));
    for (const id of idsOf(cluster)) cluster.kill(id, 'power-cut');
    for (const id of idsOf(cluster)) await cluster.start(id);
    await cluster.untilHealthy();
    for (const id of idsOf(cluster)) expect(await wrongKeys(cluster, KEYS, value(3), id)).toEqual([]);
    expectExact(cluster, 2);
    expect(cluster.errors).toEqual([]);
  });

  it('MissChange (F59): one replica of each shard sleeps through a grow and a shrink, wakes up, and another sleeps: all is right', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 402 });
    let round = 0;
    const value = (key: string): string => `${key} ${round}`;
    await putAll(cluster, KEYS, value);
    for (const sleeper of ['n3', 'n1']) {
      // All shards have a replica on each of three nodes.
      for (const { members } of mapOf(cluster).shards) expect(members.map(({ node }) => node)).toContain(sleeper);
      cluster.machine(sleeper).clock!.pause();
      const awake = idsOf(cluster).filter((id) => id !== sleeper);
      const led = (group: number): boolean => awake.some((id) => cluster.node(id).host.get(group)?.leads === true);
      const groups = [0, ...mapOf(cluster).shards.map(({ id }) => id)];
      await cluster.until(() => groups.every(led), 'leaders among those who are awake');
      for (const shards of [3, 2]) {
        await planDone(cluster, await startReshard(cluster, shards, awake[0]!));
        round++;
        await putAll(cluster, KEYS, value, awake[1]!);
      }
      cluster.machine(sleeper).clock!.resume();
      // At once, with what it remembers.
      expect(await wrongKeys(cluster, KEYS, value, sleeper)).toEqual([]);
      await cluster.untilHealthy();
      const known = mapOf(cluster).shards.map(({ id }) => id);
      const gone = (id: string): boolean =>
        cluster
          .node(id)
          .host.groups()
          .every((group) => group === 0 || known.includes(group));
      await cluster.until(() => idsOf(cluster).every(gone), 'retired shards to be gone everywhere');
      expectExact(cluster, 2);
    }
    expect(cluster.errors).toEqual([]);
  });
});
