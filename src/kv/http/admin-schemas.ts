/**
 * JSON bodies of the administration. Unknown members are refused: a misspelt `dryrun` must not start a reshard.
 */
import { z } from 'zod';
import { SLOT_COUNT } from '../../shardctrl/index.js';
import type { MoveRequest, ReshardRequest } from '../server/api.js';
import { refuse } from './http-response.js';
import type { Parsed } from './query.js';

export const reshardSchema = z.strictObject({
  shards: z.int().min(1).max(SLOT_COUNT),
  replicas: z.int().min(1).max(99).optional(),
  dry_run: z.boolean().optional(),
  max_pause_ms: z.int().min(1).max(3_600_000).optional(),
});

export const moveSchema = z.strictObject({
  slots: z.string().regex(/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/, 'slots look like "0-99,200"'),
  to: z.string().min(1).max(128),
  dry_run: z.boolean().optional(),
});

export function parseReshard(body: unknown): Parsed<ReshardRequest> {
  const parsed = parseBody(reshardSchema, body);
  if (!parsed.ok) return parsed;
  const { shards, replicas, dry_run = false, max_pause_ms } = parsed.value;
  return {
    ok: true,
    value: {
      shards,
      dry_run,
      ...(replicas === undefined ? {} : { replicas }),
      ...(max_pause_ms === undefined ? {} : { max_pause_ms }),
    },
  };
}

/** There is nothing to say beside the path. */
const steerSchema = z.strictObject({}).optional();

export function parseSteer(body: unknown): Parsed<unknown> {
  return parseBody(steerSchema, body);
}

export function parseMove(body: unknown): Parsed<MoveRequest> {
  const parsed = parseBody(moveSchema, body);
  if (!parsed.ok) return parsed;
  const { slots, to, dry_run = false } = parsed.value;
  return { ok: true, value: { slots, to, dry_run } };
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
