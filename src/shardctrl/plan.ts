/**
 * What the controller remembers of a plan, its moves and the batches in which they are carried out. Plain, immutable
 * JSON data: it stands in rows, in snapshots and in answers between nodes.
 *
 * A move of a plan is carried out in batches of few slots, so that each is frozen for a short time only. One attempt at
 * one batch is what the guards table of resharding.md calls a move: its id is the index of the log entry that started it.
 */
import type { GroupId, NodeId } from '../raft/index.js';
import type { ShardMember } from './shard-map.js';
import type { MoveId } from './shard-port.js';
import type { ShareBy } from './slot-figures.js';
import { countSlots, type SlotRanges, subtractSlots } from './slot-ranges.js';

/** `p1`, `p2`, … */
export type PlanId = string;
/** `m1`, `m2`, … within a plan. */
export type PlanMoveId = string;

export type PlanStatus = 'running' | 'paused' | 'done' | 'failed' | 'cancelled';

/** Additive 128-bit digest of nothing. */
export const ZERO_DIGEST = '0'.repeat(32);

export interface PlanMove {
  readonly id: PlanMoveId;
  readonly from: GroupId;
  readonly to: GroupId;
  readonly slots: SlotRanges;
  /** Slots whose new owner is published. */
  readonly moved: SlotRanges;
  /** Sums over the receipts so far. */
  readonly keys: number;
  readonly bytes: number;
  /** Additive digest over everything that was moved, 32 hexadecimal digits. */
  readonly digest: string;
  /** The longest time that any of its slots was frozen; null: none yet. */
  readonly pause_ms: number | null;
  /** Attempts undone since the last batch that succeeded. */
  readonly failures: number;
  readonly lastFailure: string | null;
  /** Start of the first batch and newest publication, milliseconds since 1970; null: not yet. */
  readonly started_ms: number | null;
  readonly published_ms: number | null;
  /** Of `moved`: published although the plan was being ended, since the destination had installed them. */
  readonly forward: SlotRanges;
  /** Slots whose batch was undone because the plan was being ended. */
  readonly undone: SlotRanges;
}

/** The plan is being wound up: no batch is started any more, and when none is in flight it ends so. */
export interface PlanEnding {
  readonly outcome: 'failed' | 'cancelled';
  readonly reason: string;
}

/**
 * What a shard has before and after a plan. Keys and bytes are those that its slots held when the plan was made; null: not
 * known.
 */
export interface ShardBalance {
  readonly shard: GroupId;
  readonly weight: number;
  readonly slots: readonly [before: number, after: number];
  readonly keys: readonly [before: number, after: number] | null;
  readonly bytes: readonly [before: number, after: number] | null;
}

/** What an operator holds a plan to. */
export interface PlanLimits {
  readonly max_pause_ms: number | null;
  /** Bytes a second that its copies may send. */
  readonly maxRate: number | null;
}

export interface PlanState {
  readonly id: PlanId;
  readonly kind: 'reshard' | 'move' | 'balance';
  readonly status: PlanStatus;
  readonly ending: PlanEnding | null;
  /** Why it failed or was cancelled. */
  readonly reason: string | null;
  /** What it is for, where nobody asked for it in these words. */
  readonly cause?: string;
  readonly created_ms: number;
  readonly ended_ms: number | null;
  /** No slot may be frozen longer than this. */
  readonly max_pause_ms: number;
  /** Bytes a second that its copies may send; not there: as much as goes. */
  readonly maxRate?: number;
  readonly moves: readonly PlanMove[];
  readonly newShards: readonly { readonly id: GroupId; readonly members: readonly ShardMember[] }[];
  readonly retiring: readonly GroupId[];
  /** Slots that each shard is to own in the end. */
  readonly shares: readonly (readonly [shard: GroupId, slots: number])[];
  readonly warnings: readonly string[];
  /** How many receipts it has written: they are numbered from 1. */
  readonly receipts: number;
  /** True: too old, moves and receipts are no longer kept. */
  readonly forgotten: boolean;
  /** What is evened out. */
  readonly by: ShareBy;
  readonly excludedShards: readonly GroupId[];
  readonly excludedNodes: readonly NodeId[];
  readonly balance: readonly ShardBalance[];
}

type Lacking<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;

/** As rows of earlier builds are. */
export type EarlierPlan = Lacking<PlanState, 'by' | 'excludedShards' | 'excludedNodes' | 'balance'>;
export type EarlierMove = Lacking<PlanMove, 'forward' | 'undone'>;

/** What is missing comes last: a row that lacks nothing is written again as it was read, on every replica (F30). */
export const completedPlan = (plan: EarlierPlan): PlanState => ({
  ...plan,
  by: plan.by ?? 'slots',
  excludedShards: plan.excludedShards ?? [],
  excludedNodes: plan.excludedNodes ?? [],
  balance: plan.balance ?? [],
});

export const completedMove = (move: EarlierMove): PlanMove => ({
  ...move,
  forward: move.forward ?? [],
  undone: move.undone ?? [],
});

export type BatchPhase =
  /** Started; the destination may or may not have installed. */
  | 'running'
  /** Intent: it is to be undone, unless the destination turns out to have installed. */
  | 'cancelling'
  /** The destination owns the slots; the source has to delete and purge. */
  | 'published';

export interface Batch {
  /** Index of the entry that started it: the fence. */
  readonly move: MoveId;
  readonly plan: PlanId;
  readonly planMove: PlanMoveId;
  readonly from: GroupId;
  readonly to: GroupId;
  readonly slots: SlotRanges;
  readonly phase: BatchPhase;
  /** Why it is being cancelled. */
  readonly reason: string | null;
  readonly started_ms: number;
  /** Number of its receipt within the plan, and the epoch of its publication; 0: not published. */
  readonly receipt: number;
  readonly epoch: number;
}

/** Why a batch is undone whose driver has gone; the only reason that is no failure of the move. */
export const DRIVER_ENDED = 'its driver has ended';

/** What a finished batch proves: invariant 8 of resharding.md. */
export interface BatchReceipt {
  readonly keys: number;
  readonly bytes: number;
  readonly idempotencyRecords: number;
  readonly sourceDigest: string;
  /** Of the destination at Install. */
  readonly destinationDigest: string;
  readonly freezeIndex: number;
  readonly installIndex: number;
  readonly revision: number;
  /** The source's replicated clock at the freeze, milliseconds since 1970. */
  readonly freeze_clock_ms: number;
  /** From sending Freeze; null: the driver that froze has died, the pause is estimated from stamps. */
  readonly pause_ms: number | null;
}

export interface StoredReceipt extends BatchReceipt {
  readonly move: MoveId;
  readonly planMove: PlanMoveId;
  readonly slots: SlotRanges;
  readonly epoch: number;
  /** Start and publication of the batch, milliseconds since 1970; not there: written by an earlier build. */
  readonly started_ms?: number;
  readonly published_ms?: number;
}

export interface PlanSummary {
  readonly id: PlanId;
  readonly state: PlanStatus;
  readonly created_ms: number;
}

/** A shard that is gone: its id is never used again; nodes remove its replicas. */
export interface Tombstone {
  readonly shard: GroupId;
  readonly members: readonly ShardMember[];
  readonly epoch: number;
  readonly retired_ms: number;
}

export const isOver = (plan: PlanState): boolean => plan.status !== 'running' && plan.status !== 'paused';

/** Slots of the move that no batch has taken up yet. */
export function slotsToStart(move: PlanMove, plan: PlanId, batches: Iterable<Batch>): SlotRanges {
  let left = subtractSlots(move.slots, move.moved);
  for (const batch of batches) {
    if (batch.plan === plan && batch.planMove === move.id) left = subtractSlots(left, batch.slots);
  }
  return left;
}

export const isMoved = (move: PlanMove): boolean => countSlots(move.moved) === countSlots(move.slots);

/** Sum of two additive digests, mod 2^128. */
export function addDigests(a: string, b: string): string {
  const sum = (BigInt(`0x${a}`) + BigInt(`0x${b}`)) & ((1n << 128n) - 1n);
  return sum.toString(16).padStart(32, '0');
}
