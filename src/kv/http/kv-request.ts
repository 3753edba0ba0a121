/**
 * `/v1/kv/{key}` from what HTTP says to what `KvService` takes, in two steps: all that can be known before the body has
 * come (so that a bad request is refused before a byte of it is read), then the body.
 */
import { createHash } from 'node:crypto';
import type { Consistency, KvRequest, RequestContext } from '../server/api.js';
import type { Condition, Idempotency } from '../store/index.js';
import { type Refusal, refuse, refuseMethod } from './http-response.js';
import { decodeKey, KEY_BYTES_MAX } from './key-text.js';
import {
  durationParameter,
  encodingParameter,
  type Parsed,
  parseQuery,
  pathEnd,
  type Query,
  TIMEOUT_MS_DEFAULT,
  TTL_MS_MAX,
  textParameter,
  timeoutParameter,
} from './query.js';
import {
  CONTENT_TYPE_DEFAULT,
  headerText,
  parseCondition,
  parseContentType,
  parseIdempotencyKey,
  parseNoForward,
  type RequestHeaders,
  requestIdOf,
} from './request-headers.js';

export const KV_PATH = '/v1/kv/';
export const KV_ALLOW = 'GET, HEAD, PUT, DELETE';
export type KvMethod = 'GET' | 'HEAD' | 'PUT' | 'DELETE';

/** All of a request but the body. */
export interface KvHead {
  readonly ok: true;
  readonly method: KvMethod;
  readonly key: Buffer;
  readonly context: RequestContext;
  readonly consistency: Consistency;
  readonly maxStaleness_ms: number | null;
  /** Of a read, as it came. */
  readonly ifNoneMatch: string | null;
  readonly condition: Condition;
  readonly idempotencyKey: string | null;
  readonly contentType: string;
  /** 0: never expires. */
  readonly ttl_ms: number;
}

const NO_CONDITION: Condition = { kind: 'none' };
const READ_PARAMETERS: ReadonlySet<string> = new Set(['enc', 'timeout', 'consistency', 'max_staleness']);
const PUT_PARAMETERS: ReadonlySet<string> = new Set(['enc', 'timeout', 'ttl']);
const DELETE_PARAMETERS: ReadonlySet<string> = new Set(['enc', 'timeout']);
const PARAMETERS: Readonly<Record<KvMethod, ReadonlySet<string>>> = {
  GET: READ_PARAMETERS,
  HEAD: READ_PARAMETERS,
  PUT: PUT_PARAMETERS,
  DELETE: DELETE_PARAMETERS,
};

function isKvMethod(method: string): method is KvMethod {
  return method === 'GET' || method === 'PUT' || method === 'HEAD' || method === 'DELETE';
}

/** `target` in origin form (`/v1/kv/…?…`), exactly as it came: nothing is normalised. */
export function parseKvHead(method: string, target: string, headers: RequestHeaders): KvHead | Refusal {
  if (!isKvMethod(method)) return refuseMethod(method, KV_ALLOW);
  const end = pathEnd(target);
  const query = parseQuery(target, end, PARAMETERS[method]);
  if (!query.ok) return query;
  const base64url = encodingParameter(query.value);
  if (!base64url.ok) return base64url;
  const source = base64url.value ? KEY_BASE64URL : KEY_LITERAL;
  const decoded = decodeKey(target, KV_PATH.length, end, source);
  if (!decoded.ok) return decoded;
  if (decoded.key.length === 0) return refuse('invalid_key', 'the key is empty; a key is 1 to 1,024 bytes');
  const context = parseContext(query.value, headers);
  if (!context.ok) return context;
  return method === 'GET' || method === 'HEAD'
    ? parseRead(method, decoded.key, query.value, headers, context.value)
    : parseWrite(method, decoded.key, query.value, headers, context.value);
}

const KEY_LITERAL = { plusIsSpace: false, base64url: false, what: 'the key', bytesMax: KEY_BYTES_MAX };
const KEY_BASE64URL = { ...KEY_LITERAL, base64url: true };

export function parseContext(query: Query, headers: RequestHeaders): Parsed<RequestContext> {
  let timeout_ms = TIMEOUT_MS_DEFAULT;
  if (query.size > 0) {
    const timeout = timeoutParameter(query);
    if (!timeout.ok) return timeout;
    timeout_ms = timeout.value;
  }
  const noForward = parseNoForward(headers);
  if (!noForward.ok) return noForward;
  return { ok: true, value: { timeout_ms, noForward: noForward.value, requestId: requestIdOf(headers) } };
}

export interface ReadMode {
  readonly consistency: Consistency;
  readonly maxStaleness_ms: number | null;
}

const LINEARIZABLE: Parsed<ReadMode> = { ok: true, value: { consistency: 'linearizable', maxStaleness_ms: null } };

export function parseReadMode(query: Query): Parsed<ReadMode> {
  if (query.size === 0) return LINEARIZABLE;
  const level = textParameter(query, 'consistency');
  if (!level.ok) return level;
  const staleness = durationParameter(query, 'max_staleness', TTL_MS_MAX, '36500d');
  if (!staleness.ok) return staleness;
  switch (level.value) {
    case 'stale':
      return { ok: true, value: { consistency: 'stale', maxStaleness_ms: staleness.value } };
    case 'lease':
    case 'session':
      return refuse('not_implemented', `consistency=${level.value} is not implemented; linearizable and stale are`);
    case null:
    case 'linearizable':
      if (staleness.value === null) return LINEARIZABLE;
      return refuse('invalid_argument', 'max_staleness goes with consistency=stale only');
    default:
      return refuse('invalid_argument', 'consistency is linearizable, lease, session or stale');
  }
}

function parseRead(
  method: 'GET' | 'HEAD',
  key: Buffer,
  query: Query,
  headers: RequestHeaders,
  context: RequestContext,
): KvHead | Refusal {
  const mode = parseReadMode(query);
  if (!mode.ok) return mode;
  if (headers['if-match'] !== undefined) {
    return refuse('invalid_argument', 'If-Match is for PUT and DELETE; a read takes If-None-Match');
  }
  return {
    ok: true,
    method,
    key,
    context,
    consistency: mode.value.consistency,
    maxStaleness_ms: mode.value.maxStaleness_ms,
    ifNoneMatch: headerText(headers, 'if-none-match') ?? null,
    condition: NO_CONDITION,
    idempotencyKey: null,
    contentType: CONTENT_TYPE_DEFAULT,
    ttl_ms: 0,
  };
}

function parseWrite(
  method: 'PUT' | 'DELETE',
  key: Buffer,
  query: Query,
  headers: RequestHeaders,
  context: RequestContext,
): KvHead | Refusal {
  const ttl = durationParameter(query, 'ttl', TTL_MS_MAX, '36500d');
  if (!ttl.ok) return ttl;
  const condition = parseCondition(headers);
  if (!condition.ok) return condition;
  const idempotencyKey = parseIdempotencyKey(headers);
  if (!idempotencyKey.ok) return idempotencyKey;
  const contentType = parseContentType(headers);
  if (!contentType.ok) return contentType;
  return {
    ok: true,
    method,
    key,
    context,
    consistency: 'linearizable',
    maxStaleness_ms: null,
    ifNoneMatch: null,
    condition: condition.value,
    idempotencyKey: idempotencyKey.value,
    contentType: contentType.value,
    ttl_ms: ttl.value ?? 0,
  };
}

/**
 * What an idempotency key stands for. Not in it: the KV key (the record's scope), `timeout` (how long to wait is no part of
 * what is asked) and `enc` (a way to write the KV key).
 */
function idempotencyOf(head: KvHead, body: Buffer): Idempotency | null {
  if (head.idempotencyKey === null) return null;
  const { condition } = head;
  const revision = condition.kind === 'revision' ? condition.revision : '';
  // A JSON array delimits its parts: no two requests share a text.
  const text = JSON.stringify([head.method, head.ttl_ms, condition.kind, revision, head.contentType]);
  const digest = createHash('sha256').update(text).update(body).digest();
  return { key: head.idempotencyKey, fingerprint: new Uint8Array(digest.subarray(0, 16)) };
}

/** `body` belongs to the request from here on. It is empty but for PUT: a body of other methods has no meaning here. */
export function kvRequestOf(head: KvHead, body: Buffer): KvRequest {
  switch (head.method) {
    case 'GET':
    case 'HEAD':
      return { kind: 'get', key: head.key, consistency: head.consistency, maxStaleness_ms: head.maxStaleness_ms };
    case 'PUT':
      return {
        kind: 'put',
        key: head.key,
        value: body,
        contentType: head.contentType,
        ttl_ms: head.ttl_ms,
        condition: head.condition,
        idempotency: idempotencyOf(head, body),
      };
    case 'DELETE':
      return {
        kind: 'delete',
        key: head.key,
        condition: head.condition,
        idempotency: idempotencyOf(head, EMPTY_BODY),
      };
  }
}

export const EMPTY_BODY = Buffer.alloc(0);

export function valueTooLarge(valueBytes: number): Refusal {
  return refuse('value_too_large', `a value is at most ${valueBytes} bytes`);
}
