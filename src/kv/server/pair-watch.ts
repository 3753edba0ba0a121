/**
 * Tells the node's log of shards of two members that it hosts: with one node away they have no majority, and take no writes
 * (F41). Once for each such shard, and again only if its members have been others meanwhile.
 */
import type { EventSink, GroupId, NodeId } from '../../raft/index.js';
import { shardName } from '../../shardctrl/index.js';
import type { MapKeeper } from './map-keeper.js';

export class PairWatch {
  readonly #self: NodeId;
  readonly #maps: MapKeeper;
  readonly #event: EventSink;
  /** Of each shard that was told of, the members. */
  #told: ReadonlyMap<GroupId, string> = new Map();

  constructor(self: NodeId, maps: MapKeeper, event: EventSink) {
    this.#self = self;
    this.#maps = maps;
    this.#event = event;
    maps.onChange(() => this.#look());
  }

  #look(): void {
    const pairs = new Map<GroupId, string>();
    for (const { id, members } of this.#maps.map?.shards ?? []) {
      if (members.length !== 2 || !members.some(({ node }) => node === this.#self)) continue;
      const nodes = members.map(({ node }) => node).sort();
      pairs.set(id, nodes.join(' and '));
    }
    for (const [id, nodes] of pairs) {
      if (this.#told.get(id) === nodes) continue;
      const text = `${shardName(id)} has two replicas, on ${nodes}: it takes no writes as soon as one of them is away`;
      this.#event('warn', text, { shard: shardName(id) });
    }
    this.#told = pairs;
  }
}
