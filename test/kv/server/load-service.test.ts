/** The load of a cluster out of what its nodes say. */
import { describe, expect, it } from 'vitest';
import { pack } from '../../../src/kv/server/json-rpc.js';
import { encodeRates, encodeSizes, type LoadAnswer } from '../../../src/kv/server/load-codec.js';
import type { LoadMeter } from '../../../src/kv/server/load-meter.js';
import { LoadService } from '../../../src/kv/server/load-service.js';
import type { CallResult, Rpc } from '../../../src/kv/server/rpc.js';
import { completed, type ShardMap } from '../../../src/shardctrl/index.js';

const MAP: ShardMap = completed({
  clusterId: 'c',
  epoch: 1,
  shards: [
    { id: 1, slots: [[0, 99]], members: [{ node: 'n1', replica: 1 }] },
    { id: 2, slots: [[100, 16_383]], members: [{ node: 'n2', replica: 1 }] },
  ],
  nodes: ['n1', 'n2', 'n3', 'n4'].map((id) => ({ id, http: id, peer: id, labels: {}, incarnation: id })),
});

const NOTHING: LoadAnswer = { rates: Buffer.alloc(0), leads: [], keys: [], floor: 0 };
const key = (name: string, rate: number, excess = 0, deviation = 0) => ({
  key: Buffer.from(name),
  rate,
  excess,
  deviation,
});
const leads = (shard: number, term: number, bytes: number) => ({
  shard,
  term,
  sizes: encodeSizes([{ slot: shard === 1 ? 5 : 200, bytes }]),
});

/** n1 asks; it hosts nothing itself. A node that is not listed does not answer. */
function gathered(answers: Readonly<Record<string, LoadAnswer | 'nonsense'>>, down: readonly string[] = []) {
  const asked: string[] = [];
  const rpc = {
    handle: () => undefined,
    ask: async (to: string): Promise<CallResult> => {
      asked.push(to);
      const answer = answers[to];
      if (answer === undefined) return { kind: 'lost' };
      return { kind: 'reply', body: answer === 'nonsense' ? Buffer.from('x') : pack(answer) };
    },
  } as unknown as Rpc;
  const service = new LoadService({
    self: 'n1',
    host: { groups: () => [], get: () => undefined },
    rpc,
    meter: { slots: () => [], keys: () => ({ keys: [], floor: 0 }) } as unknown as LoadMeter,
    down: (node) => down.includes(node),
    failed: (error) => {
      throw error;
    },
  });
  return service.gather(MAP, { sizes: true }, 1_000).then((load) => ({ load, asked }));
}

describe('the load of the cluster', () => {
  it('is the sum of what nodes say, with bytes as the leader of the latest term says', async () => {
    const { load } = await gathered({
      n2: { ...NOTHING, rates: encodeRates([{ slot: 5, reads: 2, writes: 1 }]), leads: [leads(1, 3, 10)] },
      n3: { ...NOTHING, rates: encodeRates([{ slot: 5, reads: 4, writes: 0 }]), leads: [leads(1, 4, 30)] },
      n4: { ...NOTHING, leads: [leads(1, 2, 20), leads(2, 1, 7)] },
    });
    expect([load.reads[5], load.writes[5], load.bytes[5], load.bytes[200]]).toEqual([6, 1, 30, 7]);
    expect([load.silentNodes, load.silentShards]).toEqual([[], []]);
  });

  it('names who is down, does not answer or says what nobody understands, and the shards without a word', async () => {
    const { load, asked } = await gathered({ n2: { ...NOTHING, leads: [leads(2, 1, 7)] }, n3: 'nonsense' }, ['n4']);
    expect([load.silentNodes, load.silentShards]).toEqual([['n3', 'n4'], [1]]);
    expect(asked).toEqual(['n2', 'n3']);
  });

  it('has keys whose errors add up: what a node does not tell of may be as much as the least that it tells of', async () => {
    const { load } = await gathered({
      n2: { ...NOTHING, keys: [key('a', 10, 1, 3), key('b', 6)], floor: 0 },
      n3: { ...NOTHING, keys: [key('a', 20, 2, 4), key('c', 15, 0.5)], floor: 5 },
      n4: { ...NOTHING, keys: [key('b', 7, 0, 1)], floor: 2 },
    });
    expect(load.keys.map((one) => [String(one.key), one.rate, one.error])).toEqual([
      // Deviations as those of independent draws: 3 and 4 come to 5.
      ['a', 30, 1 + 2 + 2 + 2 * 5],
      ['c', 15, 0.5 + 2],
      ['b', 13, 5 + 2],
    ]);
  });
});
