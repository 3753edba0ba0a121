/** A node that has left the cluster for good: what it says, what it serves, and what becomes of its files. */
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../../src/kv/server/index.js';
import { fill, joined, left } from './members-of.js';
import { errorOf, get, granted, SimCluster } from './sim-cluster.js';

const LEFT = /has left this cluster for good and serves nothing any more/;

const drain = async (cluster: SimCluster, by: string, id: string): Promise<void> => {
  granted(await cluster.settle(cluster.node(by).admin.removeNode(id, 8_000)));
  await left(cluster, id);
};

const learned = (cluster: SimCluster, id: string): Promise<number> =>
  cluster.until(
    () =>
      cluster
        .node(id)
        .admin.readiness()
        .checks.some(({ name, ok, detail }) => name === 'cluster' && !ok && LEFT.test(detail)),
    `${id} to know that it has left`,
  );

const told = (cluster: SimCluster, id: string): string[] =>
  cluster.warnings.filter((text) => text.startsWith(`${id}: `) && LEFT.test(text));

/** Whatever is asked, and by whom: another node is to answer. */
async function expectNothingServed(cluster: SimCluster, id: string): Promise<void> {
  const { admin, kv } = cluster.node(id);
  const refused = { code: 'unavailable', detail: expect.stringMatching(LEFT) };
  const stale = { ...get('key-1'), consistency: 'stale' } as const;
  for (const request of [get('key-1'), stale]) expect(errorOf(await cluster.execute(id, request))).toEqual(refused);
  expect(errorOf(await cluster.put(id, 'key-1', 'v'))).toEqual(refused);
  const from_ms = cluster.scheduler.now_ms;
  const list = {
    kind: 'list',
    start: Buffer.alloc(0),
    end: null,
    limit: 10,
    keysOnly: true,
    consistency: 'stale',
    maxStaleness_ms: null,
  } as const;
  expect(await cluster.settle(kv.list(list, { timeout_ms: 1_000, noForward: false, requestId: 'test' }))).toEqual({
    kind: 'failed',
    error: refused,
  });
  const answers: Promise<Answer<unknown>>[] = [
    admin.cluster(8_000),
    admin.map(null, 99, 8_000),
    admin.plan(null, 8_000),
    admin.reshard({ shards: 3, dry_run: false }, 8_000),
    admin.members('s1', 8_000),
    admin.removeNode('n1', 8_000),
    admin.settings(8_000),
    admin.changeSettings({ rebuildAfter_ms: null }, 8_000),
  ];
  for (const answer of answers) expect(errorOf(await cluster.settle(answer))).toEqual(refused);
  expect(errorOf(admin.locate(Buffer.from('key-1')))).toEqual(refused);
  // At once: nobody is asked, and nothing waited for.
  expect(cluster.scheduler.now_ms - from_ms).toBeLessThan(100);
}

describe('F24: a node that was away when it was drained and removed', () => {
  const away = {
    'dead, and is started again': (cluster: SimCluster, id: string) => cluster.kill(id),
    'cut off, and comes back': (cluster: SimCluster, id: string) => cluster.isolate(id),
  };
  for (const [how, go] of Object.entries(away)) {
    it(`as it was ${how}: says so once, serves nothing, and keeps its files`, async () => {
      const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
      await fill(cluster, 'n1');
      await cluster.join('n4', ['n1', 'n2']);
      await joined(cluster, 'n4');
      const gone = ['n1', 'n2', 'n3'].find((id) => id !== cluster.leaderOf(0))!;
      const asked = ['n1', 'n2', 'n3'].find((id) => id !== gone)!;
      go(cluster, gone);
      const held = cluster.machine(gone).node?.host.groups() ?? null;
      await cluster.scheduler.runFor(15_000);
      await drain(cluster, asked, gone);
      cluster.heal();
      if (held === null) await cluster.start(gone);
      await learned(cluster, gone);
      const groups = cluster.node(gone).host.groups();
      expect(groups.length).toBeGreaterThan(0);
      if (held !== null) expect(groups).toEqual(held);
      await cluster.scheduler.runFor(120_000);
      expect(cluster.node(gone).host.groups()).toEqual(groups);
      expect(told(cluster, gone)).toEqual([expect.stringMatching(/Its files stay as they are \(replicas of .*s1/)]);
      expect(cluster.node(gone).admin.readiness()).toEqual({
        ready: false,
        checks: [{ name: 'cluster', ok: false, detail: expect.stringMatching(LEFT) }],
      });
      await expectNothingServed(cluster, gone);
      // It leads nothing, and the others do not miss it.
      expect(groups.filter((group) => cluster.replica(gone, group).leads)).toEqual([]);
      expect(await cluster.value('n4', 'key-1')).toBe('value of key-1');
      expect(cluster.errors).toEqual([]);
      // Another start changes nothing.
      cluster.kill(gone);
      await cluster.start(gone);
      await learned(cluster, gone);
      expect(told(cluster, gone)).toHaveLength(2);
      expect(cluster.node(gone).host.groups().length).toBe(groups.length);
    });
  }

  it('keeps also what is left of a shard that is retired', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const gone = 'n3';
    const held = cluster.node(gone).host.groups();
    cluster.kill(gone);
    await cluster.scheduler.runFor(15_000);
    await drain(cluster, 'n1', gone);
    granted(await cluster.settle(cluster.node('n1').admin.reshard({ shards: 1, dry_run: false }, 8_000)));
    await cluster.planOver();
    await cluster.start(gone);
    await learned(cluster, gone);
    await cluster.scheduler.runFor(30_000);
    expect([...cluster.node(gone).host.groups()].sort()).toEqual([...held].sort());
  });
});

describe('a node that was there when it was drained', () => {
  it('holds nothing when it learns that it has left, and says that it can be stopped', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    await drain(cluster, 'n1', 'n4');
    await learned(cluster, 'n4');
    await cluster.scheduler.runFor(60_000);
    expect(cluster.node('n4').host.groups()).toEqual([]);
    expect(told(cluster, 'n4')).toEqual([expect.stringContaining('It holds no replica and can be stopped')]);
    await expectNothingServed(cluster, 'n4');
    expect(cluster.errors).toEqual([]);
  });
});
