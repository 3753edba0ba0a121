/** What a shard has given away is gone from the disks of all its replicas, in bytes; and what it kept is still there. */
import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QuorateClient } from '../../src/kv/client/index.js';
import { keysNamed } from './keys.js';
import { LocalCluster, type LocalNode, until } from './local-cluster.js';
import { noise } from './noise.js';
import { note } from './report.js';
import { planEnd, startReshard } from './resharding.js';

const KEYS = keysNamed('moved/', 400);
/** No compression makes them smaller. */
const VALUE_BYTES = 20_000;
const WRITTEN = KEYS.length * VALUE_BYTES;

let cluster: LocalCluster;
let client: QuorateClient;
beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 1 });
  client = new QuorateClient({ endpoints: cluster.endpoints, timeout_ms: 30_000 });
}, 60_000);
afterAll(async () => {
  client.close();
  await cluster.close();
});

function bytesBelow(directory: string): number {
  const sizeOf = (entry: Dirent): number => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return bytesBelow(path);
    // A file may go while the directory is read.
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  };
  return readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => sum + sizeOf(entry), 0);
}

/** Of the states of one group on one node. */
function stateBytes(node: LocalNode, group: number): number {
  const state = join(node.dataDir, 'state');
  const engines = readdirSync(state).filter((name) => name.startsWith(`g${group}-`));
  return engines.reduce((sum, name) => sum + bytesBelow(join(state, name)), 0);
}

const valueFor = (i: number): Buffer => noise(i, VALUE_BYTES);

async function inParallel(work: (i: number) => Promise<unknown>): Promise<void> {
  const left = [...KEYS.keys()];
  const worker = async (): Promise<void> => {
    for (let i = left.pop(); i !== undefined; i = left.pop()) await work(i);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

describe('data that has moved', () => {
  it('DeleteAfterMove (F61): is gone from the disks of every replica of the source, in bytes', async () => {
    await inParallel((i) => client.put(KEYS[i]!, valueFor(i)));
    const holds = (node: LocalNode): number => stateBytes(node, 1);
    await until('all replicas to have it on disk', 15_000, async () =>
      cluster.nodes.every((node) => holds(node) > 0.9 * WRITTEN),
    );
    const before = cluster.nodes.map(holds);
    const plan = await planEnd(cluster, (await startReshard(cluster, 2)).id);
    expect(plan.state).toBe('done');
    const moved = plan.moves.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
    expect(moved).toBeGreaterThan(0.4 * WRITTEN);
    // What is left of the source: what it kept, and what a state costs that holds nothing.
    const most = WRITTEN - moved + 0.1 * WRITTEN;
    await until(`less than ${most} bytes of s1 on every node`, 20_000, async () => {
      const after = cluster.nodes.map(holds);
      if (after.some((bytes) => bytes >= most)) throw new Error(`there are ${after}`);
      return true;
    });
    note('bytes of s1 on disk', { before, after: cluster.nodes.map(holds), moved });
    await inParallel(async (i) => {
      const found = await client.get(KEYS[i]!);
      expect(found?.value.equals(valueFor(i))).toBe(true);
    });
  }, 90_000);
});
