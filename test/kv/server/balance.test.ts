/** Load and balance on whole nodes over simulated ports: who counts what, what is said of it, and what comes of it. */
import { describe, expect, it } from 'vitest';
import { containsSlot, slotOfKey } from '../../../src/shardctrl/index.js';
import { errorOf, get, granted, put, SimCluster } from './sim-cluster.js';

/** The first `count` hash tags whose slots the shard owns. */
function tagsOf(cluster: SimCluster, shard: number, count: number): string[] {
  const { slots } = cluster
    .controller()
    .map()!
    .shards.find(({ id }) => id === shard)!;
  const tags: string[] = [];
  for (let i = 0; tags.length < count; i++) {
    if (containsSlot(slots, slotOfKey(Buffer.from(`{tag${i}}`)))) tags.push(`{tag${i}}`);
  }
  return tags;
}

/** Two reads and a write of each key in turn, through every node in turn, `perSecond` requests in all. */
async function press(cluster: SimCluster, keys: readonly string[], perSecond: number, seconds: number): Promise<void> {
  const nodes = [...cluster.machines.values()].filter(({ node }) => node !== null).map(({ id }) => id);
  for (let i = 0; i < perSecond * seconds; i++) {
    const key = keys[i % keys.length]!;
    const at = nodes[Math.floor(i / keys.length) % nodes.length]!;
    void cluster.send(at, i % 3 === 0 ? put(key, 'value') : get(key));
    await cluster.scheduler.runFor(1_000 / perSecond);
  }
}

const hot = async (cluster: SimCluster, id: string, limit = 10) =>
  granted(await cluster.settle(cluster.node(id).admin.hot(limit, 3_000)));
const balance = async (cluster: SimCluster, id: string) =>
  granted(await cluster.settle(cluster.node(id).admin.balance(3_000)));
const line = async (cluster: SimCluster, id: string) =>
  granted(await cluster.settle(cluster.node(id).admin.cluster(2_000))).balance;

describe('what is asked for most', () => {
  it('is the same whoever is asked, and adds up to what clients do, through whichever nodes', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const [first, second] = tagsOf(cluster, 1, 2) as [string, string];
    await press(cluster, [`${first}a`, `${first}b`, `${second}c`], 30, 30);
    for (const id of ['n1', 'n4']) {
      const seen = await hot(cluster, id);
      expect(seen.slots.map(({ slot, shard }) => [slot, shard])).toEqual([
        [slotOfKey(Buffer.from(first)), 's1'],
        [slotOfKey(Buffer.from(second)), 's1'],
      ]);
      const [most, less] = seen.slots as [(typeof seen.slots)[0], (typeof seen.slots)[0]];
      expect(most.share).toBeCloseTo(2 / 3, 1);
      expect(Math.abs(most.reads_per_s + most.writes_per_s - 20)).toBeLessThan(2);
      expect(Math.abs(less.reads_per_s + less.writes_per_s - 10)).toBeLessThan(1);
      const loads = seen.shards.map(({ share }) => share);
      expect(loads).toEqual([1, 0]);
      expect(seen.keys.map(({ key }) => String(key)).sort()).toEqual([`${first}a`, `${first}b`, `${second}c`]);
      for (const key of seen.keys) {
        expect(key.slot).toBe(slotOfKey(key.key));
        expect(Math.abs(key.requests_per_s - 10)).toBeLessThan(key.error_per_s + 1);
      }
      expect([seen.silent_nodes, seen.silent_shards]).toEqual([[], []]);
      expect((await hot(cluster, id, 1)).slots).toHaveLength(1);
    }
    const { shards } = granted(await cluster.settle(cluster.node('n4').admin.cluster(2_000)));
    expect(shards[0]!.writes_per_s).toBeCloseTo(10, -1);
    expect(shards[1]).toMatchObject({ reads_per_s: 0, writes_per_s: 0 });
  });

  it('names the nodes that do not answer, and the shards that nobody leads then', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    const dead = cluster.leaderOf(1)!;
    const asked = ['n1', 'n2', 'n3'].find((id) => id !== dead && id !== cluster.leaderOf(2))!;
    cluster.kill(dead);
    const seen = await hot(cluster, asked);
    expect(seen.silent_nodes).toEqual([dead]);
    expect(seen.silent_shards).toContain('s1');
    await cluster.until(() => [1, 2].every((group) => cluster.leaderOf(group) !== null), 'leaders');
    expect(await hot(cluster, asked)).toMatchObject({ silent_nodes: [dead], silent_shards: [] });
  });
});

describe('the balance of shards', () => {
  it('is brought about when it is asked for, and the load goes where its slots go', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const tags = tagsOf(cluster, 1, 6);
    await press(cluster, tags, 70, 20);
    const seen = await balance(cluster, 'n4');
    expect(seen).toMatchObject({ auto: false, state: 'watching', limit_percent: 30, silent_shards: [] });
    expect(seen.detail).toContain('s1 carries 100 % of the load (fair: 50 %)');
    expect(seen.shards.map(({ load_share }) => load_share)).toEqual([1, 0]);
    expect(seen.plan.moves).toMatchObject([{ from: 's1', to: 's2', slot_count: 3 }]);
    const dry = granted(await cluster.settle(cluster.node('n2').admin.startBalance({ dry_run: true }, 3_000)));
    expect([dry.state, dry.moves]).toEqual(['planned', seen.plan.moves]);
    expect(cluster.controller().history()).toEqual([]);

    const { admin } = cluster.node('n4');
    const started = granted(await cluster.settle(admin.startBalance({ dry_run: false, max_pause_ms: 700 }, 3_000)));
    expect(started).toMatchObject({ state: 'running', cause: 'asked for by an operator: s1 was overloaded' });
    const again = await cluster.settle(admin.startBalance({ dry_run: false }, 3_000));
    expect(errorOf(again).code).toBe('conflict');
    await cluster.planOver();
    expect(cluster.controller().latestPlan()).toMatchObject({ kind: 'balance', status: 'done', max_pause_ms: 700 });
    await press(cluster, tags, 70, 10);
    const after = await balance(cluster, 'n1');
    expect(after).toMatchObject({ state: 'balanced', overloaded_s: null, plan: { moves: [] } });
    for (const { load_share } of after.shards) expect(load_share).toBeCloseTo(0.5, 1);
    const nothing = granted(await cluster.settle(admin.startBalance({ dry_run: false }, 3_000)));
    expect(nothing).toMatchObject({ state: 'planned', moves: [] });
    expect(nothing.warnings![0]).toMatch(/^nothing to move: no shard carries/);
    expect(cluster.controller().history()).toHaveLength(1);
  });

  it('cannot be had for one hash tag that is hotter than a shard should be, and that is said', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    const [tag] = tagsOf(cluster, 1, 1);
    granted(await cluster.settle(cluster.node('n1').admin.setBalance({ hold_s: 15 }, 3_000)));
    await press(cluster, [`${tag}1`, `${tag}2`], 60, 30);
    const seen = await balance(cluster, 'n2');
    expect(seen.state).toBe('stuck');
    expect(seen.detail).toContain(`slot ${slotOfKey(Buffer.from(tag!))} alone is 100 % of the load`);
    for (const id of ['n1', 'n2', 'n3']) expect(await line(cluster, id)).toMatchObject({ state: 'stuck', auto: false });
  });

  it('comes about by itself once that is wanted, which outlives the controller’s leader', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    const set = await cluster.settle(cluster.node('n3').admin.setBalance({ auto: true, hold_s: 20 }, 3_000));
    expect(granted(set)).toEqual({ auto: true, limit_percent: 30, hold_s: 20 });
    const leader = cluster.leaderOf(0)!;
    cluster.kill(leader);
    await cluster.until(() => cluster.leaderOf(0) !== null, 'another leader');
    await cluster.start(leader);
    await cluster.untilHealthy();
    const tags = tagsOf(cluster, 2, 6);
    for (let round = 0; round < 20 && cluster.controller().latestPlan() === null; round++) {
      await press(cluster, tags, 70, 5);
    }
    const plan = cluster.controller().latestPlan();
    expect(plan).toMatchObject({ kind: 'balance' });
    expect(plan!.cause).toMatch(/^by itself: s2 carries 100 % of the load/);
    await cluster.planOver();
    expect((await balance(cluster, 'n1')).auto).toBe(true);
    await press(cluster, tags, 70, 30);
    expect(cluster.controller().history()).toHaveLength(1);
    expect(cluster.errors).toEqual([]);
  });

  it('is told of by deadline, and in words, where the controller or a shard does not answer', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, replicas: 2 });
    for (const id of ['n1', 'n2', 'n3']) if (id !== 'n1') cluster.kill(id);
    await cluster.scheduler.runFor(5_000);
    for (const id of ['n1', 'n4']) {
      const { admin } = cluster.node(id);
      const from_ms = cluster.scheduler.now_ms;
      expect(errorOf(await cluster.settle(admin.balance(1_000))).code).toBe('unavailable');
      expect(errorOf(await cluster.settle(admin.startBalance({ dry_run: false }, 1_000))).code).toBe('unavailable');
      const set = await cluster.settle(admin.setBalance({ auto: true }, 1_000));
      expect(errorOf(set).code).toMatch(/^(no_leader|outcome_unknown)$/);
      expect(cluster.scheduler.now_ms - from_ms).toBeLessThan(3_500);
      expect((await hot(cluster, id)).silent_nodes).toEqual(['n2', 'n3']);
    }
  });
});
