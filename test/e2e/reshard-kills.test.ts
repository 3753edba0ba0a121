/**
 * Leaders die in the middle of a reshard (F54): the controller's, a source's, a destination's. The plan ends by itself,
 * clients that may retry never notice, the others see nothing but a lost connection or an honest "outcome unknown".
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysNamed } from './keys.js';
import { countTroubles, fill, Load, newHistory } from './load.js';
import { LocalCluster, until } from './local-cluster.js';
import { note } from './report.js';
import { courseBetween, FLAWLESS, planEnd, shardsOnDisk, startReshard, untilMidway } from './resharding.js';
import { KEPT, verdictByList } from './verify.js';

const KEYS = 4_000;
const PREFIX = 'kills/';
/** What a client that sends everything once must live with when nodes die, and nothing else. */
const HONEST = /^plain (put outcome_unknown|(put|get) (ECONNRESET|ECONNREFUSED|EPIPE))$/;

let cluster: LocalCluster;
let load: Load;
const keys = keysNamed(PREFIX, KEYS).sort();
const history = newHistory();

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 1 });
  await fill(cluster.endpoints, keys, history);
  load = Load.start({ endpoints: cluster.endpoints, safe: 8, plain: 8, keys, deletes: 0, puts: 0.5, history });
}, 120_000);
afterAll(async () => {
  await load.stop();
  await cluster.close();
});

const STEPS = [
  { shards: 3, dies: 'the controller', pick: () => 'controller' },
  { shards: 4, dies: 'a source', pick: (moves: readonly { from: string; to: string }[]) => moves.at(-1)!.from },
  { shards: 2, dies: 'a destination', pick: (moves: readonly { from: string; to: string }[]) => moves.at(-1)!.to },
] as const;

describe('a reshard whose leaders die', () => {
  it.each(STEPS)(
    'to $shards shards ends by itself although the leader of $dies is killed midway (F54)',
    async ({ shards, dies, pick }) => {
      const before = await cluster.map();
      const troubles = load.troubles.length;
      const start_ms = performance.now();
      const plan = await startReshard(cluster, shards);
      const victim = await cluster.leaderOf(pick(plan.moves));
      const midway = await untilMidway(cluster, before, plan.id);
      expect(midway, 'the plan was over before anybody could be killed').toBe(true);
      await cluster.kill(victim);
      const again = load.acknowledged;
      await until('writes without the dead node', 20_000, async () => load.acknowledged > again + 100);
      await cluster.whenReady(victim);
      const ended = await planEnd(cluster, plan.id);
      note(`to ${shards} shards, the leader of ${dies} killed`, {
        took_ms: Math.round(performance.now() - start_ms),
        pause_ms_max: Math.round(Math.max(...ended.moves.map((move) => move.pause_ms ?? 0))),
        slowest: load.takeSlowest(),
        troubles: countTroubles(load.troubles.slice(troubles)),
      });
      expect({ state: ended.state, reason: ended.reason }).toEqual({ state: 'done', reason: undefined });
      const dishonest = load.troubles
        .slice(troubles)
        .filter(({ kind, operation, code }) => !HONEST.test(`${kind} ${operation} ${code}`));
      expect(dishonest).toEqual([]);
      const after = await cluster.map();
      expect(after.shards).toHaveLength(shards);
      expect(await courseBetween(cluster, before, after)).toEqual(FLAWLESS);
      const expected = cluster.nodes.flatMap((node) => after.shards.map((shard) => `${node.id}/${shard.id}`)).sort();
      await until(
        'only living shards on every disk',
        15_000,
        async () => String(shardsOnDisk(cluster)) === String(expected),
      );
    },
    120_000,
  );

  it('has lost, doubled and changed nothing', async () => {
    await load.stop();
    const { keys: listed, ...verdict } = await verdictByList(cluster.endpoints, PREFIX, history);
    expect(verdict).toEqual(KEPT);
    expect(listed).toEqual(keys);
    const counts = (await cluster.clusterView()).shards.map((shard) => shard.keys ?? Number.NaN);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(KEYS);
  }, 60_000);
});
