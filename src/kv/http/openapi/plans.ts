/** Plans: how they are asked for and steered, where they are, what their batches have proved. */
import { z } from 'zod';
import { SHARE_BY } from '../../../shardctrl/index.js';
import { moveSchema, reshardSchema } from '../admin-schemas.js';
import { integer, type Json, list, number, object, optionalInteger, optionalText, ref, text } from './json-schema.js';
import { body, get, id, json, query, timeout } from './operations.js';
import { problem } from './problem.js';

function startPlan(summary: string, schema: Json): Json {
  return {
    summary,
    parameters: [timeout],
    requestBody: body(schema),
    responses: { 200: json('The plan (dry_run)', ref('Plan')), 202: json('Started', ref('Plan')), default: problem },
  };
}

function steerPlan(summary: string): Json {
  return {
    post: { summary, parameters: [id, timeout], responses: { 200: json('The plan', ref('Plan')), default: problem } },
  };
}

export const planPaths: Json = {
  '/v1/admin/reshard': {
    ...get('The latest plan, and the history', [timeout], ref('Plan')),
    post: startPlan('Plan and start a reshard', z.toJSONSchema(reshardSchema)),
  },
  '/v1/admin/reshard/{id}': get('A plan', [id, timeout], ref('Plan')),
  '/v1/admin/reshard/{id}/receipts': get(
    'What its batches have proved, oldest first',
    [
      id,
      query('after', integer, 'How many to leave out: `next` of the page before'),
      query('limit', integer, '1 to 1,000 (default)'),
      timeout,
    ],
    ref('Receipts'),
  ),
  '/v1/admin/reshard/{id}/pause': steerPlan('Begin no further move'),
  '/v1/admin/reshard/{id}/resume': steerPlan('Go on'),
  '/v1/admin/reshard/{id}/cancel': steerPlan('Undo what is not installed; what is goes forward: `ending` of each move'),
  '/v1/admin/move': { post: startPlan('Move slots to a shard', z.toJSONSchema(moveSchema)) },
};

export const planSchemas: Json = {
  Plan: object(
    {
      id: text,
      state: { enum: ['planned', 'running', 'paused', 'done', 'failed', 'cancelled'] },
      reason: text,
      cause: { type: 'string', description: 'What it is for, where nobody asked for its moves' },
      created: { type: 'string', format: 'date-time' },
      max_pause_ms: integer,
      max_rate_bytes: integer,
      moves: list(ref('Move')),
      shares: { type: 'object', additionalProperties: { type: 'number' } },
      new_shards: list(object({ id: text, members: list(text), placement: list(ref('Place')) }, ['placement'])),
      retired_shards: list(text),
      warnings: list(text),
      history: list(object({ id: text, state: text, created: text })),
      by: { enum: SHARE_BY, description: 'What is evened out' },
      excluded_shards: list(text),
      excluded_nodes: list(text),
      balance: list(ref('Balance')),
      predicted: ref('Predicted'),
    },
    [
      'reason',
      'cause',
      'max_pause_ms',
      'max_rate_bytes',
      'shares',
      'new_shards',
      'retired_shards',
      'warnings',
      'history',
      'by',
      'excluded_shards',
      'excluded_nodes',
      'balance',
      'predicted',
    ],
  ),
  Receipts: object({ id: text, receipts: list(ref('Receipt')), next: integer }, ['next']),
  Receipt: object({
    number: integer,
    move: text,
    from: text,
    to: text,
    slots: text,
    slot_count: integer,
    keys: integer,
    bytes: integer,
    idempotency_records: integer,
    source_checksum: text,
    destination_checksum: text,
    freeze_index: integer,
    install_index: integer,
    revision: text,
    epoch: integer,
    pause_ms: { type: ['number', 'null'] },
  }),
  Place: object({ node: text, zone: optionalText, host: optionalText, leads: { type: 'boolean' } }),
  Balance: object({
    shard: text,
    weight: number,
    excluded: { type: 'boolean' },
    slots_before: integer,
    slots_after: integer,
    keys_before: optionalInteger,
    keys_after: optionalInteger,
    bytes_before: optionalInteger,
    bytes_after: optionalInteger,
  }),
  Predicted: object({
    time_ms: optionalInteger,
    pause_ms: optionalInteger,
    pause_ms_max: optionalInteger,
    batches: optionalInteger,
    basis: { enum: ['measured', 'defaults'] },
    from: text,
  }),
  SomeSlots: object({ slots: text, slot_count: integer }),
  Ending: object({
    outcome: { enum: ['undone', 'undoing', 'forward'] },
    forward: ref('SomeSlots'),
    undoing: ref('SomeSlots'),
    undone: ref('SomeSlots'),
    not_begun: ref('SomeSlots'),
    why: text,
  }),
  Move: object(
    {
      id: text,
      slots: text,
      slot_count: integer,
      from: text,
      to: text,
      phase: text,
      keys: optionalInteger,
      bytes: optionalInteger,
      rate: { type: ['number', 'null'] },
      eta_ms: optionalInteger,
      pause_ms: optionalInteger,
      checksum: optionalText,
      ending: ref('Ending'),
    },
    ['ending'],
  ),
};
