/**
 * `GET /v1/kv?prefix=&start=&end=&limit=&cursor=&keys_only=`: prefix, start and end are one range of bytes, their intersection.
 */
import type { ListRangeRequest, RequestContext } from '../server/api.js';
import { type Refusal, refuse, refuseMethod } from './http-response.js';
import { BOUND_BYTES_MAX } from './key-text.js';
import { parseContext, parseReadMode } from './kv-request.js';
import { type Bounds, decodeCursor } from './list-cursor.js';
import {
  encodingParameter,
  flagParameter,
  integerParameter,
  keyParameter,
  type Parsed,
  parseQuery,
  pathEnd,
  type Query,
  textParameter,
  withoutEmpty,
} from './query.js';
import type { RequestHeaders } from './request-headers.js';

export const LIST_ALLOW = 'GET, HEAD';
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
/** `?prefix=&start=&end=&limit=&cursor=&keys_only=`: left empty is not given, so that a client's loop needs no special case. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(['prefix', 'start', 'end', 'limit', 'cursor', 'keys_only']);
const PARAMETERS: ReadonlySet<string> = new Set([...MAY_BE_EMPTY, 'enc', 'timeout', 'consistency', 'max_staleness']);
const NOTHING = Buffer.alloc(0);

export interface ListHead {
  readonly ok: true;
  readonly bounds: Bounds;
  /** Null: the bounds hold no key, and no shard need be asked. */
  readonly request: ListRangeRequest | null;
  readonly context: RequestContext;
}

export function parseListHead(method: string, target: string, headers: RequestHeaders): ListHead | Refusal {
  if (method !== 'GET' && method !== 'HEAD') return refuseMethod(method, LIST_ALLOW);
  const parsed = parseQuery(target, pathEnd(target), PARAMETERS);
  if (!parsed.ok) return parsed;
  const query = withoutEmpty(parsed.value, MAY_BE_EMPTY);
  const bounds = parseBounds(query);
  if (!bounds.ok) return bounds;
  const context = parseContext(query, headers);
  if (!context.ok) return context;
  const mode = parseReadMode(query);
  if (!mode.ok) return mode;
  const limit = integerParameter(query, 'limit', 1, LIMIT_MAX);
  if (!limit.ok) return limit;
  const keysOnly = flagParameter(query, 'keys_only');
  if (!keysOnly.ok) return keysOnly;
  const start = parseStart(query, bounds.value);
  if (!start.ok) return start;
  const { end } = bounds.value;
  const empty = end !== null && start.value.compare(end) >= 0;
  const request: ListRangeRequest = {
    kind: 'list',
    start: start.value,
    end,
    limit: limit.value ?? LIMIT_DEFAULT,
    keysOnly: keysOnly.value,
    consistency: mode.value.consistency,
    maxStaleness_ms: mode.value.maxStaleness_ms,
  };
  return { ok: true, bounds: bounds.value, request: empty ? null : request, context: context.value };
}

function parseStart(query: Query, bounds: Bounds): Parsed<Buffer> {
  const cursor = textParameter(query, 'cursor');
  if (!cursor.ok) return cursor;
  if (cursor.value === null || cursor.value === '') return { ok: true, value: bounds.start };
  const decoded = decodeCursor(cursor.value, bounds);
  return decoded.ok ? { ok: true, value: decoded.next } : refuse('invalid_argument', decoded.detail);
}

function parseBounds(query: Query): Parsed<Bounds> {
  const base64url = encodingParameter(query);
  if (!base64url.ok) return base64url;
  const prefix = keyParameter(query, 'prefix', base64url.value, BOUND_BYTES_MAX);
  if (prefix?.ok === false) return prefix;
  const start = keyParameter(query, 'start', base64url.value, BOUND_BYTES_MAX);
  if (start?.ok === false) return start;
  const end = keyParameter(query, 'end', base64url.value, BOUND_BYTES_MAX);
  if (end?.ok === false) return end;
  const prefixEnd = prefix === null ? null : prefixSuccessor(prefix.key);
  return {
    ok: true,
    value: {
      start: larger(prefix?.key ?? NOTHING, start?.key ?? NOTHING),
      end: end === null || prefixEnd === null ? (end?.key ?? prefixEnd) : smaller(end.key, prefixEnd),
    },
  };
}

function larger(a: Buffer, b: Buffer): Buffer {
  return a.compare(b) >= 0 ? a : b;
}

function smaller(a: Buffer, b: Buffer): Buffer {
  return a.compare(b) <= 0 ? a : b;
}

/** The smallest byte string above all that begin with `prefix`; null where there is none (all 0xff). */
export function prefixSuccessor(prefix: Buffer): Buffer | null {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) return null;
  const end = Buffer.from(prefix.subarray(0, length));
  end[length - 1]! += 1;
  return end;
}
