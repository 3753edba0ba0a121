/**
 * What a call of the client throws. `QuorateError`: refused or failed, and whatever was asked has not happened.
 * `OutcomeUnknown`: it may or may not have happened, now or later.
 */
import type { ErrorCode } from '../server/api.js';
import type { HttpResponse } from './http-send.js';

export interface Problem {
  readonly code: ErrorCode;
  /** 0: no answer came from any node. */
  readonly status: number;
  readonly detail: string;
  readonly retryable?: boolean;
  readonly shard?: string;
  readonly slot?: number;
  readonly epoch?: number;
  readonly leader?: string;
  readonly phase?: string;
  /** With `precondition_failed`: the key's revision now; null where there is no such key. */
  readonly revision?: string | null;
}

export class QuorateError extends Error {
  override readonly name: string = 'QuorateError';
  readonly code: ErrorCode;
  readonly status: number;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  readonly detail: string;
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.code = problem.code;
    this.status = problem.status;
    this.retryable = problem.retryable ?? false;
    this.detail = problem.detail;
    this.problem = problem;
  }
}

/** The write may have been applied, or may yet be. Only reading tells, or the same call with the same idempotency key. */
export class OutcomeUnknown extends QuorateError {
  override readonly name = 'OutcomeUnknown';
  /** The key under which the call may be repeated safely for ten minutes; null if it was turned off. */
  readonly idempotencyKey: string | null;

  constructor(detail: string, idempotencyKey: string | null) {
    super({ code: 'outcome_unknown', status: 504, detail, retryable: idempotencyKey !== null });
    this.idempotencyKey = idempotencyKey;
  }
}

const CODES: Readonly<Record<ErrorCode, true>> = {
  key_not_found: true,
  not_found: true,
  method_not_allowed: true,
  invalid_key: true,
  invalid_argument: true,
  invalid_body: true,
  precondition_failed: true,
  value_too_large: true,
  key_too_large: true,
  wrong_shard: true,
  cross_slot: true,
  plan_impossible: true,
  conflict: true,
  unauthenticated: true,
  permission_denied: true,
  overloaded: true,
  no_leader: true,
  slot_moving: true,
  unavailable: true,
  outcome_unknown: true,
  internal: true,
  not_implemented: true,
};

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(CODES, code);
const isFields = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** The revision behind `ETag: "<revision>"`. */
export function revisionOf(response: HttpResponse): string | null {
  return /^"(\d+)"$/.exec(response.headers['etag'] ?? '')?.[1] ?? null;
}

/** Reads problem+json (RFC 9457). null: this is no answer of a Quorate node (a proxy's, another server's). */
export function readProblem(response: HttpResponse): Problem | null {
  let body: unknown;
  try {
    body = JSON.parse(response.body.toString('utf8'));
  } catch {
    return null;
  }
  if (!isFields(body) || !isCode(body['code'])) return null;
  const { code, detail, title, retryable, shard, slot, epoch, leader, phase } = body;
  return {
    code,
    status: response.status,
    detail: typeof detail === 'string' ? detail : typeof title === 'string' ? title : code,
    retryable: retryable === true,
    ...(typeof shard === 'string' ? { shard } : {}),
    ...(typeof slot === 'number' ? { slot } : {}),
    ...(typeof epoch === 'number' ? { epoch } : {}),
    ...(typeof leader === 'string' ? { leader } : {}),
    ...(typeof phase === 'string' ? { phase } : {}),
    ...(code === 'precondition_failed' ? { revision: revisionOf(response) } : {}),
  };
}

export const strangeAnswer = (base: string, response: HttpResponse): Problem => ({
  code: 'internal',
  status: response.status,
  detail: `unexpected answer ${response.status} from ${base}: is it a Quorate node?`,
});
