/**
 * What a request says in its headers: conditions, idempotency key, content type, request id.
 */
import type { Condition } from '../store/index.js';
import { refuse } from './http-response.js';
import type { Parsed } from './query.js';

/** Names in lower case; `http.IncomingHttpHeaders` fits. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export const CONTENT_TYPE_DEFAULT = 'application/octet-stream';
const CONTENT_TYPE_LENGTH_MAX = 256;

const VISIBLE_1_128 = /^[\x21-\x7e]{1,128}$/;
const VISIBLE_AND_SPACE = /^[\x20-\x7e]*$/;
const REVISION_TAG = /^"(0|[1-9][0-9]*)"$/;

const NONE: Parsed<Condition> = { ok: true, value: { kind: 'none' } };
const EXISTS: Parsed<Condition> = { ok: true, value: { kind: 'exists' } };
const ABSENT: Parsed<Condition> = { ok: true, value: { kind: 'absent' } };

export function headerText(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' || value === undefined ? value : value.join(', ');
}

/** Of a write: `If-Match: "<revision>"`, `If-Match: *`, `If-None-Match: *` or none of them. */
export function parseCondition(headers: RequestHeaders): Parsed<Condition> {
  const match = headerText(headers, 'if-match');
  const noneMatch = headerText(headers, 'if-none-match');
  if (match === undefined && noneMatch === undefined) return NONE;
  if (match !== undefined && noneMatch !== undefined) {
    return refuse('invalid_argument', 'If-Match and If-None-Match exclude each other');
  }
  if (noneMatch !== undefined) {
    return noneMatch === '*' ? ABSENT : refuse('invalid_argument', 'If-None-Match of a write is * and nothing else');
  }
  if (match === '*') return EXISTS;
  const digits = REVISION_TAG.exec(match ?? '')?.[1];
  if (digits === undefined) {
    return refuse('invalid_argument', 'If-Match is * or one revision in quotes, such as "42"; no lists, no weak tags');
  }
  // A revision beyond what this build counts is no key's: it must answer 412 with the current one, so ask for the largest.
  return { ok: true, value: { kind: 'revision', revision: Math.min(Number(digits), Number.MAX_SAFE_INTEGER) } };
}

/** Null: not given. */
export function parseIdempotencyKey(headers: RequestHeaders): Parsed<string | null> {
  const key = headerText(headers, 'idempotency-key');
  if (key === undefined) return { ok: true, value: null };
  if (VISIBLE_1_128.test(key)) return { ok: true, value: key };
  return refuse('invalid_argument', 'Idempotency-Key is 1 to 128 visible ASCII characters');
}

export function parseContentType(headers: RequestHeaders): Parsed<string> {
  const type = headerText(headers, 'content-type');
  if (type === undefined || type === '') return { ok: true, value: CONTENT_TYPE_DEFAULT };
  if (type.length > CONTENT_TYPE_LENGTH_MAX || !VISIBLE_AND_SPACE.test(type)) {
    return refuse('invalid_argument', `Content-Type is up to ${CONTENT_TYPE_LENGTH_MAX} visible ASCII characters`);
  }
  return { ok: true, value: type };
}

export function parseNoForward(headers: RequestHeaders): Parsed<boolean> {
  const text = headerText(headers, 'x-quorate-no-forward');
  if (text === undefined || text === '0') return { ok: true, value: false };
  return text === '1'
    ? { ok: true, value: true }
    : refuse('invalid_argument', 'X-Quorate-No-Forward is 1 or not given');
}

/** Of a read (RFC 9110 section 13.1.2): a list of tags, compared weakly, or `*`. */
export function noneMatchHolds(noneMatch: string, revision: string): boolean {
  if (noneMatch === '*') return true;
  for (const part of noneMatch.split(',')) {
    const tag = part.trim();
    if ((tag.startsWith('W/') ? tag.slice(2) : tag) === `"${revision}"`) return true;
  }
  return false;
}

let requestCount = 0;
/** Tells processes apart in logs that are read together; no secret and no identity. */
const processPrefix = `${process.pid.toString(36)}-${Math.floor(performance.timeOrigin).toString(36)}-`;

/** The client's own id where it is fit for a log line, else one of this process. */
export function requestIdOf(headers: RequestHeaders): string {
  const given = headers['x-request-id'];
  if (typeof given === 'string' && VISIBLE_1_128.test(given)) return given;
  requestCount += 1;
  return processPrefix + requestCount.toString(36);
}
