/** What one shard or one disk in trouble costs the others. */
import { describe, expect, it } from 'vitest';
import type { KvOutcome } from '../../../src/kv/server/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { get, put, SimCluster } from './sim-cluster.js';

/** The first keys that the shard owns. */
function keysOf(cluster: SimCluster, shard: number, count: number): string[] {
  const { maps } = cluster.nodes[0]!;
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    if (maps.ownerOf(slotOfKey(Buffer.from(`key-${i}`))) === shard) keys.push(`key-${i}`);
  }
  return keys;
}

/** Of writes and reads one after the other, in ms. Each must be answered. */
async function slowestOf(cluster: SimCluster, id: string, keys: readonly string[]): Promise<number> {
  let slowest_ms = 0;
  for (const key of keys) {
    for (const request of [put(key, 'v'), get(key)]) {
      const from_ms = cluster.scheduler.now_ms;
      const outcome = await cluster.execute(id, request);
      expect(outcome.kind).toBe(request.kind === 'put' ? 'stored' : 'found');
      slowest_ms = Math.max(slowest_ms, cluster.scheduler.now_ms - from_ms);
    }
  }
  return slowest_ms;
}

/** As many requests for keys of a shard as a node of these tests takes at all. */
const FLOOD = 10_000;

describe('F44: a shard in trouble', () => {
  it('that has lost its majority, and is asked by thousands, takes neither places nor time from the others', async () => {
    const cluster = await SimCluster.healthy({ nodes: 6, shards: 2, seed: 44 });
    const [dead] = keysOf(cluster, 2, 1);
    const keys = keysOf(cluster, 1, 40);
    const quiet_ms = await slowestOf(cluster, 'n1', keys);
    for (const { node } of cluster.node('n1').maps.map!.shards[1]!.members) cluster.kill(node);
    await cluster.until(() => cluster.leaderOf(0) !== null && cluster.leaderOf(1) !== null, 'leaders of the others');
    const refused: KvOutcome[] = [];
    for (let i = 0; i < FLOOD; i++) {
      void cluster.send('n1', get(dead!)).then((outcome) => refused.push(outcome));
    }
    expect(await slowestOf(cluster, 'n1', keys)).toBeLessThan(quiet_ms + 5);
    await cluster.until(() => refused.length === FLOOD, 'an answer to everybody');
    const codes = new Set(refused.map((outcome) => (outcome.kind === 'failed' ? outcome.error.code : outcome.kind)));
    expect([...codes].sort()).toEqual(['no_leader', 'overloaded']);
  });

  it('with a hot key, written faster than it can be replicated, refuses what is too much, and does not slow the others down', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 45, raft: { maxUncommittedBytes: 20_000 } });
    const [hot] = keysOf(cluster, 1, 1);
    const keys = keysOf(cluster, 2, 40);
    const quiet_ms = await slowestOf(cluster, 'n2', keys);
    const kinds = new Map<string, number>();
    let asked = 0;
    let flooding = true;
    const flood = (): void => {
      for (let i = 0; i < 5; i++) {
        asked++;
        void cluster.send('n2', put(hot!, 'x'.repeat(2_000)), { timeout_ms: 500 }).then((outcome) => {
          const kind = outcome.kind === 'failed' ? outcome.error.code : outcome.kind;
          kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        });
      }
      if (flooding) cluster.scheduler.after(1, flood);
    };
    flood();
    await cluster.until(() => (kinds.get('overloaded') ?? 0) > 100, 'the hot shard to be overloaded');
    expect(await slowestOf(cluster, 'n2', keys)).toBeLessThan(quiet_ms + 5);
    flooding = false;
    await cluster.until(() => [...kinds.values()].reduce((sum, n) => sum + n, 0) === asked, 'an answer to everybody');
    expect(await slowestOf(cluster, 'n2', [hot!])).toBeLessThan(quiet_ms + 5);
  });
});

describe('F37: a node whose disk has become slow', () => {
  it('loses its leaderships to nodes with better disks, and writes are as fast as before', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 37 });
    const keys = keysOf(cluster, 1, 20);
    const quiet_ms = await slowestOf(cluster, 'n1', keys);
    const slow = cluster.leaderOf(1)!;
    const fast = ['n1', 'n2', 'n3'].find((id) => id !== slow)!;
    cluster.machine(slow).log!.setSyncLatency(20_000, 20_000);
    const waiting = cluster.send(fast, put(keys[0]!, 'w', { token: 'once' }), { timeout_ms: 30_000 });
    const took_ms = await cluster.until(() => ![null, slow].includes(cluster.leaderOf(1)), 'another leader of s1');
    // An election timeout until it is noticed, and a transfer: nobody has to wait for an election to begin by itself.
    expect(took_ms).toBeLessThan(1.5 * cluster.raft.election_timeout_ms);
    expect((await cluster.settle(waiting, 5_000)).kind).toBe('stored');
    expect(await slowestOf(cluster, fast, keys)).toBeLessThan(quiet_ms + 5);
  });
});

describe('F36: full disks', () => {
  const fill = (cluster: SimCluster, id: string): void => {
    const { disk } = cluster.machine(id);
    disk.limitTo(disk.usedBytes());
  };

  it('of all nodes: writes are refused with an error that says so, reads go on, and writes again when there is space', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 36 });
    const keys = keysOf(cluster, 1, 20);
    await slowestOf(cluster, 'n1', keys);
    for (const id of ['n1', 'n2', 'n3']) fill(cluster, id);
    const leader = cluster.leaderOf(1)!;
    // What finds the disk full is in the log already: nobody can know yet what becomes of it.
    while (!cluster.machine(leader).log!.full) {
      void cluster.send(leader, put(keys[0]!, 'x'.repeat(10_000)), { timeout_ms: 100 });
      await cluster.scheduler.runFor(50);
    }
    for (const id of ['n1', 'n2', 'n3']) {
      const refused = await cluster.execute(id, put(keys[1]!, 'w'), { timeout_ms: 500 });
      const detail = expect.stringContaining('the disk of the node that leads shard s1 is full');
      expect(refused).toMatchObject({ kind: 'failed', error: { code: 'unavailable', shard: 's1', detail } });
      for (const key of keys.slice(1)) expect(await cluster.value(id, key)).toBe('v');
    }
    await cluster.scheduler.runFor(10_000);
    expect(await cluster.value('n2', keys[1]!)).toBe('v');
    for (const { disk } of cluster.machines.values()) disk.limitTo(Number.POSITIVE_INFINITY);
    await cluster.until(() => !cluster.machine(leader).log!.full, 'the log to find its space');
    await slowestOf(cluster, 'n3', keys);
    expect(cluster.errors).toEqual([]);
  });

  it('of one node, which led: the others take over, and writes go on', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 361 });
    const keys = keysOf(cluster, 1, 20);
    const quiet_ms = await slowestOf(cluster, 'n1', keys);
    const leader = cluster.leaderOf(1)!;
    fill(cluster, leader);
    while (!cluster.machine(leader).log!.full) {
      void cluster.send(leader, put(keys[0]!, 'x'.repeat(10_000)));
      await cluster.scheduler.runFor(50);
    }
    const other = ['n1', 'n2', 'n3'].find((id) => id !== leader)!;
    expect((await cluster.put(other, keys[1]!, 'w')).kind).toBe('stored');
    expect(cluster.leaderOf(1)).not.toBe(leader);
    expect(await slowestOf(cluster, other, keys)).toBeLessThan(quiet_ms + 5);
  });
});
