/** The shard map as clients, operators and nodes see it while shards come and go. */
import { describe, expect, it } from 'vitest';
import type { ShardMap } from '../../src/shardctrl/index.js';
import {
  allMaps,
  errorOf,
  expectExact,
  granted,
  idsOf,
  mapOf,
  ownersOf,
  planDone,
  reshard,
  SimCluster,
  sharesOf,
  startMove,
  startReshard,
} from './scenario-world.js';

/** What happened to slots between the first and the last of these maps. */
function transferOf(maps: readonly ShardMap[]) {
  const all = maps.map(ownersOf);
  const before = all[0]!;
  const after = all.at(-1)!;
  const ids = (map: ShardMap): Set<number> => new Set(map.shards.map(({ id }) => id));
  const [first, last] = [ids(maps[0]!), ids(maps.at(-1)!)];
  const staying = new Set([...first].filter((id) => last.has(id)));
  const moved = before.filter((owner, slot) => owner !== after[slot]).length;
  const shares = sharesOf(after);
  const least = [...sharesOf(before)].reduce((sum, [id, n]) => sum + Math.max(0, n - (shares.get(id) ?? 0)), 0);
  return {
    moved,
    beyondLeast: moved - least,
    betweenStaying: before.filter(
      (from, slot) => from !== after[slot] && staying.has(from) && staying.has(after[slot]!),
    ).length,
    movedTwice: before.filter(
      (_, slot) => all.filter((owners, i) => i > 0 && owners[slot] !== all[i - 1]![slot]).length > 1,
    ).length,
  };
}

describe('growing and shrinking', () => {
  it('BasicJoinLeave, MinimalTransfer: members are exact, shares even, no slot is ever without an owner or moves needlessly', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1, seed: 101 });
    for (const shards of [3, 5, 2, 1]) {
      const from = mapOf(cluster).epoch;
      await reshard(cluster, shards, 'n4');
      expectExact(cluster, shards);
      const transfer = transferOf(allMaps(cluster).slice(from - 1));
      expect(transfer).toEqual({ moved: transfer.moved, beyondLeast: 0, betweenStaying: 0, movedTwice: 0 });
      expect(transfer.moved).toBeGreaterThan(0);
    }
    expect(cluster.errors).toEqual([]);
  });

  it('ConcurrentJoinLeave: ten clients want another number of shards each, all at once; the map is exact in the end', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 102 });
    const wanted = [3, 1, 4, 2, 3, 1, 2, 4, 1, 3];
    const done: number[] = [];
    let conflicts = 0;
    const client = async (shards: number, i: number): Promise<void> => {
      const { admin } = cluster.node(idsOf(cluster)[i % 4]!);
      for (;;) {
        const answer = await admin.reshard({ shards, dry_run: false }, 5_000);
        if (answer.ok) {
          done.push(shards);
          return;
        }
        expect(errorOf(answer).code).toBe('conflict');
        conflicts++;
        await new Promise<void>((resume) => cluster.scheduler.after(100 + i, resume));
      }
    };
    await cluster.settle(Promise.all(wanted.map(client)), 600_000);
    expect(conflicts).toBeGreaterThanOrEqual(9);
    await cluster.planOver();
    expect([...done].sort()).toEqual([...wanted].sort());
    expectExact(cluster, done.at(-1)!);
    for (const map of allMaps(cluster)) ownersOf(map);
    expect(cluster.errors).toEqual([]);
  });
});

describe('an explicit move', () => {
  it('Move: changes owner and epoch, stays when nothing is asked for, and is undone by a reshard to the same number', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 103 });
    const first = mapOf(cluster);
    await planDone(cluster, await startMove(cluster, '0-2999', 's2', 'n3'));
    const moved = mapOf(cluster);
    expect(moved.epoch).toBeGreaterThan(first.epoch);
    const expected = ownersOf(first).map((owner, slot) => (slot < 3_000 ? 2 : owner));
    expect(ownersOf(moved)).toEqual(expected);
    await cluster.scheduler.runFor(30_000);
    expect(mapOf(cluster)).toEqual(moved);
    await reshard(cluster, 2);
    expectExact(cluster, 2);
    expect(mapOf(cluster).epoch).toBeGreaterThan(moved.epoch);
  });
});

/** What every running node answers when it is asked for each epoch. */
async function answersOf(cluster: SimCluster, epochs: number): Promise<ReadonlyMap<string, string>> {
  const answers = new Map<string, string>();
  for (const id of idsOf(cluster)) {
    if (cluster.machine(id).node === null) continue;
    const { admin } = cluster.node(id);
    const maps = Array.from({ length: epochs }, (_, i) => admin.map(i + 1, null, 10_000));
    answers.set(id, JSON.stringify((await cluster.settle(Promise.all(maps))).map(granted)));
  }
  return answers;
}

describe('old and new maps', () => {
  it('HistoricalQueries: every epoch is answered as it was, by every node, whichever node of the controller is down', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 1, seed: 104 });
    /** As one node came to know them, one by one. */
    const seen = new Map<number, string>();
    const note = (): void => {
      const map = cluster.node('n4').maps.map!;
      seen.set(map.epoch, JSON.stringify(map.shards));
    };
    note();
    cluster.node('n4').maps.onChange(note);
    await reshard(cluster, 3);
    await reshard(cluster, 2);
    const { epoch } = mapOf(cluster);
    await cluster.until(() => cluster.node('n4').maps.epoch === epoch, 'n4 to know the map');
    for (const map of allMaps(cluster)) {
      if (seen.has(map.epoch)) expect(JSON.stringify(map.shards)).toBe(seen.get(map.epoch));
    }
    expect(seen.size).toBeGreaterThan(2);

    const [truth] = new Set((await answersOf(cluster, epoch)).values());
    for (const away of ['n1', 'n2', 'n3']) {
      cluster.kill(away);
      await cluster.until(() => cluster.leaderOf(0) !== null, 'a leader of the controller');
      const answers = await answersOf(cluster, epoch);
      expect([away, answers.size, [...new Set(answers.values())].length]).toEqual([away, 3, 1]);
      expect([...answers.values()][0]).toBe(truth);
      await cluster.start(away);
      await cluster.untilHealthy();
    }
  });

  it('AgreeConfig: the leader of the controller is killed, in peace and amid a plan, and every node has the same map', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 105 });
    const before = mapOf(cluster);
    const killLeader = async (): Promise<string> => {
      const leader = cluster.leaderOf(0)!;
      cluster.kill(leader);
      await cluster.until(() => cluster.leaderOf(0) !== null, 'another leader of the controller');
      return leader;
    };
    const peace = await killLeader();
    expect(mapOf(cluster)).toEqual(before);
    await cluster.start(peace);
    await cluster.untilHealthy();

    const plan = await startReshard(cluster, 4, 'n4');
    await cluster.until(() => mapOf(cluster).epoch > before.epoch + 2, 'the plan to be midway');
    const midway = allMaps(cluster);
    const amid = await killLeader();
    expect(allMaps(cluster).slice(0, midway.length)).toEqual(midway);
    await cluster.start(amid);
    await planDone(cluster, plan);
    expectExact(cluster, 4);
    const { epoch } = mapOf(cluster);
    await cluster.until(() => cluster.nodes.every(({ maps }) => maps.epoch === epoch), 'every node to know the map');
    for (const { maps } of cluster.nodes) expect(maps.map).toEqual(mapOf(cluster));
  });
});

describe('an impossible plan', () => {
  it.each([true, false])('ReshardRefused: says what is missing and changes nothing (dry run: %s)', async (dry_run) => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 106 });
    const before = mapOf(cluster);
    for (const id of ['n1', 'n4']) {
      const ask = cluster.node(id).admin.reshard({ shards: 3, replicas: 5, dry_run }, 5_000);
      const { code, detail } = errorOf(await cluster.settle(ask));
      expect({ code, detail }).toEqual({
        code: 'plan_impossible',
        detail: '5 replicas a shard need 5 nodes, the cluster has 4: 1 more node needed',
      });
    }
    expect(mapOf(cluster)).toEqual(before);
    expect(cluster.controller().history()).toEqual([]);
    expect(cluster.nodes.flatMap(({ host }) => host.groups()).filter((group) => group > 2)).toEqual([]);
  });
});
