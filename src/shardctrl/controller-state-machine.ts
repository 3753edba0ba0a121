/**
 * The controller's replicated state machine: the shard map with all its epochs, the nodes, the plan and its batches.
 * Deterministic: entries in, rows and results out; time is the stamp in an entry. Everybody on the node who wants to
 * know the map asks its local replica here.
 */
import {
  type Entry,
  EntryKind,
  type GroupId,
  type StateEngine,
  type StateMachine,
  type StateRows,
} from '../raft/index.js';
import { applyBalance, applyBalanceSettings } from './balance-commands.js';
import {
  applyBatchAborted,
  applyBatchDone,
  applyCancelBatch,
  applyPublish,
  applyStartBatch,
} from './batch-commands.js';
import { applyChangeSettings, applyInit, applyRegisterNode } from './cluster-commands.js';
import { decodeControllerCommand } from './command-codec.js';
import type { CheckedCommand, ControllerResult } from './commands.js';
import { rowFault } from './controller-rows.js';
import { ControllerState } from './controller-state.js';
import type { ControllerView } from './driver-ports.js';
import type { MemberChange } from './member-change.js';
import {
  applyChangeMembers,
  applyDrainNode,
  applyGiveUpMembers,
  applyMembersChanged,
  applyPreferLeader,
  applyRemoveNode,
} from './member-commands.js';
import type { Batch, PlanId, PlanState, PlanSummary, StoredReceipt, Tombstone } from './plan.js';
import {
  applyMove,
  applyPlanControl,
  applyPlanFailed,
  applyPlanFinished,
  applyReshard,
  applyShardRetired,
  runningPlan,
} from './plan-commands.js';
import { type PlanPace, paceOf } from './plan-forecast.js';
import type { AuditedReceipt, LaterPlan } from './receipt-audit.js';
import type { ClusterSettings } from './settings.js';
import type { ShardMap } from './shard-map.js';
import type { SlotFigures } from './slot-figures.js';

export class ControllerStateMachine implements StateMachine, ControllerView {
  #state: ControllerState | null = null;
  readonly #listeners = new Set<() => void>();
  #changed = false;

  /** Rejects with a reason if rows are corrupt or of an unknown format. */
  async open(engine: StateEngine, rows: StateRows): Promise<void> {
    this.#state = await ControllerState.open(engine, rows);
  }

  get #opened(): ControllerState {
    if (this.#state === null) throw new Error('invariant: the controller is used before it is opened');
    return this.#state;
  }

  /** null for entries that are no commands. */
  apply(entry: Entry): ControllerResult | null {
    if (entry.kind !== EntryKind.Command) return null;
    const decoded = decodeControllerCommand(entry.data);
    if (!decoded.ok) return { kind: 'malformed', detail: decoded.detail };
    const state = this.#opened;
    const stamp_ms = Math.max(decoded.stamp_ms, state.clock_ms);
    const result = carryOut(state, decoded.command, entry.index, stamp_ms);
    state.advanceClock(stamp_ms);
    this.#changed = true;
    return result;
  }

  endRound(): void {
    if (!this.#changed) return;
    this.#changed = false;
    for (const listener of [...this.#listeners]) listener();
  }

  rowFault(key: Buffer, value: Buffer): string | null {
    return rowFault(key, value);
  }

  stateHash(): string {
    return this.#opened.digest();
  }

  // ----------------------------------------------------------------------------------------------------------- queries

  /**
   * Runs after each round in which a command was applied, on this instance only: after a snapshot there is a new one.
   * Returns how to stop it.
   */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The replicated clock: the largest stamp applied, milliseconds since 1970. */
  get clock_ms(): number {
    return this.#opened.clock_ms;
  }

  /** null: the cluster is not made yet. */
  map(): ShardMap | null {
    return this.#opened.map;
  }

  /** null: there is no such epoch (yet). */
  mapAt(epoch: number): ShardMap | null {
    return this.#opened.mapAt(epoch);
  }

  plan(id: PlanId): PlanState | null {
    return this.#opened.plan(id);
  }

  latestPlan(): PlanState | null {
    return this.#opened.latestPlan();
  }

  /** The plan that runs, is paused or is being wound up. */
  runningPlan(): PlanState | null {
    return runningPlan(this.#opened);
  }

  /** When shards were last balanced, milliseconds since 1970; null: never. */
  lastBalance_ms(): number | null {
    return this.#opened.lastPlan_ms('balance');
  }

  /** All plans ever, newest first. */
  history(): PlanSummary[] {
    return this.#opened.summaries();
  }

  /**
   * What batches of a plan have proved, oldest first: those that follow the first `after`, so many at most. Empty for unknown and
   * forgotten plans.
   */
  receipts(id: PlanId, after = 0, limit: number = Number.POSITIVE_INFINITY): StoredReceipt[] {
    const count = Math.max(0, (this.#opened.plan(id)?.receipts ?? 0) - after);
    return Array.from({ length: Math.min(count, limit) }, (_, i) => this.#opened.receipt(id, after + i + 1));
  }

  /** What slots held when the plan was made; null: it did not go by that, or is too old. */
  figures(id: PlanId): SlotFigures | null {
    return this.#opened.plan(id) === null ? null : this.#opened.figures(id);
  }

  /** How fast the newest plan went that has moved anything; null: none has. */
  pace(): PlanPace | null {
    for (const { id } of this.history()) {
      const plan = this.plan(id);
      const pace = plan === null ? null : paceOf(plan, this.receipts(id));
      if (pace !== null) return pace;
    }
    return null;
  }

  /** Of receipts from number `first` on (from 1), at most so many, with what their epochs changed. */
  auditedReceipts(id: PlanId, first: number, limit: number): AuditedReceipt[] {
    const count = this.#opened.plan(id)?.receipts ?? 0;
    const last = Math.min(count, first + limit - 1);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
      const receipt = this.#opened.receipt(id, first + i);
      return { receipt, change: this.#opened.ownerChangeAt(receipt.epoch) };
    });
  }

  /** What plans that began after this one have moved, in order. */
  laterPlans(id: PlanId): LaterPlan[] {
    return this.#opened.plansAfter(id).map((plan) => ({
      id: plan.id,
      forgotten: plan.forgotten,
      moves: plan.moves.map(({ from, to, moved }) => ({ from, to, moved })),
    }));
  }

  /** Ids of shards that are gone for good, ascending. */
  retired(): number[] {
    return [...this.#opened.tombstones.keys()].sort((a, b) => a - b);
  }

  tombstones(): ReadonlyMap<GroupId, Tombstone> {
    return this.#opened.tombstones;
  }

  /** Changes of members that are under way, at most one a group. */
  changes(): MemberChange[] {
    return [...this.#opened.changes.values()];
  }

  settings(): ClusterSettings {
    return this.#opened.settings;
  }

  /** Batches in flight. */
  batches(): Batch[] {
    return [...this.#opened.batches.values()];
  }
}

function carryOut(state: ControllerState, command: CheckedCommand, index: number, stamp_ms: number): ControllerResult {
  if (state.map === null && command.kind !== 'init') return { kind: 'not_initialised' };
  switch (command.kind) {
    case 'init':
      return applyInit(state, command, stamp_ms);
    case 'register_node':
      return applyRegisterNode(state, command);
    case 'reshard':
      return applyReshard(state, command, stamp_ms);
    case 'move':
      return applyMove(state, command, stamp_ms);
    case 'balance':
      return applyBalance(state, command, stamp_ms);
    case 'balance_settings':
      return applyBalanceSettings(state, command);
    case 'plan_control':
      return applyPlanControl(state, command);
    case 'start_batch':
      return applyStartBatch(state, command, index, stamp_ms);
    case 'cancel_batch':
      return applyCancelBatch(state, command);
    case 'publish':
      return applyPublish(state, command, stamp_ms);
    case 'batch_aborted':
      return applyBatchAborted(state, command);
    case 'batch_done':
      return applyBatchDone(state, command);
    case 'shard_retired':
      return applyShardRetired(state, command, stamp_ms);
    case 'plan_failed':
      return applyPlanFailed(state, command);
    case 'plan_finished':
      return applyPlanFinished(state, command, stamp_ms);
    case 'change_members':
      return applyChangeMembers(state, command, index, stamp_ms);
    case 'give_up_members':
      return applyGiveUpMembers(state, command);
    case 'members_changed':
      return applyMembersChanged(state, command);
    case 'prefer_leader':
      return applyPreferLeader(state, command);
    case 'drain_node':
      return applyDrainNode(state, command);
    case 'remove_node':
      return applyRemoveNode(state, command);
    case 'change_settings':
      return applyChangeSettings(state, command);
  }
}
