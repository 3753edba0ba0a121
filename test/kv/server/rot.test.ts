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

describe('a block of rows that cannot be read any more (F34)', () => {
  const LONG = 'x'.repeat(1_000);

  /** More than the rows that are kept in memory: most are read from the engine. */
  async function unreadableAt(seed: number, pick: (cluster: SimCluster) => string) {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed });
    const keys = Array.from({ length: 400 }, (_, i) => `key-${i}`);
    for (const key of keys) await cluster.put('n1', key, `${key} ${LONG}`);
    const node = pick(cluster);
    await cluster.settle(cluster.replica(node, 1).settled());
    const { engines } = cluster.machine(node);
    const name = (await engines.list()).find((each) => each.startsWith('g1-'))!;
    expect(engines.spoil(name, cluster.random, (key) => key[0] === RECORD_TABLE)).not.toBeNull();
    const reason = (): string => cluster.node(node).host.damaged(1)?.reason ?? 'none';
    return { cluster, keys, node, reason };
  }

  const leaderOf = (cluster: SimCluster): string => cluster.leaderOf(1)!;
  const followerOf = (cluster: SimCluster): string =>
    ['n1', 'n2', 'n3', 'n4'].find((id) => id !== cluster.leaderOf(1) && cluster.node(id).host.get(1) !== undefined)!;
  const outsiderOf = (cluster: SimCluster): string =>
    ['n1', 'n2', 'n3', 'n4'].find((id) => !cluster.node(id).host.knows(1))!;
  /** Whom a node without a replica asks first, as long as it knows no leader. */
  const askedOf = (cluster: SimCluster): string => cluster.node(outsiderOf(cluster)).maps.membersOf(1)[1]!;

  it('leaves no key out of a list: another replica answers, and the one with the block has stopped', async () => {
    const { cluster, keys, node, reason } = await unreadableAt(34, leaderOf);
    const request = { kind: 'list' as const, start: Buffer.alloc(0), end: null, limit: 1_000, keysOnly: true };
    const list = { ...request, consistency: 'linearizable', maxStaleness_ms: null } as const;
    const context = { timeout_ms: 8_000, noForward: false, requestId: 'test' };
    const outcome = await cluster.settle(cluster.node(node).kv.list(list, context));
    if (outcome.kind !== 'page') throw new Error(JSON.stringify(outcome));
    expect(outcome.items.map(({ key }) => String(key))).toEqual([...keys].sort());
    expect(reason()).toMatch(/cannot be decoded/);
    expect(cluster.leaderOf(1)).not.toBe(node);
  });

  it.each([
    { of: 'the leader', pick: leaderOf, consistency: 'linearizable', ask: (_: SimCluster, node: string) => node },
    {
      of: 'a replica, as it has it',
      pick: followerOf,
      consistency: 'stale',
      ask: (_: SimCluster, node: string) => node,
    },
    { of: 'a replica elsewhere, as it has it', pick: askedOf, consistency: 'stale', ask: outsiderOf },
  ] as const)('holds up nobody who reads a key of $of', async ({ pick, consistency, ask }) => {
    const { cluster, keys, node, reason } = await unreadableAt(35, pick);
    for (const key of keys) {
      const request = { kind: 'get', key: Buffer.from(key), consistency, maxStaleness_ms: null } as const;
      const outcome = await cluster.execute(ask(cluster, node), request);
      expect(outcome.kind === 'found' && String(outcome.value)).toBe(`${key} ${LONG}`);
    }
    expect(reason()).toMatch(/cannot be decoded/);
    expect(cluster.errors.filter((error) => !error.includes('replica is damaged'))).toEqual([]);
  });
});
