/**
 * Slots go to the other shard and back again, over and over, under load, while plans are paused midway, nodes are killed and
 * start again, or stand still for a while. What was deleted never comes back (F60), what was acknowledged is there, and in
 * the end all replicas are the same.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MapView, QuorateClient } from '../../src/kv/client/index.js';
import { runCli } from '../kv/cli/run-cli.js';
import { keysInSlots, slotsOf } from './keys.js';
import { countTroubles, eachOnce, fill, Load, newHistory } from './load.js';
import { LocalCluster, type LocalNode, until } from './local-cluster.js';
import { note } from './report.js';
import { courseBetween, ownersOf, planEnd, startMove, steerPlan, untilMidway } from './resharding.js';
import { KEPT, listedKeys, verdictOn } from './verify.js';

/** 100 is what the product is accepted by. */
const ROUNDS = Number(process.env['QUORATE_E2E_THERE_AND_BACK'] ?? 2);
/** Half of what s1 has: eight batches at least, so that something can happen in between. */
const SLOTS = '0-4095';
const STAY = '4096-16383';
/** Keys that are deleted at each stage of a round. */
const DEATHS = 6;
const GRAVES = 'grave/';
/** Longer than a follower waits for its leader. */
const STILL_MS = 1_500;
/** What a client that sends everything once must live with when nodes die or stand still, and nothing else. */
const HONEST = /^plain ((put|delete) outcome_unknown|(put|get|delete) (ECONNRESET|ECONNREFUSED|EPIPE))$/;

let cluster: LocalCluster;
let client: QuorateClient;
let load: Load;
/** As it was when the last plan was over. */
let map: MapView;
let lastPlan = '';
const history = newHistory();
const keys = [...keysInSlots(SLOTS, 'moving/', 240), ...keysInSlots(STAY, 'staying/', 60)];
/** Keys that are written once and deleted once, and then left alone: whoever shows one after that has brought it back. */
const graves: string[] = [];
const living = new Set<string>();

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
  map = await cluster.map();
  client = new QuorateClient({ endpoints: cluster.endpoints, timeout_ms: 30_000 });
  await fill(cluster.endpoints, keys, history);
  const mix = { puts: 0.45, deletes: 0.15, pause_ms: 20 };
  load = Load.start({ endpoints: cluster.endpoints, safe: 6, plain: 6, keys, ...mix, history });
}, 60_000);
afterAll(async () => {
  await load.stop();
  client.close();
  await cluster.close();
});

const writesGoOn = async (): Promise<void> => {
  const before = load.acknowledged;
  await until('writes', 20_000, async () => load.acknowledged > before + 100);
};

interface Disturbance {
  readonly name: string;
  /** False: the plan was over before. */
  readonly happen: (plan: string, victim: LocalNode) => Promise<boolean>;
}

const DISTURBANCES: readonly Disturbance[] = [
  {
    name: 'paused',
    async happen(plan) {
      if ((await steerPlan(cluster, plan, 'pause')) === null) return false;
      await writesGoOn();
      return (await steerPlan(cluster, plan, 'resume')) !== null;
    },
  },
  {
    name: 'killed',
    async happen(_plan, victim) {
      await cluster.kill(victim);
      await writesGoOn();
      await cluster.whenReady(victim);
      return true;
    },
  },
  {
    name: 'stopped',
    async happen(_plan, victim) {
      victim.process?.kill('SIGSTOP');
      await sleep(STILL_MS);
      victim.process?.kill('SIGCONT');
      await cluster.whenReady(victim);
      return true;
    },
  },
];

/** Each disturbance on each of both ways in turn, at the leader of another group when all have been through. */
const disturbanceOf = (round: number) => ({
  disturbance: DISTURBANCES[round % DISTURBANCES.length]!,
  way: round % 2 === 0 ? 's2' : 's1',
  group: ['s1', 's2', 'controller'][Math.floor(round / 6) % 3]!,
});

async function bury(dying: readonly string[]): Promise<void> {
  await eachOnce('delete', cluster.endpoints, dying, history);
  for (const key of dying) living.delete(key);
}

const expectTheLivingOnly = async (): Promise<void> => {
  expect(await listedKeys(client, GRAVES)).toEqual([...living].sort());
};

function haveArrived(now: MapView, shard: string): boolean {
  const owners = ownersOf(now);
  return [...slotsOf(SLOTS)].every((slot) => owners[slot] === shard);
}

/** Resolves once the slots are there; false: the plan was over before anything could happen to it. */
async function move(to: string, dying: readonly string[], round: number): Promise<boolean> {
  const { disturbance, way, group } = disturbanceOf(round);
  const victim = await cluster.leaderOf(group);
  const before = map;
  const { id } = await startMove(cluster, SLOTS, to);
  const disturbed = async (): Promise<boolean> =>
    way !== to || ((await untilMidway(cluster, before, id)) && (await disturbance.happen(id, victim)));
  const [midway] = await Promise.all([disturbed(), bury(dying)]);
  const plan = await planEnd(cluster, id);
  expect({ state: plan.state, reason: plan.reason }).toEqual({ state: 'done', reason: undefined });
  map = await until(`${to} to own ${SLOTS}`, 10_000, async () => {
    const now = await cluster.map();
    return haveArrived(now, to) ? now : null;
  });
  const { ownerless, movedTwice } = await courseBetween(cluster, before, map);
  expect({ ownerless, movedTwice }).toEqual({ ownerless: 0, movedTwice: 0 });
  await cluster.whenHealthy();
  await expectTheLivingOnly();
  lastPlan = id;
  return midway;
}

/** Keys of its own die on each way, at the other shard, and at home: the next round finds what they have left behind. */
async function thereAndBack(round: number): Promise<boolean> {
  const born = keysInSlots(SLOTS, `${GRAVES}${round}/`, 4 * DEATHS);
  const dying = (stage: number): readonly string[] => born.slice(stage * DEATHS, (stage + 1) * DEATHS);
  await eachOnce('put', cluster.endpoints, born, history);
  graves.push(...born);
  for (const key of born) living.add(key);
  const there = await move('s2', dying(0), round);
  await bury(dying(1));
  const back = await move('s1', dying(2), round);
  await bury(dying(3));
  await expectTheLivingOnly();
  return there && back;
}

describe(`slots that go there and back ${ROUNDS} times, under load`, () => {
  it(
    'bring nothing old back, whatever happens midway (F60)',
    async () => {
      let midway = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const begun_ms = performance.now();
        const troubles = load.troubles.length;
        const happened = await thereAndBack(round);
        if (happened) midway++;
        const { disturbance, way, group } = disturbanceOf(round);
        note(`there and back ${round + 1}: ${disturbance.name} on the way to ${way}, ${group}`, {
          took_ms: Math.round(performance.now() - begun_ms),
          happened,
          slowest: load.takeSlowest(),
          troubles: countTroubles(load.troubles.slice(troubles)),
        });
        expect(Object.keys(countTroubles(load.troubles)).filter((trouble) => !HONEST.test(trouble))).toEqual([]);
      }
      expect(midway, 'most plans were over before anything could happen to them').toBeGreaterThanOrEqual(ROUNDS / 2);
    },
    30_000 + ROUNDS * 30_000,
  );

  it('have lost, doubled and changed nothing', async () => {
    await load.stop();
    note('judged', { operations: history.operations().length, graves: graves.length });
    expect(await verdictOn(cluster.endpoints, [...keys, ...graves], history)).toEqual(KEPT);
    await expectTheLivingOnly();
  }, 120_000);

  it('leave replicas that are all the same, and receipts that hold', async () => {
    const shards = map.shards.map(({ id }) => id).join();
    const wishes = ['--shard', shards, '--plan', lastPlan, '--watch', '--endpoints', cluster.endpoints.join()];
    const verified = await runCli(['verify', ...wishes]);
    expect(verified.exit, `${verified.out}${verified.err}`).toBe(0);
  }, 60_000);
});
