/** Hash tags put most bytes of a cluster into one shard: a reshard by bytes evens that out while clients read. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QuorateClient } from '../../src/kv/client/index.js';
import { slotOfKey } from '../../src/shardctrl/index.js';
import { keysNamed } from './keys.js';
import { LocalCluster, until } from './local-cluster.js';
import { note } from './report.js';
import { courseBetween, planEnd } from './resharding.js';

/** Of the first of two shards, each in a slot of its own. */
const TAGS = keysNamed('tag', 500)
  .filter((tag) => slotOfKey(Buffer.from(tag)) < 8_192)
  .slice(0, 24);
const KEYS = TAGS.flatMap((tag, i) => keysNamed(`{${tag}}/`, 4).map((key) => ({ key, value: `${i}`.repeat(4_000) })));

let cluster: LocalCluster;
let client: QuorateClient;

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
  client = new QuorateClient({ endpoints: cluster.endpoints });
  await Promise.all(KEYS.map(({ key, value }) => client.put(key, value)));
}, 60_000);
afterAll(async () => {
  client.close();
  await cluster.close();
});

/** Bytes by shard, once every leader tells. */
const bytes = (): Promise<readonly number[]> =>
  until('every shard to tell its bytes', 10_000, async () => {
    const held = (await cluster.clusterView()).shards.map((shard) => shard.bytes);
    return held.some((each) => each === null) ? null : held.map(Number);
  });

describe('a reshard by bytes', () => {
  it('leaves each shard within its largest slot of half, as the dry run said, and loses nothing', async () => {
    const before = await cluster.map();
    const [first, second] = await bytes();
    expect(second).toBe(0);
    const planned = await client.reshard({ shards: 2, by: 'bytes', dryRun: true });
    expect(planned.balance?.map((share) => share.bytes_before)).toEqual([first, 0]);
    const start_ms = performance.now();
    const { id } = await client.reshard({ shards: 2, by: 'bytes' });
    let over = false;
    const end = planEnd(cluster, id).finally(() => {
      over = true;
    });
    for (let i = 0; !over; i++) {
      const { key, value } = KEYS[i % KEYS.length]!;
      expect(String((await client.get(key))?.value)).toBe(value);
    }
    const done = await end;
    note('by bytes', {
      took_ms: Math.round(performance.now() - start_ms),
      predicted_ms: planned.predicted?.time_ms ?? null,
      batches: planned.predicted?.batches ?? null,
    });
    expect(done).toMatchObject({ state: 'done', by: 'bytes', balance: planned.balance });
    const after = await bytes();
    expect(after).toEqual(done.balance?.map((share) => share.bytes_after));
    // The slots are of about one size.
    const largest = (2 * first!) / TAGS.length;
    for (const held of after) expect(Math.abs(held - first! / 2)).toBeLessThanOrEqual(largest);
    for (const { key, value } of KEYS) expect(String((await client.get(key))?.value)).toBe(value);
    const { ownerless, movedTwice } = await courseBetween(cluster, before, await cluster.map());
    expect({ ownerless, movedTwice }).toEqual({ ownerless: 0, movedTwice: 0 });
    // Nothing more to even out: a repetition moves nothing.
    expect((await client.reshard({ shards: 2, by: 'bytes', dryRun: true })).moves).toEqual([]);
  }, 60_000);
});
