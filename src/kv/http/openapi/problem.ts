/** How each refusal is described: a problem, whatever its status. */
import { ERROR_MEANINGS } from '../error-map.js';
import { integer, type Json, object, ref, text } from './json-schema.js';

export const problem: Json = {
  description: 'A problem (RFC 9457); `code` says which',
  content: { 'application/problem+json': { schema: ref('Problem') } },
};

export const problemSchemas: Json = {
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
};
