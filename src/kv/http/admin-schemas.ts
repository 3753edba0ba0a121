/**
 * JSON bodies of the administration. Unknown members are refused: a misspelt `dryrun` must not start a reshard.
 */
import { z } from 'zod';
import {
  HOLD_S_MAX,
  LIMIT_PERCENT_MAX,
  LIMIT_PERCENT_MIN,
  parseShardName,
  REBUILD_AFTER_MIN_MS,
  SHARDS_MAX,
  SHARE_BY,
  SLOT_COUNT,
  WEIGHT_MAX,
  WEIGHT_MIN,
} from '../../shardctrl/index.js';
import type {
  AddNodeRequest,
  BalanceSettingsRequest,
  MembersRequest,
  MoveRequest,
  PlanRequest,
  ReshardRequest,
  SettingsRequest,
  VerifyRequest,
} from '../server/api.js';
import { parseAddress } from '../server/config.js';
import { parseDuration } from './duration.js';
import { refuse } from './http-response.js';
import type { Parsed } from './query.js';

/** As a node's configuration wants its id. */
const NODE_ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const NODES_MAX = 64;

const nodeId = z.string().regex(NODE_ID, 'a node is named like "n1"');
const shardId = z.string().regex(/^s[1-9][0-9]{0,8}$/, 'a shard is named like "s1"');

/** Whatever it is that a plan moves. */
const planMembers = {
  dry_run: z.boolean().optional(),
  max_pause_ms: z.int().min(1).max(3_600_000).optional(),
  /** Bytes a second: with less a plan would hardly ever end. */
  max_rate_bytes: z.int().min(1_024).optional(),
};

export const reshardSchema = z.strictObject({
  shards: z.int().min(1).max(SLOT_COUNT),
  replicas: z.int().min(1).max(99).optional(),
  ...planMembers,
  by: z.enum(SHARE_BY).optional(),
  weights: z.record(shardId, z.number().min(WEIGHT_MIN).max(WEIGHT_MAX)).optional(),
  exclude_shards: z.array(shardId).max(SHARDS_MAX).optional(),
  exclude_nodes: z.array(nodeId).max(NODES_MAX).optional(),
});

export const moveSchema = z.strictObject({
  slots: z.string().regex(/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/, 'slots look like "0-99,200"'),
  to: z.string().min(1).max(128),
  ...planMembers,
});

export function parseReshard(body: unknown): Parsed<ReshardRequest> {
  const parsed = parseBody(reshardSchema, body);
  if (!parsed.ok) return parsed;
  const { shards, replicas, by, weights, exclude_shards, exclude_nodes, ...plan } = parsed.value;
  return {
    ok: true,
    value: {
      shards,
      ...planRequestOf(plan),
      ...(replicas === undefined ? {} : { replicas }),
      ...(by === undefined ? {} : { by }),
      ...(weights === undefined ? {} : { weights }),
      ...(exclude_shards === undefined ? {} : { exclude_shards }),
      ...(exclude_nodes === undefined ? {} : { exclude_nodes }),
    },
  };
}

/** Limits only where they were said. */
function planRequestOf(said: { readonly [M in keyof PlanRequest]?: PlanRequest[M] | undefined }): PlanRequest {
  const { dry_run = false, max_pause_ms, max_rate_bytes } = said;
  return {
    dry_run,
    ...(max_pause_ms === undefined ? {} : { max_pause_ms }),
    ...(max_rate_bytes === undefined ? {} : { max_rate_bytes }),
  };
}

/** There is nothing to say beside the path. */
const nothingSchema = z.strictObject({}).optional();

export function parseNothing(body: unknown): Parsed<unknown> {
  return parseBody(nothingSchema, body);
}

export function parseMove(body: unknown): Parsed<MoveRequest> {
  const parsed = parseBody(moveSchema, body);
  if (!parsed.ok) return parsed;
  const { slots, to, ...plan } = parsed.value;
  return { ok: true, value: { slots, to, ...planRequestOf(plan) } };
}

export const addNodeSchema = z.strictObject({
  peer: z
    .string()
    .max(300)
    .refine((text) => parseAddress(text) !== null, 'must be host:port where the node listens for other nodes'),
});

export const transferLeaderSchema = z.strictObject({ to: nodeId });

const namesSchema = z.strictObject({
  add: z.array(nodeId).max(NODES_MAX).optional(),
  remove: z.array(nodeId).max(NODES_MAX).optional(),
});

export const membersSchema = namesSchema.superRefine(({ add = [], remove = [] }, context) => {
  const seen = new Set<string>();
  for (const [field, names] of Object.entries({ add, remove })) {
    names.forEach((name, index) => {
      if (seen.has(name)) context.addIssue({ code: 'custom', path: [field, index], message: `${name} is named twice` });
      seen.add(name);
    });
  }
  if (seen.size === 0) context.addIssue({ code: 'custom', message: 'add, remove: name at least one node' });
});

const REBUILD_AFTER_MAX_MS = 36_500 * 86_400_000;

const isRebuildAfter = (text: string): boolean => {
  const duration_ms = parseDuration(text);
  return duration_ms !== null && duration_ms >= REBUILD_AFTER_MIN_MS && duration_ms <= REBUILD_AFTER_MAX_MS;
};

export const settingsSchema = z.strictObject({
  rebuild_after: z
    .string()
    .refine(isRebuildAfter, 'must be null, or a duration like "10m", from 1s to 36500d')
    .nullable(),
});

export function parseSettings(body: unknown): Parsed<SettingsRequest> {
  const parsed = parseBody(settingsSchema, body);
  if (!parsed.ok) return parsed;
  const { rebuild_after } = parsed.value;
  return { ok: true, value: { rebuildAfter_ms: rebuild_after === null ? null : parseDuration(rebuild_after) } };
}

export function parseAddNode(body: unknown): Parsed<AddNodeRequest> {
  return parseBody(addNodeSchema, body);
}

export function parseMembers(body: unknown): Parsed<MembersRequest> {
  const parsed = parseBody(membersSchema, body);
  if (!parsed.ok) return parsed;
  const { add = [], remove = [] } = parsed.value;
  return { ok: true, value: { add, remove } };
}

/** The node that is to lead. */
export function parseTransferLeader(body: unknown): Parsed<string> {
  const parsed = parseBody(transferLeaderSchema, body);
  return parsed.ok ? { ok: true, value: parsed.value.to } : parsed;
}

export const balanceSchema = z.strictObject(planMembers);

/** None: to carry out what `GET` shows is all there is to ask for. */
export function parseBalance(body: unknown): Parsed<PlanRequest> {
  const parsed = parseBody(balanceSchema.optional(), body);
  return parsed.ok ? { ok: true, value: planRequestOf(parsed.value ?? {}) } : parsed;
}

export const balanceSettingsSchema = z
  .strictObject({
    auto: z.boolean().optional(),
    limit_percent: z.int().min(LIMIT_PERCENT_MIN).max(LIMIT_PERCENT_MAX).optional(),
    hold_s: z.int().min(1).max(HOLD_S_MAX).optional(),
  })
  .refine((settings) => Object.keys(settings).length > 0, 'auto, limit_percent, hold_s: name at least one');

export function parseBalanceSettings(body: unknown): Parsed<BalanceSettingsRequest> {
  const parsed = parseBody(balanceSettingsSchema, body);
  if (!parsed.ok) return parsed;
  const { auto, limit_percent, hold_s } = parsed.value;
  return {
    ok: true,
    value: {
      ...(auto === undefined ? {} : { auto }),
      ...(limit_percent === undefined ? {} : { limit_percent }),
      ...(hold_s === undefined ? {} : { hold_s }),
    },
  };
}

const MIB_PER_S_DEFAULT = 8;
const GIVE_UP_MS_DEFAULT = 6 * 3_600_000;

export const verifySchema = z.strictObject({
  shards: z
    .array(z.string().refine((name) => parseShardName(name) !== null, 'a shard is named like "s1"'))
    .min(1)
    .max(SLOT_COUNT)
    .refine((shards) => new Set(shards).size === shards.length, 'a shard is named twice')
    .optional(),
  plan: z.string().min(1).max(64).optional(),
  mib_per_s: z.int().min(1).max(1_024).optional(),
  give_up_ms: z.int().min(1_000).max(86_400_000).optional(),
});

/** No body at all: everything, in its own time. */
export function parseVerify(body: unknown): Parsed<VerifyRequest> {
  const parsed = parseBody(verifySchema, body ?? {});
  if (!parsed.ok) return parsed;
  const { shards = [], plan = null, mib_per_s = MIB_PER_S_DEFAULT, give_up_ms = GIVE_UP_MS_DEFAULT } = parsed.value;
  return { ok: true, value: { shards, plan, mib_per_s, give_up_ms } };
}

/** The `{id}` of a path that names a node. */
export function parseNodeId(id: string): Parsed<string> {
  if (NODE_ID.test(id)) return { ok: true, value: id };
  return refuse('invalid_argument', `id: ${JSON.stringify(id)} is not the name of a node like "n1"`);
}

/** The `{id}` of a path that names a shard. */
export function parseShardId(id: string): Parsed<string> {
  if (parseShardName(id) !== null) return { ok: true, value: id };
  return refuse('invalid_argument', `id: ${JSON.stringify(id)} is not the name of a shard like "s1"`);
}

function parseBody<T>(schema: z.ZodType<T>, body: unknown): Parsed<T> {
  const result = schema.safeParse(body);
  if (result.success) return { ok: true, value: result.data };
  const issues = result.error.issues.map((issue) => {
    const where = issue.path.join('.');
    return where === '' ? issue.message : `${where}: ${issue.message}`;
  });
  return refuse('invalid_body', issues.join('; '));
}
