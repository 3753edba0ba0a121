/** Nodes that stay away: what they held is rebuilt elsewhere, if operators allow it; and what is said of it. */
import { describe, expect, it } from 'vitest';
import type { MissingReplicaView } from '../../../src/kv/server/api.js';
import { expectAll, expectSettled, fill, joined, mapOf, membersOf } from './members-of.js';
import { errorOf, granted, SimCluster } from './sim-cluster.js';

const MINUTE_MS = 60_000;
/** Silence for 10 s makes a node down. */
const DOWN_MS = 12_000;

const allow = async (cluster: SimCluster, by: string, rebuildAfter_ms: number | null): Promise<void> => {
  const view = granted(await cluster.settle(cluster.node(by).admin.changeSettings({ rebuildAfter_ms }, 8_000)));
  expect(view.rebuild_after === null).toBe(rebuildAfter_ms === null);
};

const missing = async (cluster: SimCluster, by: string): Promise<readonly MissingReplicaView[]> =>
  granted(await cluster.settle(cluster.node(by).admin.cluster(2_000))).missing_replicas;

const isNamed = (cluster: SimCluster, node: string): boolean =>
  cluster.leaderOf(0) !== null &&
  [0, ...mapOf(cluster).shards.map(({ id }) => id)].some((group) => membersOf(cluster, group).includes(node));

const replaced = (cluster: SimCluster, node: string): Promise<number> =>
  cluster.until(
    () => cluster.leaderOf(0) !== null && !isNamed(cluster, node) && cluster.controller().changes().length === 0,
    `${node} to be replaced`,
    240_000,
  );

describe('a node that stays away', () => {
  it('keeps its replicas, until operators allow others to take them; then nothing is lost, and the files of the old ones go', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    await fill(cluster, 'n1');
    await cluster.join('n4', ['n1']);
    await joined(cluster, 'n4');
    const spread = (): boolean => [1, 2].some((group) => membersOf(cluster, group).includes('n4'));
    await cluster.until(() => spread() && cluster.controller().changes().length === 0, 'n4 to have its share');
    await expectSettled(cluster);
    const gone = membersOf(cluster, 1)[0]!;
    const asked = ['n1', 'n2', 'n3', 'n4'].find((id) => id !== gone)!;
    cluster.kill(gone);
    await cluster.scheduler.runFor(5 * MINUTE_MS);
    expect(isNamed(cluster, gone)).toBe(true);
    const held = [0, 1, 2].filter((group) => membersOf(cluster, group).includes(gone));
    expect(await missing(cluster, asked)).toEqual(
      held.map((group) => ({
        group: group === 0 ? 'controller' : `s${group}`,
        node: gone,
        since: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        state: 'blocked',
        reason: expect.stringContaining('rebuild is not allowed'),
      })),
    );
    await allow(cluster, asked, 10_000);
    await replaced(cluster, gone);
    expect(await missing(cluster, asked)).toEqual([]);
    await expectSettled(cluster);
    await expectAll(cluster, asked);
    await cluster.start(gone);
    await expectSettled(cluster);
    for (const group of [0, 1, 2]) {
      await cluster.until(
        () => cluster.node(gone).host.knows(group) === membersOf(cluster, group).includes(gone),
        `${gone} to hold what it should of group ${group}`,
      );
    }
    await cluster.until(() => cluster.node(gone).admin.readiness().ready, `${gone} to be ready again`);
    await expectAll(cluster, gone);
    expect(cluster.errors).toEqual([]);
  });

  it('is replaced while clients write, and loses nothing where it comes back amid', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 3, seed: 2 });
    await fill(cluster, 'n2');
    const gone = cluster.leaderOf(1)!;
    const asked = ['n1', 'n2', 'n3', 'n4'].find((id) => id !== gone)!;
    await allow(cluster, asked, 2_000);
    cluster.kill(gone);
    await cluster.until(
      () =>
        cluster.leaderOf(0) !== null &&
        cluster
          .controller()
          .changes()
          .some(({ rebuild }) => rebuild === true),
      'the first rebuild',
    );
    const rebuilding = cluster
      .controller()
      .changes()
      .map(({ group }) => group);
    const said = (await missing(cluster, asked)).filter(({ state }) => state === 'rebuilding');
    for (const { group, reason } of said) {
      expect(rebuilding.map((id) => (id === 0 ? 'controller' : `s${id}`))).toContain(group);
      expect(reason).toMatch(/^it is being rebuilt on n\d$/);
    }
    await cluster.start(gone);
    for (let i = 0; i < 40; i++) expect((await cluster.put(asked, `amid-${i}`, 'v')).kind).toBe('stored');
    await expectSettled(cluster);
    await cluster.until(() => cluster.node(gone).admin.readiness().ready, `${gone} to be ready again`);
    await expectAll(cluster, gone);
    for (let i = 0; i < 40; i++) expect(await cluster.value(gone, `amid-${i}`)).toBe('v');
    expect(cluster.errors).toEqual([]);
  });

  it('F41: of a pair is not replaced, and it says why', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1, replicas: 2 });
    const [stays, gone] = membersOf(cluster, 1) as [string, string];
    await allow(cluster, 'n1', 1_000);
    cluster.kill(gone);
    await cluster.scheduler.runFor(MINUTE_MS);
    expect(membersOf(cluster, 1)).toEqual([stays, gone].sort());
    const said = await missing(cluster, stays);
    expect(said.find(({ group }) => group === 's1')).toMatchObject({
      node: gone,
      state: 'blocked',
      reason: 'it cannot be rebuilt: to agree on it takes 2 members, and 1 is there',
    });
    // Nor does the controller wait for it, where that had a member there.
    expect(membersOf(cluster, 0)).not.toContain(gone);
  });

  it('waits for a place, and says so', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    await allow(cluster, 'n2', 1_000);
    cluster.kill('n3');
    await cluster.scheduler.runFor(MINUTE_MS);
    for (const { state, reason } of await missing(cluster, 'n1')) {
      expect([state, reason]).toEqual(['blocked', expect.stringContaining('no node to take it')]);
    }
    await allow(cluster, 'n2', 10 * MINUTE_MS);
    await cluster.join('n4', ['n1']);
    await joined(cluster, 'n4');
    await cluster.scheduler.runFor(2_000);
    for (const { state, reason } of await missing(cluster, 'n1')) {
      expect([state, reason]).toEqual(['waiting', 'it is rebuilt elsewhere once the node has been down for 10m']);
    }
    await allow(cluster, 'n2', 1_000);
    await replaced(cluster, 'n3');
    await expectSettled(cluster);
  });

  it('has not stayed away because those who watch it have slept', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    await allow(cluster, 'n1', 20_000);
    const before = [0, 1, 2].map((group) => membersOf(cluster, group));
    for (const machine of cluster.machines.values()) machine.clock!.pause();
    await cluster.scheduler.runFor(10 * MINUTE_MS);
    // The last one wakes up a moment later.
    const late = membersOf(cluster, 1).find((id) => id !== cluster.leaderOf(0))!;
    for (const machine of cluster.machines.values()) if (machine.id !== late) machine.clock!.resume();
    await cluster.scheduler.runFor(5_000);
    cluster.machine(late).clock!.resume();
    await cluster.scheduler.runFor(MINUTE_MS);
    await expectSettled(cluster);
    expect([0, 1, 2].map((group) => membersOf(cluster, group))).toEqual(before);
  });

  it('is not replaced without the controller, and that is said, too', async () => {
    const cluster = await SimCluster.healthy({ nodes: 5, shards: 1, seed: 4 });
    await allow(cluster, 'n1', 1_000);
    // Five members: three away, and of s1 at most one.
    const members = membersOf(cluster, 1);
    const others = ['n1', 'n2', 'n3', 'n4', 'n5'].filter((id) => !members.includes(id));
    for (const id of [...others, members[0]!]) cluster.kill(id);
    await cluster.scheduler.runFor(DOWN_MS + 10_000);
    const said = (await missing(cluster, members[1]!)).find(({ group }) => group === 's1');
    expect(said).toMatchObject({ node: members[0], state: 'blocked', reason: expect.stringContaining('controller') });
  });
});

describe('settings of the cluster', () => {
  it('are the same at every node, and outlive leaders and a restart of all', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    const shown = async (id: string) => granted(await cluster.settle(cluster.node(id).admin.settings(8_000)));
    expect(await shown('n4')).toEqual({ rebuild_after: null });
    const set = await cluster.settle(cluster.node('n4').admin.changeSettings({ rebuildAfter_ms: 90_000 }, 8_000));
    expect(granted(set)).toEqual({ rebuild_after: '90s' });
    const leader = cluster.leaderOf(0)!;
    cluster.kill(leader);
    await cluster.until(() => cluster.leaderOf(0) !== null, 'another leader');
    for (const id of ['n1', 'n2', 'n3', 'n4'])
      if (id !== leader) expect(await shown(id)).toEqual({ rebuild_after: '90s' });
    for (const id of ['n1', 'n2', 'n3', 'n4']) if (id !== leader) cluster.kill(id, 'power-cut');
    for (const id of ['n1', 'n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.untilHealthy();
    expect(await shown('n2')).toEqual({ rebuild_after: '90s' });
    granted(await cluster.settle(cluster.node('n1').admin.changeSettings({ rebuildAfter_ms: 3_600_000 }, 8_000)));
    expect(await shown('n3')).toEqual({ rebuild_after: '1h' });
  });

  it('cannot be what cannot be, and wait for the controller in vain where it is away', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    const { admin } = cluster.node('n1');
    expect(errorOf(await cluster.settle(admin.changeSettings({ rebuildAfter_ms: 5 }, 3_000))).code).toBe(
      'invalid_argument',
    );
    cluster.kill('n2');
    cluster.kill('n3');
    await cluster.scheduler.runFor(5_000);
    const from_ms = cluster.scheduler.now_ms;
    expect(errorOf(await cluster.settle(admin.settings(1_000))).code).toBe('unavailable');
    expect(errorOf(await cluster.settle(admin.changeSettings({ rebuildAfter_ms: null }, 1_000))).code).toMatch(
      /^(no_leader|outcome_unknown)$/,
    );
    expect(cluster.scheduler.now_ms - from_ms).toBeLessThan(2_300);
  });
});
