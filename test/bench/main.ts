/**
 * `npm run bench`: PUT and GET of 100-byte values over HTTP at 1, 16, 64 and 256 connections, against three node
 * processes with two shards on this machine; and, where an etcd binary is on the PATH, the same work on a three-node
 * etcd in the same run, as a ratio. Beside it what a bare `node:http` server reaches that stores nothing. Options: --seconds N, --connections 1,16,64, --spread (clients that know no leaders).
 */
import { parseArgs } from 'node:util';
import { slotOfKey } from '../../src/shardctrl/index.js';
import { LocalCluster } from '../e2e/local-cluster.js';
import { startBareHttp } from './bare-http.js';
import { findEtcd, runEtcd } from './etcd.js';
import { targetOf } from './foreground.js';
import { type LoadResult, runLoad, type Target } from './http-load.js';

const KEYS = 20_000;
const VALUE = Buffer.alloc(100, 'v');

interface Route {
  readonly target: Target;
  readonly keys: readonly string[];
}

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    connections: { type: 'string', default: '1,16,64,256' },
    spread: { type: 'boolean', default: false },
  },
});
const duration_ms = Number(flags.seconds) * 1000;
const counts = flags.connections.split(',').map(Number);

/** Like the TypeScript client: each key goes to the node that leads its shard (or, with --spread, to any). */
async function routesOf(cluster: LocalCluster): Promise<Route[]> {
  const view = await cluster.clusterView();
  const owner = new Map<number, string>();
  for (const shard of view.shards) {
    for (const range of shard.slots.split(',')) {
      const [first, last] = range.split('-').map(Number);
      for (let slot = first!; slot <= (last ?? first!); slot++) owner.set(slot, shard.leader!);
    }
  }
  const keys = Array.from({ length: KEYS }, (_, i) => `bench/${i.toString(36)}`);
  return cluster.nodes
    .map((node) => ({
      target: targetOf(node.http),
      keys: flags.spread ? keys : keys.filter((key) => owner.get(slotOfKey(Buffer.from(key))) === node.id),
    }))
    .filter((route) => route.keys.length > 0);
}

function requestsOf(routes: readonly Route[], method: 'PUT' | 'GET'): (connection: number) => Buffer {
  const prebuilt = routes.map(({ keys, target }) =>
    keys.map((key) => {
      const head = `${method} /v1/kv/${key} HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\n`;
      return method === 'PUT'
        ? Buffer.concat([Buffer.from(`${head}Content-Length: ${VALUE.length}\r\n\r\n`), VALUE])
        : Buffer.from(`${head}\r\n`);
    }),
  );
  return (connection) => {
    const requests = prebuilt[connection % prebuilt.length]!;
    return requests[Math.floor(Math.random() * requests.length)]!;
  };
}

/** Every key exists before anything is measured, so that a GET is never a 404. */
async function fill(routes: readonly Route[]): Promise<void> {
  const pending = routes.flatMap(({ target, keys }) =>
    keys.map((key) => `http://${target.host}:${target.port}/v1/kv/${key}`),
  );
  const writer = async (): Promise<void> => {
    for (let url = pending.pop(); url !== undefined; url = pending.pop()) {
      const answer = await fetch(url, { method: 'PUT', body: VALUE });
      if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${await answer.text()}`);
      await answer.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 64 }, writer));
}

const cell = (text: string | number, width: number): string => String(text).padStart(width);

function print(
  name: string,
  connections: number,
  result: LoadResult,
  bare: LoadResult,
  baseline: LoadResult | null,
): void {
  const ofBare = `${((100 * result.perSecond) / bare.perSecond).toFixed(0)} % of bare node:http (${bare.perSecond}/s)`;
  const ratio =
    baseline === null ? '' : `   ${(result.perSecond / baseline.perSecond).toFixed(2)}x etcd (${baseline.perSecond}/s)`;
  console.log(
    `${name.padEnd(5)}${cell(connections, 6)}${cell(result.perSecond, 10)}/s   p50${cell(result.p50_ms.toFixed(2), 8)} ms   p99${cell(result.p99_ms.toFixed(2), 8)} ms   p99.9${cell(result.p999_ms.toFixed(2), 8)} ms   errors ${result.errors}   ${ofBare}${ratio}`,
  );
}

/** Everything is compiled and the young generations have their size before anything is measured. */
const HEAT_MS = 6_000;

const cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
const etcd = findEtcd();
if (etcd === null) console.log('no etcd on the PATH: no ratio to it');
const bare = await startBareHttp();
try {
  const routes = await routesOf(cluster);
  const target = (connection: number): Target => routes[connection % routes.length]!.target;
  await fill(routes);
  for (const method of ['PUT', 'GET'] as const) {
    const heat = { connections: 64, warmup_ms: 0, duration_ms: HEAT_MS, request: requestsOf(routes, method) };
    await runLoad({ ...heat, target });
    await bare.run({ ...heat, duration_ms: HEAT_MS / 2 });
    for (const connections of counts) {
      const request = requestsOf(routes, method);
      const load = { connections, warmup_ms: 1_500, duration_ms, request };
      const result = await runLoad({ ...load, target });
      const floor = await bare.run(load);
      const baseline = etcd === null ? null : await runEtcd(etcd, method, connections, duration_ms, VALUE);
      print(method, connections, result, floor, baseline);
    }
  }
} finally {
  bare.close();
  await cluster.close();
}
