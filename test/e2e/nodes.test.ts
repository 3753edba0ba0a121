/**
 * Nodes that come and go under load: one joins and takes replicas, the one that leads the controller is drained, one that died
 * is replaced, by hand and, where that is allowed, by itself. Nobody who asks the others notices, and nothing is lost.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterView } from '../../src/kv/client/index.js';
import { keysNamed } from './keys.js';
import { fill, Load, newHistory } from './load.js';
import { LocalCluster, type LocalNode, until } from './local-cluster.js';
import { jsonOf, plain } from './plain-http.js';
import { KEPT, verdictOn } from './verify.js';

const keys = keysNamed('nodes/', 500).sort();
const PATIENCE_MS = 60_000;

let cluster: LocalCluster;

const hostsOf = (view: ClusterView, id: string): number =>
  view.shards.filter((shard) => shard.members.some(({ node, role }) => node === id && role !== 'learner')).length;

/** As nodes that stay see it: one that has left knows nothing any more. */
const viewFrom = async (node: LocalNode): Promise<ClusterView> => jsonOf(await plain(node.http, '/v1/cluster'));

const removal = async (by: LocalNode, id: string): Promise<void> => {
  const answer = await plain(by.http, `/v1/admin/nodes/${id}`, { method: 'DELETE' });
  expect([answer.status, jsonOf<{ state: string }>(answer).state]).toEqual([202, 'draining']);
  await until(`${id} to have left`, PATIENCE_MS, async () => {
    const view = await viewFrom(by);
    return view.nodes.every((node) => node.id !== id);
  });
};

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 4 });
}, 60_000);
afterAll(() => cluster.close());

describe('LateJoiner: nodes under load', () => {
  it('join and take replicas, are drained and replaced, and no request fails', { timeout: 240_000 }, async () => {
    const history = newHistory();
    await fill(cluster.endpoints, keys, history);
    const leaving = await cluster.leaderOf('controller');
    const staying = cluster.nodes.filter((node) => node !== leaving);
    const endpoints = staying.map((node) => node.http);
    const load = Load.start({ endpoints, safe: 8, plain: 8, keys, deletes: 0.05, puts: 0.5, history });
    const asked = staying[0]!;

    const n4 = await cluster.join('n4');
    // Twelve replicas on four nodes.
    await until('n4 to have its share', PATIENCE_MS, async () => hostsOf(await viewFrom(asked), 'n4') >= 3);
    await removal(asked, leaving.id);
    await until(
      'its files to be gone',
      PATIENCE_MS,
      async () => readdirSync(join(leaving.dataDir, 'state')).length === 0,
    );
    await cluster.kill(leaving);
    const view = await cluster.whenHealthy();
    expect(view.shards.map((shard) => shard.members.map(({ node }) => node).sort())).toEqual(
      view.shards.map(() => [...staying, n4].map(({ id }) => id).sort()),
    );
    expect(view.controller.members).not.toContain(leaving.id);
    await load.stop();
    expect(load.troubles).toEqual([]);
    expect(load.acknowledged).toBeGreaterThan(100);
    expect(await verdictOn(endpoints, keys, history)).toEqual(KEPT);
  });

  it('that died are replaced by others', { timeout: 120_000 }, async () => {
    const [dead, asked] = cluster.running as [LocalNode, LocalNode];
    await cluster.kill(dead);
    await cluster.join('n5');
    await until('n5 to be a node', PATIENCE_MS, async () =>
      (await viewFrom(asked)).nodes.some(({ id }) => id === 'n5'),
    );
    await removal(asked, dead.id);
    const view = await cluster.whenHealthy();
    for (const { members } of view.shards) {
      expect(members).toHaveLength(3);
      expect(members.map(({ node }) => node)).not.toContain(dead.id);
    }
    expect(existsSync(dead.dataDir)).toBe(true);
    // Its name and its disk are nothing to the others any more.
    cluster.startNode(dead);
    await until('it to be told', PATIENCE_MS, async () =>
      cluster.logOf(dead).includes(`${dead.id} has left this cluster`),
    );
    expect((await viewFrom(asked)).nodes.map(({ id }) => id)).not.toContain(dead.id);
    // It keeps what it has, serves nothing, and whoever watches over processes is not to start it again and again.
    const ready = await plain(dead.http, '/readyz');
    expect([ready.status, String(ready.body)]).toEqual([503, expect.stringContaining('for good and serves nothing')]);
    expect((await plain(dead.http, '/livez')).status).toBe(200);
    for (const path of [`/v1/kv/${keys[0]}`, '/v1/cluster']) expect((await plain(dead.http, path)).status).toBe(503);
    expect(readdirSync(join(dead.dataDir, 'state')).length).toBeGreaterThan(0);
    await cluster.kill(dead);
  });

  it('that stay away are replaced by themselves, where operators allow it', { timeout: 180_000 }, async () => {
    const n6 = await cluster.join('n6');
    const [away, asked] = cluster.running.filter((node) => node !== n6) as [LocalNode, LocalNode];
    await until('n6 to be a node', PATIENCE_MS, async () =>
      (await viewFrom(asked)).nodes.some(({ id }) => id === 'n6'),
    );
    const endpoints = cluster.running.filter((node) => node !== away).map((node) => node.http);
    const history = newHistory();
    const others = keysNamed('rebuilt/', 300).sort();
    await fill(endpoints, others, history);
    await cluster.kill(away);
    const missing = async () => (await viewFrom(asked)).missing_replicas;
    await until('its replicas to be missed', PATIENCE_MS, async () => (await missing()).length > 0);
    for (const { state, reason } of await missing()) {
      expect([state, reason]).toEqual(['blocked', expect.stringContaining('not allowed')]);
    }
    const set = await plain(asked.http, '/v1/admin/settings', { method: 'PUT', body: '{"rebuild_after":"1s"}' });
    expect([set.status, jsonOf(set)]).toEqual([200, { rebuild_after: '1s' }]);
    await until('all to be replaced', PATIENCE_MS, async () => {
      const { shards, missing_replicas } = await viewFrom(asked);
      const whole = shards.every(({ state, members }) => state === 'ok' && members.length === 3);
      return whole && missing_replicas.length === 0;
    });
    expect(hostsOf(await viewFrom(asked), away.id)).toBe(0);
    expect(await verdictOn(endpoints, others, history)).toEqual(KEPT);
    // It is a node like any other when it comes back: with other replicas, if with any.
    await cluster.whenReady(away);
    const view = await cluster.whenHealthy();
    expect(view.nodes.map(({ id }) => id)).toContain(away.id);
    expect(
      await verdictOn(
        cluster.running.map((node) => node.http),
        others,
        history,
      ),
    ).toEqual(KEPT);
  });
});
