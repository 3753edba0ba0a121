/**
 * The shard map: which shard owns which slots, who its members are, which nodes there are. One value per epoch, immutable.
 */
import type { GroupId, NodeId, ReplicaId } from '../raft/index.js';
import type { SlotRanges } from './slot-ranges.js';

export interface ShardMember {
  readonly node: NodeId;
  readonly replica: ReplicaId;
}

export interface ShardEntry {
  readonly id: GroupId;
  readonly slots: SlotRanges;
  /** The first member campaigns at once when the shard is created. */
  readonly members: readonly ShardMember[];
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
}

export const shardName = (id: GroupId): string => `s${id}`;

/** null for anything that is not the name of a shard. */
export function parseShardName(name: string): GroupId | null {
  const match = /^s([1-9][0-9]{0,8})$/.exec(name);
  return match === null ? null : Number(match[1]);
}
