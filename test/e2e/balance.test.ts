/**
 * Load that is not spread evenly, on real nodes: one hash tag that is hotter than a shard should be is found, and nothing is
 * moved for it; of several that are hot together enough move to the other shard by themselves, and their clients do not notice.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { BalanceView, HotView, PlanView } from '../../src/kv/client/index.js';
import { slotOfKey } from '../../src/shardctrl/index.js';
import { keysNamed, slotsOf, tagsOfShard } from './keys.js';
import { LocalCluster, until } from './local-cluster.js';
import { jsonOf, keyPath, plain } from './plain-http.js';
import { note } from './report.js';
import { planEnd } from './resharding.js';

const PATIENCE_MS = 60_000;

/** One client a key: writes it and reads it back, through all nodes in turn, as fast as it is answered. */
class Press {
  readonly troubles: string[] = [];
  requests = 0;
  readonly #endpoints: readonly string[];
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(endpoints: readonly string[], keys: readonly string[]) {
    this.#endpoints = endpoints;
    this.#clients = keys.map((key) => this.#run(key));
  }

  async #run(key: string): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const value = `${key} ${Math.floor(i / 4)}`;
      const write = i % 4 === 0;
      const at = this.#endpoints[i % this.#endpoints.length]!;
      const answer = await plain(at, keyPath(key), write ? { method: 'PUT', body: value } : {});
      this.requests++;
      const well = write ? answer.status === 200 || answer.status === 201 : String(answer.body) === value;
      if (!well) this.troubles.push(`${write ? 'PUT' : 'GET'} ${key}: ${answer.status} ${answer.body}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }
}

let cluster: LocalCluster;
let press: Press | null = null;
afterEach(async () => {
  await press?.stop();
  press = null;
  await cluster.close();
});

const ask = async <T>(path: string): Promise<T> => jsonOf<T>(await plain(cluster.endpoints[0]!, path));
const settings = async (body: object): Promise<void> => {
  const answer = await plain(cluster.endpoints[2]!, '/v1/admin/balance', {
    method: 'PUT',
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
};

describe('load that is not spread evenly', () => {
  it('because of one hot hash tag is told so, with its slot and keys, and nothing moves', {
    timeout: 120_000,
  }, async () => {
    cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
    await settings({ auto: true, hold_s: 1 });
    const [tag] = (await tagsOfShard(cluster, 's1', 'hot', 1)) as [string];
    const slot = slotOfKey(Buffer.from(tag));
    press = new Press(cluster.endpoints, keysNamed(tag, 16));
    const hot = await until('the hot slot', PATIENCE_MS, async () => {
      const view = await ask<HotView>('/v1/cluster/hot?limit=3');
      const complete = view.silent_nodes.length === 0 && view.silent_shards.length === 0;
      return complete && (view.slots[0]?.share ?? 0) > 0.9 && view.keys.length === 3 ? view : null;
    });
    expect(hot.slots[0]).toMatchObject({ slot, shard: 's1' });
    for (const { key } of hot.keys) expect(key.startsWith(tag)).toBe(true);
    const { balance } = await until('the cluster to say that it is stuck', PATIENCE_MS, async () => {
      const view = await cluster.clusterView();
      return view.balance?.state === 'stuck' ? view : null;
    });
    expect(balance!.detail).toContain(`slot ${slot} alone is`);
    expect((await plain(cluster.endpoints[1]!, '/v1/admin/reshard')).status).toBe(404);
    const metrics = String((await plain(cluster.endpoints[0]!, '/metrics')).body);
    expect(metrics).toMatch(/^quorate_shard_reads_per_second\{.*group="s1".*\} \d/m);
    await press.stop();
    expect(press.troubles).toEqual([]);
  });

  it('over several slots of one shard is by itself in the end, under load', { timeout: 180_000 }, async () => {
    cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
    await settings({ auto: true, hold_s: 5 });
    const tags = await tagsOfShard(cluster, 's1', 'busy', 6);
    press = new Press(
      cluster.endpoints,
      tags.flatMap((tag) => keysNamed(tag, 4)),
    );
    const { id } = await until('a plan', PATIENCE_MS, async () => {
      const answer = await plain(cluster.endpoints[1]!, '/v1/admin/reshard');
      return answer.status === 200 ? jsonOf<PlanView>(answer) : null;
    });
    const plan = await planEnd(cluster, id);
    expect({ state: plan.state, reason: plan.reason }).toEqual({ state: 'done', reason: undefined });
    expect(plan.cause).toMatch(/^by itself: s1 carries \d+ % of the load/);
    expect(plan.moves.every(({ from, to }) => from === 's1' && to === 's2')).toBe(true);
    const moved = plan.moves.flatMap(({ slots }) => [...slotsOf(slots)]);
    const busy = new Set(tags.map((tag) => slotOfKey(Buffer.from(tag))));
    expect(moved.length).toBeGreaterThan(0);
    expect(moved.length).toBeLessThan(6);
    expect(moved.every((slot) => busy.has(slot))).toBe(true);
    const after = await until('the balance', PATIENCE_MS, async () => {
      const view = await ask<BalanceView>('/v1/admin/balance');
      return view.state === 'balanced' ? view : null;
    });
    for (const { load_share } of after.shards) expect(load_share).toBeLessThan(0.66);
    await press.stop();
    note('balanced', {
      moved: moved.length,
      pauses_ms: plan.moves.map(({ pause_ms }) => pause_ms),
      requests: press.requests,
    });
    expect(press.troubles).toEqual([]);
    expect(press.requests).toBeGreaterThan(500);
  });
});
