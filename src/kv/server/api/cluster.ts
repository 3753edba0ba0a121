/** The cluster as it is: nodes, shards, controller, what is missing; and whether a node serves it. */
import type { BalanceLine } from './balance.js';

export interface ClusterView {
  readonly cluster_id: string;
  readonly epoch: number;
  readonly health: string;
  readonly nodes: readonly {
    readonly id: string;
    readonly http: string;
    readonly peer: string;
    readonly labels: Readonly<Record<string, string>>;
    /** `healthy`, `suspect`, `down`; `draining`: its replicas are being moved off, and it is healthy otherwise. */
    readonly state: string;
    /** ISO 8601. */
    readonly since: string;
  }[];
  readonly shards: readonly {
    readonly id: string;
    /** `ok`, `degraded` (a member is away), `no_leader`, `creating`, `retiring`. */
    readonly state: string;
    readonly slots: string;
    readonly slot_count: number;
    readonly members: readonly {
      readonly node: string;
      /** `leader`, `follower`, `candidate`, `learner`, or `unknown`. */
      readonly role: string;
      readonly applied: number | null;
      readonly lag: number | null;
      /** `ok`, `down`, `damaged`, `snapshot`. */
      readonly state: string;
    }[];
    readonly leader: string | null;
    readonly term: number | null;
    readonly keys: number | null;
    readonly bytes: number | null;
    /** Its share is in proportion. */
    readonly weight?: number;
    /** Decayed; null where nobody leads it. */
    readonly reads_per_s: number | null;
    readonly writes_per_s: number | null;
  }[];
  readonly controller: {
    readonly leader: string | null;
    readonly term: number | null;
    readonly members: readonly string[];
  };
  /** As the controller's leader saw it when it looked last; null: it has not looked yet, or does not answer. */
  readonly balance: BalanceLine | null;
  /** Members on nodes that are down, as this node sees them. */
  readonly missing_replicas: readonly MissingReplicaView[];
}

export interface MissingReplicaView {
  /** `s2`, or `controller`. */
  readonly group: string;
  /** The node that is down. */
  readonly node: string;
  /** ISO 8601: when it was last heard of. */
  readonly since: string;
  /** `rebuilding` elsewhere, `waiting` for that, or `blocked`: it is not going to be. */
  readonly state: string;
  /** Where to, for what, or why not, for a person. */
  readonly reason: string;
}

export interface ReadinessView {
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}
