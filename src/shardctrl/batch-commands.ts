/**
 * Commands on one batch: the controller's half of a move (`pm` and `canc` of the model). Each names its move id, so that
 * whatever a stale driver still says of a batch that has ended changes nothing (F57).
 */
import type { CommandOf, ControllerResult } from './commands.js';
import type { ControllerState } from './controller-state.js';
import { addDigests, type Batch, DRIVER_ENDED, type PlanMove, type PlanState, slotsToStart } from './plan.js';
import { runningPlan } from './plan-commands.js';
import { shardName } from './shard-map.js';
import { countSlots, includesSlots, unionSlots } from './slot-ranges.js';

const ENDED: ControllerResult = { kind: 'nothing', detail: 'that batch has ended' };

/** `index`: of the entry; becomes the batch's move id. */
export function applyStartBatch(
  state: ControllerState,
  command: CommandOf<'start_batch'>,
  index: number,
  stamp_ms: number,
): ControllerResult {
  const plan = runningPlan(state);
  if (plan === null || plan.id !== command.plan) return { kind: 'nothing', detail: 'no such plan runs' };
  if (plan.status === 'paused' || plan.ending !== null)
    return { kind: 'nothing', detail: 'the plan starts no batches now' };
  const move = plan.moves.find((other) => other.id === command.planMove);
  if (move === undefined) return { kind: 'nothing', detail: `plan ${plan.id} has no move ${command.planMove}` };
  if (
    countSlots(command.slots) === 0 ||
    !includesSlots(slotsToStart(move, plan.id, state.batches.values()), command.slots)
  ) {
    return { kind: 'nothing', detail: 'these slots are not, or no longer, to be moved' };
  }
  const owner = state.map?.shards.find((shard) => shard.id === move.from);
  if (owner === undefined || !includesSlots(owner.slots, command.slots)) {
    throw new Error(`invariant: move ${move.id} of ${plan.id} takes slots that ${shardName(move.from)} does not own`);
  }
  state.putMove(plan.id, { ...move, started_ms: move.started_ms ?? stamp_ms });
  state.putBatch({
    move: index,
    plan: plan.id,
    planMove: move.id,
    from: move.from,
    to: move.to,
    slots: command.slots,
    phase: 'running',
    reason: null,
    started_ms: stamp_ms,
    receipt: 0,
    epoch: 0,
  });
  return { kind: 'batch_started', move: index };
}

/**
 * New owner, next epoch. Also accepted for a batch that was being cancelled: the driver publishes only what the
 * destination has confirmed as installed, and installed is final.
 */
export function applyPublish(
  state: ControllerState,
  command: CommandOf<'publish'>,
  stamp_ms: number,
): ControllerResult {
  const batch = state.batches.get(command.move);
  if (batch === undefined) return ENDED;
  if (batch.phase === 'published') return { kind: 'published', epoch: batch.epoch };
  const { plan, move } = planOf(state, batch);
  const { receipt } = command;
  const pause_ms = receipt.pause_ms ?? Math.max(0, stamp_ms - receipt.freeze_clock_ms);
  const epoch = state.changeMap({ kind: 'owner', slots: batch.slots, from: batch.from, to: batch.to });
  state.putMove(plan.id, {
    ...move,
    moved: unionSlots(move.moved, batch.slots),
    keys: move.keys + receipt.keys,
    bytes: move.bytes + receipt.bytes,
    digest: addDigests(move.digest, receipt.sourceDigest),
    pause_ms: Math.max(move.pause_ms ?? 0, pause_ms),
    failures: 0,
    lastFailure: null,
    published_ms: stamp_ms,
    forward: plan.ending === null ? move.forward : unionSlots(move.forward, batch.slots),
  });
  const number = plan.receipts + 1;
  state.putPlan({ ...planOf(state, batch).plan, receipts: number });
  state.putBatch({ ...batch, phase: 'published', reason: null, receipt: number, epoch });
  const { planMove, slots, started_ms } = batch;
  const times = { started_ms, published_ms: stamp_ms };
  state.putReceipt(plan.id, number, { ...receipt, pause_ms, move: batch.move, planMove, slots, epoch, ...times });
  return { kind: 'published', epoch };
}

/** The intent to undo, in the log: the next driver knows it. */
export function applyCancelBatch(state: ControllerState, command: CommandOf<'cancel_batch'>): ControllerResult {
  const batch = state.batches.get(command.move);
  if (batch === undefined) return ENDED;
  if (batch.phase === 'published') return { kind: 'nothing', detail: 'that batch is published' };
  if (batch.phase === 'running') state.putBatch({ ...batch, phase: 'cancelling', reason: command.reason });
  return { kind: 'ok' };
}

/** The import is aborted and the export undone, at both shards. The slots wait for another attempt. */
export function applyBatchAborted(state: ControllerState, command: CommandOf<'batch_aborted'>): ControllerResult {
  const batch = state.batches.get(command.move);
  if (batch === undefined) return ENDED;
  if (batch.phase !== 'cancelling') return { kind: 'nothing', detail: 'that batch is not being cancelled' };
  const { plan, move } = planOf(state, batch);
  state.dropBatch(batch.move);
  state.putMove(plan.id, {
    ...move,
    // Whoever drove it is gone: that says nothing of whether it can be done.
    failures: batch.reason === DRIVER_ENDED ? move.failures : move.failures + 1,
    lastFailure: batch.reason,
    pause_ms: longer(move.pause_ms, command.pause_ms),
    undone: plan.ending === null ? move.undone : unionSlots(move.undone, batch.slots),
  });
  return { kind: 'ok' };
}

/** The source has deleted and purged. `pause_ms` is now known to the end. */
export function applyBatchDone(state: ControllerState, command: CommandOf<'batch_done'>): ControllerResult {
  const batch = state.batches.get(command.move);
  if (batch === undefined) return ENDED;
  if (batch.phase !== 'published') return { kind: 'nothing', detail: 'that batch is not published' };
  const { plan, move } = planOf(state, batch);
  state.dropBatch(batch.move);
  if (command.pause_ms !== null) {
    state.putMove(plan.id, { ...move, pause_ms: longer(move.pause_ms, command.pause_ms) });
    const receipt = state.receipt(plan.id, batch.receipt);
    state.putReceipt(plan.id, batch.receipt, { ...receipt, pause_ms: command.pause_ms });
  }
  return { kind: 'ok' };
}

const longer = (a: number | null, b: number | null): number | null => (b === null ? a : Math.max(a ?? 0, b));

/** Batches never outlive their plan, so it is there. */
function planOf(state: ControllerState, batch: Batch): { plan: PlanState; move: PlanMove } {
  const plan = state.plan(batch.plan);
  const move = plan?.moves.find((other) => other.id === batch.planMove);
  if (plan === null || plan === undefined || move === undefined) {
    throw new Error(`invariant: batch ${batch.move} belongs to ${batch.planMove} of ${batch.plan}, which is not there`);
  }
  return { plan, move };
}
