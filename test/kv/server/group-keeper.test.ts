import { describe, expect, it } from 'vitest';
import type { MapAnswer } from '../../../src/kv/server/controller-caller.js';
import { GroupKeeper } from '../../../src/kv/server/group-keeper.js';
import { MapKeeper } from '../../../src/kv/server/map-keeper.js';
import { ALL_SLOTS, completed, type ShardMap } from '../../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { granted, SimCluster } from './sim-cluster.js';

function mapOf(epoch: number, shards: readonly number[], members = ['n1', 'n2']): ShardMap {
  return completed({
    clusterId: 'c',
    epoch,
    shards: shards.map((id) => ({
      id,
      slots: ALL_SLOTS,
      members: members.map((node, i) => ({ node, replica: i + 1 })),
    })),
    nodes: [],
  });
}

function world() {
  const scheduler = new SimScheduler();
  const maps = new MapKeeper();
  const hosted = new Map<number, number>();
  const log: string[] = [];
  const failures: unknown[] = [];
  const controller: { newest: MapAnswer | null; failing: boolean } = { newest: null, failing: false };
  const keeper = new GroupKeeper({
    self: 'n1',
    clock: new SimClock(scheduler),
    maps,
    host: {
      knows: (group) => hosted.has(group),
      is: (group, replica) => hosted.get(group) === replica,
      join: async (group, replica) => {
        hosted.set(group, replica);
        log.push(`join ${group} as ${replica}`);
      },
      create: async (group, replica, members, campaign) => {
        if (controller.failing) throw new Error('too many open files');
        hosted.set(group, replica);
        log.push(`make ${group} as ${replica} of ${members.length}${campaign ? ', first' : ''}`);
      },
      remove: async (group) => {
        if (hosted.delete(group)) log.push(`remove ${group}`);
      },
    },
    newestMap: async () => controller.newest,
    failed: (error) => failures.push(error),
  });
  /** The node hears of a map that the controller has. */
  const publish = async (map: ShardMap, retired: readonly number[] = []): Promise<void> => {
    controller.newest = { map, retired };
    maps.offer(map, retired);
    await scheduler.runFor(1);
    await new Promise(setImmediate);
  };
  return { scheduler, maps, hosted, log, failures, controller, keeper, publish };
}

describe('the replicas of a node', () => {
  it('are those that the map gives it', async () => {
    const { publish, log } = world();
    await publish(mapOf(1, [1]));
    await publish({ ...mapOf(2, [1, 2]), shards: [...mapOf(2, [1]).shards, ...mapOf(2, [2], ['n3', 'n1']).shards] });
    await publish({ ...mapOf(3, [1]), shards: [...mapOf(3, [1]).shards, ...mapOf(3, [3], ['n2', 'n3']).shards] });
    expect(log).toEqual(['make 1 as 1 of 2, first', 'make 2 as 2 of 2']);
  });

  it('go only when their shard is retired, not when a map does not list it', async () => {
    const { publish, log } = world();
    await publish(mapOf(2, [1, 2]));
    await publish(mapOf(3, [1]));
    expect(log).not.toContain('remove 2');
    await publish(mapOf(4, [1]), [2]);
    expect(log.at(-1)).toBe('remove 2');
    await publish(mapOf(5, [1]), [2, 1]);
    expect(log.at(-1)).toBe('remove 1');
  });

  it('are not made by an old map that lists a shard which is retired by now (F59)', async () => {
    const { scheduler, maps, controller, log } = world();
    controller.newest = { map: mapOf(9, [1]), retired: [2] };
    maps.offer(mapOf(3, [1, 2]), []);
    await scheduler.runFor(1_000);
    await new Promise(setImmediate);
    expect(log).toEqual(['make 1 as 1 of 2, first']);
    expect(maps.epoch).toBe(9);
  });

  it('wait for the controller, and are made once it answers', async () => {
    const { scheduler, maps, controller, log } = world();
    maps.offer(mapOf(3, [1]), []);
    await scheduler.runFor(1_000);
    expect(log).toEqual([]);
    controller.newest = { map: mapOf(3, [1]), retired: [] };
    await scheduler.runFor(1_000);
    await new Promise(setImmediate);
    expect(log).toHaveLength(1);
  });

  it('are tried again where making one failed', async () => {
    const { scheduler, controller, log, failures, publish } = world();
    controller.failing = true;
    await publish(mapOf(1, [1]));
    expect(failures).toHaveLength(1);
    controller.failing = false;
    await scheduler.runFor(1_000);
    await new Promise(setImmediate);
    expect(log).toHaveLength(1);
  });
});

describe('the replica of a group that has changed its members', () => {
  const changed = (epoch: number, change: Partial<ShardMap['shards'][number]>): ShardMap => {
    const map = mapOf(epoch, [1]);
    return { ...map, shards: map.shards.map((shard) => ({ ...shard, ...change })) };
  };
  const n1 = (replica: number) => ({ node: 'n1', replica });
  const n2 = (replica: number) => ({ node: 'n2', replica });

  it('joins it, with the id that it was given', async () => {
    const { publish, log } = world();
    await publish(changed(2, { members: [n2(2)], joining: [n1(33)] }));
    expect(log).toEqual(['join 1 as 33']);
  });

  it('joins it also where it is a member already and has slept through all that: others began it without it', async () => {
    const { publish, log } = world();
    await publish(changed(5, { members: [n1(1), n2(33)], asFounded: false }));
    expect(log).toEqual(['join 1 as 1']);
  });

  it('begins it with the founders as long as nobody else has become a member', async () => {
    const { publish, log } = world();
    await publish(changed(3, { members: [n1(1), n2(2)], joining: [{ node: 'n3', replica: 33 }] }));
    expect(log).toEqual(['make 1 as 1 of 2, first']);
  });

  it('goes when the node is no member any more, and comes back as another one', async () => {
    const { publish, log } = world();
    await publish(mapOf(1, [1]));
    await publish(changed(2, { members: [n2(2)], asFounded: false }));
    expect(log.at(-1)).toBe('remove 1');
    await publish(changed(3, { members: [n2(2)], joining: [n1(49)], asFounded: false }));
    expect(log.at(-1)).toBe('join 1 as 49');
  });

  it('goes first where the node has one of an earlier membership', async () => {
    const { publish, log } = world();
    await publish(mapOf(1, [1]));
    await publish(changed(9, { members: [n2(2)], joining: [n1(49)], asFounded: false }));
    expect(log.slice(1)).toEqual(['remove 1', 'join 1 as 49']);
  });

  it('stays where only an old map says that the node is no member', async () => {
    const { scheduler, maps, controller, log, publish } = world();
    await publish(mapOf(1, [1]));
    controller.newest = { map: mapOf(7, [1]), retired: [] };
    maps.offer(changed(2, { members: [n2(2)] }), []);
    await scheduler.runFor(1_000);
    await new Promise(setImmediate);
    expect(log).toHaveLength(1);
  });

  it('of the controller is never begun after the first map, only joined', async () => {
    const { publish, log } = world();
    const map = mapOf(1, []);
    await publish({ ...map, controller: { ...map.controller, members: [n1(1), n2(2)] } });
    expect(log).toEqual([]);
    await publish({ ...map, epoch: 2, controller: { ...map.controller, members: [n2(2)], joining: [n1(33)] } });
    expect(log).toEqual(['join 0 as 33']);
  });
});

describe('a shard that has been retired', () => {
  it('is gone from every node, also from one that slept meanwhile, and never begins anew (F59)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 3 });
    for (let i = 0; i < 20; i++) await cluster.put('n1', `k${i}`, 'v');
    granted(await cluster.settle(cluster.node('n1').admin.reshard({ shards: 1, dry_run: false }, 5_000)));
    const retiring = (): number[] => cluster.controller().retired();
    await cluster.until(() => retiring().length === 1, 'a shard to retire', 120_000);
    const [gone] = retiring();
    const sleeper = [...cluster.machines.keys()].find(
      (id) => id !== cluster.leaderOf(0) && cluster.node(id).host.knows(gone!),
    );
    if (sleeper !== undefined) {
      cluster.machine(sleeper).clock!.pause();
      await cluster.scheduler.runFor(10_000);
      cluster.machine(sleeper).clock!.resume();
    }
    await cluster.planOver();
    await cluster.until(() => cluster.nodes.every((node) => !node.host.knows(gone!)), 'all replicas to go');
    for (const id of cluster.machines.keys()) {
      cluster.kill(id);
      await cluster.start(id);
    }
    await cluster.scheduler.runFor(15_000);
    for (const node of cluster.nodes) expect(node.host.knows(gone!)).toBe(false);
    for (let i = 0; i < 20; i++) expect(await cluster.value('n4', `k${i}`)).toBe('v');
    expect(cluster.errors).toEqual([]);
  });
});
