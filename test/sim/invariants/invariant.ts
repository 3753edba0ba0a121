/** What must hold all along. One invariant, one file; each sees the whole cluster and says what is wrong, or nothing. */
import type { Replica } from '../../../src/raft/index.js';

export interface ReplicaView {
  readonly node: string;
  readonly group: number;
  readonly replica: Replica;
}

/** Of this group, in office by its own account; there may be a newer one. */
export const leaderOf = (views: readonly ReplicaView[], group: number): ReplicaView | undefined =>
  views.find((view) => view.group === group && view.replica.leads);

/**
 * Its state is that of its applied index. Not while it goes over to a snapshot; one that comes in may be of a leader who has been
 * deposed, and so stay half done for long: a replica that leads has gone over to none.
 */
export const isWhole = ({ damage, snapshotIncoming, role }: Replica): boolean =>
  damage === null && (!snapshotIncoming || role === 'leader');

export interface ClusterState {
  readonly now_ms: number;
  /** Replicas of processes that run, paused ones too. */
  readonly replicas: readonly ReplicaView[];
  /** Those whose role, term, log or state machine moved since this invariant was asked last. */
  readonly changed: readonly ReplicaView[];
}

export interface Invariant {
  readonly name: string;
  /** null: holds. */
  check(state: ClusterState): string | null;
}

export const nameOf = (group: number): string => (group === 0 ? 'controller' : `s${group}`);
