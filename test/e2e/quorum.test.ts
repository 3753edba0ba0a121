/**
 * What a cluster of three does with two nodes, with one, and with one that has lost its disk.
 */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keysOfShard } from './keys.js';
import { LocalCluster, type LocalNode, until } from './local-cluster.js';
import { codeOf, jsonOf, keyPath, NoAnswer, type PlainAnswer, plain } from './plain-http.js';
import { note } from './report.js';

const SHARDS = ['s1', 's2'];
const STALE_LIMIT_MS = 10_000;

let cluster: LocalCluster;
/** One key in each shard; its value is its name. */
const keys: string[] = [];
beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
  for (const shard of SHARDS) keys.push((await keysOfShard(cluster, shard, 'quorum/', 1))[0]!);
  for (const key of keys) await put(cluster.nodes[0]!, key, key);
}, 60_000);
afterAll(() => cluster.close());
beforeEach(async () => {
  await Promise.all(cluster.nodes.map((node) => cluster.whenReady(node)));
  await cluster.whenHealthy();
}, 60_000);

const put = (node: LocalNode, key: string, value: string, timeout = '8s'): Promise<PlainAnswer> =>
  plain(node.http, `${keyPath(key)}&timeout=${timeout}`, { method: 'PUT', body: value });

async function expectServing(nodes: readonly LocalNode[], value: string): Promise<void> {
  for (const node of nodes) {
    for (const key of keys) {
      expect((await put(node, key, value)).status).toBe(200);
      const found = await plain(node.http, keyPath(key));
      expect([found.status, String(found.body)]).toEqual([200, value]);
    }
  }
}

describe('a cluster of three', () => {
  it('serves all keys with any one node away', async () => {
    for (const away of cluster.nodes) {
      await cluster.kill(away);
      await cluster.whenHealthy();
      await expectServing(cluster.running, `without ${away.id}`);
      await until(`the cluster to say that ${away.id} is away`, 10_000, async () => {
        const { nodes, shards } = await cluster.clusterView();
        const degraded = shards.every(({ state }) => state === 'degraded');
        return degraded && nodes.every(({ id, state }) => (state === 'healthy') === (id !== away.id));
      });
      await cluster.whenReady(away);
    }
    await cluster.whenHealthy();
    await expectServing(cluster.nodes, 'all');
  }, 60_000);

  it('with two nodes away says so with 503 no_leader, answers stale reads for a while, and recovers', async () => {
    // It leads one shard, so that a leader who has stepped down is among those that are asked for old state.
    const left = await cluster.leaderOf('s1');
    const away = cluster.nodes.filter((node) => node !== left);
    await until('the last write on the node that stays', 10_000, async () => {
      const page = await plain(left.http, `${keyPath(keys[0]!)}&consistency=stale`);
      return String(page.body) === 'all';
    });
    // Under way while the majority goes: nobody can know what became of them.
    await Promise.all(away.map((node) => cluster.kill(node)));
    const start_ms = performance.now();
    const inFlight = await Promise.all(keys.map((key) => put(left, key, 'in flight', '2s')));
    for (const answer of inFlight) expect([503, 504]).toContain(answer.status);

    await until(
      'the node to know that it has no majority',
      10_000,
      async () => codeOf(await put(left, keys[0]!, 'never', '100ms')) === 'no_leader',
    );
    for (const key of keys) {
      const asked_ms = performance.now();
      const refused = await put(left, key, 'never', '500ms');
      const took_ms = performance.now() - asked_ms;
      expect([refused.status, codeOf(refused)]).toEqual([503, 'no_leader']);
      expect(refused.headers['retry-after']).toMatch(/^\d+$/);
      expect(jsonOf<{ detail: string; shard: string; retryable: boolean }>(refused)).toMatchObject({ retryable: true });
      expect(took_ms).toBeLessThan(2_500);
      const linearizable = await plain(left.http, `${keyPath(key)}&timeout=300ms`);
      expect(linearizable.status).toBe(503);
    }

    const stale = (key: string): Promise<PlainAnswer> =>
      plain(left.http, `${keyPath(key)}&consistency=stale&timeout=200ms`);
    for (const key of keys) {
      const found = await stale(key);
      // The write that was under way may have reached this node's log; it may be applied only by a majority.
      expect([found.status, String(found.body)]).toEqual([200, 'all']);
    }
    const strict = await plain(left.http, `${keyPath(keys[0]!)}&consistency=stale&max_staleness=1ms&timeout=200ms`);
    expect(strict.status).toBe(503);
    await until('stale reads to end', STALE_LIMIT_MS + 5_000, async () => (await stale(keys[0]!)).status === 503);
    const stale_ms = performance.now() - start_ms;
    note('stale reads ended', { after_ms: Math.round(stale_ms) });
    expect(stale_ms).toBeGreaterThan(STALE_LIMIT_MS - 2_000);
    expect(stale_ms).toBeLessThan(STALE_LIMIT_MS + 2_000);
    const ready = await plain(left.http, '/readyz?verbose');
    expect(ready.status).toBe(503);
    expect((await plain(left.http, '/livez')).status).toBe(200);

    const back_ms = performance.now();
    for (const node of away) cluster.startNode(node);
    await cluster.whenHealthy();
    note('majority back', { after_ms: Math.round(performance.now() - back_ms) });
    for (const [i, key] of keys.entries()) {
      const found = String((await plain(left.http, keyPath(key))).body);
      const status = inFlight[i]!.status;
      expect(status === 503 ? ['all'] : ['all', 'in flight']).toContain(found);
    }
    await expectServing(cluster.nodes, 'again');
  }, 90_000);
});

describe('a node whose disk was wiped (F25)', () => {
  it('is refused by name, serves nothing wrong, and the cluster goes on', async () => {
    const wiped = cluster.node('n3');
    const others = cluster.nodes.filter((node) => node !== wiped);
    await cluster.kill(wiped, 'SIGTERM');
    rmSync(wiped.dataDir, { recursive: true, force: true });
    const saidBefore = new Map(cluster.nodes.map((node) => [node, cluster.logOf(node).length]));
    const said = (node: LocalNode): string => cluster.logOf(node).slice(saidBefore.get(node));
    cluster.startNode(wiped);

    const told = /"msg":"[^"]*n3[^"]*refused[^"]*"|"msg":"[^"]*refused[^"]*n3[^"]*"/;
    await until('the others to refuse n3 by name', 15_000, async () => others.every((node) => told.test(said(node))));
    await until(
      'n3 to say why',
      15_000,
      async () => /incarnation|wiped|another/i.test(said(wiped)) && /refused/i.test(said(wiped)),
    );
    await expectServing(others, 'without the wiped one');
    for (const key of keys) {
      for (const query of ['', '&consistency=stale']) {
        if (wiped.process === null) continue;
        const answer = await plain(wiped.http, `${keyPath(key)}${query}&timeout=300ms`).catch(
          (error: unknown) => error,
        );
        // Either no answer at all, or an honest 503: neither 404 nor an old value.
        if (!(answer instanceof NoAnswer)) expect((answer as PlainAnswer).status).toBe(503);
      }
    }
    const ready = wiped.process === null ? null : await plain(wiped.http, '/readyz').catch(() => null);
    expect(ready?.status ?? 503).toBe(503);
    // A majority of the other two still decides alone: the wiped one has no vote to give.
    const view = await cluster.clusterView();
    for (const shard of view.shards) expect(['n1', 'n2']).toContain(shard.leader);
  }, 60_000);
});
