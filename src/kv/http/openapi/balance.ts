/** What slots, keys and shards carry, and what is to be done where some shard carries too much. */
import { z } from 'zod';
import { balanceSchema, balanceSettingsSchema } from '../admin-schemas.js';
import { HOT_MAX } from '../balance-routes.js';
import { integer, type Json, keyEncoding, list, number, object, optionalInteger, ref, text } from './json-schema.js';
import { body, get, json, post, query, timeout } from './operations.js';
import { problem } from './problem.js';

export const balancePaths: Json = {
  '/v1/cluster/hot': get(
    'The slots and keys that are asked for most, merged over all nodes',
    [query('limit', { type: 'integer', minimum: 1, maximum: HOT_MAX }, 'Of each; default 10'), timeout],
    ref('Hot'),
  ),
  '/v1/admin/balance': {
    ...get('What shards carry, and what would be done about it', [timeout], ref('ShardLoads')),
    post: {
      summary: 'Relieve overloaded shards: starts a plan like any other',
      parameters: [timeout],
      requestBody: body(z.toJSONSchema(balanceSchema), false),
      responses: {
        200: json('The plan (dry_run), or nothing to move: its state is `planned`', ref('Plan')),
        202: json('Started', ref('Plan')),
        default: problem,
      },
    },
    put: post(
      'When shards count as unbalanced, and whether that is put right by itself; what is left out stays',
      [timeout],
      balanceSettingsSchema,
      200,
      json('As they are from now on', ref('BalanceSettings')),
    ),
  },
};

const balanceSettings = { auto: { type: 'boolean' }, limit_percent: integer, hold_s: integer };

/** `Cluster` shows it, too. */
export const balanceLine = {
  auto: { type: 'boolean' },
  state: { enum: ['balanced', 'watching', 'unbalanced', 'stuck', 'unknown'] },
  detail: text,
};

export const balanceSchemas: Json = {
  Hot: object({
    half_life_s: number,
    shards: list(object({ id: text, reads_per_s: number, writes_per_s: number, share: number })),
    slots: list(object({ slot: integer, shard: text, reads_per_s: number, writes_per_s: number, share: number })),
    keys: list(
      object({
        key: text,
        key_encoding: keyEncoding,
        slot: integer,
        shard: text,
        requests_per_s: number,
        error_per_s: { type: 'number', description: 'Most likely it is within so much of the truth' },
      }),
    ),
    silent_shards: list(text),
    silent_nodes: list(text),
  }),
  ShardLoads: object({
    ...balanceLine,
    ...balanceSettings,
    overloaded_s: optionalInteger,
    shards: list(
      object({
        id: text,
        requests_per_s: number,
        load_share: number,
        bytes: integer,
        bytes_share: number,
        fair_share: number,
      }),
    ),
    silent_shards: list(text),
    plan: ref('Plan'),
  }),
  BalanceSettings: object(balanceSettings),
};
