/**
 * The shard map: which shard owns which slots, who its members are, which nodes there are. One value per epoch, immutable.
 */
import type { GroupId, NodeId, ReplicaId } from '../raft/index.js';
import type { SlotRanges } from './slot-ranges.js';

export interface ShardMember {
  readonly node: NodeId;
  readonly replica: ReplicaId;
}

/** Who takes part in one Raft group. Replica ids are never used again within a group (F24). */
export interface GroupMembers {
  /** The voters. The first one campaigns at once when the group is created, and is the one that should lead. */
  readonly members: readonly ShardMember[];
  /** Replicas that are being filled: their nodes make them, and they become members once they have caught up. */
  readonly joining: readonly ShardMember[];
  /** How many members there should be, where the nodes allow it. */
  readonly replicas: number;
  /** `members` are still those that the group was made with, and so its configuration before the first entry. */
  readonly asFounded: boolean;
  /** An operator has said who should lead: the first member stays the first as long as it is one. */
  readonly pinned: boolean;
  /** Nodes that get no replica by themselves: an operator said so when the shard was made. By hand they may. */
  readonly avoids: readonly NodeId[];
}

export interface ShardEntry extends GroupMembers {
  readonly id: GroupId;
  readonly slots: SlotRanges;
  /** Its share is in proportion, from the next reshard on. */
  readonly weight: number;
}

export interface NodeEntry {
  readonly id: NodeId;
  /** `host:port` as clients reach it. */
  readonly http: string;
  /** `host:port` as peers reach it. */
  readonly peer: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Drawn by the node at its first start; another incarnation under the same id is refused (F24, F25). */
  readonly incarnation: string;
}

export interface ShardMap {
  readonly clusterId: string;
  readonly epoch: number;
  /** Ascending by id; a shard that owns nothing yet (or no more, until it is retired) is listed with empty slots. */
  readonly shards: readonly ShardEntry[];
  readonly nodes: readonly NodeEntry[];
  readonly controller: GroupMembers;
  /** Nodes whose replicas are being moved off; then they leave. */
  readonly draining: readonly NodeId[];
  /** Nodes that have left for good: their names are never used again (F24). */
  readonly gone: readonly NodeId[];
}

/** The controller's own group. */
export const CONTROLLER_GROUP: GroupId = 0;

/** undefined: there is no such group. */
export const groupOf = (map: ShardMap, group: GroupId): GroupMembers | undefined =>
  group === CONTROLLER_GROUP ? map.controller : map.shards.find((shard) => shard.id === group);

/** Of all groups, the controller's first. */
export const groupsOf = (map: ShardMap): readonly (readonly [group: GroupId, members: GroupMembers])[] => [
  [CONTROLLER_GROUP, map.controller],
  ...map.shards.map((shard) => [shard.id, shard] as const),
];

export const shardName = (id: GroupId): string => `s${id}`;

/** null for anything that is not the name of a shard. */
export function parseShardName(name: string): GroupId | null {
  const match = /^s([1-9][0-9]{0,8})$/.exec(name);
  return match === null ? null : Number(match[1]);
}
