/**
 * How one epoch comes out of the one before. History is kept as these small changes, with a whole map now and then, so
 * that any old epoch can be told without keeping every map.
 */
import type { GroupId } from '../raft/index.js';
import { compareNodeIds, type PlacedShard } from './placement.js';
import type { NodeEntry, ShardMap } from './shard-map.js';
import { NO_SLOTS, type SlotRanges, subtractSlots, unionSlots } from './slot-ranges.js';

/** Every so many epochs the history holds a whole map: an old epoch costs at most that many small rows to rebuild. */
export const FULL_MAP_EVERY = 64;

export type MapDelta =
  | { readonly kind: 'owner'; readonly slots: SlotRanges; readonly from: GroupId; readonly to: GroupId }
  /** New, or with other addresses or labels. */
  | { readonly kind: 'node'; readonly node: NodeEntry }
  | { readonly kind: 'shards'; readonly shards: readonly PlacedShard[] }
  | { readonly kind: 'retired'; readonly shard: GroupId };

/** What stands in the row of an epoch. */
export type EpochRow =
  | { readonly kind: 'full'; readonly map: ShardMap }
  | { readonly kind: 'delta'; readonly delta: MapDelta };

/** The map of the next epoch. */
export function nextMap(map: ShardMap, delta: MapDelta): ShardMap {
  return { ...map, epoch: map.epoch + 1, ...changed(map, delta) };
}

function changed(map: ShardMap, delta: MapDelta): Partial<ShardMap> {
  switch (delta.kind) {
    case 'owner':
      return {
        shards: map.shards.map((shard) => {
          if (shard.id === delta.from) return { ...shard, slots: subtractSlots(shard.slots, delta.slots) };
          if (shard.id === delta.to) return { ...shard, slots: unionSlots(shard.slots, delta.slots) };
          return shard;
        }),
      };
    case 'node': {
      const others = map.nodes.filter((node) => node.id !== delta.node.id);
      return { nodes: [...others, delta.node].sort((a, b) => compareNodeIds(a.id, b.id)) };
    }
    case 'shards': {
      const added = delta.shards.map(({ id, members }) => ({ id, slots: NO_SLOTS, members }));
      return { shards: [...map.shards, ...added].sort((a, b) => a.id - b.id) };
    }
    case 'retired':
      return { shards: map.shards.filter((shard) => shard.id !== delta.shard) };
  }
}
