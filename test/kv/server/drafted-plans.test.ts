/** Plans by what slots hold, weights and exclusions, asked of a whole cluster: what a dry run shows, and what is kept. */
import { describe, expect, it } from 'vitest';
import type { PlanView, ReshardRequest } from '../../../src/kv/server/api.js';
import { countSlots, slotOfKey } from '../../../src/shardctrl/index.js';
import { membersOf } from './members-of.js';
import { errorOf, granted, SimCluster } from './sim-cluster.js';

type Wish = Omit<ReshardRequest, 'dry_run'>;

const ask = (cluster: SimCluster, wish: Wish, dry_run: boolean, at = 'n4') =>
  cluster.settle(cluster.node(at).admin.reshard({ ...wish, dry_run }, 8_000));
const dryRun = async (cluster: SimCluster, wish: Wish, at?: string): Promise<PlanView> =>
  granted(await ask(cluster, wish, true, at));
async function carriedOut(cluster: SimCluster, wish: Wish): Promise<PlanView> {
  const { id } = granted(await ask(cluster, wish, false));
  await cluster.planOver();
  return granted(await cluster.settle(cluster.node('n2').admin.plan(id, 3_000)));
}

/** Twenty tags, each of a slot of its own, all of them in the first shard's half; the second has next to nothing. */
const TAGS = Array.from({ length: 1_000 }, (_, i) => `tag${i}`)
  .filter((tag) => slotOfKey(Buffer.from(tag)) < 8_192)
  .slice(0, 20);

async function skewed(): Promise<SimCluster> {
  const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 31 });
  for (const [i, tag] of TAGS.entries()) {
    for (let key = 0; key < 3; key++) await cluster.put('n1', `{${tag}}${key}`, 'v'.repeat(100 + 10 * i));
  }
  return cluster;
}

/** A node is away, and with it the majority of every shard of two replicas that it is a member of. */
async function partlySilent() {
  const cluster = await SimCluster.healthy({ nodes: 5, shards: 3, replicas: 2, seed: 5 });
  for (const tag of TAGS) await cluster.put('n1', `{${tag}}`, 'v');
  const { shards } = cluster.controller().map()!;
  const away = shards[2]!.members.map(({ node }) => node).find((node) => node !== cluster.leaderOf(0))!;
  cluster.kill(away);
  const names = shards.filter(({ members }) => members.some(({ node }) => node === away)).map(({ id }) => `s${id}`);
  return { cluster, names, at: ['n2', 'n3', 'n4'].find((node) => node !== away)! };
}

const totals = (cluster: SimCluster, what: 'keys' | 'bytes'): number[] =>
  cluster
    .controller()
    .map()!
    .shards.map(({ id }) => cluster.shard(id).totals()[what]);

describe('a dry run', () => {
  it('shows slots, keys and bytes of each move and shard, the time and the pause, and starts nothing', async () => {
    const cluster = await skewed();
    const [keys, bytes] = [totals(cluster, 'keys'), totals(cluster, 'bytes')];
    for (const at of ['n1', 'n4']) {
      const plan = await dryRun(cluster, { shards: 2, by: 'keys' }, at);
      expect(plan).toMatchObject({
        id: 'dry-run',
        state: 'planned',
        by: 'keys',
        excluded_shards: [],
        excluded_nodes: [],
      });
      expect(plan.moves).toMatchObject([{ from: 's1', to: 's2', slot_count: 10, keys: 30 }]);
      const [move] = plan.moves;
      expect(plan.balance).toEqual([
        {
          shard: 's1',
          weight: 1,
          excluded: false,
          slots_before: 8_192,
          slots_after: 8_182,
          keys_before: 60,
          keys_after: 30,
          bytes_before: bytes[0],
          bytes_after: bytes[0]! - move!.bytes!,
        },
        {
          shard: 's2',
          weight: 1,
          excluded: false,
          slots_before: 8_192,
          slots_after: 8_202,
          keys_before: 0,
          keys_after: 30,
          bytes_before: 0,
          bytes_after: move!.bytes,
        },
      ]);
      expect(plan.predicted).toMatchObject({ basis: 'defaults', batches: 1 });
      expect(plan.predicted!.time_ms).toBeGreaterThan(0);
      expect(plan.predicted!.from).toContain('no plan has moved anything yet');
    }
    expect(keys).toEqual([60, 0]);
    expect(cluster.controller().latestPlan()).toBeNull();
    // By slots all is even already; the figures are shown all the same.
    const still = await dryRun(cluster, { shards: 2 });
    expect([still.moves, still.by, still.balance![0]!.keys_before]).toEqual([[], 'slots', 60]);
    const byHand = granted(
      await cluster.settle(cluster.node('n4').admin.move({ slots: '0-8191', to: 's2', dry_run: true }, 3_000)),
    );
    expect(byHand.moves).toMatchObject([{ keys: 60, bytes: bytes[0] }]);
    expect(byHand.balance!.map(({ keys_after }) => keys_after)).toEqual([0, 60]);
  });

  it('goes by what the last plan took, once there was one', async () => {
    const cluster = await skewed();
    const done = await carriedOut(cluster, { shards: 3, by: 'bytes' });
    const next = await dryRun(cluster, { shards: 2 });
    expect(next.predicted).toMatchObject({ basis: 'measured' });
    expect(next.predicted!.from).toContain(`as plan ${done.id} went`);
    expect(next.predicted!.pause_ms_max).toBe(Math.round(Math.max(...done.moves.map(({ pause_ms }) => pause_ms!))));
  });

  it('says where each new shard is placed, and who leads it', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const plan = await dryRun(cluster, { shards: 3, exclude_nodes: ['n2'] });
    const [shard] = plan.new_shards!;
    expect(shard!.placement!.map(({ node }) => node)).toEqual(shard!.members);
    expect(shard!.members).not.toContain('n2');
    expect(shard!.placement!.map(({ leads }) => leads)).toEqual([true, false, false]);
    expect(plan.excluded_nodes).toEqual(['n2']);
  });

  it('does without the figures of shards that do not tell, and says so', async () => {
    const { cluster, at, names } = await partlySilent();
    const plan = await dryRun(cluster, { shards: 4 }, at);
    expect(plan.moves).toHaveLength(3);
    for (const { shard, keys_before } of plan.balance!) {
      if (names.includes(shard)) expect([shard, keys_before]).toEqual([shard, null]);
    }
    expect(plan.predicted).toMatchObject({ time_ms: null, pause_ms: null, batches: null });
    expect(plan.predicted!.from).toContain('not known: some shards did not tell');
  });
});

describe('a reshard while nodes are down', () => {
  /** Of five nodes two have gone for good, one after the other, and what they held was rebuilt. */
  async function twoLost() {
    const cluster = await SimCluster.healthy({ nodes: 5, shards: 1, seed: 3 });
    granted(await cluster.settle(cluster.node('n1').admin.changeSettings({ rebuildAfter_ms: 2_000 }, 8_000)));
    const names = ['n1', 'n2', 'n3', 'n4', 'n5'];
    const lost: string[] = [];
    for (let i = 0; i < 2; i++) {
      const gone = cluster.leaderOf(1)!;
      lost.push(gone);
      cluster.kill(gone);
      await cluster.until(
        () =>
          cluster.leaderOf(0) !== null &&
          !membersOf(cluster, 1).includes(gone) &&
          cluster.controller().changes().length === 0,
        `${gone} to be replaced`,
        240_000,
      );
    }
    return { cluster, lost, up: names.filter((id) => !lost.includes(id)) };
  }

  it('makes new shards on those that are there, as the dry run says, and ends', async () => {
    const { cluster, lost, up } = await twoLost();
    const planned = await dryRun(cluster, { shards: 3 }, up[0]);
    for (const { members } of planned.new_shards!) expect([...members].sort()).toEqual(up);
    const { id } = granted(await ask(cluster, { shards: 3 }, false, up[1]));
    await cluster.planOver();
    const done = granted(await cluster.settle(cluster.node(up[2]!).admin.plan(id, 3_000)));
    expect(done.state).toBe('done');
    expect(done.new_shards!.map(({ members }) => members)).toEqual(planned.new_shards!.map(({ members }) => members));
    // Nobody has asked to keep away from them once they are back.
    for (const { avoids } of cluster.controller().map()!.shards) expect(avoids).toEqual([]);
    for (const gone of lost) expect(membersOf(cluster, 2)).not.toContain(gone);
  });

  it('is refused where a new shard would have no majority, and says what is missing', async () => {
    const { cluster, lost, up } = await twoLost();
    const are = `${[...lost].sort().join(', ')} are down`;
    for (const dry of [true, false]) {
      const refused = errorOf(await ask(cluster, { shards: 3, exclude_nodes: up.slice(1) }, dry, up[0]));
      expect(refused).toMatchObject({ code: 'plan_impossible' });
      expect(refused.detail).toContain(`a new shard of 3 replicas needs 2 nodes that are up, and there is 1: ${are}`);
    }
    expect(cluster.controller().latestPlan()).toBeNull();
  });

  it('or a move says which shards have to wait for them', async () => {
    const { cluster, at, names } = await partlySilent();
    await cluster.scheduler.runFor(15_000);
    const said = `${names.join(', ')} ${names.length === 1 ? 'has' : 'have'} no majority while`;
    const to = names[0]!;
    const move = (dry_run: boolean) => cluster.node(at).admin.move({ slots: '0-16383', to, dry_run }, 8_000);
    expect(granted(await cluster.settle(move(true))).warnings![0]).toContain(said);
    expect((await dryRun(cluster, { shards: 4 }, at)).warnings!.join('; ')).toContain(said);
    expect(granted(await cluster.settle(move(false))).warnings![0]).toContain(said);
  });
});

describe('a reshard by bytes', () => {
  it('evens out what the shards hold, and keeps the figures that it went by', async () => {
    const cluster = await skewed();
    const before = totals(cluster, 'bytes');
    const total = before.reduce((a, b) => a + b, 0);
    const planned = await dryRun(cluster, { shards: 3, by: 'bytes' });
    const done = await carriedOut(cluster, { shards: 3, by: 'bytes' });
    expect(done).toMatchObject({ state: 'done', by: 'bytes', balance: planned.balance });
    expect(done.moves.map(({ slots }) => slots)).toEqual(planned.moves.map(({ slots }) => slots));
    const largest = Math.max(...cluster.controller().figures(done.id)!.bytes);
    for (const held of totals(cluster, 'bytes')) expect(Math.abs(held - total / 3)).toBeLessThanOrEqual(largest);
    expect(totals(cluster, 'bytes')).toEqual(done.balance!.map(({ bytes_after }) => bytes_after));
    for (const tag of TAGS) expect(await cluster.value('n3', `{${tag}}0`)).not.toBeNull();
  });

  it('is refused where shards that take part do not tell what their slots hold; without them, it goes', async () => {
    const { cluster, at, names } = await partlySilent();
    for (const dry of [true, false]) {
      expect(errorOf(await ask(cluster, { shards: 3, by: 'bytes' }, dry, at))).toMatchObject({
        code: 'unavailable',
        shard: names[0],
        detail: expect.stringContaining(`${names.join(', ')} did not tell in time how many bytes each slot holds`),
      });
    }
    const without = await ask(cluster, { shards: 3, by: 'bytes', exclude_shards: names }, true, at);
    expect(granted(without).excluded_shards).toEqual(names);
  });

  it('is refused at once where it cannot be, and says what is missing', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    for (const dry of [true, false]) {
      const refused = async (wish: Wish) => errorOf(await ask(cluster, wish, dry));
      expect(await refused({ shards: 3, exclude_nodes: ['n1', 'n2'] })).toMatchObject({
        code: 'plan_impossible',
        detail: expect.stringContaining('1 more node needed'),
      });
      expect(await refused({ shards: 1, exclude_shards: ['s1'] })).toMatchObject({ code: 'plan_impossible' });
      expect(await refused({ shards: 2, exclude_shards: ['s7'] })).toMatchObject({
        code: 'plan_impossible',
        detail: 's7 cannot be excluded: there is no such shard; there are s1, s2',
      });
      expect(await refused({ shards: 2, exclude_nodes: ['n9'] })).toMatchObject({ code: 'plan_impossible' });
      expect(await refused({ shards: 2, weights: { s7: 2 } })).toMatchObject({ code: 'plan_impossible' });
      expect(await refused({ shards: 2, weights: { seven: 2 } })).toMatchObject({ code: 'invalid_argument' });
      expect(await refused({ shards: 2, exclude_shards: ['seven'] })).toMatchObject({ code: 'invalid_argument' });
    }
  });
});

describe('weights and exclusions', () => {
  it('are kept: in the map, in the cluster’s view and over a restart of everything, until they are changed', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    await carriedOut(cluster, { shards: 2, weights: { s1: 3 } });
    const weights = async (at: string) => {
      const map = granted(await cluster.settle(cluster.node(at).admin.map(null, null, 3_000)));
      const view = granted(await cluster.settle(cluster.node(at).admin.cluster(3_000)));
      return [map.shards.map(({ weight }) => weight), view.shards.map(({ weight }) => weight)];
    };
    const heard = (at: string) => cluster.until(() => cluster.node(at).maps.map?.shards[0]?.weight === 3, 'the weight');
    for (const at of ['n1', 'n4']) {
      await heard(at);
      expect(await weights(at)).toEqual([
        [3, 1],
        [3, 1],
      ]);
    }
    const slots = cluster
      .controller()
      .map()!
      .shards.map((shard) => countSlots(shard.slots));
    expect(slots).toEqual([12_288, 4_096]);
    for (const id of ['n1', 'n2', 'n3', 'n4']) cluster.kill(id, 'power-cut');
    for (const id of ['n1', 'n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.untilHealthy();
    expect((await dryRun(cluster, { shards: 2 })).moves).toEqual([]);
    await carriedOut(cluster, { shards: 2, weights: { s1: 1 } });
    await cluster.until(() => cluster.node('n4').maps.map?.shards[0]?.weight === 1, 'the weight');
    expect((await weights('n4'))[0]).toEqual([1, 1]);
  });

  it('keep an excluded shard as it is, and the replicas of new shards away from an excluded node for good', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, replicas: 2 });
    const owned = cluster.controller().map()!.shards[0]!.slots;
    await carriedOut(cluster, { shards: 4, replicas: 2, exclude_shards: ['s1'], exclude_nodes: ['n4'] });
    const spread = (): void => {
      const shards = cluster.controller().map()!.shards;
      expect(shards[0]!.slots).toEqual(owned);
      for (const { id, members, joining } of shards) {
        if (id > 2) expect([...members, ...joining].map(({ node }) => node)).not.toContain('n4');
      }
    };
    spread();
    // So long replicas would spread over the nodes.
    await cluster.scheduler.runFor(30_000);
    spread();
    const map = granted(await cluster.settle(cluster.node('n1').admin.map(null, null, 3_000)));
    expect(map.shards.map(({ avoids }) => avoids)).toEqual([undefined, undefined, ['n4'], ['n4']]);
  });
});
