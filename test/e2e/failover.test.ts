/**
 * Processes end, by kill -9 and by SIGTERM, while clients write: nothing that was acknowledged is lost, the history stays
 * linearizable, and what is left of a shard goes on in time.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysNamed, keysOfShard } from './keys.js';
import { countTroubles, Load } from './load.js';
import { LocalCluster, type LocalNode, until } from './local-cluster.js';
import { codeOf, keyPath, NoAnswer, type PlainAnswer, plain } from './plain-http.js';
import { note } from './report.js';
import { KEPT, verdictOn } from './verify.js';

const ROUNDS = Number(process.env['QUORATE_E2E_ROUNDS'] ?? 3);
const CLIENTS = { safe: 32, plain: 32 };
/** A client that may not send a write twice must live with these, and with nothing else. */
const HONEST = /^plain (put|delete|get) (outcome_unknown|no_leader|unavailable|ECONNRESET|ECONNREFUSED)$/;

let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
}, 60_000);
afterAll(() => cluster.close());

async function acknowledged(base: string, key: string, value: string): Promise<boolean> {
  try {
    return (await plain(base, keyPath(key), { method: 'PUT', body: value })).status < 300;
  } catch (error) {
    if (error instanceof NoAnswer) return false;
    throw error;
  }
}

/** From the kill of the shard's leader to the first write that is acknowledged through a node that lives. */
async function timeWithoutLeader(shard: string, key: string): Promise<{ gap_ms: number; killed: LocalNode }> {
  const killed = await cluster.leaderOf(shard);
  const other = cluster.nodes.find((node) => node !== killed)!;
  const start_ms = performance.now();
  await cluster.kill(killed);
  await until(`a write to ${shard} after its leader's death`, 15_000, () => acknowledged(other.http, key, 'after'));
  return { gap_ms: performance.now() - start_ms, killed };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

describe('processes that end under load', () => {
  it(
    `keeps every acknowledged write when a shard's leader is killed, ${ROUNDS} times, and goes on within 3 s`,
    async () => {
      const keys = keysNamed('kill/', 150);
      const probes: Record<string, string> = {};
      for (const shard of ['s1', 's2']) probes[shard] = (await keysOfShard(cluster, shard, 'probe/', 1))[0]!;
      const load = Load.start({ endpoints: cluster.endpoints, ...CLIENTS, keys });
      const gaps_ms: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const before = load.acknowledged;
        await until('load', 10_000, async () => load.acknowledged > before + 500);
        const shard = round % 2 === 0 ? 's1' : 's2';
        const { gap_ms, killed } = await timeWithoutLeader(shard, probes[shard]!);
        gaps_ms.push(Math.round(gap_ms));
        await cluster.whenReady(killed);
      }
      await load.stop();
      note('leader killed', {
        gaps_ms,
        median_ms: median(gaps_ms),
        acknowledged: load.acknowledged,
        troubles: countTroubles(load.troubles),
      });
      expect(await verdictOn(cluster.endpoints, keys, load.history)).toEqual(KEPT);
      expect(Object.keys(countTroubles(load.troubles)).filter((trouble) => !HONEST.test(trouble))).toEqual([]);
      expect(Math.max(...gaps_ms)).toBeLessThan(3_000);
      expect(median(gaps_ms)).toBeLessThan(1_500);
    },
    30_000 + ROUNDS * 20_000,
  );

  it('answers a repeated Idempotency-Key as the first time, also after the leader who answered is dead (F50)', async () => {
    const key = (await keysOfShard(cluster, 's1', 'once/', 1))[0]!;
    const send = (node: LocalNode, body: string): Promise<PlainAnswer> =>
      plain(node.http, keyPath(key), { method: 'PUT', body, headers: { 'idempotency-key': 'order-17' } });
    const leader = await cluster.leaderOf('s1');
    const first = await send(leader, 'first');
    expect(first.status).toBe(201);
    await cluster.kill(leader);
    const other = cluster.running[0]!;
    const again = await send(other, 'first');
    expect([again.status, again.headers.etag, String(again.body)]).toEqual([
      first.status,
      first.headers.etag,
      String(first.body),
    ]);
    const different = await send(other, 'second');
    expect([different.status, codeOf(different)]).toEqual([409, 'conflict']);
    const found = await plain(other.http, keyPath(key));
    expect([found.headers.etag, found.headers['x-quorate-version'], String(found.body)]).toEqual([
      first.headers.etag,
      '1',
      'first',
    ]);
    await cluster.whenReady(leader);
  }, 60_000);

  it('keeps every acknowledged write when all processes are killed at once and started again', async () => {
    const keys = keysNamed('all/', 150);
    const load = Load.start({ endpoints: cluster.endpoints, ...CLIENTS, keys });
    await until('load', 10_000, async () => load.acknowledged > 1_000);
    await Promise.all(cluster.nodes.map((node) => cluster.kill(node)));
    const start_ms = performance.now();
    for (const node of cluster.nodes) cluster.startNode(node);
    await cluster.whenHealthy();
    const back_ms = Math.round(performance.now() - start_ms);
    const again = load.acknowledged;
    await until('load after the restart', 15_000, async () => load.acknowledged > again + 500);
    await load.stop();
    note('all killed', { back_ms, acknowledged: load.acknowledged, troubles: countTroubles(load.troubles) });
    expect(await verdictOn(cluster.endpoints, keys, load.history)).toEqual(KEPT);
  }, 60_000);

  it('keeps every acknowledged write when all are asked to stop (SIGTERM) under load, and all end with 0', async () => {
    const keys = keysNamed('stop/', 150);
    const load = Load.start({ endpoints: cluster.endpoints, ...CLIENTS, keys });
    await until('load', 10_000, async () => load.acknowledged > 1_000);
    const start_ms = performance.now();
    const codes = await Promise.all(cluster.nodes.map((node) => cluster.kill(node, 'SIGTERM')));
    const stop_ms = Math.round(performance.now() - start_ms);
    for (const node of cluster.nodes) cluster.startNode(node);
    await cluster.whenHealthy();
    await load.stop();
    note('all stopped', { stop_ms, codes, acknowledged: load.acknowledged, troubles: countTroubles(load.troubles) });
    expect(codes).toEqual([0, 0, 0]);
    expect(await verdictOn(cluster.endpoints, keys, load.history)).toEqual(KEPT);
  }, 60_000);

  it('drains one node that is asked to stop: what it was asked is answered, and the others go on', async () => {
    const keys = keysNamed('drain/', 150);
    const load = Load.start({ endpoints: cluster.endpoints, ...CLIENTS, keys });
    await until('load', 10_000, async () => load.acknowledged > 1_000);
    const node = await cluster.leaderOf('s1');
    const code = await cluster.kill(node, 'SIGTERM');
    const again = load.acknowledged;
    await until('load without the node', 15_000, async () => load.acknowledged > again + 500);
    await cluster.whenReady(node);
    await load.stop();
    note('one stopped', { code, acknowledged: load.acknowledged, troubles: countTroubles(load.troubles) });
    expect(code).toBe(0);
    expect(Object.keys(countTroubles(load.troubles)).filter((trouble) => !HONEST.test(trouble))).toEqual([]);
    expect(await verdictOn(cluster.endpoints, keys, load.history)).toEqual(KEPT);
  }, 60_000);
});
