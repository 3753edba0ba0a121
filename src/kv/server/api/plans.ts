/** Plans: what they are asked for with, where they and their moves are, what their batches have proved. */
import type { ShareBy } from '../../../shardctrl/index.js';

/** What each plan can be asked for with, whatever it moves. */
export interface PlanRequest {
  /** It is only shown. */
  readonly dry_run: boolean;
  /** No slot is to be frozen longer. */
  readonly max_pause_ms?: number;
  /** Bytes a second that its copies may send. */
  readonly max_rate_bytes?: number;
}

export interface ReshardRequest extends PlanRequest {
  readonly shards: number;
  readonly replicas?: number;
  /** What is to be evened out; default: slots. */
  readonly by?: ShareBy;
  /** By shard, from now on; others keep theirs. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Shards that neither give nor take. */
  readonly exclude_shards?: readonly string[];
  /** Nodes that no replica of a new shard is placed on. */
  readonly exclude_nodes?: readonly string[];
}

export interface MoveRequest extends PlanRequest {
  /** `"0-99,200"`. */
  readonly slots: string;
  /** `s2`. */
  readonly to: string;
}

/** `pause`: no further move begins. `cancel`: what is not installed is rolled back; what is, stays. */
export type PlanAction = 'pause' | 'resume' | 'cancel';

export interface PlanView {
  readonly id: string;
  readonly state: 'planned' | 'running' | 'paused' | 'done' | 'failed' | 'cancelled';
  readonly reason?: string;
  /** What it is for, where nobody asked for its moves. */
  readonly cause?: string;
  readonly created: string;
  /** Of a plan that has been started: no slot is to be frozen longer. */
  readonly max_pause_ms?: number;
  /** Bytes a second that its copies may send; missing: as much as goes. */
  readonly max_rate_bytes?: number;
  readonly moves: readonly PlanMoveView[];
  /** With a plan of `dry_run` too: the shares that result, by shard. */
  readonly shares?: Readonly<Record<string, number>>;
  /** Members of shards that the plan makes. */
  readonly new_shards?: readonly NewShardView[];
  /** Shards that the plan retires. */
  readonly retired_shards?: readonly string[];
  readonly warnings?: readonly string[];
  /** What is evened out. */
  readonly by?: ShareBy;
  readonly excluded_shards?: readonly string[];
  readonly excluded_nodes?: readonly string[];
  readonly balance?: readonly ShardBalanceView[];
  /** With `dry_run`. */
  readonly predicted?: PredictedView;
}

export interface PlanMoveView {
  readonly id: string;
  readonly slots: string;
  readonly slot_count: number;
  readonly from: string;
  readonly to: string;
  readonly phase: string;
  readonly keys: number | null;
  readonly bytes: number | null;
  /** Keys a second while it runs, else null. */
  readonly rate: number | null;
  readonly eta_ms: number | null;
  /** The longest time that any slot of the move was frozen, so far. */
  readonly pause_ms: number | null;
  readonly checksum: string | null;
  /** Of a plan that is cancelled, or has failed. */
  readonly ending?: MoveEndingView;
}

export interface SomeSlotsView {
  /** `0-99,200`, or the empty string. */
  readonly slots: string;
  readonly slot_count: number;
}

/** What becomes of a move whose plan is cancelled, or has failed. */
export interface MoveEndingView {
  /**
   * `undoing`: some of its slots are on their way back. `forward`: what had been installed stays with the new owner, and
   * nothing is on its way back (any more). `undone`: all of its slots are with the old owner.
   */
  readonly outcome: 'undone' | 'undoing' | 'forward';
  /** Each of its slots is in one of these. */
  readonly forward: SomeSlotsView;
  readonly undoing: SomeSlotsView;
  readonly undone: SomeSlotsView;
  readonly not_begun: SomeSlotsView;
  /** The same in words. */
  readonly why: string;
}

export interface NewShardView {
  readonly id: string;
  readonly members: readonly string[];
  /** In a dry run: the members again, with what keeps them apart. */
  readonly placement?: readonly {
    readonly node: string;
    readonly zone: string | null;
    readonly host: string | null;
    readonly leads: boolean;
  }[];
}

/** Keys and bytes as they were when the plan was made; null: not known. */
export interface ShardBalanceView {
  readonly shard: string;
  readonly weight: number;
  /** It neither gives nor takes. */
  readonly excluded: boolean;
  readonly slots_before: number;
  readonly slots_after: number;
  readonly keys_before: number | null;
  readonly keys_after: number | null;
  readonly bytes_before: number | null;
  readonly bytes_after: number | null;
}

/** null: not known what the slots hold. */
export interface PredictedView {
  readonly time_ms: number | null;
  /** Of most slots, and of the one that pauses longest. */
  readonly pause_ms: number | null;
  readonly pause_ms_max: number | null;
  readonly batches: number | null;
  /** `measured`: by the receipts of the last plan. */
  readonly basis: 'measured' | 'defaults';
  /** What it goes by, in words. */
  readonly from: string;
}

/** What one batch of a move has proved (invariant 8 of resharding.md). */
export interface ReceiptView {
  /** Of the plan's, from 1. */
  readonly number: number;
  readonly move: string;
  readonly from: string;
  readonly to: string;
  readonly slots: string;
  readonly slot_count: number;
  readonly keys: number;
  readonly bytes: number;
  readonly idempotency_records: number;
  readonly source_checksum: string;
  readonly destination_checksum: string;
  /** Of the Freeze and the Install, each in its shard's log. */
  readonly freeze_index: number;
  readonly install_index: number;
  /** The source's newest at the freeze. */
  readonly revision: string;
  /** The map's, from which on the destination owns the slots. */
  readonly epoch: number;
  /** How long they were frozen. */
  readonly pause_ms: number | null;
}

export interface ReceiptsView {
  readonly id: string;
  readonly receipts: readonly ReceiptView[];
  /** `after` of the next page; missing: there are no more, for now. */
  readonly next?: number;
}
