/** Commands on a plan as a whole: started by an operator, wound up by the driver. One plan at a time (F58). */
import type { GroupId } from '../raft/index.js';
import type { CommandOf, ControllerResult } from './commands.js';
import type { ControllerState } from './controller-state.js';
import { isMoved, isOver, type PlanId, type PlanLimits, type PlanState, ZERO_DIGEST } from './plan.js';
import { type Drafted, draftMove, draftReshard, type PlanDraft } from './plan-draft.js';
import { type ShardMap, shardName } from './shard-map.js';
import type { SlotFigures } from './slot-figures.js';
import { equalSlots } from './slot-ranges.js';

/** How long a slot may be frozen where nobody says otherwise: less than a person notices. Whoever proposes a plan says so in it. */
export const MAX_PAUSE_DEFAULT_MS = 50;

/** What null means in entries of builds that had this default: replicas must make the same of an entry, whatever their build. */
const MAX_PAUSE_UNSAID_MS = 5_000;

const NOTHING_RUNS: ControllerResult = { kind: 'nothing', detail: 'no such plan runs' };

export function applyReshard(
  state: ControllerState,
  command: CommandOf<'reshard'>,
  stamp_ms: number,
): ControllerResult {
  const outdated = runningPlan(state) === null ? whatIsOutdated(state, command.figures) : null;
  if (outdated !== null) return outdated;
  const draft = (map: ShardMap): Drafted => draftReshard(map, state.nextShard, command);
  return startPlan(state, 'reshard', draft, command, stamp_ms, command.figures);
}

/** What slots hold was asked of who owned them then: if somebody else does now, some were counted twice, or not at all. */
function whatIsOutdated(state: ControllerState, figures: SlotFigures | null): ControllerResult | null {
  if (figures === null || state.map === null) return null;
  const asked = state.mapAt(figures.epoch);
  if (asked !== null && sameOwners(asked, state.map)) return null;
  const detail = 'slots have changed hands since it was asked what they hold: ask for the plan again';
  return { kind: 'conflict', plan: state.latestPlan()?.id ?? '', detail };
}

const sameOwners = (a: ShardMap, b: ShardMap): boolean =>
  a.shards.length === b.shards.length &&
  a.shards.every(({ id, slots }, i) => id === b.shards[i]!.id && equalSlots(slots, b.shards[i]!.slots));

export function applyMove(state: ControllerState, command: CommandOf<'move'>, stamp_ms: number): ControllerResult {
  const draft = (map: ShardMap): Drafted => draftMove(map, command.slots, command.to, command.downNodes);
  return startPlan(state, 'move', draft, command, stamp_ms);
}

export function startPlan(
  state: ControllerState,
  kind: PlanState['kind'],
  draftFrom: (map: ShardMap) => Drafted,
  limits: PlanLimits,
  stamp_ms: number,
  figures: SlotFigures | null = null,
): ControllerResult {
  if (state.map === null) return { kind: 'not_initialised' };
  const running = runningPlan(state);
  if (running !== null) {
    return {
      kind: 'conflict',
      plan: running.id,
      detail: `plan ${running.id} is not finished; one plan runs at a time`,
    };
  }
  const drafted = draftFrom(state.map);
  if (!drafted.ok) return { kind: 'plan_impossible', missing: drafted.missing };
  const { draft } = drafted;
  const idle = draft.moves.length === 0 && draft.newShards.length === 0 && draft.retiring.length === 0;
  if (draft.newShards.length > 0) state.changeMap({ kind: 'shards', shards: draft.newShards });
  if (draft.weights.length > 0) state.changeMap({ kind: 'weights', weights: draft.weights });
  const plan = state.addPlan(newPlan(kind, draft, idle, limits, stamp_ms), figures);
  return { kind: 'plan_started', plan: plan.id, done: idle };
}

function newPlan(
  kind: PlanState['kind'],
  draft: PlanDraft,
  idle: boolean,
  { max_pause_ms, maxRate }: PlanLimits,
  stamp_ms: number,
): Omit<PlanState, 'id'> {
  return {
    kind,
    status: idle ? 'done' : 'running',
    ending: null,
    reason: null,
    created_ms: stamp_ms,
    ended_ms: idle ? stamp_ms : null,
    max_pause_ms: max_pause_ms ?? MAX_PAUSE_UNSAID_MS,
    ...(maxRate === null ? {} : { maxRate }),
    moves: draft.moves.map(({ from, to, slots }, i) => ({
      id: `m${i + 1}`,
      from,
      to,
      slots,
      moved: [],
      keys: 0,
      bytes: 0,
      digest: ZERO_DIGEST,
      pause_ms: null,
      failures: 0,
      lastFailure: null,
      started_ms: null,
      published_ms: null,
      forward: [],
      undone: [],
    })),
    newShards: draft.newShards,
    retiring: draft.retiring,
    shares: draft.shares,
    warnings: draft.warnings,
    receipts: 0,
    forgotten: false,
    by: draft.by,
    excludedShards: draft.excludedShards,
    excludedNodes: draft.excludedNodes,
    balance: draft.balance,
  };
}

/** The plan that runs, is paused or is being wound up. */
export function runningPlan(state: ControllerState): PlanState | null {
  const latest = state.latestPlan();
  return latest === null || isOver(latest) ? null : latest;
}

function runs(state: ControllerState, id: PlanId): PlanState | null {
  const plan = runningPlan(state);
  return plan?.id === id ? plan : null;
}

/** Cancelling lets batches in flight end (undone if they can be); what has moved stays moved. */
export function applyPlanControl(state: ControllerState, command: CommandOf<'plan_control'>): ControllerResult {
  const known = state.plan(command.plan);
  if (known === null) return { kind: 'unknown_plan', plan: command.plan };
  const plan = runs(state, command.plan);
  if (plan === null) {
    return { kind: 'conflict', plan: command.plan, detail: `plan ${command.plan} is over: ${known.status}` };
  }
  if (command.action === 'cancel') {
    if (plan.ending === null) wind(state, plan, 'cancelled', 'cancelled by request');
  } else if (plan.ending !== null) {
    return { kind: 'conflict', plan: plan.id, detail: `plan ${plan.id} is being ended: ${plan.ending.reason}` };
  } else {
    state.putPlan({ ...plan, status: command.action === 'pause' ? 'paused' : 'running' });
  }
  return { kind: 'ok' };
}

function wind(state: ControllerState, plan: PlanState, outcome: 'failed' | 'cancelled', reason: string): void {
  state.putPlan({ ...plan, status: 'running', ending: { outcome, reason } });
}

export function applyPlanFailed(state: ControllerState, command: CommandOf<'plan_failed'>): ControllerResult {
  const plan = runs(state, command.plan);
  if (plan === null) return NOTHING_RUNS;
  if (plan.ending === null) wind(state, plan, 'failed', command.reason);
  return { kind: 'ok' };
}

/** Accepted for a shard that the running plan retires, owns nothing and is part of no batch any more. */
export function applyShardRetired(
  state: ControllerState,
  command: CommandOf<'shard_retired'>,
  stamp_ms: number,
): ControllerResult {
  if (state.tombstones.has(command.shard)) return { kind: 'ok' };
  const plan = runningPlan(state);
  if (plan === null || !plan.retiring.includes(command.shard)) {
    return { kind: 'nothing', detail: `no running plan retires ${shardName(command.shard)}` };
  }
  const shard = state.map?.shards.find((entry) => entry.id === command.shard);
  if (shard === undefined) throw new Error(`invariant: ${shardName(command.shard)} retires and is not in the map`);
  if (shard.slots.length > 0) return { kind: 'nothing', detail: `${shardName(shard.id)} still owns slots` };
  if (inBatch(state, shard.id)) return { kind: 'nothing', detail: `${shardName(shard.id)} is not purged yet` };
  const epoch = state.changeMap({ kind: 'retired', shard: shard.id });
  state.dropChange(shard.id);
  const members = [...shard.members, ...shard.joining];
  state.putTombstone({ shard: shard.id, members, epoch, retired_ms: stamp_ms });
  return { kind: 'ok' };
}

function inBatch(state: ControllerState, shard: GroupId): boolean {
  for (const batch of state.batches.values()) if (batch.from === shard || batch.to === shard) return true;
  return false;
}

/** Ends the plan: done if all of it is carried out, else (when it is being wound up) failed or cancelled. */
export function applyPlanFinished(
  state: ControllerState,
  command: CommandOf<'plan_finished'>,
  stamp_ms: number,
): ControllerResult {
  const plan = runs(state, command.plan);
  if (plan === null) return NOTHING_RUNS;
  if (state.batches.size > 0) return { kind: 'nothing', detail: 'batches are in flight' };
  const complete = plan.moves.every(isMoved) && plan.retiring.every((shard) => state.tombstones.has(shard));
  if (!complete && plan.ending === null) return { kind: 'nothing', detail: 'the plan is not carried out yet' };
  const asked = plan.ending?.reason ?? null;
  state.putPlan({
    ...plan,
    status: complete ? 'done' : (plan.ending?.outcome ?? 'failed'),
    reason: complete && asked !== null ? `${asked}, when all of it had been installed` : asked,
    ending: null,
    ended_ms: stamp_ms,
    warnings: [...plan.warnings, ...command.warnings],
  });
  return { kind: 'ok' };
}
