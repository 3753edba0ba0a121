/**
 * The API's description (OpenAPI 3.1), as it is served at `/openapi.json`: what this version answers, not what it answers 501
 * to. Bodies of the administration come from the schemas that check them.
 */
import { z } from 'zod';
import { SHARE_BY } from '../../shardctrl/index.js';
import {
  addNodeSchema,
  balanceSchema,
  balanceSettingsSchema,
  membersSchema,
  moveSchema,
  reshardSchema,
  settingsSchema,
  transferLeaderSchema,
  verifySchema,
} from './admin-schemas.js';
import { HOT_MAX } from './balance-routes.js';
import { ERROR_MEANINGS } from './error-map.js';

type Json = Readonly<Record<string, unknown>>;

const text: Json = { type: 'string' };
const integer: Json = { type: 'integer' };
const number: Json = { type: 'number' };
const optionalInteger: Json = { type: ['integer', 'null'] };
const optionalText: Json = { type: ['string', 'null'] };
const duration: Json = { type: 'string', pattern: '^[1-9][0-9]*(ms|s|m|h|d)$', examples: ['500ms', '8s'] };
const revision: Json = { type: 'string', pattern: '^[0-9]+$', description: 'Exceeds 2^53 one day: not a number' };
const keyEncoding: Json = { enum: ['utf8', 'base64'] };

function object(properties: Json, optional: readonly string[] = []): Json {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

function list(items: Json): Json {
  return { type: 'array', items };
}

function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function query(name: string, schema: Json, description: string): Json {
  return { name, in: 'query', schema, description };
}

function header(name: string, description: string): Json {
  return { name, in: 'header', schema: text, description };
}

const problem: Json = {
  description: 'A problem (RFC 9457); `code` says which',
  content: { 'application/problem+json': { schema: ref('Problem') } },
};

function json(description: string, schema: Json): Json {
  return { description, content: { 'application/json': { schema } } };
}

function body(schema: Json, required = true): Json {
  return { required, content: { 'application/json': { schema } } };
}

const keyParameter: Json = {
  name: 'key',
  in: 'path',
  required: true,
  schema: text,
  description: '1 to 1,024 bytes, percent-encoded; `/` may stand unencoded; taken literally',
};
const enc = query('enc', { const: 'b64url' }, 'Keys in path and query are base64url');
const timeout = query('timeout', duration, 'How long the request may wait, at most 60s; default 8s');
const consistency = query('consistency', { enum: ['linearizable', 'stale'] }, 'Of the read; default linearizable');
const maxStaleness = query('max_staleness', duration, 'With consistency=stale: how old the answer may be');
const readParameters = [enc, timeout, consistency, maxStaleness, header('If-None-Match', '304 where it matches')];
const writeParameters = [
  enc,
  timeout,
  header('If-Match', '`"<revision>"` or `*`: must be so, or exist'),
  header('If-None-Match', '`*`: must not exist'),
  header('Idempotency-Key', '1 to 128 visible characters: makes a retry safe for 10 minutes'),
];

const dataPaths: Json = {
  '/v1/kv/{key}': {
    parameters: [
      keyParameter,
      header(
        'X-Quorate-No-Forward',
        '`1`: a node that does not lead the shard answers wrong_shard, but to stale reads',
      ),
    ],
    get: {
      summary: 'Read a key',
      parameters: readParameters,
      responses: {
        200: { description: 'The value, with the Content-Type it was stored with', content: { '*/*': {} } },
        304: { description: 'If-None-Match matches' },
        default: problem,
      },
    },
    head: {
      summary: 'Read a key without its value',
      parameters: readParameters,
      responses: { 200: { description: 'It exists' }, 304: { description: 'If-None-Match matches' }, default: problem },
    },
    put: {
      summary: 'Store a value',
      parameters: [...writeParameters, query('ttl', duration, 'Expires it; without, an earlier expiry is cleared')],
      requestBody: { content: { '*/*': {} } },
      responses: { 200: json('Replaced', ref('Stored')), 201: json('Created', ref('Stored')), default: problem },
    },
    delete: {
      summary: 'Remove a key',
      parameters: writeParameters,
      responses: { 200: json('Removed', ref('Deleted')), default: problem },
    },
  },
  '/v1/kv': {
    get: {
      summary: 'List keys in byte order, over all shards',
      parameters: [
        query('prefix', text, 'Keys that begin with it'),
        query('start', text, 'Inclusive'),
        query('end', text, 'Exclusive'),
        query('limit', { type: 'integer', minimum: 1, maximum: 1000 }, 'Default 100; a page may end earlier'),
        query('cursor', text, 'From the page before; only a missing cursor means the end'),
        query('keys_only', { type: 'boolean' }, 'Without values'),
        enc,
        timeout,
        consistency,
        maxStaleness,
      ],
      responses: { 200: json('A page', ref('Page')), default: problem },
    },
  },
};

const id: Json = { name: 'id', in: 'path', required: true, schema: text };

function get(summary: string, parameters: readonly Json[], schema: Json): Json {
  return { get: { summary, parameters, responses: { 200: json(summary, schema), default: problem } } };
}

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

function post(summary: string, parameters: readonly Json[], schema: z.ZodType, status: 200 | 202, answer: Json): Json {
  const requestBody = body(z.toJSONSchema(schema));
  return { summary, parameters, requestBody, responses: { [status]: answer, default: problem } };
}

const memberPaths: Json = {
  '/v1/admin/nodes': {
    post: post(
      'Let a node that runs belong to the cluster; again: no effect',
      [timeout],
      addNodeSchema,
      200,
      json('The node', ref('Node')),
    ),
  },
  '/v1/admin/nodes/{id}': {
    delete: {
      summary: 'Move all replicas off a node, then remove it for good; again: no effect',
      parameters: [id, timeout],
      responses: { 202: json('Begun: the node is `draining`', ref('Node')), default: problem },
    },
  },
  '/v1/admin/shards/{id}/members': {
    ...get('The members of a shard, and where a change of them is', [id, timeout], ref('Members')),
    post: post(
      'Change the members of a shard: at least one name, each at most once',
      [id, timeout],
      membersSchema,
      202,
      json('Begun', ref('Members')),
    ),
  },
  '/v1/admin/shards/{id}/transfer-leader': {
    post: post(
      'Give the leadership to another member; again: no effect',
      [id, timeout],
      transferLeaderSchema,
      200,
      json('It leads', ref('Leader')),
    ),
  },
};

const settingsPaths: Json = {
  '/v1/admin/settings': {
    ...get('What is set for the whole cluster', [timeout], ref('Settings')),
    put: post(
      'Set it; again: no effect',
      [timeout],
      settingsSchema,
      200,
      json('In force from now on', ref('Settings')),
    ),
  },
};

const balancePaths: Json = {
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

const verifyPaths: Json = {
  '/v1/admin/verify': {
    ...get('The verifications that nodes remember, newest first', [timeout], ref('Verifications')),
    post: {
      summary:
        'Begin to compare the replicas of shards, record by record, and the receipts of a plan; no body: all shards',
      parameters: [timeout],
      requestBody: body(z.toJSONSchema(verifySchema), false),
      responses: { 202: json('Begun', ref('Verification')), default: problem },
    },
  },
  '/v1/admin/verify/{id}': get('Where a verification is, and what it has found', [id, timeout], ref('Verification')),
  '/v1/admin/verify/{id}/cancel': {
    post: {
      summary: 'End a verification; again, or too late: no effect',
      parameters: [id, timeout],
      responses: { 200: json('The verification', ref('Verification')), default: problem },
    },
  },
};

const adminPaths: Json = {
  '/v1/cluster': get('Nodes, shards and controller', [timeout], ref('Cluster')),
  '/v1/cluster/map': get(
    'The shard map',
    [query('epoch', integer, 'As it was'), query('wait_epoch', integer, 'Waits until the map has reached it'), timeout],
    ref('Map'),
  ),
  '/v1/cluster/locate': get('Where a key lives', [query('key', text, 'The key'), enc, timeout], ref('Location')),
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
  '/livez': get('The process runs', [], object({ status: text })),
  '/readyz': get(
    'The node serves',
    [query('verbose', text, 'Lists the checks')],
    object({ ready: { type: 'boolean' } }),
  ),
  '/metrics': {
    get: { summary: 'Prometheus metrics', responses: { 200: { description: 'Text', content: { 'text/plain': {} } } } },
  },
};

const verifyState: Json = { enum: ['running', 'done', 'cancelled', 'failed'] };
const verifyResult: Json = {
  enum: ['clean', 'differences', 'incomplete', null],
  description: 'incomplete: nothing differs, but not everything could be compared; null: it is under way',
};

const verifySchemas: Json = {
  Verifications: object({
    runs: list(object({ id: text, state: verifyState, result: verifyResult, started: text })),
    silent: list(text),
  }),
  Verification: object(
    {
      id: text,
      state: verifyState,
      result: verifyResult,
      reason: text,
      started: { type: 'string', format: 'date-time' },
      ended: optionalText,
      mib_per_s: integer,
      shards: list(ref('VerifiedShard')),
      plan: { anyOf: [ref('VerifiedPlan'), { type: 'null' }] },
    },
    ['reason'],
  ),
  VerifiedShard: object({
    id: text,
    scope: { enum: ['records', 'slots'], description: 'slots: only what the state keeps of records was compared' },
    state: { enum: ['waiting', 'preparing', 'reading', 'comparing', 'done'] },
    index: { ...optionalInteger, description: "Of the shard's log: where its replicas are compared" },
    replicas: list(
      object({
        node: text,
        state: { enum: ['waiting', 'reading', 'read', 'unanswered', 'failed'] },
        detail: optionalText,
        index: optionalInteger,
        state_hash: optionalText,
        keys: optionalInteger,
        bytes: optionalInteger,
        read_bytes: integer,
      }),
    ),
    differences: list(ref('Difference')),
  }),
  VerifiedPlan: object({
    id: text,
    state: text,
    receipts: integer,
    checked: integer,
    keys: integer,
    bytes: integer,
    differences: list(ref('Difference')),
    unchecked: list(text),
  }),
  Difference: object({
    kind: {
      enum: [
        'rotten',
        'records',
        'index',
        'state',
        'remains',
        'unreadable',
        'replicas',
        'record',
        'owner',
        'receipt',
        'more',
      ],
    },
    nodes: list(text),
    slots: optionalText,
    key: optionalText,
    key_encoding: { enum: ['utf8', 'base64', null] },
    detail: text,
  }),
};

const nodeInMap = { id: text, http: text, peer: text, labels: { type: 'object', additionalProperties: text } };
const balanceSettings = { auto: { type: 'boolean' }, limit_percent: integer, hold_s: integer };
const balanceLine = {
  auto: { type: 'boolean' },
  state: { enum: ['balanced', 'watching', 'unbalanced', 'stuck', 'unknown'] },
  detail: text,
};
const nodeState: Json = { enum: ['healthy', 'suspect', 'down', 'draining'] };

const schemas: Json = {
  Problem: object(
    {
      type: text,
      title: text,
      status: integer,
      detail: text,
      code: { enum: Object.keys(ERROR_MEANINGS) },
      retryable: { type: 'boolean' },
      shard: text,
      slot: integer,
      epoch: integer,
      leader: text,
      phase: text,
    },
    ['shard', 'slot', 'epoch', 'leader', 'phase'],
  ),
  Stored: object({
    key: text,
    key_encoding: keyEncoding,
    revision,
    version: integer,
    shard: { type: 'string', description: 'That answers: of an answer given again, the owner of the slot by now' },
  }),
  Deleted: object({ key: text, key_encoding: keyEncoding, revision, deleted: { const: true } }),
  Page: object({ items: list(ref('Item')), cursor: text }, ['cursor']),
  Item: object(
    {
      key: text,
      key_encoding: keyEncoding,
      value: text,
      encoding: keyEncoding,
      revision,
      version: integer,
      content_type: text,
      expires_in: { type: 'integer', description: 'Milliseconds' },
    },
    ['value', 'encoding', 'expires_in'],
  ),
  Cluster: object({
    cluster_id: text,
    epoch: integer,
    health: text,
    nodes: list(ref('Node')),
    shards: list(
      object({
        id: text,
        state: text,
        slots: text,
        slot_count: integer,
        members: list(object({ node: text, role: text, applied: optionalInteger, lag: optionalInteger, state: text })),
        leader: { type: ['string', 'null'] },
        term: optionalInteger,
        keys: optionalInteger,
        bytes: optionalInteger,
        weight: number,
        reads_per_s: { type: ['number', 'null'] },
        writes_per_s: { type: ['number', 'null'] },
      }),
    ),
    controller: object({ leader: { type: ['string', 'null'] }, term: optionalInteger, members: list(text) }),
    balance: { anyOf: [object(balanceLine), { type: 'null' }], description: 'null: the controller does not say' },
    missing_replicas: list(
      object({
        group: { type: 'string', description: 'A shard, or `controller`' },
        node: text,
        since: { type: 'string', format: 'date-time' },
        state: { enum: ['rebuilding', 'waiting', 'blocked'] },
        reason: text,
      }),
    ),
  }),
  Settings: object({
    rebuild_after: {
      type: ['string', 'null'],
      description: 'So long a node has to be down before its replicas are made anew on others; null: they never are',
    },
  }),
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
  Node: object({ ...nodeInMap, state: nodeState, since: { type: 'string', format: 'date-time' } }),
  Members: object({
    id: text,
    members: list(text),
    joining: list(text),
    leaving: list(text),
    waits_for: { type: ['string', 'null'], description: 'null: no change is under way' },
  }),
  Leader: object({ id: text, leader: text, term: integer }),
  Map: object({
    cluster_id: text,
    epoch: integer,
    shards: list(
      object({ id: text, slots: text, members: list(text), weight: number, avoids: list(text) }, ['avoids']),
    ),
    nodes: list(object(nodeInMap)),
  }),
  Location: object({
    key: text,
    key_encoding: keyEncoding,
    slot: integer,
    shard: text,
    leader: { type: ['string', 'null'] },
    members: list(text),
    epoch: integer,
  }),
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

/** Rendered once. */
export const OPENAPI_DOCUMENT: string = JSON.stringify({
  openapi: '3.1.0',
  info: { title: 'Quorate', version: '1', description: 'Every answer carries X-Quorate-Epoch.' },
  paths: { ...dataPaths, ...adminPaths, ...balancePaths, ...memberPaths, ...settingsPaths, ...verifyPaths },
  components: { schemas: { ...schemas, ...verifySchemas } },
});
