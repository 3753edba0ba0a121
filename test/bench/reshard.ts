/**
 * `npm run bench:reshard`: 2 -> 4 -> 2 shards with many keys, while clients write and read at half of what they reach at
 * most: failed requests, latencies with and without a reshard, how long slots were frozen (from the receipts), keys moved per
 * second. Options: --keys 100000, --clients 32, --runs 1, --share 0.5 (of the clients' peak; 0: nobody works), --max-pause 50
 * (ms; default: the product's).
 */
import { parseArgs } from 'node:util';
import type { PlanView, ReceiptView } from '../../src/kv/client/index.js';
import { LocalCluster, until } from '../e2e/local-cluster.js';
import { type LoadOptions, type LoadResult, runLoad, type Target } from './http-load.js';

const { values: flags } = parseArgs({
  options: {
    keys: { type: 'string', default: '100000' },
    clients: { type: 'string', default: '32' },
    runs: { type: 'string', default: '1' },
    share: { type: 'string', default: '0.5' },
    'max-pause': { type: 'string' },
  },
});
const KEYS = Number(flags.keys);
const CLIENTS = Number(flags.clients);
const SHARE = Number(flags.share);
const VALUE = Buffer.alloc(100, 'v');
const PEAK_MS = 5_000;
const BASE_MS = 10_000;
const PLAN_MS = 1_800_000;

const path = (i: number): string => `/v1/kv/bench/${i.toString(36)}`;

async function fill(cluster: LocalCluster): Promise<void> {
  let next = 0;
  const writer = async (node: number): Promise<void> => {
    for (let i = next++; i < KEYS; i = next++) {
      const url = `${cluster.endpoints[node % cluster.endpoints.length]}${path(i)}`;
      const answer = await fetch(url, { method: 'PUT', body: VALUE });
      if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${await answer.text()}`);
      await answer.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, i) => writer(i)));
}

/** Half of the requests write, half read; each client talks to one node. */
function loadOn(cluster: LocalCluster): Omit<LoadOptions, 'duration_ms'> {
  const targets = cluster.endpoints.map((endpoint): Target => {
    const { hostname, port } = new URL(endpoint);
    return { host: hostname, port: Number(port) };
  });
  const target = (connection: number): Target => targets[connection % targets.length]!;
  const request = (connection: number): Buffer => {
    const { host, port } = target(connection);
    const key = path(Math.floor(Math.random() * KEYS));
    if (Math.random() < 0.5) return Buffer.from(`GET ${key} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
    const head = `PUT ${key} HTTP/1.1\r\nHost: ${host}:${port}\r\nContent-Length: ${VALUE.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), VALUE]);
  };
  return { connections: CLIENTS, warmup_ms: 1_000, target, request };
}

async function json<T>(cluster: LocalCluster, url: string, body?: unknown): Promise<T> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const answer = await fetch(`${cluster.endpoints[0]}${url}`, {
    ...init,
    headers: { 'content-type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Resolves with the plan when it is over. */
async function reshard(cluster: LocalCluster, shards: number): Promise<PlanView> {
  const pause = flags['max-pause'] === undefined ? {} : { max_pause_ms: Number(flags['max-pause']) };
  const { id } = await json<PlanView>(cluster, '/v1/admin/reshard', { shards, ...pause });
  let plan: PlanView | null = null;
  await until(`plan ${id} to end`, PLAN_MS, async () => {
    plan = await json<PlanView>(cluster, `/v1/admin/reshard/${id}`);
    return plan.state !== 'running';
  });
  return plan!;
}

const row = (what: string, { perSecond, p50_ms, p99_ms, p999_ms, max_ms, errors }: LoadResult): string =>
  `${what.padEnd(14)}${String(perSecond).padStart(7)}/s   p50 ${p50_ms.toFixed(1)} ms   p99 ${p99_ms.toFixed(1)} ms   p99.9 ${p999_ms.toFixed(1)} ms   max ${max_ms.toFixed(0)} ms   failed ${errors}`;

/** All receipts of a plan, page by page. */
async function receiptsOf(cluster: LocalCluster, id: string): Promise<readonly ReceiptView[]> {
  const receipts: ReceiptView[] = [];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: { receipts: readonly ReceiptView[]; next?: number } = await json(
      cluster,
      `/v1/admin/reshard/${id}/receipts?after=${after}`,
    );
    receipts.push(...page.receipts);
    after = page.next;
  }
  return receipts;
}

function pauseRow(receipts: readonly ReceiptView[]): string {
  const pauses = receipts.map(({ pause_ms }) => pause_ms ?? 0).sort((a, b) => a - b);
  const at = (share: number): string => (pauses[Math.ceil(pauses.length * share) - 1] ?? 0).toFixed(0);
  return `${pauses.length} pauses: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

async function grown(cluster: LocalCluster, shards: number, load: LoadOptions | null): Promise<LoadResult | null> {
  const began = performance.now();
  const plan = reshard(cluster, shards);
  const result = load === null ? null : await runLoad(load, plan);
  const { id, state, reason, moves } = await plan;
  const took_s = (performance.now() - began) / 1000;
  const keys = moves.reduce((sum, move) => sum + (move.keys ?? 0), 0);
  if (result !== null) console.log(row(`to ${shards} shards`, result));
  const ended = `${state}${reason === undefined ? '' : `: ${reason}`}`;
  const speed = `${keys} keys in ${took_s.toFixed(1)} s, ${Math.round(keys / took_s)}/s`;
  console.log(`  to ${shards}: ${ended}   ${speed}   ${pauseRow(await receiptsOf(cluster, id))}`);
  return result;
}

async function run(cluster: LocalCluster): Promise<void> {
  if (SHARE === 0) {
    for (const shards of [4, 2]) await grown(cluster, shards, null);
    return;
  }
  const load = loadOn(cluster);
  await runLoad({ ...load, duration_ms: PEAK_MS });
  const peak = await runLoad({ ...load, duration_ms: PEAK_MS });
  console.log(row('peak', peak));
  const paced = { ...load, interval_ms: (1000 * CLIENTS) / (SHARE * peak.perSecond) };
  const before = await runLoad({ ...paced, duration_ms: BASE_MS });
  console.log(row(`${SHARE} of it`, before));
  for (const shards of [4, 2]) {
    const during = await grown(cluster, shards, { ...paced, warmup_ms: 0, duration_ms: 0 });
    console.log(`  p99 ${((during?.p99_ms ?? 0) / before.p99_ms).toFixed(1)}x of that without a reshard`);
  }
}

const cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
try {
  await fill(cluster);
  for (let i = 1; i <= Number(flags.runs); i++) await run(cluster);
} finally {
  await cluster.close();
}
