/** Verifications on a simulated cluster: what is sound is clean, what is not is named, and nothing is left open. */
import { describe, expect, it } from 'vitest';
import type { VerifyDifference, VerifyRequest, VerifyView } from '../../../src/kv/server/index.js';
import { recordKey, slotIndexKey } from '../../../src/kv/store/key-layout.js';
import { encodeRecord } from '../../../src/kv/store/record-codec.js';
import { containsSlot, slotOfKey } from '../../../src/shardctrl/index.js';
import { errorOf, granted, put, SimCluster } from './sim-cluster.js';

const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`);
const RECORD_TABLE = 0x10;
const REQUEST: VerifyRequest = { shards: [], plan: null, mib_per_s: 8, give_up_ms: 3_600_000 };
const BIG = 'v'.repeat(100_000);

const slotOf = (key: string): number => slotOfKey(Buffer.from(key));

async function filled(options: { seed?: number; value?: string; shards?: number; nodes?: number } = {}) {
  const { seed = 1, value = 'v', shards = 2, nodes = 3 } = options;
  const cluster = await SimCluster.healthy({ nodes, shards, seed });
  for (const key of KEYS) await cluster.put('n1', key, value, { token: 't' });
  return cluster;
}

async function begin(cluster: SimCluster, at = 'n1', request: Partial<VerifyRequest> = {}): Promise<VerifyView> {
  return granted(await cluster.settle(cluster.node(at).admin.verify({ ...REQUEST, ...request }, 5_000)));
}

const look = async (cluster: SimCluster, id: string, at = 'n1'): Promise<VerifyView> =>
  granted(await cluster.settle(cluster.node(at).admin.verification(id, 5_000)));

async function ended(cluster: SimCluster, id: string, at = 'n1', limit_ms = 300_000): Promise<VerifyView> {
  const until_ms = cluster.scheduler.now_ms + limit_ms;
  for (;;) {
    const view = await look(cluster, id, at);
    if (view.state !== 'running') return view;
    if (cluster.scheduler.now_ms > until_ms) throw new Error(`it goes on: ${JSON.stringify(view)}`);
    await cluster.scheduler.runFor(100);
  }
}

const verified = async (cluster: SimCluster, at = 'n1', request: Partial<VerifyRequest> = {}): Promise<VerifyView> =>
  ended(cluster, (await begin(cluster, at, request)).id, at);

const differences = ({ shards }: VerifyView): readonly VerifyDifference[] =>
  shards.flatMap((shard) => shard.differences);

const stateOf = (view: VerifyView, shard: string, node: string) =>
  view.shards.find(({ id }) => id === shard)?.replicas.find((replica) => replica.node === node);

/** Of all nodes that run. */
function openSnapshots(cluster: SimCluster): number {
  let open = 0;
  for (const { engines, node } of cluster.machines.values()) {
    if (node === null) continue;
    for (const name of engines.names()) open += engines.openSnapshots(name);
  }
  return open;
}

const followerOf = (cluster: SimCluster, group: number, besides: readonly string[] = []): string =>
  [...cluster.machines.keys()].find((id) => id !== cluster.leaderOf(group) && !besides.includes(id))!;

const keyOf = (cluster: SimCluster, group: number): string =>
  KEYS.find((key) => containsSlot(cluster.node('n1').maps.shard(group)!.slots, slotOf(key)))!;

async function tamper(cluster: SimCluster, node: string, group: number, ...ops: [Buffer, Buffer | null][]) {
  const replica = cluster.replica(node, group);
  await cluster.settle(replica.settled());
  await cluster.settle(replica.engine.write(ops.map(([key, value]) => ({ key, value }))));
}

describe('a verification of sound replicas', () => {
  it('is clean, at one index for all, while clients write; any node tells of it', async () => {
    const cluster = await filled();
    const begun = await begin(cluster, 'n2');
    expect(begun).toMatchObject({ state: 'running', result: null, id: expect.stringMatching(/^n2-[0-9a-z]{8}$/) });
    const outcomes: string[] = [];
    let asked = 0;
    while ((await look(cluster, begun.id, 'n2')).state === 'running') {
      for (let i = 0; i < 5; i++) {
        const write = put(`while-${asked % 20}`, `${asked++}`);
        void cluster.send('n3', write).then(({ kind }) => outcomes.push(kind));
      }
      await cluster.scheduler.runFor(2);
    }
    await cluster.until(() => outcomes.length === asked, 'all answers');
    const view = await look(cluster, begun.id, 'n3');
    expect([view.state, view.result]).toEqual(['done', 'clean']);
    expect([...new Set(outcomes)]).toEqual(['stored']);
    for (const { replicas, differences: found, index } of view.shards) {
      expect(found).toEqual([]);
      expect(replicas.map(({ state }) => state)).toEqual(['read', 'read', 'read']);
      expect(new Set(replicas.map((replica) => replica.index))).toEqual(new Set([index]));
      expect(new Set(replicas.map(({ state_hash }) => state_hash)).size).toBe(1);
      expect(replicas[0]!.keys).toBeGreaterThan(0);
    }
    expect(openSnapshots(cluster)).toBe(0);
    expect(cluster.errors).toEqual([]);
  });

  it('of some shards reads those', async () => {
    const cluster = await filled({ shards: 3 });
    const view = await verified(cluster, 'n1', { shards: ['s2'] });
    expect(view.shards.map(({ id, scope }) => [id, scope])).toEqual([['s2', 'records']]);
    const unknown = await cluster.settle(cluster.node('n1').admin.verify({ ...REQUEST, shards: ['s9'] }, 5_000));
    expect(errorOf(unknown)).toEqual({ code: 'not_found', detail: 'there is no shard s9; there are s1, s2, s3' });
  });

  it('survives a change of leaders amid', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const begun = await begin(cluster, 'n1', { mib_per_s: 1 });
    await cluster.scheduler.runFor(1_000);
    expect((await look(cluster, begun.id)).shards[0]!.state).toBe('reading');
    const before = cluster.leaderOf(1)!;
    const to = followerOf(cluster, 1);
    granted(await cluster.settle(cluster.node('n1').admin.transferLeader('s1', to, 5_000)));
    expect(cluster.leaderOf(1)).not.toBe(before);
    expect(await ended(cluster, begun.id)).toMatchObject({ result: 'clean' });
  });

  it('reads no faster than it was told, and says how far it is', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const from_ms = cluster.scheduler.now_ms;
    const begun = await begin(cluster, 'n1', { mib_per_s: 1 });
    await cluster.scheduler.runFor(2_000);
    const { state, bytes, read_bytes } = stateOf(await look(cluster, begun.id), 's1', 'n2')!;
    expect([state, bytes! > 4_000_000]).toEqual(['reading', true]);
    expect(read_bytes).toBeGreaterThan(500_000);
    expect(read_bytes).toBeLessThan(3_000_000);
    expect(await ended(cluster, begun.id)).toMatchObject({ result: 'clean' });
    expect(cluster.scheduler.now_ms - from_ms).toBeGreaterThan(3_500);
  });

  it('finds replicas that a node has replayed from its log as sound as the others', async () => {
    const cluster = await filled();
    const first = await verified(cluster);
    for (const id of ['n1', 'n2', 'n3']) {
      cluster.kill(id);
      await cluster.start(id);
    }
    await cluster.untilHealthy();
    expect(openSnapshots(cluster)).toBe(0);
    expect(await verified(cluster, 'n2')).toMatchObject({ result: 'clean' });
    // What its node remembered is gone with it.
    const lost = await cluster.settle(cluster.node('n3').admin.verification(first.id, 5_000));
    expect(errorOf(lost)).toMatchObject({ code: 'not_found', detail: expect.stringContaining('started again') });
  });
});

describe('a replica that has rotted (F38, F30)', () => {
  it('is named with the key, and goes on serving what is sound', async () => {
    const cluster = await filled({ seed: 38 });
    const victim = followerOf(cluster, 1);
    await cluster.settle(cluster.replica(victim, 1).settled());
    const { engines } = cluster.machine(victim);
    const name = engines.names().find((each) => each.startsWith('g1-'))!;
    const row = engines.flipBit(name, cluster.random, (key) => key[0] === RECORD_TABLE)!;
    const view = await verified(cluster);
    expect(view.result).toBe('differences');
    expect(differences(view)[0]).toMatchObject({
      kind: 'rotten',
      nodes: [victim],
      key: row.toString('utf8', 1),
      detail: expect.stringMatching(/checksum|lengths|format/),
    });
    expect(differences(view).every(({ nodes }) => nodes.join() === victim)).toBe(true);
    expect(cluster.node(victim).host.damaged(1)).toBeUndefined();
    expect(view.shards.find(({ id }) => id === 's2')!.differences).toEqual([]);
    expect(cluster.errors).toEqual([expect.stringContaining('a verification has ended')]);
  });

  it('and lacks a record is named, with what the others have', async () => {
    const cluster = await filled();
    const victim = followerOf(cluster, 1);
    const key = keyOf(cluster, 1);
    await tamper(cluster, victim, 1, [recordKey(Buffer.from(key)), null]);
    const view = await verified(cluster);
    const found = differences(view);
    expect(found.map(({ kind }) => kind)).toEqual(['records', 'index', 'replicas', 'record']);
    for (const { nodes, slots } of found) expect([nodes, slots]).toEqual([[victim], String(slotOf(key))]);
    const others = [...cluster.machines.keys()].filter((id) => id !== victim);
    const { revision } = (await cluster.put('n1', key, 'v', { token: 't' })) as { revision: number };
    const has = [
      ...others.map((id) => `${id} has revision ${revision}`),
      `${victim} has none, though its index knows it`,
    ];
    expect(found[3]).toMatchObject({ key });
    expect(found[3]!.detail.split('; ').sort()).toEqual(has.sort());
  });

  it('and has one that nobody wrote is named', async () => {
    const cluster = await filled();
    const victim = cluster.leaderOf(1)!;
    const key = Buffer.from(`{${keyOf(cluster, 1)}}ghost`);
    const fields = { slot: slotOfKey(key), contentType: 'text/plain', revision: 3, version: 1, expires_ms: 0 };
    await tamper(cluster, victim, 1, [recordKey(key), encodeRecord(key, fields, Buffer.from('boo'))]);
    const found = differences(await verified(cluster));
    expect(found.map(({ kind }) => kind)).toEqual(['records', 'index', 'replicas', 'record']);
    expect(found[3]).toMatchObject({
      nodes: [victim],
      key: String(key),
      detail: expect.stringContaining('3, which its'),
    });
  });

  it('two of two that differ are both named', async () => {
    const cluster = await SimCluster.healthy({ nodes: 2, shards: 1, replicas: 2 });
    for (const key of KEYS) await cluster.put('n1', key, 'v');
    await tamper(cluster, 'n2', 1, [recordKey(Buffer.from(KEYS[0]!)), null]);
    const found = differences(await verified(cluster));
    expect(found.find(({ kind }) => kind === 'replicas')).toMatchObject({
      nodes: ['n1', 'n2'],
      detail: expect.stringContaining('no majority agrees'),
    });
    expect(found.find(({ kind }) => kind === 'records')).toMatchObject({ nodes: ['n2'] });
  });
});

describe('a replica that is not there', () => {
  it('is named, and the others are compared without it', async () => {
    const cluster = await filled();
    cluster.kill('n3');
    await cluster.scheduler.runFor(15_000);
    const view = await verified(cluster);
    expect([view.state, view.result]).toEqual(['done', 'incomplete']);
    for (const { id, differences: found } of view.shards) {
      expect(found).toEqual([]);
      expect(stateOf(view, id, 'n3')).toMatchObject({ state: 'unanswered', detail: 'n3 is down' });
      expect(stateOf(view, id, 'n1')).toMatchObject({ state: 'read' });
    }
  });

  it('and goes while it reads is named', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const begun = await begin(cluster, 'n1', { mib_per_s: 1 });
    await cluster.scheduler.runFor(1_500);
    const gone = ['n2', 'n3'].find((id) => id !== cluster.leaderOf(1))!;
    cluster.kill(gone);
    const view = await ended(cluster, begun.id);
    expect(view.result).toBe('incomplete');
    expect(stateOf(view, 's1', gone)).toMatchObject({ state: 'unanswered', detail: `${gone} is down` });
    expect(openSnapshots(cluster)).toBe(0);
  });

  it('and has started anew, past the mark, says so', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const begun = await begin(cluster, 'n1', { mib_per_s: 1 });
    await cluster.scheduler.runFor(1_500);
    const victim = ['n2', 'n3'].find((id) => id !== cluster.leaderOf(1))!;
    cluster.kill(victim);
    await cluster.start(victim);
    const view = await ended(cluster, begun.id);
    expect(view.result).toBe('incomplete');
    expect(stateOf(view, 's1', victim)).toMatchObject({
      state: 'failed',
      detail: expect.stringContaining('past the mark before it could look'),
    });
  });

  it('but comes to the mark late is compared all the same', async () => {
    const cluster = await filled({ shards: 1 });
    const late = followerOf(cluster, 1);
    const { engines } = cluster.machine(late);
    const name = engines.names().find((each) => each.startsWith('g1-'))!;
    // Its rows are as slow as can be: the mark is applied, and its view is not there yet.
    engines.stall(name);
    const begun = await begin(cluster);
    await cluster.scheduler.runFor(6_000);
    expect(stateOf(await look(cluster, begun.id), 's1', late)).toMatchObject({ state: 'waiting' });
    engines.resume(name);
    expect(await ended(cluster, begun.id)).toMatchObject({ result: 'clean' });
  });

  it('because it is damaged is named with the reason', async () => {
    const cluster = await filled({ shards: 1 });
    const victim = followerOf(cluster, 1);
    cluster.replica(victim, 1).reportDamage(new Error('this row is not what was written'));
    const view = await verified(cluster);
    expect(view.result).toBe('incomplete');
    expect(stateOf(view, 's1', victim)).toMatchObject({
      state: 'failed',
      detail: 'its replica is damaged: this row is not what was written',
    });
  });

  it('nor a majority: the shard is named, and why it cannot be verified', async () => {
    const cluster = await filled({ shards: 1 });
    cluster.kill('n2');
    cluster.kill('n3');
    await cluster.scheduler.runFor(15_000);
    const refused = await cluster.settle(cluster.node('n1').admin.verify(REQUEST, 5_000));
    expect(errorOf(refused).code).toBe('unavailable');
  });
});

describe('what a verification holds', () => {
  it('is let go when it is cancelled', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const begun = await begin(cluster, 'n1', { mib_per_s: 1 });
    await cluster.scheduler.runFor(1_500);
    expect(openSnapshots(cluster)).toBe(3);
    const answer = await cluster.settle(cluster.node('n3').admin.cancelVerification(begun.id, 5_000));
    expect(granted(answer)).toMatchObject({ state: 'cancelled', result: 'incomplete' });
    await cluster.until(() => openSnapshots(cluster) === 0, 'all views to be closed', 10_000);
    // And the next one may begin.
    expect(await verified(cluster)).toMatchObject({ result: 'clean' });
  });

  it('is let go when the node that carried it on is gone', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const asked = followerOf(cluster, 1);
    const begun = await begin(cluster, asked, { mib_per_s: 1, give_up_ms: 3_600_000 });
    await cluster.scheduler.runFor(1_500);
    cluster.kill(asked);
    expect(openSnapshots(cluster)).toBe(2);
    await cluster.until(() => openSnapshots(cluster) === 0, 'all views to be closed', 40_000);
    const other = [...cluster.machines.keys()].find((id) => id !== asked)!;
    const lost = await cluster.settle(cluster.node(other).admin.verification(begun.id, 3_000));
    expect(errorOf(lost)).toMatchObject({
      code: 'unavailable',
      detail: expect.stringContaining(`${asked}, which carries on`),
    });
  });

  it('is given up when it takes too long, with a clear word', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const view = await verified(cluster, 'n1', { mib_per_s: 1, give_up_ms: 2_000 });
    expect(view.result).toBe('incomplete');
    for (const { state, detail } of view.shards[0]!.replicas) {
      expect(state).toBe('failed');
      expect(detail).toMatch(/^given up after 2 s with \d+ of \d+ bytes read: .* LevelDB gives back no space$/);
    }
    expect(openSnapshots(cluster)).toBe(0);
  });

  it('gives way where slots have moved and their space is to be given back', async () => {
    const cluster = await filled({ value: BIG });
    const begun = await begin(cluster, 'n1', { shards: ['s1'], mib_per_s: 1 });
    await cluster.scheduler.runFor(500);
    const slots = cluster
      .node('n1')
      .maps.shard(1)!
      .slots.map(([a, b]) => `${a}-${b}`)
      .join();
    granted(await cluster.settle(cluster.node('n1').admin.move({ slots, to: 's2', dry_run: false }, 5_000)));
    await cluster.planOver();
    const view = await ended(cluster, begun.id);
    const states = view.shards[0]!.replicas.map(({ state, detail }) => `${state}: ${detail}`);
    // Where reading was quicker than the move there was nothing to give way.
    for (const state of states) expect(state).toMatch(/^(read: null|failed: slots have moved away meanwhile)/);
    expect(openSnapshots(cluster)).toBe(0);
  });

  it('is one at a time a node: another one is refused there, and waits elsewhere', async () => {
    const cluster = await filled({ shards: 1, value: BIG });
    const begun = await begin(cluster, 'n1', { mib_per_s: 2 });
    const second = await cluster.settle(cluster.node('n1').admin.verify(REQUEST, 5_000));
    expect(errorOf(second)).toMatchObject({ code: 'conflict', detail: expect.stringContaining(begun.id) });
    const other = await begin(cluster, 'n2');
    expect(await ended(cluster, begun.id)).toMatchObject({ result: 'clean' });
    expect(await ended(cluster, other.id, 'n2')).toMatchObject({ result: 'clean' });
    const all = granted(await cluster.settle(cluster.node('n3').admin.verifications(5_000)));
    expect([all.runs.map(({ id, result }) => [id, result]), all.silent]).toEqual([
      [
        [other.id, 'clean'],
        [begun.id, 'clean'],
      ],
      [],
    ]);
  });

  it('is not known under names that nobody gave', async () => {
    const cluster = await filled({ shards: 1 });
    for (const id of ['x', 'n1-00000000', 'n9-00000000', '']) {
      const answer = await cluster.settle(cluster.node('n2').admin.verification(id, 3_000));
      expect(errorOf(answer).code).toBe('not_found');
    }
  });
});

describe('the receipts of a plan', () => {
  async function moved(
    seed = 1,
  ): Promise<{ readonly cluster: SimCluster; readonly plan: string; readonly keys: string[] }> {
    const cluster = await filled({ seed });
    const keys = KEYS.filter((key) => containsSlot(cluster.node('n1').maps.shard(1)!.slots, slotOf(key)));
    const slots = cluster
      .node('n1')
      .maps.shard(1)!
      .slots.map(([a, b]) => `${a}-${b}`)
      .join();
    const { id } = granted(
      await cluster.settle(cluster.node('n1').admin.move({ slots, to: 's2', dry_run: false }, 5_000)),
    );
    await cluster.planOver();
    return { cluster, plan: id, keys };
  }

  it('hold, and slots are where they say', async () => {
    const { cluster, plan, keys } = await moved();
    const view = await verified(cluster, 'n2', { plan });
    expect([view.result, view.plan?.differences, view.plan?.unchecked]).toEqual(['clean', [], []]);
    expect(view.plan).toMatchObject({ id: plan, state: 'done', keys: keys.length });
    expect(view.plan!.receipts).toBeGreaterThan(1);
    expect(view.plan!.checked).toBe(view.plan!.receipts);
    expect(view.shards.map(({ id, scope }) => [id, scope])).toEqual([
      ['s1', 'slots'],
      ['s2', 'slots'],
    ]);
    // With a shard its records are read as well.
    const both = await verified(cluster, 'n2', { plan, shards: ['s2'] });
    expect([both.result, both.shards.map(({ scope }) => scope)]).toEqual(['clean', ['slots', 'records']]);
  });

  it('hold also after later plans have moved the slots on, and for shards that are gone', async () => {
    const { cluster, plan } = await moved();
    granted(await cluster.settle(cluster.node('n1').admin.move({ slots: '0-99', to: 's1', dry_run: false }, 5_000)));
    await cluster.planOver();
    expect(await verified(cluster, 'n1', { plan })).toMatchObject({ result: 'clean' });
    const reshard = { shards: 1, dry_run: false };
    const { id } = granted(await cluster.settle(cluster.node('n1').admin.reshard(reshard, 5_000)));
    await cluster.planOver();
    for (const each of [plan, id]) {
      const view = await verified(cluster, 'n1', { plan: each });
      expect([each, view.result, view.plan?.unchecked]).toEqual([each, 'clean', []]);
    }
  });

  it('do not hold where a replica of the source still has a record', async () => {
    const { cluster, plan, keys } = await moved();
    const victim = followerOf(cluster, 1);
    const key = Buffer.from(keys[0]!);
    const fields = { slot: slotOfKey(key), contentType: 'text/plain', revision: 3, version: 1, expires_ms: 0 };
    await tamper(
      cluster,
      victim,
      1,
      [recordKey(key), encodeRecord(key, fields, Buffer.from('v'))],
      [slotIndexKey(slotOfKey(key), key), Buffer.alloc(0)],
    );
    const view = await verified(cluster, 'n1', { plan });
    expect(view.result).toBe('differences');
    expect(differences(view)).toMatchObject([
      { kind: 'remains', nodes: [victim], slots: String(slotOfKey(key)), detail: 'records on disk: 1' },
    ]);
  });

  it('are not looked at while slots move, and where a plan begins meanwhile that is said', async () => {
    const { cluster, plan } = await moved();
    const begun = await begin(cluster, 'n1', { plan, shards: ['s2'], mib_per_s: 1 });
    granted(await cluster.settle(cluster.node('n1').admin.move({ slots: '0-999', to: 's1', dry_run: false }, 5_000)));
    const refused = await cluster.settle(cluster.node('n2').admin.verify({ ...REQUEST, plan }, 5_000));
    expect(errorOf(refused)).toMatchObject({
      code: 'conflict',
      detail: 'plan p2 is not over: receipts are verified while no slots move',
    });
    await cluster.planOver();
    const view = await ended(cluster, begun.id);
    expect(view.plan!.differences).toEqual([]);
    expect(view.plan!.unchecked).toEqual([expect.stringMatching(/^where slots are .*: plan p2 has begun/)]);
    expect(view.result).toBe('incomplete');
  });

  it('of a plan that never was are not found', async () => {
    const cluster = await filled({ shards: 1 });
    const answer = await cluster.settle(cluster.node('n1').admin.verify({ ...REQUEST, plan: 'p9' }, 5_000));
    expect(errorOf(answer)).toEqual({ code: 'not_found', detail: 'there is no plan p9' });
  });
});
