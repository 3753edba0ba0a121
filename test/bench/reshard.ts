/**
 * `npm run bench:reshard`: 2 -> 4 -> 2 shards with many keys, while clients write and read at half of what they reach at
 * most: failed requests, latencies with and without a reshard, how long slots were frozen (from the receipts), keys moved per
 * second. Options: --keys 100000, --clients 32, --runs 1, --share 0.5 (of the clients' peak; 0: nobody works), --max-pause 50
 * (ms; default: the product's).
 */
import { parseArgs } from 'node:util';
import type { PlanView, ReceiptView } from '../../src/kv/client/index.js';
import { LocalCluster, until } from '../e2e/local-cluster.js';
import { atShareOfPeak, fillForeground, foregroundOn, resultRow } from './foreground.js';
import { type LoadOptions, type LoadResult, runLoad } from './http-load.js';

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
const PEAK_MS = 5_000;
const BASE_MS = 10_000;
const PLAN_MS = 1_800_000;

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
  if (result !== null) console.log(resultRow(`to ${shards} shards`, result));
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
  const { peak, paced } = await atShareOfPeak(foregroundOn(cluster, KEYS, CLIENTS), SHARE, PEAK_MS);
  console.log(resultRow('peak', peak));
  const before = await runLoad({ ...paced, duration_ms: BASE_MS });
  console.log(resultRow(`${SHARE} of it`, before));
  for (const shards of [4, 2]) {
    const during = await grown(cluster, shards, { ...paced, warmup_ms: 0, duration_ms: 0 });
    const after = await runLoad({ ...paced, duration_ms: BASE_MS });
    console.log(resultRow(`${shards} at rest`, after));
    const times = ({ p99_ms }: LoadResult): string => `${((during?.p99_ms ?? 0) / p99_ms).toFixed(1)}x`;
    console.log(`  p99 ${times(before)} of that before any reshard, ${times(after)} of that after this one`);
  }
}

const cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
try {
  await fillForeground(cluster, KEYS);
  for (let i = 1; i <= Number(flags.runs); i++) await run(cluster);
} finally {
  await cluster.close();
}
