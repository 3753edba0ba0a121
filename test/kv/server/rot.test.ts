/** Rows that rot at rest under a leader: whoever reads them must not be stuck with it while the other replicas are sound. */
import { describe, expect, it } from 'vitest';
import { SimCluster } from './sim-cluster.js';

const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`);
const RECORD_TABLE = 0x10;

async function rottenLeader(seed: number): Promise<{ readonly cluster: SimCluster; readonly leader: string }> {
  const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed });
  for (const key of KEYS) await cluster.put('n1', key, `value of ${key}`);
  const leader = cluster.leaderOf(1)!;
  await cluster.settle(cluster.replica(leader, 1).settled());
  const { engines } = cluster.machine(leader);
  const name = (await engines.list()).find((each) => each.startsWith('g1-'))!;
  expect(engines.flipBit(name, cluster.random, (key) => key[0] === RECORD_TABLE)).not.toBeNull();
  return { cluster, leader };
}

describe('a row that rots under a leader (F38)', () => {
  it('does not hold up a move: another replica leads, and copies what is sound', async () => {
    const { cluster, leader } = await rottenLeader(38);
    const [first, second] = cluster.node('n1').maps.map!.shards;
    const slots = first!.slots.map(([a, b]) => `${a}-${b}`).join(',');
    const asked = cluster.node('n1').admin.move({ slots, to: `s${second!.id}`, dry_run: false }, 5_000);
    expect((await cluster.settle(asked)).ok).toBe(true);
    await cluster.planOver();
    expect(cluster.controller().latestPlan()).toMatchObject({ status: 'done' });
    for (const key of KEYS) expect(await cluster.value('n2', key)).toBe(`value of ${key}`);
    expect(cluster.node(leader).host.damaged(1)?.reason ?? 'retired').toMatch(/checksum|retired/);
  });

  it('is not shown by a list, which another replica answers; the rotten one has stopped', async () => {
    const { cluster, leader } = await rottenLeader(39);
    const request = { kind: 'list' as const, start: Buffer.alloc(0), end: null, limit: 1_000, keysOnly: false };
    const context = { timeout_ms: 8_000, noForward: false, requestId: 'test' };
    const list = { ...request, consistency: 'linearizable', maxStaleness_ms: null } as const;
    const outcome = await cluster.settle(cluster.node(leader).kv.list(list, context));
    if (outcome.kind !== 'page') throw new Error(JSON.stringify(outcome));
    expect(outcome.items.map(({ key, value }) => [String(key), String(value)])).toEqual(
      [...KEYS].sort().map((key) => [key, `value of ${key}`]),
    );
    expect(cluster.node(leader).host.damaged(1)?.reason).toMatch(/checksum/);
    expect(cluster.leaderOf(1)).not.toBe(leader);
  });
});
