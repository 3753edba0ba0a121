/** Plans in the JSON shape of http-api.md. */
import {
  type Batch,
  countSlots,
  formatSlots,
  isMoved,
  type PlanDraft,
  type PlanForecast,
  type PlanLimits,
  type PlanMove,
  type PlanPace,
  type PlanState,
  type PlanSummary,
  type ShardMap,
  type SlotSizes,
  type StoredReceipt,
  shardName,
} from '../../shardctrl/index.js';
import type { PlanMoveView, PlanView, ReceiptsView } from './api.js';
import { endingOf } from './plan-ending.js';
import { balanceView, newShardView, placedShardView, predictedView } from './plan-outlook.js';

/** What the controller says of a plan. */
export interface PlanReport {
  readonly plan: PlanState | null;
  readonly batches: readonly Batch[];
  readonly history: readonly PlanSummary[];
}

export function planView(report: PlanReport & { readonly plan: PlanState }, now_ms: number): PlanView {
  const { plan, batches } = report;
  // Also while it is being wound up.
  const reason = plan.reason ?? plan.ending?.reason ?? null;
  return {
    id: plan.id,
    state: plan.status,
    ...(reason === null ? {} : { reason }),
    ...(plan.cause === undefined ? {} : { cause: plan.cause }),
    created: new Date(plan.created_ms).toISOString(),
    max_pause_ms: plan.max_pause_ms,
    ...(plan.maxRate === undefined ? {} : { max_rate_bytes: plan.maxRate }),
    moves: plan.moves.map((move) => moveView(plan, move, batches, now_ms)),
    shares: sharesOf(plan.shares),
    new_shards: plan.newShards.map(newShardView),
    retired_shards: plan.retiring.map(shardName),
    warnings: plan.warnings,
    ...outlookOf(plan),
  };
}

/** What is known beside the draft itself. */
export interface DraftContext {
  readonly map: ShardMap;
  readonly sizes: SlotSizes;
  readonly pace: PlanPace;
  readonly limits: PlanLimits;
  /** null: it is not known what the slots hold. */
  readonly forecast: PlanForecast | null;
  readonly now_ms: number;
}

/** A dry run: what the plan would be if it were started now. */
export function draftView(draft: PlanDraft, { map, sizes, pace, limits, forecast, now_ms }: DraftContext): PlanView {
  return {
    id: 'dry-run',
    state: 'planned',
    created: new Date(now_ms).toISOString(),
    moves: draft.moves.map(({ from, to, slots }, i) => ({
      id: `m${i + 1}`,
      slots: formatSlots(slots),
      slot_count: countSlots(slots),
      from: shardName(from),
      to: shardName(to),
      phase: 'planned',
      keys: sizes.sum(slots)?.keys ?? null,
      bytes: sizes.sum(slots)?.bytes ?? null,
      rate: null,
      eta_ms: null,
      pause_ms: null,
      checksum: null,
    })),
    shares: sharesOf(draft.shares),
    new_shards: draft.newShards.map((shard) => placedShardView(shard, map)),
    retired_shards: draft.retiring.map(shardName),
    warnings: draft.warnings,
    ...outlookOf(draft),
    predicted: predictedView(forecast, pace, limits),
  };
}

/** What a draft and a plan have in common beside their moves. */
const outlookOf = ({ by, excludedShards, excludedNodes, balance }: PlanState | PlanDraft) => ({
  by,
  excluded_shards: excludedShards.map(shardName),
  excluded_nodes: excludedNodes,
  balance: balanceView(balance, excludedShards),
});

const sharesOf = (shares: readonly (readonly [number, number])[]): Record<string, number> =>
  Object.fromEntries(shares.map(([shard, slots]) => [shardName(shard), slots]));

function moveView(plan: PlanState, move: PlanMove, batches: readonly Batch[], now_ms: number): PlanMoveView {
  const own = batches.filter((batch) => batch.plan === plan.id && batch.planMove === move.id);
  const phase = phaseOf(plan, move, own);
  const slotCount = countSlots(move.slots);
  const movedCount = countSlots(move.moved);
  const running = phase !== 'done' && move.started_ms !== null && plan.status === 'running';
  const elapsed_ms =
    move.started_ms === null ? 0 : (running ? now_ms : (move.published_ms ?? now_ms)) - move.started_ms;
  const timed = running && elapsed_ms > 0 && movedCount > 0;
  const ending = endingOf(plan, move, own);
  return {
    id: move.id,
    slots: formatSlots(move.slots),
    slot_count: slotCount,
    from: shardName(move.from),
    to: shardName(move.to),
    phase,
    keys: move.keys,
    bytes: move.bytes,
    rate: timed ? Math.round((move.keys * 1000) / elapsed_ms) : null,
    eta_ms: timed ? Math.round((elapsed_ms * (slotCount - movedCount)) / movedCount) : null,
    pause_ms: move.pause_ms,
    checksum: movedCount === 0 ? null : move.digest,
    ...(ending === null ? {} : { ending }),
  };
}

/** `next`: where to ask on; not there where these are all so far. */
export function receiptsView(plan: PlanState, receipts: readonly StoredReceipt[], after: number): ReceiptsView {
  const moves = new Map(plan.moves.map((move) => [move.id, move]));
  const last = after + receipts.length;
  return {
    id: plan.id,
    receipts: receipts.map((receipt, i) => {
      const move = moves.get(receipt.planMove);
      if (move === undefined) throw new Error(`invariant: plan ${plan.id} has a receipt of ${receipt.planMove}`);
      return {
        number: after + i + 1,
        move: receipt.planMove,
        from: shardName(move.from),
        to: shardName(move.to),
        slots: formatSlots(receipt.slots),
        slot_count: countSlots(receipt.slots),
        keys: receipt.keys,
        bytes: receipt.bytes,
        idempotency_records: receipt.idempotencyRecords,
        source_checksum: receipt.sourceDigest,
        destination_checksum: receipt.destinationDigest,
        freeze_index: receipt.freezeIndex,
        install_index: receipt.installIndex,
        revision: String(receipt.revision),
        epoch: receipt.epoch,
        pause_ms: receipt.pause_ms,
      };
    }),
    ...(last < plan.receipts ? { next: last } : {}),
  };
}

function phaseOf(plan: PlanState, move: PlanMove, batches: readonly Batch[]): string {
  if (batches.some((batch) => batch.phase === 'cancelling')) return 'undoing';
  if (batches.some((batch) => batch.phase === 'running')) return 'moving';
  if (batches.some((batch) => batch.phase === 'published')) return isMoved(move) ? 'purging' : 'moving';
  if (isMoved(move)) return 'done';
  if (plan.status === 'running' || plan.status === 'paused') return move.started_ms === null ? 'waiting' : 'moving';
  return plan.status;
}
