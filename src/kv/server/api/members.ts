/** Nodes that come and go, the members of shards and who leads them. */
import type { ClusterView } from './cluster.js';

export type NodeView = ClusterView['nodes'][number];

/** A node that runs, belongs to no cluster yet and is to belong to this one. */
export interface AddNodeRequest {
  /** `host:port` where it listens for other nodes. */
  readonly peer: string;
}

/** The members of one shard, and what is under way to change them. */
export interface MembersView {
  readonly id: string;
  readonly members: readonly string[];
  /** Nodes whose replicas are being filled; they become members once they have caught up. */
  readonly joining: readonly string[];
  /** Members that go when `joining` have become members. */
  readonly leaving: readonly string[];
  /** What the change waits for, in words; null: none is under way. */
  readonly waits_for: string | null;
}

export interface MembersRequest {
  /** Node ids. */
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

export interface LeaderView {
  readonly id: string;
  readonly leader: string;
  readonly term: number;
}
