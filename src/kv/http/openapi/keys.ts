/** Reading, writing and listing keys. */
import { duration, integer, type Json, keyEncoding, list, object, ref, text } from './json-schema.js';
import { enc, header, json, query, timeout } from './operations.js';
import { problem } from './problem.js';

const keyParameter: Json = {
  name: 'key',
  in: 'path',
  required: true,
  schema: text,
  description: '1 to 1,024 bytes, percent-encoded; `/` may stand unencoded; taken literally',
};

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

export const keyPaths: Json = {
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

const revision: Json = { type: 'string', pattern: '^[0-9]+$', description: 'Exceeds 2^53 one day: not a number' };

export const keySchemas: Json = {
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
};
