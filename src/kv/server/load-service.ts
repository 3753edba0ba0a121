/**
 * The load of the whole cluster, put together from what each node says of what its own replicas have carried out. Nodes that do
 * not answer are left out, and the shards that nobody said it leads are named: nobody should conclude anything from them.
 */
import type { GroupId, NodeId, ReplicaHost } from '../../raft/index.js';
import { type LoadPort, type Measured, type ShardMap, SLOT_COUNT } from '../../shardctrl/index.js';
import type { KvStateMachine } from '../store/index.js';
import { CONTROLLER } from './controller-caller.js';
import { callJson, handleJson } from './json-rpc.js';
import {
  decodeRates,
  decodeSizes,
  encodeRates,
  encodeSizes,
  type LoadAnswer,
  loadAnswerSchema,
  loadRequestSchema,
} from './load-codec.js';
import type { LoadMeter } from './load-meter.js';
import { Method, type Rpc } from './rpc.js';

export interface LoadServiceOptions {
  readonly self: NodeId;
  readonly host: Pick<ReplicaHost, 'groups' | 'get'>;
  readonly rpc: Rpc;
  readonly meter: LoadMeter;
  /** The node has been silent for so long that nobody should wait for it. */
  readonly down: (node: NodeId) => boolean;
  readonly failed: (error: unknown) => void;
}

/** In requests a second. */
export interface KeyLoad {
  readonly key: Buffer;
  readonly rate: number;
  /** Most likely (two standard deviations) it is within so much of the truth. */
  readonly error: number;
}

/** Arrays by slot. */
export interface ClusterLoad {
  /** Requests a second. */
  readonly reads: Float64Array;
  readonly writes: Float64Array;
  /** Stored; all 0 where they were not asked for. */
  readonly bytes: Float64Array;
  /** The keys asked for most, the first one most. */
  readonly keys: readonly KeyLoad[];
  readonly silentNodes: readonly NodeId[];
  /** Shards of which nobody has said that it leads them. */
  readonly silentShards: readonly GroupId[];
}

export class LoadService implements LoadPort {
  readonly #options: LoadServiceOptions;

  constructor(options: LoadServiceOptions) {
    this.#options = options;
    const { rpc, failed } = options;
    handleJson(rpc, Method.Load, loadRequestSchema, async ({ sizes }) => this.#own(sizes), failed);
  }

  #own(sizes: boolean): LoadAnswer {
    const { meter } = this.#options;
    const { keys, floor } = meter.keys();
    return { rates: encodeRates(meter.slots()), leads: this.#led(sizes), keys, floor };
  }

  #led(sizes: boolean): LoadAnswer['leads'] {
    const { host } = this.#options;
    return host.groups().flatMap((shard) => {
      const replica = host.get(shard);
      if (shard === CONTROLLER || replica?.leads !== true) return [];
      const machine = replica.machine as KvStateMachine;
      const stats = sizes ? machine.slotStats(machine.servedSlots()) : [];
      return [{ shard, term: replica.term, sizes: encodeSizes(stats) }];
    });
  }

  async measure(map: ShardMap, timeout_ms: number): Promise<Measured> {
    const { reads, writes, bytes, silentShards } = await this.gather(map, { sizes: true }, timeout_ms);
    return { load: reads.map((rate, slot) => rate + writes[slot]!), bytes, silent: silentShards };
  }

  /** Waits for nobody longer than `timeout_ms`. */
  async gather(map: ShardMap, wanted: { readonly sizes: boolean }, timeout_ms: number): Promise<ClusterLoad> {
    const { self, rpc, down } = this.#options;
    const answers = new Map<NodeId, LoadAnswer>();
    const ask = async (node: NodeId): Promise<void> => {
      if (node === self) answers.set(node, this.#own(wanted.sizes));
      else if (!down(node)) {
        const called = await callJson(rpc, node, Method.Load, { sizes: wanted.sizes }, loadAnswerSchema, timeout_ms);
        if (called.kind === 'answer') answers.set(node, called.value);
      }
    };
    await Promise.all(map.nodes.map(({ id }) => ask(id)));
    const silentNodes = map.nodes.map(({ id }) => id).filter((id) => !answers.has(id));
    return merged(map, [...answers.values()], silentNodes);
  }
}

function merged(map: ShardMap, answers: readonly LoadAnswer[], silentNodes: readonly NodeId[]): ClusterLoad {
  const reads = new Float64Array(SLOT_COUNT);
  const writes = new Float64Array(SLOT_COUNT);
  for (const { rates } of answers) {
    for (const rate of decodeRates(rates)) {
      reads[rate.slot]! += rate.reads;
      writes[rate.slot]! += rate.writes;
    }
  }
  const bytes = new Float64Array(SLOT_COUNT);
  const leaders = leadersOf(answers);
  for (const { sizes } of leaders.values()) for (const size of decodeSizes(sizes)) bytes[size.slot] = size.bytes;
  const silentShards = map.shards.map(({ id }) => id).filter((id) => !leaders.has(id));
  return { reads, writes, bytes, keys: mergedKeys(answers), silentNodes, silentShards };
}

/** Of two that say so of one shard, the one of the later term is right. */
function leadersOf(answers: readonly LoadAnswer[]): ReadonlyMap<GroupId, LoadAnswer['leads'][number]> {
  const leaders = new Map<GroupId, LoadAnswer['leads'][number]>();
  for (const leading of answers.flatMap(({ leads }) => leads)) {
    const known = leaders.get(leading.shard);
    if (known === undefined || known.term < leading.term) leaders.set(leading.shard, leading);
  }
  return leaders;
}

/** A key that one node tells of may have been asked for at another as often as the least that is told of there. */
function mergedKeys(answers: readonly LoadAnswer[]): KeyLoad[] {
  const sums = new Map<string, { rate: number; excess: number; variance: number }>();
  const floors = answers.reduce((sum, { floor }) => sum + floor, 0);
  for (const { keys, floor } of answers) {
    for (const { key, rate, excess, deviation } of keys) {
      const name = Buffer.from(key).toString('latin1');
      const sum = sums.get(name) ?? { rate: 0, excess: floors, variance: 0 };
      sums.set(name, {
        rate: sum.rate + rate,
        excess: sum.excess + excess - floor,
        variance: sum.variance + deviation ** 2,
      });
    }
  }
  return [...sums]
    .map(([name, { rate, excess, variance }]) => {
      return { key: Buffer.from(name, 'latin1'), rate, error: Math.max(0, excess) + 2 * Math.sqrt(variance) };
    })
    .sort((a, b) => b.rate - a.rate || Buffer.compare(a.key, b.key));
}
