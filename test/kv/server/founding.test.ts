import { expect, it } from 'vitest';
import type { ControllerStateMachine } from '../../../src/shardctrl/index.js';
import { SimCluster } from './sim-cluster.js';

const CONTROLLER = 0;

async function started(options: ConstructorParameters<typeof SimCluster>[0]): Promise<SimCluster> {
  const cluster = new SimCluster(options);
  for (const id of cluster.machines.keys()) await cluster.start(id);
  return cluster;
}

it.each([
  { shards: 1025, replicas: 3, reason: 'a cluster has 1 to 1024 shards, asked for 1025' },
  { shards: 1, replicas: 8, reason: '8 replicas a shard are more than the 7 that are supported' },
])('a cluster that cannot be is refused once, as an error: $reason', async ({ shards, replicas, reason }) => {
  const cluster = await started({ nodes: 3, shards, replicas });
  await cluster.until(() => cluster.errors.length > 0, 'the refusal');
  const leader = cluster.leaderOf(CONTROLLER)!;
  const refusal = { reason, shards, replicas };
  expect(cluster.errors).toEqual([`${leader}: no cluster can be made as bootstrap says ${JSON.stringify(refusal)}`]);

  const { lastIndex } = cluster.replica(leader, CONTROLLER);
  const from_ms = cluster.scheduler.now_ms;
  await cluster.until(() => cluster.scheduler.now_ms >= from_ms + 5_000, 'five seconds');
  expect(cluster.errors).toHaveLength(1);
  const replica = cluster.replica(leader, CONTROLLER);
  expect(replica.lastIndex).toBe(lastIndex);
  expect((replica.machine as ControllerStateMachine).map()).toBeNull();
});
