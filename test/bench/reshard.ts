/**
 * `npm run bench:reshard`: 2 -> 4 -> 2 shards with many keys, while clients write and read at half of what they reach at
 * most: failed requests, latencies with and without a reshard, the longest time that any slot was frozen, keys moved per
 * second. Options: --keys 100000, --clients 32, --max-pause 50 (ms; default: the product's).
 */
import { parseArgs } from 'node:util';
import type { PlanView } from '../../src/kv/client/index.js';
import { LocalCluster, until } from '../e2e/local-cluster.js';
import { type LoadOptions, type LoadResult, runLoad, type Target } from './http-load.js';

const { values: flags } = parseArgs({
  options: {
    keys: { type: 'string', default: '100000' },
    clients: { type: 'string', default: '32' },
    'max-pause': { type: 'string' },
  },
});
const KEYS = Number(flags.keys);
const CLIENTS = Number(flags.clients);
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

const cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
try {
  await fill(cluster);
  const load = loadOn(cluster);
  await runLoad({ ...load, duration_ms: PEAK_MS });
  const peak = await runLoad({ ...load, duration_ms: PEAK_MS });
  console.log(row('peak', peak));
  const half = { ...load, interval_ms: (2 * 1000 * CLIENTS) / peak.perSecond };
  console.log(row('half of it', await runLoad({ ...half, duration_ms: BASE_MS })));
  for (const shards of [4, 2]) {
    const began = performance.now();
    const plan = reshard(cluster, shards);
    const result = await runLoad({ ...half, warmup_ms: 0, duration_ms: 0 }, plan);
    const { state, reason, moves } = await plan;
    const took_s = (performance.now() - began) / 1000;
    const keys = moves.reduce((sum, move) => sum + (move.keys ?? 0), 0);
    const pause_ms = Math.max(...moves.map((move) => move.pause_ms ?? 0));
    console.log(row(`to ${shards} shards`, result));
    console.log(
      `  ${state}${reason === undefined ? '' : `: ${reason}`}   ${keys} keys in ${took_s.toFixed(1)} s, ${Math.round(keys / took_s)}/s   longest pause ${pause_ms.toFixed(0)} ms`,
    );
  }
} finally {
  await cluster.close();
}
