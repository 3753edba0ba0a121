import { describe, expect, it, vi } from 'vitest';
import type { ListOutcome, ListRangeRequest } from '../../../src/kv/server/index.js';
import { KvStateMachine, type ListPage } from '../../../src/kv/store/index.js';
import { SimCluster } from './sim-cluster.js';

const MIB = 1024 * 1024;
const PAGE_BYTES = 4 * MIB;

const request = (more: Partial<ListRangeRequest> = {}): ListRangeRequest => ({
  kind: 'list',
  start: Buffer.alloc(0),
  end: null,
  limit: 1_000,
  keysOnly: false,
  consistency: 'linearizable',
  maxStaleness_ms: null,
  ...more,
});

function list(cluster: SimCluster, id: string, asked: ListRangeRequest): Promise<ListOutcome> {
  return cluster.settle(cluster.node(id).kv.list(asked, { timeout_ms: 8_000, noForward: false, requestId: 'test' }));
}

async function page(cluster: SimCluster, id: string, asked: ListRangeRequest) {
  const outcome = await list(cluster, id, asked);
  if (outcome.kind === 'failed') throw new Error(JSON.stringify(outcome.error));
  return outcome;
}

describe('a list', () => {
  it('of big values ends its pages at 4 MiB, reads little more of each shard, and misses nothing', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 4 });
    const value = 'x'.repeat(512 * 1024);
    const keys = Array.from({ length: 24 }, (_, i) => `big-${String(i).padStart(2, '0')}`);
    for (const key of keys) await cluster.put('n1', key, value);
    const read = vi.spyOn(KvStateMachine.prototype, 'listPage');
    const listed: string[] = [];
    let pages = 0;
    for (let start: Buffer | null = Buffer.alloc(0); start !== null; pages++) {
      const { items, next }: Awaited<ReturnType<typeof page>> = await page(cluster, 'n4', request({ start }));
      const bytes = items.reduce((sum, item) => sum + item.value.length, 0);
      expect(bytes).toBeLessThanOrEqual(PAGE_BYTES);
      expect(items.length).toBeGreaterThan(0);
      listed.push(...items.map(({ key }) => String(key)));
      start = next;
    }
    expect(listed).toEqual(keys);
    expect(pages).toBeLessThanOrEqual(8);
    for (const { value: asked } of read.mock.results) {
      const { items }: ListPage = await asked;
      const bytes = items.reduce((sum, item) => sum + item.value.length, 0);
      expect(bytes).toBeLessThanOrEqual((2 * PAGE_BYTES) / 4 + value.length);
    }
    read.mockRestore();
  });

  it('of keys only carries no values, whatever their size', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    for (let i = 0; i < 12; i++) await cluster.put('n1', `k${i}`, 'x'.repeat(MIB - 1));
    const { items, next } = await page(cluster, 'n2', request({ keysOnly: true }));
    expect([items.length, next]).toEqual([12, null]);
    expect(items.every((item) => item.value.length === 0)).toBe(true);
  });

  it('takes no more than so many at a time', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    const context = { timeout_ms: 8_000, noForward: false, requestId: 'test' };
    const all = Array.from({ length: 300 }, () => cluster.node('n1').kv.list(request(), context));
    const outcomes = await cluster.settle(Promise.all(all));
    const failed = outcomes.filter((outcome) => outcome.kind === 'failed');
    expect(failed).toHaveLength(300 - 256);
    expect(failed[0]).toMatchObject({ error: { code: 'overloaded' } });
    expect((await list(cluster, 'n1', request())).kind).toBe('page');
  });

  it('keeps its bounds: start is in, end is out, and the next page begins where this one ended', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    for (const key of ['a', 'b', 'c', 'd', 'e']) await cluster.put('n1', key, key);
    const asked = request({ start: Buffer.from('b'), end: Buffer.from('e'), limit: 2 });
    const first = await page(cluster, 'n3', asked);
    expect([first.items.map(({ key }) => String(key)), String(first.next)]).toEqual([['b', 'c'], 'd']);
    const second = await page(cluster, 'n1', { ...asked, start: first.next! });
    expect([second.items.map(({ key }) => String(key)), second.next]).toEqual([['d'], null]);
  });

  it('that may be less stale than any replica can say of itself comes from the leader, whichever node is asked', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    await cluster.put('n1', 'k', 'v');
    const asked = request({ consistency: 'stale', maxStaleness_ms: 1 });
    for (const id of cluster.machines.keys()) expect((await page(cluster, id, asked)).items).toHaveLength(1);
  });

  it('goes on past a replica that is cut off, and says which shard is missing if none answers', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    await cluster.put('n1', 'k', 'v');
    const follower = ['n1', 'n2', 'n3'].find((id) => id !== cluster.leaderOf(1))!;
    cluster.kill(cluster.leaderOf(1)!);
    expect((await page(cluster, follower, request())).items).toHaveLength(1);
    for (const id of cluster.machines.keys())
      if (id !== follower && cluster.machine(id).node !== null) cluster.kill(id);
    await cluster.scheduler.runFor(3_000);
    expect(await list(cluster, follower, request())).toMatchObject({
      kind: 'failed',
      error: { code: 'no_leader', shard: 's1' },
    });
  });

  it('names one shard where several have no leader, and all of them in words', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 3 });
    for (const id of ['n2', 'n3']) cluster.kill(id);
    await cluster.scheduler.runFor(10_000);
    expect(await list(cluster, 'n1', request())).toMatchObject({
      kind: 'failed',
      error: { code: 'no_leader', detail: 'no leader for s1, s2, s3', shard: 's1' },
    });
  });

  it('names a shard that does not answer, though its leader is known', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    const outside = [...cluster.machines.keys()].find((id) => cluster.node(id).host.get(1) === undefined)!;
    // It passes the write on, and knows by that who leads.
    await cluster.put(outside, 'k', 'v');
    for (const id of cluster.machines.keys()) if (id !== outside) cluster.kill(id);
    expect(await list(cluster, outside, request())).toMatchObject({
      kind: 'failed',
      error: { code: 'unavailable', detail: 's1 did not answer within 8000 ms', shard: 's1' },
    });
  });
});
