import { describe, expect, it } from 'vitest';
import type { KvOutcome, ListOutcome } from '../../../src/kv/server/index.js';
import { containsSlot, SlotState, slotOfKey } from '../../../src/shardctrl/index.js';
import { get, granted, put, SimCluster } from './sim-cluster.js';

const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`);

/** All that the first shard has goes to the second. */
async function moveAll(cluster: SimCluster, at = 'n1'): Promise<void> {
  const map = cluster.node(at).maps.map!;
  const [first, second] = map.shards;
  const slots = first!.slots.map(([a, b]) => `${a}-${b}`).join(',');
  granted(await cluster.settle(cluster.node(at).admin.move({ slots, to: `s${second!.id}`, dry_run: false }, 5_000)));
}

describe('while slots move', () => {
  it('a key that is there is never seen missing, from whichever node (F53)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 53 });
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    await moveAll(cluster);
    const outcomes: KvOutcome[] = [];
    let asked = 0;
    const ids = [...cluster.machines.keys()];
    while (cluster.controller().runningPlan() !== null) {
      for (let i = 0; i < 8; i++) {
        asked++;
        void cluster.send(ids[asked % 4]!, get(KEYS[asked % KEYS.length]!)).then((outcome) => outcomes.push(outcome));
      }
      await cluster.scheduler.runFor(5);
    }
    await cluster.until(() => outcomes.length === asked, 'all answers');
    expect(asked).toBeGreaterThan(100);
    expect([...new Set(outcomes.map(({ kind }) => kind))]).toEqual(['found']);
    expect(cluster.errors).toEqual([]);
  });

  it('writes wait for a moment and are all there afterwards (F52)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 52 });
    await moveAll(cluster, 'n4');
    const outcomes: KvOutcome[] = [];
    let asked = 0;
    while (cluster.controller().runningPlan() !== null) {
      const id = [...cluster.machines.keys()][asked % 4]!;
      void cluster.send(id, put(`w-${asked++}`, 'v')).then((outcome) => outcomes.push(outcome));
      await cluster.scheduler.runFor(2);
    }
    await cluster.until(() => outcomes.length === asked, 'all answers');
    expect([...new Set(outcomes.map(({ kind }) => kind))]).toEqual(['stored']);
    for (let i = 0; i < asked; i += 7) expect([i, await cluster.value('n2', `w-${i}`)]).toEqual([i, 'v']);
  });

  it('what was held for a frozen slot goes on within milliseconds of the publish', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 7 });
    await cluster.scheduler.runFor(2_000);
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    await moveAll(cluster);
    const held: { readonly slot: number; published_ms: number; answered_ms: number }[] = [];
    const ids = [...cluster.machines.keys()];
    for (let i = 0; cluster.controller().runningPlan() !== null; i++) {
      const moved = cluster
        .controller()
        .map()!
        .shards.find(({ id }) => id === 2)!.slots;
      for (const write of held) {
        if (write.published_ms < 0 && containsSlot(moved, write.slot)) write.published_ms = cluster.scheduler.now_ms;
      }
      for (const key of KEYS) {
        const slot = slotOfKey(Buffer.from(key));
        if (cluster.shard(1).stateOf(slot) !== SlotState.Frozen || containsSlot(moved, slot)) continue;
        const write = { slot, published_ms: -1, answered_ms: -1 };
        held.push(write);
        void cluster.send(ids[i % 4]!, put(key, 'w')).then(() => {
          write.answered_ms = cluster.scheduler.now_ms;
        });
      }
      await cluster.scheduler.runFor(0.5);
    }
    await cluster.until(() => held.every(({ answered_ms }) => answered_ms >= 0), 'all held writes');
    expect(held.length).toBeGreaterThan(10);
    // Two hops over the network of up to 1.5 ms, two syncs of up to 2 ms, and what the node itself adds.
    const late = held.map(({ published_ms, answered_ms }) => answered_ms - published_ms);
    expect(Math.max(...late)).toBeLessThan(12);
  });

  it('a retry with the same idempotency key has one effect, whoever owns the slot by then (F50, F64)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 64 });
    const first = new Map<string, KvOutcome>();
    for (const key of KEYS) first.set(key, await cluster.put('n1', key, 'v', { token: 'once' }));
    await moveAll(cluster);
    await cluster.planOver();
    for (const key of KEYS) {
      const again = await cluster.put('n2', key, 'v', { token: 'once' });
      const { created, revision, version } = first.get(key) as Extract<KvOutcome, { kind: 'stored' }>;
      expect(again).toMatchObject({ kind: 'stored', created, revision, version });
      const other = await cluster.put('n2', key, 'other', { token: 'once' });
      expect(other).toMatchObject({ kind: 'failed', error: { code: 'conflict' } });
      expect(await cluster.value('n3', key)).toBe('v');
    }
  });

  it('a key expires at the same instant, whoever owns its slot by then (F64)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 65 });
    for (const key of KEYS) await cluster.put('n1', key, 'v', { ttl_ms: 20_000 });
    const set_ms = cluster.scheduler.now_ms;
    await moveAll(cluster);
    await cluster.planOver();
    await cluster.scheduler.runUntil(set_ms + 19_000);
    for (const key of KEYS) expect([key, await cluster.value('n2', key)]).toEqual([key, 'v']);
    await cluster.scheduler.runUntil(set_ms + 21_500);
    for (const key of KEYS) expect([key, await cluster.value('n2', key)]).toEqual([key, null]);
  });

  it('lists show every key once, page after page (F65)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 66 });
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    await moveAll(cluster);
    let lists = 0;
    while (cluster.controller().runningPlan() !== null) {
      const listed: string[] = [];
      const node = cluster.node([...cluster.machines.keys()][lists++ % 4]!);
      for (let start: Buffer | null = Buffer.alloc(0); start !== null; ) {
        const page: ListOutcome = await cluster.settle(
          node.kv.list(
            {
              kind: 'list',
              start,
              end: null,
              limit: 7,
              keysOnly: lists % 2 === 0,
              consistency: 'linearizable',
              maxStaleness_ms: null,
            },
            { timeout_ms: 8_000, noForward: false, requestId: 'test' },
          ),
        );
        if (page.kind === 'failed') throw new Error(JSON.stringify(page.error));
        listed.push(...page.items.map(({ key }) => String(key)));
        start = page.next;
      }
      expect(listed).toEqual([...KEYS].sort());
    }
    expect(lists).toBeGreaterThan(2);
  });

  it('a node that slept through the move serves nothing that it lost (F59)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 59 });
    for (const key of KEYS) await cluster.put('n1', key, 'old');
    const sleeper = [...cluster.machines.keys()].find((id) => cluster.leaderOf(1) === id)!;
    cluster.machine(sleeper).clock!.pause();
    const awake = [...cluster.machines.keys()].filter((id) => id !== sleeper);
    const leads = (group: number): string | undefined =>
      awake.find((id) => cluster.node(id).host.get(group)?.leads === true);
    await cluster.until(() => [0, 1, 2].every((group) => leads(group) !== undefined), 'new leaders');
    await moveAll(cluster, awake[0]!);
    const controller = () => cluster.replica(leads(0)!, 0).machine as ReturnType<SimCluster['controller']>;
    await cluster.until(
      () => leads(0) !== undefined && controller().map()!.shards[0]!.slots.length === 0,
      'the move',
      120_000,
    );
    for (const key of KEYS) await cluster.put(awake[0]!, key, 'new');
    const values: Promise<KvOutcome>[] = KEYS.map((key) => cluster.send(sleeper, get(key)));
    cluster.machine(sleeper).clock!.resume();
    for (const outcome of await cluster.settle(Promise.all(values))) {
      expect(outcome).toMatchObject({ kind: 'found', value: Buffer.from('new') });
    }
  });
});

describe('a copy under a low rate', () => {
  it('ends where its source is deposed, and goes on at once at the next leader', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 66 });
    const keys = Array.from({ length: 40 }, (_, i) => `{t}${i}`);
    for (const key of keys) await cluster.put('n1', key, 'v'.repeat(2_500));
    const slot = slotOfKey(Buffer.from(keys[0]!));
    const [from, to] = containsSlot(cluster.node('n1').maps.map!.shards[0]!.slots, slot) ? [1, 2] : [2, 1];
    const request = { slots: `${slot}-${slot}`, to: `s${to}`, dry_run: false, max_rate_bytes: 2_000 };
    granted(await cluster.settle(cluster.node('n1').admin.move(request, 5_000)));
    // The copy takes 50 s.
    await cluster.scheduler.runFor(10_000);
    const next = cluster
      .node('n1')
      .maps.membersOf(from)
      .find((id) => id !== cluster.leaderOf(from))!;
    granted(await cluster.settle(cluster.node('n1').admin.transferLeader(`s${from}`, next, 5_000)));
    await cluster.until(() => cluster.leaderOf(from) === next, 'another leader');
    expect(await cluster.planOver()).toBeLessThan(70_000);
    expect(cluster.controller().plan('p1')).toMatchObject({ status: 'done' });
    for (const key of keys) expect(await cluster.value('n2', key)).toHaveLength(2_500);
  });
});

describe('the space of slots that have moved', () => {
  const reclaims = (cluster: SimCluster): number[] =>
    [...cluster.machines.values()].map(
      ({ engines }) => engines.reclaimed.filter((name) => name.startsWith('g1-')).length,
    );

  it('is given back once on the disk of every member of the source (F61)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 61 });
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    await moveAll(cluster);
    await cluster.planOver();
    expect(reclaims(cluster)).toEqual([1, 1, 1]);
  });

  it('is given back once also where that takes longer than one question, and the controller is led by another node meanwhile', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 63 });
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    const members = cluster.node('n1').maps.membersOf(1);
    for (const { engines } of cluster.machines.values()) {
      engines.whenReclaimed = (done) => cluster.scheduler.after(100_000, done);
    }
    await moveAll(cluster);
    const under = (): boolean => reclaims(cluster).reduce((sum, count) => sum + count, 0) === members.length;
    await cluster.until(under, 'the work to be under way', 60_000);
    await cluster.scheduler.runFor(70_000);
    const next = [...cluster.machines.keys()].find((id) => id !== cluster.leaderOf(0) && cluster.node(id).host.get(0))!;
    cluster.replica(cluster.leaderOf(0)!, 0).transferLeader(next);
    await cluster.until(() => cluster.leaderOf(0) === next, 'another leader');
    await cluster.planOver();
    expect(cluster.controller().plan('p1')).toMatchObject({ status: 'done' });
    expect(reclaims(cluster)).toEqual([...cluster.machines.keys()].map((id) => (members.includes(id) ? 1 : 0)));
  });

  it('is not waited for where a member is down: the plan ends', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 62 });
    const down = [...cluster.machines.keys()].find((id) => [0, 1, 2].every((group) => cluster.leaderOf(group) !== id))!;
    cluster.kill(down);
    const others = [...cluster.machines.keys()].filter((id) => id !== down);
    await moveAll(cluster, others[0]!);
    expect(await cluster.planOver()).toBeLessThan(20_000);
    expect(reclaims(cluster).sort()).toEqual([0, 1, 1]);
  });
});

describe('receipts of a plan', () => {
  it('are told by every node, page by page: what its batches have proved', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 8 });
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    await moveAll(cluster);
    await cluster.until(() => cluster.controller().runningPlan() === null, 'the plan to end');
    const page = async (at: string, after: number, limit: number) =>
      granted(await cluster.settle(cluster.node(at).admin.receipts('p1', after, limit, 5_000)));
    const all = await page('n4', 0, 1_000);
    expect(all.receipts.length).toBeGreaterThan(2);
    expect(all.next).toBeUndefined();
    expect(all.receipts.reduce((sum, { keys }) => sum + keys, 0)).toBe(cluster.controller().plan('p1')!.moves[0]!.keys);
    for (const receipt of all.receipts) {
      expect(receipt).toMatchObject({ move: 'm1', from: 's1', to: 's2' });
      expect(receipt.source_checksum).toBe(receipt.destination_checksum);
    }
    const first = await page('n1', 0, 2);
    expect([first.receipts, first.next]).toEqual([all.receipts.slice(0, 2), 2]);
    expect((await page('n2', 2, 1_000)).receipts).toEqual(all.receipts.slice(2));
    const unknown = await cluster.settle(cluster.node('n1').admin.receipts('p9', 0, 1, 5_000));
    expect(unknown).toMatchObject({ ok: false, error: { code: 'not_found' } });
  });
});
