/**
 * `npm run bench:idle`: three nodes with 64 shards of three replicas each, and nobody who asks for anything: what share of a
 * core each node takes, and how much memory, once nothing changes any more. Exit code 1 where a node takes 5 % of a core or
 * more. Options: --shards 64, --seconds 60.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { ClusterView } from '../../src/kv/client/index.js';
import { LocalCluster, until } from '../e2e/local-cluster.js';
import { cpuShares, memoryOf, mib, pidOf } from './process-usage.js';

const { values: flags } = parseArgs({
  options: {
    shards: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '60' },
  },
});
const SHARDS = Number(flags.shards);
const MEASURE_MS = Number(flags.seconds) * 1000;
const LIMIT = 0.05;
/** Within ten seconds a leadership would have gone back to where it belongs. */
const UNCHANGED_MS = 15_000;
const SETTLE_MS = 180_000;
const LOOK_EVERY_MS = 500;

const isWell = ({ nodes, shards }: ClusterView): boolean =>
  nodes.every(({ state }) => state === 'healthy') &&
  shards.every(({ state, members }) => state === 'ok' && members.every(({ lag }) => lag === 0));

/** The map, and who leads what since when. */
const placeOf = ({ epoch, controller, shards }: ClusterView): string =>
  JSON.stringify([epoch, [controller, ...shards].map(({ leader, term }) => [leader, term])]);

/** Resolves once nothing has changed for a while. */
async function whenSettled(cluster: LocalCluster): Promise<ClusterView> {
  let place = '';
  let since_ms = 0;
  return until('nothing to change any more', SETTLE_MS, async () => {
    await sleep(LOOK_EVERY_MS);
    const view = await cluster.clusterView();
    const now_ms = performance.now();
    if (!isWell(view) || placeOf(view) !== place) {
      place = placeOf(view);
      since_ms = now_ms;
    }
    return now_ms - since_ms >= UNCHANGED_MS ? view : null;
  });
}

const row = (cells: readonly string[]): string => cells.map((cell) => cell.padEnd(12)).join('');

const cluster = await LocalCluster.start({ nodes: 3, shards: SHARDS, replicas: 3 });
try {
  const { shards } = await whenSettled(cluster);
  const pids = cluster.nodes.map(pidOf);
  const shares = await cpuShares(pids, MEASURE_MS);
  console.log(`${shards.length} shards of three replicas on three nodes, idle for ${flags.seconds} s`);
  console.log(row(['node', 'leads', 'of a core', 'resident', 'own']));
  for (const [i, { id }] of cluster.nodes.entries()) {
    const leads = shards.filter(({ leader }) => leader === id).length;
    const { resident_bytes, own_bytes } = memoryOf(pids[i]!);
    const share = `${(100 * shares[i]!).toFixed(2)} %`;
    console.log(row([id, String(leads), share, mib(resident_bytes), mib(own_bytes)]));
  }
  const busy = cluster.nodes.filter((_, i) => shares[i]! >= LIMIT).map(({ id }) => id);
  const limit = `${100 * LIMIT} % of a core`;
  console.log(busy.length === 0 ? `every node: less than ${limit}` : `not less than ${limit}: ${busy.join(', ')}`);
  if (busy.length > 0) process.exitCode = 1;
} finally {
  await cluster.close();
}
