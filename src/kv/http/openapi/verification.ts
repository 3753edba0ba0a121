/** Whether replicas still hold the same, and plans have kept what they promised. */
import { z } from 'zod';
import { verifySchema } from '../admin-schemas.js';
import { integer, type Json, list, object, optionalInteger, optionalText, ref, text } from './json-schema.js';
import { body, get, id, json, timeout } from './operations.js';
import { problem } from './problem.js';

export const verificationPaths: Json = {
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

const verifyState: Json = { enum: ['running', 'done', 'cancelled', 'failed'] };
const verifyResult: Json = {
  enum: ['clean', 'differences', 'incomplete', null],
  description: 'incomplete: nothing differs, but not everything could be compared; null: it is under way',
};

export const verificationSchemas: Json = {
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
