/**
 * `npm run bench:snapshot`: a shard that holds much data gets a fourth member, which has to be sent all of it, while clients
 * write and read at half of what they reach at most: how long that takes, how fast it goes, what the clients notice, and the
 * most memory that each node has in use meanwhile, beside that of a while with the same clients before it. `resident` counts
 * the pages of table files too, which LevelDB maps into memory and the kernel may take back at any time; `own` does not.
 * Options: --mib 1024, --value-kib 64, --clients 32, --share 0.5 (of the clients' peak), --seconds 10 (of peak, and of the
 * while before).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LocalCluster, type LocalNode, until } from '../e2e/local-cluster.js';
import { atShareOfPeak, type Foreground, fillForeground, foregroundOn, resultRow } from './foreground.js';
import { type LoadResult, runLoad } from './http-load.js';
import { addMember, fillWithData, joined } from './new-member.js';
import { cpuShares, type Memory, mib, pidOf, watchMemory } from './process-usage.js';

const { values: flags } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    'value-kib': { type: 'string', default: '64' },
    clients: { type: 'string', default: '32' },
    share: { type: 'string', default: '0.5' },
    seconds: { type: 'string', default: '10' },
  },
});
const DATA = { mib: Number(flags.mib), valueBytes: Number(flags['value-kib']) * 1024 };
const SHARE = Number(flags.share);
const MEASURE_MS = Number(flags.seconds) * 1000;
const KEYS = 10_000;
const NEWCOMER = 'n4';
const QUIET_MS = 300_000;
const QUIET_SHARE = 0.1;
/** As slow as a very small machine. */
const ARRIVAL_MS = 120_000 + 2_000 * DATA.mib;

type Peaks = ReadonlyMap<number, Memory>;

interface Measured<T> {
  readonly value: T;
  readonly clients: LoadResult;
  readonly peaks: Peaks;
}

/** LevelDB goes on sorting for a while what was written. */
async function whenQuiet(cluster: LocalCluster): Promise<void> {
  await until('the nodes to have nothing to do', QUIET_MS, async () => {
    const shares = await cpuShares(cluster.nodes.map(pidOf), 1_000);
    return shares.every((share) => share < QUIET_SHARE);
  });
}

/** Clients and memory as long as the work takes, which begins when the clients are under way. */
async function measured<T>(cluster: LocalCluster, load: Foreground, work: () => Promise<T>): Promise<Measured<T>> {
  const { value, peaks } = await watchMemory(cluster.nodes.map(pidOf), async () => {
    const done = sleep(load.warmup_ms).then(work);
    const clients = await runLoad({ ...load, duration_ms: 0 }, done);
    return { clients, value: await done };
  });
  return { ...value, peaks };
}

function memoryRow(node: LocalNode, sender: string, before: Peaks, during: Peaks): string {
  const does = node.id === sender ? 'sends' : node.id === NEWCOMER ? 'receives' : 'follows';
  const [calm, most] = [before.get(pidOf(node))!, during.get(pidOf(node))!];
  const change = (from: number, to: number): string =>
    `${mib(from).padStart(9)} -> ${mib(to).padStart(9)} (${to < from ? '-' : '+'}${mib(Math.abs(to - from))})`;
  return `  ${node.id} ${does.padEnd(9)} resident ${change(calm.resident_bytes, most.resident_bytes)}   own ${change(calm.own_bytes, most.own_bytes)}`;
}

async function run(cluster: LocalCluster): Promise<void> {
  const began_ms = performance.now();
  await fillForeground(cluster, KEYS);
  await fillWithData(cluster, DATA);
  const { bytes } = (await cluster.clusterView()).shards[0]!;
  const wrote_s = ((performance.now() - began_ms) / 1000).toFixed(1);
  console.log(`${mib(bytes ?? 0)} in values of ${flags['value-kib']} KiB, written in ${wrote_s} s`);
  const load = foregroundOn(cluster, KEYS, Number(flags.clients));
  await joined(cluster, NEWCOMER);
  await whenQuiet(cluster);

  const { peak, paced } = await atShareOfPeak(load, SHARE, MEASURE_MS);
  console.log(resultRow('peak', peak));
  const before = await measured(cluster, paced, () => sleep(MEASURE_MS));
  console.log(resultRow(`${SHARE} of it`, before.clients));
  const during = await measured(cluster, paced, () => addMember(cluster, NEWCOMER, ARRIVAL_MS));
  console.log(resultRow('meanwhile', during.clients));
  console.log(`  p99 ${(during.clients.p99_ms / before.clients.p99_ms).toFixed(1)}x of that before`);

  const { sender, streams, stream_ms, member_ms } = during.value;
  const speed = `${mib(((bytes ?? 0) * 1000) / stream_ms)}/s`;
  const again = streams === 1 ? '' : `, of ${streams} that were begun`;
  console.log(
    `snapshot from ${sender} to ${NEWCOMER} in ${(stream_ms / 1000).toFixed(1)} s, ${speed}${again}; a member after ${(member_ms / 1000).toFixed(1)} s`,
  );
  console.log('most memory in use, before and meanwhile:');
  for (const node of cluster.nodes) console.log(memoryRow(node, sender, before.peaks, during.peaks));
}

const cluster = await LocalCluster.start({ nodes: 3, shards: 1 });
try {
  await run(cluster);
} finally {
  await cluster.close();
}
