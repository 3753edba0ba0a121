/**
 * Two shards become four, three, one, while clients write and read: nobody notices, nothing is lost, doubled or stale, no
 * slot moves that need not, and what was left behind is gone from disk.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QuorateClient } from '../../src/kv/client/index.js';
import { keysNamed } from './keys.js';
import { fill, Load, newHistory } from './load.js';
import { LocalCluster, until } from './local-cluster.js';
import { jsonOf, keyPath, type PlainAnswer, plain } from './plain-http.js';
import { note } from './report.js';
import { courseBetween, FLAWLESS, planEnd, shardsOnDisk, startReshard } from './resharding.js';
import { KEPT, listedKeys, verdictByList } from './verify.js';

const KEYS = Number(process.env['QUORATE_E2E_KEYS'] ?? 5_000);
const PREFIX = 'reshard/';
const STEPS = [4, 3, 1] as const;

let cluster: LocalCluster;
let load: Load;
const keys = keysNamed(PREFIX, KEYS).sort();
const history = newHistory();
/** A few keys in many slots, each with an idempotency key and a TTL of an hour. */
const tagged = keysNamed('tagged/', 20);
const firstAnswers = new Map<string, { readonly answer: PlainAnswer; readonly ends: Instant }>();

/** Somewhere between the two, in ms of this process's clock: an answer's way takes time. */
interface Instant {
  readonly from_ms: number;
  readonly to_ms: number;
}

/** Clocks of shards may differ by as much. */
const CLOCKS_MS = 250;
/** Not what is tested here: how long a list may take on a machine that is busy with other tests. */
const PATIENCE_MS = 40_000;

const endpoint = (i: number): string => cluster.endpoints[i % cluster.endpoints.length]!;
const putTagged = (key: string, i: number, body = key): Promise<PlainAnswer> =>
  plain(endpoint(i), `${keyPath(key)}&ttl=1h`, { method: 'PUT', body, headers: { 'idempotency-key': `once-${key}` } });
async function endOf(key: string, i: number): Promise<Instant> {
  const asked_ms = Date.now();
  const left_ms = Number((await plain(endpoint(i), keyPath(key))).headers['x-quorate-expires-in']);
  return { from_ms: asked_ms + left_ms, to_ms: Date.now() + left_ms };
}

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
  const start_ms = performance.now();
  await fill(cluster.endpoints, keys, history);
  note('filled', { keys: KEYS, ms: Math.round(performance.now() - start_ms) });
  for (const [i, key] of tagged.entries()) {
    firstAnswers.set(key, { answer: await putTagged(key, i), ends: await endOf(key, i) });
  }
  load = Load.start({ endpoints: cluster.endpoints, safe: 8, plain: 8, keys, deletes: 0, puts: 0.5, history });
}, 120_000);
afterAll(async () => {
  await load.stop();
  await cluster.close();
});

/** null: all keys are listed, each once, in order. */
async function scan(client: QuorateClient): Promise<string | null> {
  const listed = await listedKeys(client, PREFIX);
  const at = keys.findIndex((key, i) => key !== listed[i]);
  if (at < 0 && listed.length === keys.length) return null;
  return `${listed.length} keys, expected ${keys[at]} at ${at}, found ${listed[at]}`;
}

/** Lists all keys again and again until `over`; resolves with how often, and each list that was not exactly right. */
async function listUntil(over: Promise<unknown>): Promise<{ scans: number; wrong: string[] }> {
  let ended = false;
  void over
    .catch(() => null)
    .then(() => {
      ended = true;
    });
  const client = new QuorateClient({ endpoints: cluster.endpoints, timeout_ms: PATIENCE_MS });
  const wrong: string[] = [];
  let scans = 0;
  try {
    while (!ended) {
      scans++;
      const problem = await scan(client).catch((error: unknown) => `refused: ${String(error)}`);
      if (problem !== null) wrong.push(problem);
    }
  } finally {
    client.close();
  }
  return { scans, wrong };
}

describe(`resharding under load, with ${KEYS} keys`, () => {
  it.each(STEPS)(
    'to %i shards: no request fails, lists stay whole (F65), no slot moves that need not',
    async (shards) => {
      const before = await cluster.map();
      const troubles = load.troubles.length;
      load.takeSlowest();
      const acknowledged = load.acknowledged;
      const start_ms = performance.now();
      const { id } = await startReshard(cluster, shards);
      const end = planEnd(cluster, id);
      const [plan, lists] = await Promise.all([end, listUntil(end)]);
      const took_ms = Math.round(performance.now() - start_ms);
      note(`to ${shards} shards`, {
        took_ms,
        epochs: (await cluster.map()).epoch - before.epoch,
        moved: plan.moves.reduce((sum, move) => sum + (move.keys ?? 0), 0),
        pause_ms_max: Math.round(Math.max(...plan.moves.map((move) => move.pause_ms ?? 0))),
        slowest: load.takeSlowest(),
        writes: load.acknowledged - acknowledged,
        scans: lists.scans,
      });
      expect({ state: plan.state, reason: plan.reason }).toEqual({ state: 'done', reason: undefined });
      expect(load.troubles.slice(troubles)).toEqual([]);
      expect(lists.wrong).toEqual([]);
      expect(load.acknowledged).toBeGreaterThan(acknowledged);

      const after = await cluster.map();
      expect(after.shards).toHaveLength(shards);
      expect(await courseBetween(cluster, before, after)).toEqual(FLAWLESS);
      await until('the counts of all shards to sum up', 5_000, async () => {
        const counts = (await cluster.clusterView()).shards.map((shard) => shard.keys ?? Number.NaN);
        return counts.reduce((sum, count) => sum + count, 0) === KEYS + tagged.length;
      });
      const expected = cluster.nodes.flatMap((node) => after.shards.map((shard) => `${node.id}/${shard.id}`)).sort();
      await until(
        `only ${after.shards.map((shard) => shard.id)} on every disk`,
        10_000,
        async () => String(shardsOnDisk(cluster)) === String(expected),
      );
    },
    120_000,
  );

  it('has kept every idempotency record and every time of expiry through all moves (F50, F64)', async () => {
    for (const [i, key] of tagged.entries()) {
      const { answer: first, ends } = firstAnswers.get(key)!;
      const again = await putTagged(key, i + 1);
      const said = ({ revision, version }: Record<string, unknown>) => ({ revision, version });
      expect([again.status, said(jsonOf(again))]).toEqual([first.status, said(jsonOf(first))]);
      expect(again.headers.etag).toBe(first.headers.etag);
      expect((await putTagged(key, i, 'something else')).status).toBe(409);
      const found = await plain(endpoint(i), keyPath(key));
      expect([found.headers.etag, String(found.body)]).toEqual([first.headers.etag, key]);
      const now = await endOf(key, i);
      expect(now.from_ms).toBeLessThanOrEqual(ends.to_ms + CLOCKS_MS);
      expect(now.to_ms).toBeGreaterThanOrEqual(ends.from_ms - CLOCKS_MS);
    }
  });

  it('has lost, doubled and changed nothing', async () => {
    await load.stop();
    const { keys: listed, ...verdict } = await verdictByList(cluster.endpoints, PREFIX, history);
    note('judged', { operations: history.operations().length, troubles: load.troubles.length });
    expect(verdict).toEqual(KEPT);
    expect(listed).toEqual(keys);
  }, 60_000);
});
