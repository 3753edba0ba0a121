/**
 * One question to one node, as an administrator's script would ask it, and what its answer is worth. Not through the product's
 * client, which asks again and tells its caller only how it all ended: here every answer is looked at.
 */
import { codeOf, jsonOf, NoAnswer, type PlainAnswer, plain } from '../../e2e/plain-http.js';

/** What may be answered while a cluster suffers, by a node with an old map, or where it cannot be done. */
const EXPECTED: ReadonlySet<string> = new Set([
  'conflict',
  'no_leader',
  'not_found',
  'outcome_unknown',
  'overloaded',
  'plan_impossible',
  'unavailable',
]);
const SERVER_TIMEOUT_MS = 4_000;
const SILENCE_MS = 6_000;

export interface AdminCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Without a query. */
  readonly path: string;
  readonly body?: object;
  /** Codes that this call may be answered beside those that any may. */
  readonly mayAlso?: readonly string[];
}

export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  /** Certainly nothing has begun. */
  | { readonly kind: 'refused'; readonly code: string; readonly why: string }
  /** It may have begun. */
  | { readonly kind: 'unknown'; readonly why: string }
  /** An answer that the contract does not allow; what has begun is unknown, too. */
  | { readonly kind: 'strange'; readonly why: string };

export async function ask<T>(endpoint: string, call: AdminCall): Promise<Outcome<T>> {
  const { method, path, body } = call;
  const headers: Record<string, string> = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  try {
    const target = `${path}?timeout=${SERVER_TIMEOUT_MS}ms`;
    return outcomeOf<T>(call, await plain(endpoint, target, { method, headers, ...content, timeout_ms: SILENCE_MS }));
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return error.sent
      ? { kind: 'unknown', why: error.message }
      : { kind: 'refused', code: 'unavailable', why: error.message };
  }
}

export function outcomeOf<T>({ method, path, mayAlso = [] }: AdminCall, answer: PlainAnswer): Outcome<T> {
  const { status, body } = answer;
  try {
    if (status >= 200 && status < 300) return { kind: 'ok', value: jsonOf<T>(answer) };
    const code = codeOf(answer);
    if (code !== null && (EXPECTED.has(code) || mayAlso.includes(code))) {
      const why = `${code}: ${jsonOf<{ detail?: string }>(answer).detail ?? ''}`;
      return code === 'outcome_unknown' ? { kind: 'unknown', why } : { kind: 'refused', code, why };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { kind: 'strange', why: `${method} ${path} was answered ${status} ${body.toString('utf8').slice(0, 300)}` };
}
