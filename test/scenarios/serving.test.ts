/** What clients get while shards, sources of moves or whole groups are away. */
import { describe, expect, it } from 'vitest';
import { ERROR_MEANINGS } from '../../src/kv/http/error-map.js';
import type { KvOutcome } from '../../src/kv/server/index.js';
import { formatSlots, type ShardMap, slotOfKey } from '../../src/shardctrl/index.js';
import {
  clientOf,
  get,
  granted,
  idsOf,
  keysNamed,
  mapOf,
  ownerOf,
  planDone,
  put,
  putAll,
  reshard,
  SimCluster,
  startMove,
  wrongKeys,
} from './scenario-world.js';

const KEYS = keysNamed('key-', 60);
const same = (key: string): string => key;

const membersOf = (map: ShardMap, shard: number): string[] =>
  map.shards.find(({ id }) => id === shard)!.members.map(({ node }) => node);
const keysOf = (map: ShardMap, shard: number, keys = KEYS): string[] =>
  keys.filter((key) => ownerOf(map, key) === shard);
const inSlots = (slots: string, keys: readonly string[]): string[] => {
  const ranges = slots.split(',').map((range) => range.split('-').map(Number));
  return keys.filter((key) => {
    const slot = slotOfKey(Buffer.from(key));
    return ranges.some(([first, last]) => slot >= first! && slot <= (last ?? first!));
  });
};

describe('a shard that is down', () => {
  it('StaticShards: exactly its keys fail, with 503 that says why, at every node; all are back after a restart', async () => {
    const cluster = await SimCluster.healthy({ nodes: 6, shards: 2, seed: 201 });
    await putAll(cluster, KEYS, same);
    const map = mapOf(cluster);
    const down = membersOf(map, 2);
    const up = idsOf(cluster).filter((id) => !down.includes(id));
    expect([down.length, up.length]).toEqual([3, 3]);
    for (const id of down) cluster.kill(id);
    const [fine, lost] = [keysOf(map, 1), keysOf(map, 2)];
    expect(Math.min(fine.length, lost.length)).toBeGreaterThan(10);
    await cluster.until(() => cluster.leaderOf(1) !== null, 's1 to have a leader');
    for (const id of up) {
      await putAll(cluster, fine, same, id);
      expect(await wrongKeys(cluster, fine, same, id)).toEqual([]);
      const asked = lost.flatMap((key) => [get(key), put(key, 'never')]);
      const outcomes = await cluster.settle(
        Promise.all(asked.map((request) => cluster.send(id, request, { timeout_ms: 500 }))),
      );
      for (const outcome of outcomes) {
        if (outcome.kind !== 'failed') throw new Error(`${id} answers ${JSON.stringify(outcome)}`);
        const { code, shard, detail } = outcome.error;
        expect([ERROR_MEANINGS[code].status, shard]).toEqual([503, 's2']);
        expect(detail).toMatch(/s2/);
      }
    }
    // By now the nodes have noticed who is away: a client is told.
    await cluster.scheduler.runFor(12_000);
    const told = await cluster.execute(up[0]!, get(lost[0]!), { timeout_ms: 500 });
    for (const id of down) expect(JSON.stringify(told)).toContain(`${id} is down`);
    for (const id of down) await cluster.start(id);
    await cluster.untilHealthy();
    for (const id of idsOf(cluster)) expect(await wrongKeys(cluster, KEYS, same, id)).toEqual([]);
  });
});

describe('a client with a wrong map', () => {
  const SLOTS = '0-1199';
  const MOVING = inSlots(SLOTS, keysNamed('key-', 800));

  /**
   * While the plan runs, keys are written through any node, and read at every node without being passed on: what a client
   * with a wrong map gets. Kinds and codes of the answers, and those that were older than what was acknowledged before.
   */
  async function readDuring(cluster: SimCluster): Promise<{ kinds: Set<string>; wrong: string[] }> {
    const kinds = new Set<string>();
    const wrong: string[] = [];
    const acknowledged = new Map<string, number>();
    const writing = new Set<string>();
    let open = 0;
    const write = async (key: string, n: number, at: string): Promise<void> => {
      // One at a time of each key: writes that overlap may take effect in any order.
      if (writing.has(key)) return;
      writing.add(key);
      open++;
      const outcome = await cluster.send(at, put(key, `${n}`));
      if (outcome.kind === 'stored') acknowledged.set(key, n);
      writing.delete(key);
      open--;
    };
    const read = async (key: string, at: string): Promise<void> => {
      const least = acknowledged.get(key) ?? 0;
      const outcome = await cluster.send(at, get(key), { noForward: true, timeout_ms: 200 });
      kinds.add(outcome.kind === 'failed' ? outcome.error.code : outcome.kind);
      if (outcome.kind === 'found' && Number(outcome.value) < least)
        wrong.push(`${key}: ${outcome.value} after ${least}`);
      open--;
    };
    const ids = idsOf(cluster);
    for (let n = 1; cluster.controller().runningPlan() !== null; n++) {
      open += ids.length;
      void write(MOVING[n % MOVING.length]!, n, ids[n % ids.length]!);
      for (const [i, id] of ids.entries()) void read(MOVING[(n - i + MOVING.length) % MOVING.length]!, id);
      await cluster.scheduler.runFor(2);
    }
    await cluster.until(() => open === 0, 'all answers');
    return { kinds, wrong };
  }

  it('Rejection: is told who owns the key, or gets the right value: during the move and after it', async () => {
    const cluster = await SimCluster.healthy({ nodes: 6, shards: 2, seed: 202 });
    await putAll(cluster, MOVING, () => '0');
    const clients = ['routed', 'direct'].map((name) => clientOf(cluster, name, { direct: name === 'direct' }));
    for (const client of clients) for (const key of MOVING) await cluster.settle(client.get(key));
    // Each link is as slow as chance wants: some nodes hear of new maps long after others.
    cluster.network.setFaults({ delayMin_ms: 0.1, delayMax_ms: 60 });
    await startMove(cluster, SLOTS, 's2');
    const { kinds, wrong } = await readDuring(cluster);
    cluster.network.setFaults({ delayMax_ms: 1 });
    expect(wrong).toEqual([]);
    expect([...kinds].filter((kind) => !/^(found|wrong_shard|slot_moving|no_leader|unavailable)$/.test(kind))).toEqual(
      [],
    );
    expect(kinds).toContain('wrong_shard');

    await putAll(cluster, MOVING, (key) => `${key} again`);
    const { epoch } = mapOf(cluster);
    await cluster.until(() => cluster.nodes.every(({ maps }) => maps.epoch === epoch), 'every node to know the map');
    const former = membersOf(mapOf(cluster), 1)[0]!;
    for (const key of MOVING) {
      const told = await cluster.execute(former, get(key), { noForward: true });
      expect(told).toMatchObject({ kind: 'failed', error: { code: 'wrong_shard', shard: 's2', epoch } });
    }
    for (const client of clients) {
      for (const key of MOVING) expect(String((await cluster.settle(client.get(key)))?.value)).toBe(`${key} again`);
      client.close();
    }
  });

  it('Rejection: a node that has missed the move, and those who ask it, get no old and no empty value', async () => {
    const cluster = await SimCluster.healthy({ nodes: 6, shards: 2, seed: 203 });
    await putAll(cluster, KEYS, same);
    const epoch = mapOf(cluster).epoch;
    // It led the source, and knows nothing of what has happened since.
    const sleeper = cluster.leaderOf(1)!;
    cluster.machine(sleeper).clock!.pause();
    // They have arrived before it wakes up: it looks at them with the map that it remembers.
    const alone = KEYS.map((key) => cluster.send(sleeper, get(key), { noForward: true, timeout_ms: 2_000 }));
    const passedOn = KEYS.map((key) => cluster.send(sleeper, get(key)));
    const awake = idsOf(cluster).filter((id) => id !== sleeper);
    const others = (group: number): boolean => awake.some((id) => cluster.node(id).host.get(group)?.leads === true);
    await cluster.until(() => others(0) && others(1) && others(2), 'leaders among those who are awake');
    await startMove(cluster, formatSlots(mapOf(cluster).shards[0]!.slots), 's2', awake[0]!);
    await cluster.planOver();
    await putAll(cluster, KEYS, (key) => `${key} again`, awake[0]!);
    expect(cluster.node(sleeper).maps.epoch).toBe(epoch);
    cluster.machine(sleeper).clock!.resume();
    for (const outcome of await cluster.settle(Promise.all(alone))) {
      expect(outcome.kind === 'found' || outcome.kind === 'missing').toBe(false);
    }
    for (const [i, outcome] of (await cluster.settle(Promise.all(passedOn))).entries()) {
      expect(outcome).toMatchObject({ kind: 'found', value: Buffer.from(`${KEYS[i]} again`) });
    }
    expect(await wrongKeys(cluster, KEYS, (key) => `${key} again`, sleeper)).toEqual([]);
  });
});

describe('a plan of which one source is dead', () => {
  it('Unaffected, Partial: what stays and what has arrived is read and written meanwhile; the plan ends when the source is back', async () => {
    const cluster = await SimCluster.healthy({ nodes: 9, shards: 3, seed: 204 });
    const keys = keysNamed('key-', 400);
    await putAll(cluster, keys, same);
    const before = mapOf(cluster);
    const dead = membersOf(before, 1).slice(1);
    const at = membersOf(before, 3)[0]!;
    const first = (shard: number): number => before.shards.find(({ id }) => id === shard)!.slots[0]![0];
    const stuck = `${first(1)}-${first(1) + 999}`;
    const fine = `${first(2)}-${first(2) + 999}`;
    for (const id of dead) cluster.kill(id);
    await cluster.until(() => cluster.leaderOf(0) !== null, 'a leader of the controller');
    const plan = await startMove(cluster, `${stuck},${fine}`, 's3', at);
    const arrives = inSlots(fine, keys);
    const stays = [...keysOf(before, 2, keys).filter((key) => !arrives.includes(key)), ...keysOf(before, 3, keys)];
    expect(Math.min(arrives.length, stays.length, inSlots(stuck, keys).length)).toBeGreaterThan(10);

    const outcomes: KvOutcome[] = [];
    let asked = 0;
    const arrived = (): boolean => arrives.every((key) => ownerOf(mapOf(cluster), key) === 3);
    for (let i = 0; !arrived(); i++) {
      const key = stays[i % stays.length]!;
      for (const request of [put(key, `${key} ${i}`), get(key)]) {
        asked++;
        void cluster.send(at, request, { timeout_ms: 300 }).then((outcome) => outcomes.push(outcome));
      }
      await cluster.scheduler.runFor(20);
    }
    await cluster.until(() => outcomes.length === asked, 'all answers');
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['stored', 'found']));
    expect(cluster.controller().plan(plan)!.status).toBe('running');
    await putAll(cluster, arrives, (key) => `${key} at s3`, at);
    expect(await wrongKeys(cluster, arrives, (key) => `${key} at s3`, at)).toEqual([]);
    const lost = await cluster.execute(at, get(inSlots(stuck, keys)[0]!), { timeout_ms: 300 });
    expect(lost).toMatchObject({
      kind: 'failed',
      error: { code: expect.stringMatching(/^(no_leader|unavailable)$/), shard: 's1' },
    });

    for (const id of dead) await cluster.start(id);
    await planDone(cluster, plan);
    for (const key of inSlots(stuck, keys)) expect(ownerOf(mapOf(cluster), key)).toBe(3);
    expect(await wrongKeys(cluster, inSlots(stuck, keys), same, at)).toEqual([]);
  });
});

describe('shards that come and go all the time', () => {
  /** Of clients that ask one after the other: how many were answered, and the slowest, in ms. */
  async function throughput(cluster: SimCluster, keys: readonly string[], until: () => boolean) {
    let count = 0;
    let slowest_ms = 0;
    let running = true;
    const from_ms = cluster.scheduler.now_ms;
    const client = async (i: number): Promise<void> => {
      for (let n = 0; running; n++) {
        const key = keys[(i + 7 * n) % keys.length]!;
        const sent_ms = cluster.scheduler.now_ms;
        const outcome = await cluster.send(idsOf(cluster)[i % 4]!, n % 2 === 0 ? put(key, `${n}`) : get(key));
        expect(outcome.kind).toBe(n % 2 === 0 ? 'stored' : 'found');
        slowest_ms = Math.max(slowest_ms, cluster.scheduler.now_ms - sent_ms);
        count++;
      }
    };
    const clients = Promise.all([0, 1, 2, 3].map(client));
    await cluster.until(until, 'the time to be over', 600_000);
    running = false;
    await cluster.settle(clients);
    return { perSecond: (1_000 * count) / (cluster.scheduler.now_ms - from_ms), slowest_ms };
  }

  it('F63 ProgressUnderChurn: keys outside the moving slots keep their throughput', async () => {
    const cluster = await SimCluster.healthy({ nodes: 4, shards: 2, seed: 205 });
    const moving = '0-1999';
    const keys = keysNamed('key-', 200).filter((key) => inSlots(moving, [key]).length === 0);
    await putAll(cluster, KEYS, same);
    await putAll(cluster, keys, same);
    const end_ms = cluster.scheduler.now_ms + 3_000;
    const quiet = await throughput(cluster, keys, () => cluster.scheduler.now_ms >= end_ms);
    let plans = 0;
    let churning = true;
    const churn = (async (): Promise<void> => {
      for (; churning; plans++) {
        const { id } = granted(
          await cluster
            .node('n4')
            .admin.move({ slots: moving, to: plans % 2 === 0 ? 's2' : 's1', dry_run: false }, 5_000),
        );
        while (cluster.controller().plan(id)?.status !== 'done') {
          await new Promise<void>((resume) => cluster.scheduler.after(5, resume));
        }
      }
    })();
    const busy = await throughput(cluster, keys, () => plans >= 6);
    churning = false;
    await cluster.settle(churn, 120_000);
    expect(busy.perSecond).toBeGreaterThan(0.8 * quiet.perSecond);
    // No more than two syncs and two hops that some command of the move came first.
    expect(busy.slowest_ms).toBeLessThan(quiet.slowest_ms + 15);
  });
});

describe('counts', () => {
  it('KeyCounts: sum up to the keys that were written, each shard within 25 % of even, also after a reshard', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 2, seed: 206 });
    const keys = keysNamed('user/', 600);
    await putAll(cluster, keys, same);
    await putAll(cluster, keys.slice(0, 100), (key) => `${key} again`);
    for (const shards of [2, 4]) {
      if (shards === 4) await reshard(cluster, 4);
      for (const id of idsOf(cluster)) {
        const view = granted(await cluster.settle(cluster.node(id).admin.cluster(2_000)));
        const counts = view.shards.map((shard) => shard.keys ?? Number.NaN);
        expect(counts).toHaveLength(shards);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(600);
        for (const count of counts) expect(Math.abs(count - 600 / shards)).toBeLessThanOrEqual(0.25 * (600 / shards));
      }
    }
  });
});
