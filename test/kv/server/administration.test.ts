import { describe, expect, it } from 'vitest';
import type { PlanAction } from '../../../src/kv/server/api.js';
import { errorOf, granted, SimCluster } from './sim-cluster.js';

const move = (slots: string, to: string, dry_run = false) => ({ slots, to, dry_run });

describe('plans', () => {
  it.each(['n1', 'n4'])('are refused by what is wrong with them, asked at %s', async (id) => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const { admin } = cluster.node(id);
    for (const dry of [true, false]) {
      const refused = async (slots: string, to: string) =>
        errorOf(await cluster.settle(admin.move(move(slots, to, dry), 3_000)));
      expect((await refused('0-99', 's9')).code).toBe('not_found');
      expect((await refused('0-99', 'nine')).code).toBe('invalid_argument');
      expect((await refused('0-99999', 's1')).code).toBe('invalid_argument');
      expect((await refused('99-0', 's1')).code).toBe('invalid_argument');
      expect((await refused('x', 's1')).code).toBe('invalid_argument');
      const tooMany = await cluster.settle(admin.reshard({ shards: 4, replicas: 9, dry_run: dry }, 3_000));
      expect(errorOf(tooMany)).toMatchObject({ code: 'plan_impossible' });
    }
    expect(errorOf(await cluster.settle(admin.plan('999', 1_000))).code).toBe('not_found');
    expect(errorOf(await cluster.settle(admin.plan(null, 1_000))).code).toBe('not_found');
  });

  it('take slots in any order, and answer with the plan that was started', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const started = granted(await cluster.settle(cluster.node('n4').admin.move(move('7,0-3,2', 's2'), 3_000)));
    expect(started.moves).toMatchObject([{ slots: '0-3,7', from: 's1', to: 's2' }]);
    // Where nobody says how long slots may be frozen.
    expect(started.max_pause_ms).toBe(50);
    const asked = granted(await cluster.settle(cluster.node('n2').admin.plan(started.id, 3_000)));
    expect(asked.id).toBe(started.id);
    await cluster.planOver();
    const done = granted(await cluster.settle(cluster.node('n4').admin.plan(null, 3_000)));
    expect(done).toMatchObject({ id: started.id, state: 'done', history: [{ id: started.id, state: 'done' }] });
  });

  it('one at a time: the second is a conflict (F58)', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    const ask = (id: string) => cluster.node(id).admin.reshard({ shards: 3, dry_run: false }, 5_000);
    const answers = await cluster.settle(Promise.all([ask('n1'), ask('n2'), ask('n3')]));
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    for (const answer of answers) if (!answer.ok) expect(errorOf(answer).code).toBe('conflict');
    await cluster.planOver();
  });
});

describe('plans of pairs', () => {
  it('F41: are accepted with a plain warning, in a dry run and when they start', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    const ask = (shards: number, replicas: number | undefined, dry_run: boolean) => {
      const request = { shards, dry_run, ...(replicas === undefined ? {} : { replicas }) };
      return cluster.settle(cluster.node('n4').admin.reshard(request, 3_000));
    };
    const warning = expect.stringContaining('two replicas take no writes as soon as one of their nodes is away');
    expect(granted(await ask(2, 2, true)).warnings).toContainEqual(warning);
    expect(granted(await ask(2, undefined, true)).warnings).not.toContainEqual(warning);
    expect(granted(await ask(2, 2, false)).warnings).toContainEqual(warning);
    await cluster.planOver();
    // Whoever looks later is told, too; and so are the nodes that host the pair.
    expect(granted(await cluster.settle(cluster.node('n1').admin.plan(null, 3_000))).warnings).toContainEqual(warning);
    const hosts = cluster
      .controller()
      .map()!
      .shards[1]!.members.map(({ node }) => node);
    expect(
      cluster.warnings.filter((text) => text.includes('s2 has two replicas')).map((text) => text.slice(0, 2)),
    ).toEqual(expect.arrayContaining(hosts));
  });
});

describe('a plan that runs', () => {
  const states = (cluster: SimCluster) =>
    cluster
      .controller()
      .latestPlan()!
      .moves.map(({ moved }) => moved.length > 0);
  const running = async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const { id } = granted(
      await cluster.settle(cluster.node('n4').admin.reshard({ shards: 4, dry_run: false }, 3_000)),
    );
    const steer = (action: PlanAction, by = 'n4') =>
      cluster.settle(cluster.node(by).admin.steerPlan(id, action, 3_000));
    return { cluster, id, steer };
  };

  it('is paused at any node, begins nothing then, and goes on when it is resumed', async () => {
    const { cluster, steer } = await running();
    expect(granted(await steer('pause')).state).toBe('paused');
    await cluster.scheduler.runFor(5_000);
    expect(cluster.controller().batches()).toEqual([]);
    const before = states(cluster);
    await cluster.scheduler.runFor(20_000);
    expect(states(cluster)).toEqual(before);
    expect(before).toContain(false);
    expect(granted(await steer('pause', 'n1')).state).toBe('paused');
    expect(granted(await steer('resume', 'n2')).state).toBe('running');
    await cluster.planOver();
    expect(cluster.controller().latestPlan()).toMatchObject({ status: 'done' });
  });

  it('is cancelled for good, also while it is paused; the next one may start', async () => {
    const { cluster, id, steer } = await running();
    await steer('pause');
    expect(granted(await steer('cancel')).reason).toBe('cancelled by request');
    await cluster.planOver();
    const ended = granted(await cluster.settle(cluster.node('n1').admin.plan(id, 3_000)));
    expect(ended).toMatchObject({ state: 'cancelled', reason: 'cancelled by request' });
    for (const action of ['pause', 'resume', 'cancel'] as const) {
      expect(errorOf(await steer(action))).toMatchObject({
        code: 'conflict',
        detail: expect.stringContaining('is over'),
      });
    }
    granted(await cluster.settle(cluster.node('n2').admin.reshard({ shards: 3, dry_run: false }, 3_000)));
    await cluster.planOver();
    expect(cluster.controller().latestPlan()).toMatchObject({ status: 'done' });
  });

  it('is steered by its id only', async () => {
    const { cluster } = await running();
    const { admin } = cluster.node('n3');
    expect(errorOf(await cluster.settle(admin.steerPlan('p9', 'cancel', 3_000)))).toEqual({
      code: 'not_found',
      detail: 'there is no plan p9',
    });
    for (const id of ['', 'x'.repeat(300)])
      expect(errorOf(await cluster.settle(admin.steerPlan(id, 'pause', 3_000))).code).toBe('invalid_argument');
    await cluster.planOver();
    expect(cluster.controller().latestPlan()).toMatchObject({ status: 'done' });
  });
});

describe('without a majority of the controller', () => {
  it('every call is answered by its deadline, with what is known', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    for (const id of ['n1', 'n2', 'n3']) if (id !== 'n1') cluster.kill(id);
    await cluster.scheduler.runFor(5_000);
    for (const id of ['n1', 'n4']) {
      const { admin } = cluster.node(id);
      const within = async <T>(call: Promise<T>): Promise<T> => {
        const from_ms = cluster.scheduler.now_ms;
        const answer = await cluster.settle(call);
        expect(cluster.scheduler.now_ms - from_ms).toBeLessThanOrEqual(1_100);
        return answer;
      };
      expect(errorOf(await within(admin.reshard({ shards: 3, dry_run: false }, 1_000))).code).toMatch(
        /^(no_leader|outcome_unknown)$/,
      );
      expect(errorOf(await within(admin.reshard({ shards: 3, dry_run: true }, 1_000))).code).toBe('unavailable');
      expect(errorOf(await within(admin.move(move('0-9', 's2'), 1_000))).code).toMatch(/^(no_leader|outcome_unknown)$/);
      expect(errorOf(await within(admin.plan(null, 1_000))).code).toBe('unavailable');
      expect(errorOf(await within(admin.map(99, null, 1_000))).code).toBe('unavailable');
      expect(granted(await within(admin.map(null, 99, 1_000))).epoch).toBe(1);
      const list = within(
        cluster.node(id).kv.list(
          {
            kind: 'list',
            start: Buffer.alloc(0),
            end: null,
            limit: 10,
            keysOnly: false,
            consistency: 'linearizable',
            maxStaleness_ms: null,
          },
          { timeout_ms: 1_000, noForward: false, requestId: 'test' },
        ),
      );
      expect(await list).toMatchObject({
        kind: 'failed',
        error: { code: expect.stringMatching(/^(no_leader|unavailable)$/) },
      });
    }
  });

  it('maps of old epochs are still given where they are known', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    granted(await cluster.settle(cluster.node('n1').admin.move(move('0-3', 's2'), 3_000)));
    await cluster.planOver();
    await cluster.until(() => cluster.node('n1').maps.epoch > 1, 'the new map');
    cluster.kill('n2');
    cluster.kill('n3');
    await cluster.scheduler.runFor(3_000);
    expect(granted(await cluster.settle(cluster.node('n1').admin.map(1, null, 1_000))).epoch).toBe(1);
  });
});

describe('the cluster as it is', () => {
  const view = async (cluster: SimCluster, id: string) =>
    granted(await cluster.settle(cluster.node(id).admin.cluster(2_000)));

  it('speaks of one shard as of one', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    await cluster.put('n1', 'k', 'value');
    await cluster.scheduler.runFor(2_000);
    expect((await view(cluster, 'n2')).health).toBe('the only shard serves on 3 healthy nodes');
  });

  it('shows who leads, what the shards hold, and that all is well', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    await cluster.put('n1', 'k', 'value');
    for (const id of ['n1', 'n2', 'n3']) {
      const seen = await view(cluster, id);
      expect(seen.health).toBe('all 2 shards serve on 3 healthy nodes');
      expect(seen.nodes.map(({ state }) => state)).toEqual(['healthy', 'healthy', 'healthy']);
      expect(seen.shards.map(({ leader, state }) => [leader, state])).toEqual([
        [cluster.leaderOf(1), 'ok'],
        [cluster.leaderOf(2), 'ok'],
      ]);
      expect(seen.shards.reduce((keys, shard) => keys + (shard.keys ?? 0), 0)).toBe(1);
      expect(seen.controller.leader).toBe(cluster.leaderOf(0));
    }
  });

  it('calls a node that is silent suspect, then down, and says what that means for the shards', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    cluster.kill('n3');
    await cluster.scheduler.runFor(4_500);
    const stateOf3 = async () => (await view(cluster, 'n1')).nodes.find(({ id }) => id === 'n3')!.state;
    expect(await stateOf3()).toBe('suspect');
    await cluster.scheduler.runFor(8_000);
    expect(await stateOf3()).toBe('down');
    const seen = await view(cluster, 'n1');
    expect(seen.shards[0]).toMatchObject({ state: 'degraded' });
    expect(seen.shards[0]!.members.find(({ node }) => node === 'n3')).toMatchObject({ role: 'unknown', state: 'down' });
    expect(seen.health).toContain('n3 is down');
    cluster.kill('n2');
    await cluster.scheduler.runFor(12_000);
    const alone = await view(cluster, 'n1');
    expect(alone.shards[0]).toMatchObject({ state: 'no_leader', leader: null, keys: null });
    expect(alone.health).toContain('s1 has no leader and cannot serve');
    expect(alone.controller.leader).toBeNull();
    expect(alone.health).toContain('the controller has no leader');
    expect(cluster.node('n1').admin.readiness().ready).toBe(false);
  });

  it('does not call anybody down when it has just started itself', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    cluster.kill('n1');
    const again = await cluster.start('n1');
    await cluster.until(() => again.maps.map !== null, 'the map');
    const seen = await view(cluster, 'n1');
    expect(seen.nodes.map(({ state }) => state)).not.toContain('down');
  });

  it('says which shards a plan is making or retiring', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    const seen = new Set<string>();
    const watch = async (shards: number): Promise<void> => {
      granted(await cluster.settle(cluster.node('n4').admin.reshard({ shards, dry_run: false }, 3_000)));
      while (cluster.controller().runningPlan() !== null) {
        for (const { id, state } of (await view(cluster, 'n4')).shards) seen.add(`${id} ${state}`);
        await cluster.scheduler.runFor(2);
      }
    };
    await watch(3);
    expect([...seen]).toContain('s3 creating');
    await watch(1);
    expect([...seen].filter((text) => text.endsWith('retiring'))).toHaveLength(2);
    expect((await view(cluster, 'n4')).shards.map(({ state }) => state)).toEqual(['ok']);
  });

  it('warns of shards with two replicas', async () => {
    const cluster = await SimCluster.healthy({ nodes: 2, shards: 1, replicas: 2 });
    expect((await view(cluster, 'n1')).health).toContain('s1 has two replicas: no writes as soon as one node is away');
  });
});

describe('readiness', () => {
  it('is given when every replica here knows its leader and the node has the map', async () => {
    const cluster = new SimCluster({ nodes: 4, shards: 2 });
    const lone = await cluster.start('n1');
    expect(lone.admin.readiness()).toMatchObject({ ready: false });
    for (const id of ['n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.untilHealthy();
    for (const node of cluster.nodes) {
      const { ready, checks } = node.admin.readiness();
      expect([ready, checks.length]).toEqual([true, 1 + node.host.groups().length]);
    }
    cluster.isolate('n1');
    await cluster.until(() => !lone.admin.readiness().ready, 'n1 to notice');
    cluster.heal();
    await cluster.until(() => lone.admin.readiness().ready, 'n1 to come back');
  });
});
