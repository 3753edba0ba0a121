/** Whether replicas still hold the same, and plans have kept what they promised. */

export interface VerifyRequest {
  /** Shards whose records are read and compared; empty: all, or none of them with `plan`. */
  readonly shards: readonly string[];
  /** Also what this plan has proved, and that it still holds. */
  readonly plan: string | null;
  /** What each node reads at most. */
  readonly mib_per_s: number;
  /** A view that has been open for so long is given up. */
  readonly give_up_ms: number;
}

/**
 * `rotten`, `records`, `index`, `state`, `remains`, `unreadable`: within one replica; `replicas`, `record`: between replicas;
 * `owner`: between shards and map; `receipt`: in what a plan has proved; `more`: how many are not listed.
 */
export interface VerifyDifference {
  readonly kind: string;
  /** Nodes whose replicas it is about. */
  readonly nodes: readonly string[];
  readonly slots: string | null;
  readonly key: string | null;
  readonly key_encoding: 'utf8' | 'base64' | null;
  readonly detail: string;
}

export interface VerifyReplicaView {
  readonly node: string;
  /** `waiting` for the mark, `reading`, `read`; `unanswered` in time; `failed`: there is nothing to compare. */
  readonly state: 'waiting' | 'reading' | 'read' | 'unanswered' | 'failed';
  /** Why it is not read, or what it waits for. */
  readonly detail: string | null;
  readonly index: number | null;
  readonly state_hash: string | null;
  readonly keys: number | null;
  readonly bytes: number | null;
  /** Of `bytes`, so far. */
  readonly read_bytes: number;
}

export interface VerifyShardView {
  readonly id: string;
  /** `records`: all were read; `slots`: only what the state keeps of them was compared. */
  readonly scope: 'records' | 'slots';
  readonly state: 'waiting' | 'preparing' | 'reading' | 'comparing' | 'done';
  /** Of the log: where its replicas are compared. */
  readonly index: number | null;
  readonly replicas: readonly VerifyReplicaView[];
  readonly differences: readonly VerifyDifference[];
}

export interface VerifyPlanView {
  readonly id: string;
  readonly state: string;
  /** Receipts that the plan has, and how many have been checked so far. */
  readonly receipts: number;
  readonly checked: number;
  readonly keys: number;
  readonly bytes: number;
  readonly differences: readonly VerifyDifference[];
  /** What could not be said, in sentences. */
  readonly unchecked: readonly string[];
}

export interface VerifyView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled' | 'failed';
  /** `incomplete`: nothing differs, but not everything could be compared. null: not known yet. */
  readonly result: 'clean' | 'differences' | 'incomplete' | null;
  readonly reason?: string;
  readonly started: string;
  readonly ended: string | null;
  readonly mib_per_s: number;
  readonly shards: readonly VerifyShardView[];
  readonly plan: VerifyPlanView | null;
}

export type VerifySummary = Pick<VerifyView, 'id' | 'state' | 'result' | 'started'>;

export interface VerifyRunsView {
  /** Newest first. */
  readonly runs: readonly VerifySummary[];
  /** Nodes that did not say which verifications they know. */
  readonly silent: readonly string[];
}
