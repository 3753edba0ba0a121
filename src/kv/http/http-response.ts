/**
 * An answer before any socket: status, headers as one flat array (what `writeHead` takes without a copy) and the body whole.
 * The listener sends it, the simulator's clients read it, so both see the same bytes.
 */
import type { ApiError } from '../server/api.js';
import { ERROR_MEANINGS } from './error-map.js';

export interface HttpResponse {
  readonly status: number;
  /** name, value, name, value, … Always with `X-Quorate-Epoch`. */
  readonly headers: string[];
  /** A string stands for its bytes in UTF-8. */
  readonly body: string | Buffer;
}

/** A refusal from before any service was asked. */
export interface Refusal {
  readonly ok: false;
  readonly error: ApiError;
  /** For `method_not_allowed`. */
  readonly allow?: string;
}

export function refuse(code: ApiError['code'], detail: string): Refusal {
  return { ok: false, error: { code, detail } };
}

export function refuseMethod(method: string, allow: string): Refusal {
  return { ok: false, error: { code: 'method_not_allowed', detail: `${method} is not among ${allow}` }, allow };
}

let lastEpoch = -1;
let lastEpochText = '';

/** The epoch changes rarely and is on every answer. */
export function epochText(epoch: number): string {
  if (epoch !== lastEpoch) {
    lastEpoch = epoch;
    lastEpochText = String(epoch);
  }
  return lastEpochText;
}

export function jsonResponse(status: number, body: string, epoch: number): HttpResponse {
  const headers = [
    'Content-Type',
    'application/json; charset=utf-8',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'X-Quorate-Epoch',
    epochText(epoch),
  ];
  return { status, headers, body };
}

export interface ProblemOptions {
  /** Overrides the code's own status: for what HTTP itself refuses (408, 431). */
  readonly status?: number;
  readonly title?: string;
  /** Members beside those of the contract, e.g. `checks` of `/readyz`. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** RFC 9457. `Retry-After` is in whole seconds; one is the shortest that can be said, elections take less. */
export function problemResponse(error: ApiError, epoch: number, options: ProblemOptions = {}): HttpResponse {
  const meaning = ERROR_MEANINGS[error.code];
  const status = options.status ?? meaning.status;
  const body = JSON.stringify({
    type: `urn:quorate:error:${error.code}`,
    title: options.title ?? meaning.title,
    status,
    detail: error.detail,
    code: error.code,
    retryable: meaning.retryable,
    // JSON.stringify leaves out what is undefined.
    shard: error.shard,
    slot: error.slot,
    epoch: error.epoch,
    leader: error.leader,
    phase: error.phase,
    ...options.extra,
  });
  const headers = [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'X-Quorate-Epoch',
    epochText(epoch),
  ];
  if (status === 503 || status === 429) headers.push('Retry-After', '1');
  return { status, headers, body };
}

export function refusalResponse(refusal: Refusal, epoch: number): HttpResponse {
  const response = problemResponse(refusal.error, epoch);
  if (refusal.allow !== undefined) response.headers.push('Allow', refusal.allow);
  return response;
}

/** Header names in lower case, as node's client shows them. A repeated name cannot occur: no answer here repeats one. */
export function headersRecord(response: HttpResponse): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i + 1 < response.headers.length; i += 2) {
    record[response.headers[i]!.toLowerCase()] = response.headers[i + 1]!;
  }
  return record;
}
