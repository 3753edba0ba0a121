/** What `bench:snapshot` measures, small: a shard that holds data gets a new member while clients go on, and none of them notices. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LocalCluster } from '../e2e/local-cluster.js';
import { note } from '../e2e/report.js';
import { runCli } from '../kv/cli/run-cli.js';
import { fillForeground, foregroundOn } from './foreground.js';
import { runLoad } from './http-load.js';
import { addMember, fillWithData, joined } from './new-member.js';

const KEYS = 1_000;
const CLIENTS = 8;
const DATA = { mib: 24, valueBytes: 64 * 1024 };

let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 1 });
  await fillForeground(cluster, KEYS);
  await fillWithData(cluster, DATA);
}, 90_000);
afterAll(() => cluster.close());

describe('a new member of a shard that holds data', () => {
  it('is sent all of it while clients go on: no request fails, and it has what the others have', async () => {
    const load = { ...foregroundOn(cluster, KEYS, CLIENTS), interval_ms: 20, warmup_ms: 0, duration_ms: 0 };
    await joined(cluster, 'n4');
    const arrival = addMember(cluster, 'n4', 60_000);
    const clients = await runLoad(load, arrival);
    note('a new member', { ...(await arrival), requests: clients.requests, p99_ms: clients.p99_ms });
    expect(clients.errors).toBe(0);
    expect(clients.requests).toBeGreaterThan(0);
    const verified = await runCli(['verify', '--mib-per-s', '64', '--watch', '--endpoints', cluster.endpoints.join()]);
    expect(verified.exit, `${verified.out}${verified.err}`).toBe(0);
    expect(verified.out).toContain('n4');
  }, 120_000);
});
