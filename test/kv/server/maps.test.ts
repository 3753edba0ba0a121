import { describe, expect, it } from 'vitest';
import { granted, SimCluster } from './sim-cluster.js';

const CONTROLLER = 0;

describe('shard maps on a node without a replica of the controller', () => {
  it('arrive with the push of the leader, not with the next poll', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    expect(cluster.node('n4').host.get(CONTROLLER)).toBeUndefined();
    const before = cluster.node('n4').maps.epoch;
    const leader = cluster.node(cluster.leaderOf(CONTROLLER)!);
    const started = cluster.settle(leader.admin.move({ slots: '0-9', to: 's2', dry_run: false }, 5_000));
    granted(await started);
    await cluster.until(() => leader.maps.epoch > before, 'the next epoch at the leader');
    const late_ms = await cluster.until(() => cluster.node('n4').maps.epoch >= leader.maps.epoch, 'the map on n4');
    expect(late_ms).toBeLessThan(50);
    expect(cluster.errors).toEqual([]);
  });

  it('of any epoch that ever was are given by any node', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    granted(await cluster.settle(cluster.node('n4').admin.move({ slots: '0-9', to: 's2', dry_run: false }, 5_000)));
    await cluster.planOver();
    const newest = cluster.controller().map()!.epoch;
    for (const id of cluster.machines.keys()) {
      for (let epoch = 1; epoch <= newest; epoch++) {
        const view = granted(await cluster.settle(cluster.node(id).admin.map(epoch, null, 2_000)));
        expect([id, view.epoch]).toEqual([id, epoch]);
      }
      const none = await cluster.settle(cluster.node(id).admin.map(newest + 1, null, 2_000));
      expect(none).toMatchObject({ ok: false, error: { code: 'not_found' } });
    }
    const first = granted(await cluster.settle(cluster.node('n4').admin.map(1, null, 2_000)));
    expect(first.shards.map(({ slots }) => slots)).toEqual(['0-8191', '8192-16383']);
  });
});
