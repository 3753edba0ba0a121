/**
 * What can stand in the controller's log, and what applying it answers. Every command may be repeated, late or stale: it
 * then changes nothing. Schemas are checked at apply, since a peer of another build may have proposed anything.
 */
import { z } from 'zod';
import { type BalanceSettings, HOLD_S_MAX, LIMIT_PERCENT_MAX, LIMIT_PERCENT_MIN } from './balance-settings.js';
import type { PlanId } from './plan.js';
import { WEIGHT_MAX, WEIGHT_MIN } from './reshard-wish.js';
import { REBUILD_AFTER_MIN_MS } from './settings.js';
import { SHARE_BY } from './slot-figures.js';
import { countSlots, isNormalized, SLOT_COUNT, type SlotRanges } from './slot-ranges.js';

const name = z.string().min(1).max(255);
const count = z.int().min(0);
const group = z.int().min(1);
const slots = z.custom<SlotRanges>(
  (value) => Array.isArray(value) && value.every((range) => Array.isArray(range)) && isNormalized(value),
  'slots must be sorted, disjoint ranges within 0 to 16383',
);
const digest = z.string().regex(/^[0-9a-f]{32}$/);
const duration_ms = z.number().min(0);
const reason = z.string().max(2_000);
/** Of a plan that has ended. */
export const WARNINGS_MAX = 100;

const node = z.object({
  id: name,
  http: name,
  peer: name,
  labels: z.record(z.string().max(255), z.string().max(255)),
  incarnation: name,
});

const receipt = z.object({
  keys: count,
  bytes: count,
  idempotencyRecords: count,
  sourceDigest: digest,
  destinationDigest: digest,
  freezeIndex: count,
  installIndex: count,
  revision: count,
  freeze_clock_ms: z.number(),
  pause_ms: duration_ms.nullable(),
});

const init = z.object({
  kind: z.literal('init'),
  clusterId: name,
  nodes: z.array(node).min(1).readonly(),
  shards: z.int(),
  /** null: three, or as many as there are nodes. */
  replicas: z.int().nullable(),
});

const registerNode = z.object({ kind: z.literal('register_node'), node });

/** Bytes a second; null: no limit. */
const maxRate = z.number().min(1).nullable().default(null);

const bySlot = z.array(count).max(SLOT_COUNT).readonly();
/** What slots hold as the plan is asked for: with it the plan is a function of the log. */
const figures = z
  .object({ epoch: count, slots, keys: bySlot, bytes: bySlot, unknown: slots })
  .refine(({ slots: held, keys, bytes }) => [keys, bytes].every(({ length }) => length === countSlots(held)), {
    error: 'keys and bytes must have a number for each slot',
  });

/** Nodes that are down as the proposer sees it: health does not stand in the log. Entries of earlier builds name none. */
const downNodes = z.array(name).max(1_024).readonly().default([]);
/** A plan names each shard once at most, and there are never more. */
const shardIds = z.array(group).max(1_024).readonly();
const reshard = z.object({
  kind: z.literal('reshard'),
  shards: z.int(),
  replicas: z.int().nullable().default(null),
  max_pause_ms: z.number().min(1).nullable().default(null),
  maxRate,
  by: z.enum(SHARE_BY).default('slots'),
  weights: z
    .array(z.tuple([group, z.number().min(WEIGHT_MIN).max(WEIGHT_MAX)]).readonly())
    .max(1_024)
    .readonly()
    .default([]),
  excludeShards: shardIds.default([]),
  excludeNodes: z.array(name).max(1_024).readonly().default([]),
  downNodes,
  /** null: not asked. */
  figures: figures.nullable().default(null),
});

const move = z.object({
  kind: z.literal('move'),
  slots,
  to: group,
  max_pause_ms: z.number().min(1).nullable().default(null),
  maxRate,
  downNodes,
});

const slotMove = z.object({ from: group, to: group, slots });
/** Moves slots off overloaded shards. `auto`: found due by the controller's leader, and not asked for by an operator. */
const balance = z.object({
  kind: z.literal('balance'),
  moves: z.array(slotMove).min(1).max(10_000).readonly(),
  auto: z.boolean(),
  cause: reason,
  max_pause_ms: z.number().min(1).nullable().default(null),
  maxRate,
  downNodes,
});
/** null: as before. */
const balanceSettings = z.object({
  kind: z.literal('balance_settings'),
  auto: z.boolean().nullable().default(null),
  limit_percent: z.int().min(LIMIT_PERCENT_MIN).max(LIMIT_PERCENT_MAX).nullable().default(null),
  hold_s: z.int().min(1).max(HOLD_S_MAX).nullable().default(null),
});

const planControl = z.object({
  kind: z.literal('plan_control'),
  plan: name,
  action: z.enum(['pause', 'resume', 'cancel']),
});

const startBatch = z.object({ kind: z.literal('start_batch'), plan: name, planMove: name, slots });
const cancelBatch = z.object({ kind: z.literal('cancel_batch'), move: count, reason });
const publish = z.object({ kind: z.literal('publish'), move: count, receipt });
/** `pause_ms` null: not known, or nothing was frozen. */
const batchAborted = z.object({
  kind: z.literal('batch_aborted'),
  move: count,
  pause_ms: duration_ms.nullable(),
});
const batchDone = z.object({ kind: z.literal('batch_done'), move: count, pause_ms: duration_ms.nullable() });
const shardRetired = z.object({ kind: z.literal('shard_retired'), shard: group });
const planFailed = z.object({ kind: z.literal('plan_failed'), plan: name, reason });
const planFinished = z.object({
  kind: z.literal('plan_finished'),
  plan: name,
  warnings: z.array(reason).max(WARNINGS_MAX).readonly(),
});

const nodes = z.array(name).max(7).readonly();
/**
 * `replicas`: how many members the group should have from now on; null: as before. `rebuild`: who goes has been down for too
 * long. `seen`: the members, as replica ids, among whom it was found due, and only among whom it is; null: whoever they are.
 */
const changeMembers = z.object({
  kind: z.literal('change_members'),
  group: count,
  add: nodes,
  remove: nodes,
  replicas: z.int().min(1).nullable().default(null),
  rebuild: z.boolean().default(false),
  seen: z.array(count).max(7).readonly().nullable().default(null),
  cause: reason,
});
const giveUpMembers = z.object({ kind: z.literal('give_up_members'), change: count, reason });
/** `taken`: of a change that was given up, all the same. */
const membersChanged = z.object({
  kind: z.literal('members_changed'),
  change: count,
  taken: z.boolean().default(false),
});
/** The member that should lead. */
const preferLeader = z.object({ kind: z.literal('prefer_leader'), group, node: name, pinned: z.boolean() });
const drainNode = z.object({ kind: z.literal('drain_node'), node: name });
const removeNode = z.object({ kind: z.literal('remove_node'), node: name });
const changeSettings = z.object({
  kind: z.literal('change_settings'),
  rebuildAfter_ms: z.int().min(REBUILD_AFTER_MIN_MS).nullable(),
});

export const controllerCommandSchema = z.discriminatedUnion('kind', [
  init,
  registerNode,
  reshard,
  move,
  balance,
  balanceSettings,
  planControl,
  startBatch,
  cancelBatch,
  publish,
  batchAborted,
  batchDone,
  shardRetired,
  planFailed,
  planFinished,
  changeMembers,
  giveUpMembers,
  membersChanged,
  preferLeader,
  drainNode,
  removeNode,
  changeSettings,
]);

/** As a proposer writes it: fields with a default may be left out. */
export type ControllerCommand = z.input<typeof controllerCommandSchema>;
/** As the state machine reads it: checked, defaults filled in. */
export type CheckedCommand = z.output<typeof controllerCommandSchema>;
export type CommandOf<K extends CheckedCommand['kind']> = Extract<CheckedCommand, { kind: K }>;

export type ControllerResult =
  | { readonly kind: 'initialised'; readonly epoch: number }
  | { readonly kind: 'already_initialised'; readonly clusterId: string }
  | { readonly kind: 'not_initialised' }
  | { readonly kind: 'registered'; readonly epoch: number; readonly changed: boolean }
  /** The node is not who the cluster knows under this name (F24, F25). */
  | { readonly kind: 'refused'; readonly reason: string }
  /** `done`: there was nothing to change. */
  | { readonly kind: 'plan_started'; readonly plan: PlanId; readonly done: boolean }
  /** Another plan runs (F58). */
  | { readonly kind: 'conflict'; readonly plan: PlanId; readonly detail: string }
  | { readonly kind: 'plan_impossible'; readonly missing: string }
  | { readonly kind: 'unknown_plan'; readonly plan: PlanId }
  /** As they are from now on. */
  | { readonly kind: 'balance_settings'; readonly settings: BalanceSettings }
  /** `change`: its id. */
  | { readonly kind: 'change_started'; readonly change: number; readonly epoch: number }
  /** The members of that group are being changed already. */
  | { readonly kind: 'change_conflict'; readonly detail: string }
  | { readonly kind: 'unknown_group'; readonly group: number }
  | { readonly kind: 'unknown_node'; readonly node: string }
  | { readonly kind: 'batch_started'; readonly move: number }
  | { readonly kind: 'published'; readonly epoch: number }
  | { readonly kind: 'ok' }
  /** Came too late, or was never due: changed nothing. */
  | { readonly kind: 'nothing'; readonly detail: string }
  /** The entry's bytes are of a version, kind or shape that this build does not know. Same on every replica. */
  | { readonly kind: 'malformed'; readonly detail: string };
