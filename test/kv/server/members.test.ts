import { describe, expect, it } from 'vitest';
import type { MembersView } from '../../../src/kv/server/index.js';
import { groupsOf } from '../../../src/shardctrl/index.js';
import { expectAll, expectSettled, fill, joined, left, mapOf, membersOf } from './members-of.js';
import { errorOf, granted, SimCluster } from './sim-cluster.js';

const even = (cluster: SimCluster, replicas: Readonly<Record<string, number>>): Promise<number> =>
  cluster.until(
    () => {
      if (cluster.leaderOf(0) === null || cluster.controller().changes().length > 0) return false;
      const shards = mapOf(cluster).shards;
      const count = (id: string): number =>
        shards.filter((shard) => shard.members.some(({ node }) => node === id)).length;
      return Object.entries(replicas).every(([id, expected]) => count(id) === expected);
    },
    `replicas ${JSON.stringify(replicas)}`,
  );

describe('LateJoiner: a node that joins a running cluster', () => {
  it('takes replicas, all data reaches it, and drain takes them off again', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 4 });
    await fill(cluster, 'n1');
    await cluster.join('n4', ['n2']);
    await joined(cluster, 'n4');
    await even(cluster, { n1: 3, n2: 3, n3: 3, n4: 3 });
    await expectSettled(cluster);
    await expectAll(cluster, 'n4');
    granted(await cluster.settle(cluster.node('n1').admin.removeNode('n4', 5_000)));
    await left(cluster, 'n4');
    await expectSettled(cluster);
    await cluster.until(() => cluster.node('n4').host.groups().length === 0, 'n4 to have removed its replicas');
    await cluster.until(() => !cluster.node('n4').admin.readiness().ready, 'n4 to know that it has left');
    await expectAll(cluster, 'n1');
    expect(cluster.errors.filter((text) => !text.includes('has left this cluster'))).toEqual([]);
  });

  it('finds the cluster again after a restart, where it was told to look nobody is any more', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    await cluster.join('n4', ['n3']);
    await joined(cluster, 'n4');
    await even(cluster, { n4: 1 });
    cluster.kill('n4');
    cluster.kill('n3');
    await cluster.start('n4');
    await cluster.until(() => cluster.node('n4').admin.readiness().ready, 'n4 to be ready again');
  });

  it('makes two replicas three, and two members of the controller three, where that was the wish', async () => {
    const cluster = await SimCluster.healthy({ nodes: 2, shards: 2, replicas: null });
    await fill(cluster, 'n1');
    expect(membersOf(cluster, 1)).toEqual(['n1', 'n2']);
    await cluster.join('n3', ['n1']);
    await joined(cluster, 'n3');
    await cluster.until(
      () => [0, 1, 2].every((group) => membersOf(cluster, group).length === 3),
      'three members everywhere',
    );
    await expectSettled(cluster);
    cluster.kill('n1');
    await cluster.until(() => [0, 1, 2].every((group) => cluster.leaderOf(group) !== null), 'leaders without n1');
    await expectAll(cluster, 'n3');
  });

  it('that slept while the controller moved to others finds it again', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1, replicas: 2 });
    for (const id of ['n4', 'n5', 'n6']) {
      await cluster.join(id, ['n1', 'n2']);
      await joined(cluster, id);
    }
    await cluster.until(
      () => cluster.controller().changes().length === 0 && membersOf(cluster, 0).length === 5,
      'five',
    );
    const sleeper = membersOf(cluster, 0).find(
      (id) => !membersOf(cluster, 1).includes(id) && id !== cluster.leaderOf(0),
    )!;
    cluster.kill(sleeper);
    for (const id of ['n7', 'n8', 'n9']) {
      await cluster.join(id, ['n1', 'n2', 'n3', 'n4', 'n5', 'n6']);
      await joined(cluster, id);
    }
    const founders = membersOf(cluster, 0).filter((id) => id !== sleeper);
    for (const id of founders) {
      granted(await cluster.settle(cluster.node('n9').admin.removeNode(id, 8_000)));
      await left(cluster, id);
      cluster.kill(id);
    }
    await cluster.start(sleeper);
    await cluster.until(() => cluster.node(sleeper).maps.epoch === mapOf(cluster).epoch, 'the sleeper to know the map');
  });

  it('F24, F25: is refused under a name that is used, or was', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1, replicas: 2 });
    cluster.kill('n3');
    cluster.wipe('n3', 'everything');
    await cluster.start('n3').catch(() => undefined);
    await cluster.scheduler.runFor(5_000);
    expect(mapOf(cluster).nodes.find((node) => node.id === 'n3')!.incarnation).toBe('i-n3');
    granted(await cluster.settle(cluster.node('n1').admin.removeNode('n3', 5_000)));
    await left(cluster, 'n3');
    await cluster.scheduler.runFor(5_000);
    expect(mapOf(cluster).nodes.map((node) => node.id)).toEqual(['n1', 'n2']);
  });

  it('is let in by an operator who knows its address', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    await cluster.join('n4', ['nowhere']);
    await cluster.scheduler.runFor(3_000);
    expect(mapOf(cluster).nodes).toHaveLength(3);
    const node = granted(await cluster.settle(cluster.node('n2').admin.addNode({ peer: 'n4:7101' }, 8_000)));
    expect(node).toMatchObject({ id: 'n4', peer: 'n4:7101', http: 'n4:80' });
    const again = granted(await cluster.settle(cluster.node('n1').admin.addNode({ peer: 'n4:7101' }, 8_000)));
    expect(again.id).toBe('n4');
    // Whoever was refused and has become another one is let in.
    await cluster.join('n5', ['nowhere']);
    cluster.kill('n5');
    cluster.machine('n5').incarnation = cluster.machine('n4').incarnation;
    await cluster.start('n5');
    const twin = await cluster.settle(cluster.node('n1').admin.addNode({ peer: 'n5:7101' }, 8_000));
    expect(errorOf(twin)).toMatchObject({ code: 'conflict', detail: expect.stringContaining('copy') });
    cluster.kill('n5');
    cluster.machine('n5').incarnation = 'its own';
    await cluster.start('n5');
    expect(granted(await cluster.settle(cluster.node('n1').admin.addNode({ peer: 'n5:7101' }, 8_000))).id).toBe('n5');
    const nobody = await cluster.settle(cluster.node('n1').admin.addNode({ peer: 'n9:7101' }, 3_000));
    expect(errorOf(nobody)).toMatchObject({ code: 'unavailable', detail: expect.stringContaining('n9:7101') });
  });
});

describe('a node that is drained', () => {
  it('gives everything to another one, also what it leads, while clients write', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 3 });
    await fill(cluster, 'n2');
    const victim = cluster.leaderOf(0)!;
    const client = ['n1', 'n2', 'n3', 'n4'].find((id) => id !== victim)!;
    const outcomes: string[] = [];
    let writing = true;
    const writer = (async () => {
      for (let i = 0; writing; i++) outcomes.push((await cluster.send(client, writeOf(i))).kind);
    })();
    granted(await cluster.settle(cluster.node(client).admin.removeNode(victim, 5_000)));
    await left(cluster, victim);
    cluster.kill(victim);
    writing = false;
    await cluster.settle(writer);
    expect(outcomes.filter((kind) => kind !== 'stored')).toEqual([]);
    await expectSettled(cluster);
    await expectAll(cluster, client);
    expect(groupsOf(mapOf(cluster)).flatMap(([, group]) => group.members.map(({ node }) => node))).not.toContain(
      victim,
    );
  });

  it('is refused where too few would be left, and says how many are missing', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    const refused = await cluster.settle(cluster.node('n1').admin.removeNode('n2', 5_000));
    expect(errorOf(refused)).toMatchObject({
      code: 'plan_impossible',
      detail: expect.stringMatching(/s1, s2 have 3 replicas, and only 2 nodes would be left: add 1 more node first/),
    });
    const unknown = await cluster.settle(cluster.node('n1').admin.removeNode('n7', 5_000));
    expect(errorOf(unknown).code).toBe('not_found');
  });

  it('keeps what would leave a group without a majority, until that is better', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1, replicas: 2 });
    const free = ['n1', 'n2', 'n3'].find((id) => !membersOf(cluster, 1).includes(id))!;
    const [dead, asked] = membersOf(cluster, 1) as [string, string];
    cluster.kill(dead);
    await cluster.scheduler.runFor(15_000);
    granted(await cluster.settle(cluster.node(asked).admin.removeNode(free, 8_000)));
    await cluster.scheduler.runFor(60_000);
    expect(cluster.leaderOf(0)).not.toBeNull();
    expect(membersOf(cluster, 0)).toContain(free);
    await cluster.start(dead);
    await left(cluster, free);
  });

  it('hands nothing to one that cannot take it', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    await fill(cluster, 'n1');
    const leader = cluster.leaderOf(1)!;
    const [damaged, other] = membersOf(cluster, 1).filter((id) => id !== leader) as [string, string];
    cluster.replica(damaged, 1).reportDamage(new Error('this row is not what was written'));
    await cluster.scheduler.runFor(5_000);
    granted(await cluster.settle(cluster.node(other).admin.removeNode(leader, 5_000)));
    await left(cluster, leader);
    for (let i = 0; i < 20; i++) expect((await cluster.put(other, `then-${i}`, 'v')).kind).toBe('stored');
  });

  it('may be dead: its replicas are made anew elsewhere', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2 });
    await fill(cluster, 'n1');
    cluster.kill('n3');
    await cluster.join('n4', ['n1', 'n2']);
    await joined(cluster, 'n4');
    granted(await cluster.settle(cluster.node('n1').admin.removeNode('n3', 5_000)));
    await left(cluster, 'n3');
    await expectSettled(cluster);
    for (const group of [0, 1, 2]) expect(membersOf(cluster, group)).toEqual(['n1', 'n2', 'n4']);
    await expectAll(cluster, 'n4');
  });
});

const writeOf = (i: number) => ({
  kind: 'put' as const,
  key: Buffer.from(`while-${i % 50}`),
  value: Buffer.from(String(i)),
  contentType: 'text/plain',
  ttl_ms: 0,
  condition: { kind: 'none' as const },
  idempotency: null,
});

describe('leaderships', () => {
  it('come back to a node some time after it has', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 3 });
    const first = (group: number): string => mapOf(cluster).shards.find(({ id }) => id === group)!.members[0]!.node;
    const as = (): boolean => [1, 2, 3].every((group) => cluster.leaderOf(group) === first(group));
    await cluster.until(as, 'everybody to lead who should');
    expect(new Set([1, 2, 3].map(first)).size).toBe(3);
    const gone = first(2);
    cluster.kill(gone);
    await cluster.until(() => cluster.leaderOf(2) !== null && cluster.leaderOf(2) !== gone, 'another leader of s2');
    await cluster.start(gone);
    await cluster.until(as, 'everybody to lead again who should');
  });

  it('are spread over a node that has joined', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 8 });
    await cluster.join('n4', ['n1']);
    await joined(cluster, 'n4');
    const leads = (id: string): number =>
      Array.from({ length: 8 }, (_, i) => cluster.leaderOf(i + 1)).filter((leader) => leader === id).length;
    await cluster.until(
      () => ['n1', 'n2', 'n3', 'n4'].every((id) => leads(id) >= 1 && leads(id) <= 3),
      'all to lead',
      240_000,
    );
  });
});

describe('the members of a shard', () => {
  const done = async (cluster: SimCluster, shard: string): Promise<MembersView> => {
    const ask = async (): Promise<MembersView> =>
      granted(await cluster.settle(cluster.node('n1').admin.members(shard, 5_000)));
    for (;;) {
      const view = await ask();
      if (view.waits_for === null) return view;
      await cluster.scheduler.runFor(50);
    }
  };

  it('are added and removed in one step, and stay as the operator wanted them', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    await fill(cluster, 'n1');
    const before = membersOf(cluster, 1);
    const add = ['n1', 'n2', 'n3', 'n4'].filter((id) => !before.includes(id));
    const remove = [cluster.leaderOf(1)!];
    const begun = granted(await cluster.settle(cluster.node('n2').admin.changeMembers('s1', { add, remove }, 5_000)));
    expect(begun).toMatchObject({ id: 's1', joining: add, leaving: remove });
    const ended = await done(cluster, 's1');
    const after = [...before.filter((id) => !remove.includes(id)), ...add].sort();
    expect([...ended.members].sort()).toEqual(after);
    await expectSettled(cluster);
    expect(cluster.node(remove[0]!).host.knows(1)).toBe(false);
    await expectAll(cluster, remove[0]!);
    // Two are fewer than the shard was made with, but what was asked for.
    granted(await cluster.settle(cluster.node('n2').admin.changeMembers('s1', { add: [], remove: add }, 5_000)));
    await done(cluster, 's1');
    await cluster.scheduler.runFor(5_000);
    expect(membersOf(cluster, 1)).toHaveLength(2);
  });

  it('F24: come back under a new replica id', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    await fill(cluster, 'n1');
    granted(await cluster.settle(cluster.node('n1').admin.changeMembers('s1', { add: [], remove: ['n3'] }, 5_000)));
    await done(cluster, 's1');
    await cluster.until(() => !cluster.node('n3').host.knows(1), 'n3 to have removed its replica');
    granted(await cluster.settle(cluster.node('n1').admin.changeMembers('s1', { add: ['n3'], remove: [] }, 5_000)));
    await done(cluster, 's1');
    await expectSettled(cluster);
    expect(cluster.replica('n3', 1).id).toBeGreaterThan(3);
  });

  it.each([
    [{ add: ['n9'], remove: [] }, 'not_found', /there is no node n9 in the cluster; there are n1, n2, n3/],
    [{ add: [], remove: ['n9'] }, 'not_found', /there is no node n9/],
    [{ add: ['n1'], remove: [] }, 'plan_impossible', /n1 is a member of s1 already/],
    [{ add: [], remove: ['n2', 'n3'] }, 'plan_impossible', /s1 would be left with 1 of at least 2 replicas/],
  ])('cannot become what cannot be: %o', async (request, code, detail) => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    const refused = await cluster.settle(cluster.node('n1').admin.changeMembers('s1', request, 5_000));
    expect(errorOf(refused)).toMatchObject({ code, detail: expect.stringMatching(detail) });
    const nowhere = await cluster.settle(cluster.node('n1').admin.changeMembers('s7', request, 5_000));
    expect(errorOf(nowhere).code).toBe('not_found');
  });

  it('F41: of a group of two that has lost one cannot be changed, and it says why', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1, replicas: 2 });
    const [first, second] = membersOf(cluster, 1) as [string, string];
    const others = ['n1', 'n2', 'n3', 'n4'].filter((id) => id !== first && id !== second);
    cluster.kill(second);
    await cluster.scheduler.runFor(15_000);
    const request = { add: [others[0]!], remove: [second] };
    const refused = await cluster.settle(cluster.node(others[1]!).admin.changeMembers('s1', request, 8_000));
    expect(errorOf(refused)).toMatchObject({ code: 'no_leader', detail: expect.stringContaining(`${second} is down`) });
  });

  it('are those of before where a newcomer does not come', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    const before = membersOf(cluster, 1);
    const add = ['n1', 'n2', 'n3', 'n4'].filter((id) => !before.includes(id));
    const asked = before[0]!;
    cluster.kill(add[0]!);
    granted(await cluster.settle(cluster.node(asked).admin.changeMembers('s1', { add, remove: [before[2]!] }, 5_000)));
    const twice = await cluster.settle(cluster.node(asked).admin.changeMembers('s1', { add, remove: [] }, 5_000));
    expect(errorOf(twice).code).toBe('conflict');
    await cluster.until(() => cluster.controller().changes().length === 0, 'the change to be given up', 120_000);
    expect(membersOf(cluster, 1)).toEqual(before);
    await cluster.start(add[0]!);
    await expectSettled(cluster);
  });

  it('are those of before where the newcomer is there, but its replica does not come to be', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    await fill(cluster, 'n1');
    const before = membersOf(cluster, 1);
    const add = ['n1', 'n2', 'n3', 'n4'].filter((id) => !before.includes(id));
    granted(await cluster.settle(cluster.node('n1').admin.changeMembers('s1', { add, remove: [] }, 5_000)));
    await cluster.until(() => cluster.node(add[0]!).host.get(1) !== undefined, 'the replica to be made');
    cluster.replica(add[0]!, 1).reportDamage(new Error('this row is not what was written'));
    await cluster.until(() => cluster.controller().changes().length === 0, 'the change to be given up', 120_000);
    expect(membersOf(cluster, 1)).toEqual(before);
    // What was wished for came with it, and goes with it.
    await cluster.scheduler.runFor(10_000);
    expect(membersOf(cluster, 1)).toEqual(before);
    // Another attempt is another replica.
    granted(await cluster.settle(cluster.node('n1').admin.changeMembers('s1', { add, remove: [] }, 5_000)));
    await done(cluster, 's1');
    expect(membersOf(cluster, 1)).toEqual([...before, ...add].sort());
  });

  it('are those of before where the newcomer is there, but the shard’s leader does not get through to it', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2 });
    await cluster.until(() => cluster.leaderOf(1) !== null && cluster.leaderOf(2) !== null, 'leaders');
    // Whoever watches the newcomer gets through to it.
    const shard = [1, 2].find((id) => cluster.leaderOf(id) !== cluster.leaderOf(0))!;
    const before = membersOf(cluster, shard);
    const [newcomer] = ['n1', 'n2', 'n3', 'n4'].filter((id) => !before.includes(id)) as [string];
    const leader = cluster.leaderOf(shard)!;
    cluster.network.partition(leader, newcomer);
    const request = { add: [newcomer], remove: [] };
    granted(await cluster.settle(cluster.node(leader).admin.changeMembers(`s${shard}`, request, 5_000)));
    await cluster.until(() => cluster.controller().changes().length > 0, 'the change');
    await cluster.until(() => cluster.controller().changes().length === 0, 'the change to be given up', 240_000);
    expect(membersOf(cluster, shard)).toEqual(before);
    expect(cluster.warnings.join()).toContain('a change of members is given up');
    cluster.heal();
    await expectSettled(cluster);
  });

  it('cannot become so few that those left would be no majority', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    cluster.kill('n3');
    await cluster.scheduler.runFor(15_000);
    const leader = cluster.leaderOf(1)!;
    const other = ['n1', 'n2'].find((id) => id !== leader)!;
    const refused = await cluster.settle(
      cluster.node(leader).admin.changeMembers('s1', { add: [], remove: [other] }, 5_000),
    );
    expect(errorOf(refused)).toMatchObject({ code: 'plan_impossible', detail: expect.stringContaining('n3 is down') });
  });

  it('give the leadership to whom they are told, for good', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 3 });
    const to = ['n1', 'n2', 'n3'].find((id) => id !== cluster.leaderOf(1))!;
    const view = granted(await cluster.settle(cluster.node('n1').admin.transferLeader('s1', to, 5_000)));
    expect(view).toMatchObject({ id: 's1', leader: to });
    await cluster.scheduler.runFor(60_000);
    expect(cluster.leaderOf(1)).toBe(to);
    const wrong = await cluster.settle(cluster.node('n1').admin.transferLeader('s1', 'n9', 5_000));
    expect(errorOf(wrong)).toMatchObject({ code: 'not_found', detail: expect.stringMatching(/there is no node n9/) });
  });

  it('give no leadership to a node that is none of them', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1 });
    const other = ['n1', 'n2', 'n3', 'n4'].find((id) => !membersOf(cluster, 1).includes(id))!;
    const wrong = await cluster.settle(cluster.node('n1').admin.transferLeader('s1', other, 5_000));
    expect(errorOf(wrong)).toMatchObject({
      code: 'invalid_argument',
      detail: `to: ${other} is no voting member of s1`,
    });
  });
});
