/**
 * Query strings, strictly: a parameter that the call does not know, or one given twice, is 400 `invalid_argument`. A
 * misspelt `tll=5s` that were passed over would store a key that never expires.
 */
import { parseDuration } from './duration.js';
import { type Refusal, refuse } from './http-response.js';
import { decodeKey, type KeyDecoding } from './key-text.js';
import { decodePercent } from './percent.js';

/** A hundred years; a time of expiry stays far below 2^53. */
export const TTL_MS_MAX = 36_500 * 86_400_000;
export const TIMEOUT_MS_DEFAULT = 8_000;
export const TIMEOUT_MS_MAX = 60_000;

export type Parsed<T> = { readonly ok: true; readonly value: T } | Refusal;

/** Values still percent-encoded, by name; null where a name stands without `=`. */
export type Query = ReadonlyMap<string, string | null>;

const NO_QUERY: Query = new Map();
const EMPTY: Parsed<Query> = { ok: true, value: NO_QUERY };
const NOT_GIVEN: Parsed<null> = { ok: true, value: null };

/** Where the path of a request target ends. */
export function pathEnd(target: string): number {
  const mark = target.indexOf('?');
  return mark < 0 ? target.length : mark;
}

/** `from`: index of the `?`, or the end of the target where it has none. `known` null: any name is let through. */
export function parseQuery(target: string, from: number, known: ReadonlySet<string> | null): Parsed<Query> {
  if (from + 1 >= target.length) return EMPTY;
  const values = new Map<string, string | null>();
  for (const pair of target.slice(from + 1).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeText(equals < 0 ? pair : pair.slice(0, equals));
    if (name === null) return refuse('invalid_argument', 'a query parameter has a malformed name');
    if (known !== null && !known.has(name)) {
      const names = [...known].join(', ');
      return refuse(
        'invalid_argument',
        `unknown query parameter ${JSON.stringify(name)}; this call knows ${names || 'none'}`,
      );
    }
    if (values.has(name)) return refuse('invalid_argument', `query parameter ${JSON.stringify(name)} is given twice`);
    values.set(name, equals < 0 ? null : pair.slice(equals + 1));
  }
  return { ok: true, value: values };
}

function decodeText(raw: string): string | null {
  const bytes = decodePercent(raw, 0, raw.length, true);
  return bytes === null ? null : bytes.toString('utf8');
}

/** null: not given. */
export function textParameter(query: Query, name: string): Parsed<string | null> {
  const raw = query.get(name);
  if (raw === undefined) return { ok: true, value: null };
  const text = decodeText(raw ?? '');
  if (text === null) return refuse('invalid_argument', `${name} has a malformed percent-escape`);
  return { ok: true, value: text };
}

export function durationParameter(query: Query, name: string, max_ms: number, maxText: string): Parsed<number | null> {
  const text = textParameter(query, name);
  if (!text.ok) return text;
  if (text.value === null) return NOT_GIVEN;
  const duration_ms = parseDuration(text.value);
  if (duration_ms === null) {
    return refuse('invalid_argument', `${name} is a whole number from 1 on with ms, s, m, h or d, such as 500ms or 8s`);
  }
  if (duration_ms > max_ms) return refuse('invalid_argument', `${name} is at most ${maxText}`);
  return { ok: true, value: duration_ms };
}

export function timeoutParameter(query: Query): Parsed<number> {
  const timeout = durationParameter(query, 'timeout', TIMEOUT_MS_MAX, '60s');
  return timeout.ok ? { ok: true, value: timeout.value ?? TIMEOUT_MS_DEFAULT } : timeout;
}

/** A whole number between the bounds, or null where it is not given. */
export function integerParameter(query: Query, name: string, min: number, max: number): Parsed<number | null> {
  const text = textParameter(query, name);
  if (!text.ok) return text;
  if (text.value === null) return NOT_GIVEN;
  const number = /^(0|[1-9][0-9]*)$/.test(text.value) ? Number(text.value) : Number.NaN;
  if (!(number >= min && number <= max))
    return refuse('invalid_argument', `${name} is a whole number from ${min} to ${max}`);
  return { ok: true, value: number };
}

/** Given without a value, or as `true` or `1`: true. */
export function flagParameter(query: Query, name: string): Parsed<boolean> {
  const text = textParameter(query, name);
  if (!text.ok) return text;
  switch (text.value) {
    case null:
    case 'false':
    case '0':
      return { ok: true, value: false };
    case '':
    case 'true':
    case '1':
      return { ok: true, value: true };
    default:
      return refuse('invalid_argument', `${name} is true or false`);
  }
}

/** Without the parameters of these names that stand there as `name=`. */
export function withoutEmpty(query: Query, names: ReadonlySet<string>): Query {
  return new Map([...query].filter(([name, raw]) => raw !== '' || !names.has(name)));
}

/** `enc=b64url`: keys are base64url. */
export function encodingParameter(query: Query): Parsed<boolean> {
  const raw = query.get('enc');
  if (raw === undefined) return { ok: true, value: false };
  if (raw === 'b64url') return { ok: true, value: true };
  return refuse('invalid_argument', 'enc is b64url or not given');
}

/** The bytes of a key in a query; not given or empty: null. */
export function keyParameter(query: Query, name: string, base64url: boolean, bytesMax: number): KeyDecoding | null {
  const raw = query.get(name) ?? '';
  if (raw === '') return null;
  return decodeKey(raw, 0, raw.length, { plusIsSpace: true, base64url, what: name, bytesMax });
}
