/** What the driver of the plan needs besides shards and a clock: its own controller, and somebody to tell. */
import type { GroupId } from '../raft/index.js';
import type { ControllerCommand, ControllerResult } from './commands.js';
import type { MemberChange } from './member-change.js';
import type { Batch, PlanState, Tombstone } from './plan.js';
import type { ClusterSettings } from './settings.js';
import type { ShardMap } from './shard-map.js';

/** The local replica's state; `ControllerStateMachine` is one. */
export interface ControllerView {
  /** null: the cluster is not made yet. */
  map(): ShardMap | null;
  /** The plan that runs, is paused or is being wound up. */
  runningPlan(): PlanState | null;
  /** Batches in flight. */
  batches(): readonly Batch[];
  /** Changes of members that are under way, at most one a group. */
  changes(): readonly MemberChange[];
  tombstones(): ReadonlyMap<GroupId, Tombstone>;
  /** What operators have set. */
  settings(): ClusterSettings;
}

/** Only `applied` is an answer; after the others the driver repeats the command or reads the state: all are idempotent. */
export type ControllerProposed =
  /** Applied here: `state()` shows it. */
  | { readonly kind: 'applied'; readonly result: ControllerResult; readonly index: number }
  /** Certainly not in the log (no longer leader, too much uncommitted). */
  | { readonly kind: 'refused' }
  /** May or may not be in the log. */
  | { readonly kind: 'unknown' };

export interface ControllerPort {
  /** Used only between `start` and `stop` of the driver: while it leads and has applied an entry of its own term. */
  state(): ControllerView;
  propose(command: ControllerCommand): Promise<ControllerProposed>;
  /** Runs when `state()` may have changed. Returns how to stop it. */
  onChange(listener: () => void): () => void;
}

/** For the node's log. `fields` name the plan and, where it is about one, the batch's move id. */
export type DriverEvents = (
  level: 'info' | 'warn' | 'error',
  text: string,
  fields: Readonly<Record<string, unknown>>,
) => void;
