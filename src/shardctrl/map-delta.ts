/**
 * How one epoch comes out of the one before. History is kept as these small changes, with a whole map now and then, so
 * that any old epoch can be told without keeping every map.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import { compareNodeIds, controllerMembers, type PlacedShard } from './placement.js';
import { type ShardWeight, WEIGHT_DEFAULT } from './reshard-wish.js';
import {
  CONTROLLER_GROUP,
  type GroupMembers,
  groupOf,
  type NodeEntry,
  type ShardEntry,
  type ShardMap,
  type ShardMember,
} from './shard-map.js';
import { includesSlots, NO_SLOTS, type SlotRanges, subtractSlots, unionSlots } from './slot-ranges.js';

/** Every so many epochs the history holds a whole map: an old epoch costs at most that many small rows to rebuild. */
export const FULL_MAP_EVERY = 64;

export type MapDelta =
  | { readonly kind: 'owner'; readonly slots: SlotRanges; readonly from: GroupId; readonly to: GroupId }
  /** New, or with other addresses or labels. */
  | { readonly kind: 'node'; readonly node: NodeEntry }
  | { readonly kind: 'shards'; readonly shards: readonly PlacedShard[] }
  /** Replicas that are to be made and filled, or none any more. */
  | { readonly kind: 'joining'; readonly group: GroupId; readonly joining: readonly ShardMember[] }
  /** The group's Raft configuration is this by now. */
  | { readonly kind: 'members'; readonly group: GroupId; readonly members: readonly ShardMember[] }
  /** The member that should lead. */
  | { readonly kind: 'first'; readonly group: GroupId; readonly node: NodeId; readonly pinned: boolean }
  | { readonly kind: 'replicas'; readonly group: GroupId; readonly replicas: number }
  /** Of these shards; others keep theirs. */
  | { readonly kind: 'weights'; readonly weights: readonly ShardWeight[] }
  | { readonly kind: 'draining'; readonly node: NodeId }
  | { readonly kind: 'gone'; readonly node: NodeId }
  | { readonly kind: 'retired'; readonly shard: GroupId };

/** What stands in the row of an epoch. */
export type EpochRow =
  | { readonly kind: 'full'; readonly map: ShardMap }
  | { readonly kind: 'delta'; readonly delta: MapDelta };

/** Members as they were written before nodes could come and go, and before shards could keep away from nodes. */
type EarlierMembers = Pick<GroupMembers, 'members'> & Partial<GroupMembers>;

/** A map as it was written before nodes could come and go (its members are those it was made with), or shards had weights. */
type EarlierMap = Omit<ShardMap, 'controller' | 'draining' | 'gone' | 'shards'> &
  Partial<Pick<ShardMap, 'draining' | 'gone'>> & {
    readonly controller?: EarlierMembers;
    readonly shards: readonly (Pick<ShardEntry, 'id' | 'slots'> &
      Partial<Pick<ShardEntry, 'weight'>> &
      EarlierMembers)[];
  };

/** The map with all that an earlier version left out. */
export function completed(map: EarlierMap): ShardMap {
  const founders = controllerMembers(map.nodes.map((node) => node.id));
  return {
    ...map,
    shards: map.shards.map((shard) => ({
      ...completedMembers(shard),
      weight: shard.weight ?? WEIGHT_DEFAULT,
    })),
    controller: completedMembers(map.controller ?? { members: founders }),
    draining: map.draining ?? [],
    gone: map.gone ?? [],
  };
}

/** What is missing comes last, so that a row that lacks nothing stays as it is (F30). */
const completedMembers = <T extends EarlierMembers>(group: T): T & GroupMembers => ({
  ...group,
  joining: group.joining ?? [],
  replicas: group.replicas ?? group.members.length,
  asFounded: group.asFounded ?? true,
  pinned: group.pinned ?? false,
  avoids: group.avoids ?? [],
});

export type OwnerChange = Extract<MapDelta, { readonly kind: 'owner' }>;

/** Which slots changed their owner from one epoch to the next; null: none. One change of owners at a time. */
export function ownerChange(before: ShardMap, after: ShardMap): OwnerChange | null {
  const slotsBefore = (id: GroupId): SlotRanges => before.shards.find((shard) => shard.id === id)?.slots ?? NO_SLOTS;
  for (const { id, slots } of after.shards) {
    const gained = subtractSlots(slots, slotsBefore(id));
    if (gained.length === 0) continue;
    const from = before.shards.find((shard) => includesSlots(shard.slots, gained));
    return from === undefined ? null : { kind: 'owner', slots: gained, from: from.id, to: id };
  }
  return null;
}

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
      const added = delta.shards.map(({ id, members, replicas, avoids }) => ({
        id,
        slots: NO_SLOTS,
        members,
        joining: [],
        replicas: replicas ?? members.length,
        asFounded: true,
        pinned: false,
        avoids: avoids ?? [],
        weight: WEIGHT_DEFAULT,
      }));
      return { shards: [...map.shards, ...added].sort((a, b) => a.id - b.id) };
    }
    case 'retired':
      return { shards: map.shards.filter((shard) => shard.id !== delta.shard) };
    case 'joining':
      return withGroup(map, delta.group, { joining: delta.joining });
    case 'members': {
      const { members, pinned, avoids } = groupOf(map, delta.group)!;
      const keeps = pinned && delta.members[0]?.replica === members[0]?.replica;
      return withGroup(map, delta.group, {
        members: delta.members,
        joining: [],
        asFounded: false,
        pinned: keeps,
        // Whoever made it a member means it.
        avoids: avoids.filter((node) => !delta.members.some((member) => member.node === node)),
      });
    }
    case 'first': {
      const { members } = groupOf(map, delta.group)!;
      const first = (member: ShardMember): boolean => member.node === delta.node;
      const ordered = [...members.filter(first), ...members.filter((member) => !first(member))];
      return withGroup(map, delta.group, { members: ordered, pinned: delta.pinned });
    }
    case 'replicas':
      return withGroup(map, delta.group, { replicas: delta.replicas });
    case 'weights': {
      const weights = new Map(delta.weights);
      return { shards: map.shards.map((shard) => ({ ...shard, weight: weights.get(shard.id) ?? shard.weight })) };
    }
    case 'draining':
      return { draining: [...map.draining, delta.node] };
    case 'gone':
      return {
        nodes: map.nodes.filter((node) => node.id !== delta.node),
        draining: map.draining.filter((node) => node !== delta.node),
        gone: [...map.gone, delta.node],
      };
  }
}

function withGroup(map: ShardMap, group: GroupId, change: Partial<GroupMembers>): Partial<ShardMap> {
  if (group === CONTROLLER_GROUP) return { controller: { ...map.controller, ...change } };
  return { shards: map.shards.map((shard) => (shard.id === group ? { ...shard, ...change } : shard)) };
}
