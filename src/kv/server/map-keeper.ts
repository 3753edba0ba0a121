/**
 * The newest shard map this node knows, in the form that routing wants, and who waits for a newer one. Maps only ever
 * get newer here.
 */
import type { GroupId, NodeId } from '../../raft/index.js';
import { groupsOf, type ShardEntry, type ShardMap, SLOT_COUNT } from '../../shardctrl/index.js';

const NOBODY: readonly NodeId[] = [];

export class MapKeeper {
  #map: ShardMap | null = null;
  #owner = new Int32Array(SLOT_COUNT);
  #shards = new Map<GroupId, ShardEntry>();
  #members = new Map<GroupId, readonly NodeId[]>();
  #retired: readonly GroupId[] = [];
  readonly #listeners = new Set<() => void>();

  get map(): ShardMap | null {
    return this.#map;
  }

  /** Ids of shards that are gone for good. */
  get retired(): readonly GroupId[] {
    return this.#retired;
  }

  /** 0 before the first map. */
  get epoch(): number {
    return this.#map?.epoch ?? 0;
  }

  /** 0: no map yet. */
  ownerOf(slot: number): GroupId {
    return this.#owner[slot]!;
  }

  shard(id: GroupId): ShardEntry | undefined {
    return this.#shards.get(id);
  }

  /** Of a shard, or of the controller. */
  membersOf(id: GroupId): readonly NodeId[] {
    return this.#members.get(id) ?? NOBODY;
  }

  /** The answer ends the subscription. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** No effect unless `map` is newer. */
  offer(map: ShardMap, retired: readonly GroupId[]): void {
    if (this.#map !== null && map.epoch <= this.#map.epoch) return;
    const owner = new Int32Array(SLOT_COUNT);
    for (const shard of map.shards) for (const [first, last] of shard.slots) owner.fill(shard.id, first, last + 1);
    this.#map = map;
    this.#retired = retired;
    this.#owner = owner;
    this.#shards = new Map(map.shards.map((shard) => [shard.id, shard]));
    this.#members = new Map(groupsOf(map).map(([id, { members }]) => [id, members.map((member) => member.node)]));
    for (const listener of [...this.#listeners]) listener();
  }
}
