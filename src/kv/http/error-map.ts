/**
 * The total map from error codes to what HTTP says about them: a code without a status does not compile.
 */
import type { ErrorCode } from '../server/api.js';

export interface ErrorMeaning {
  readonly status: number;
  readonly title: string;
  /**
   * Whether the very same request may be sent again and can then succeed, without risk of a second effect. `outcome_unknown`
   * is not: the client alone knows whether its idempotency key or condition makes it safe.
   */
  readonly retryable: boolean;
}

export const ERROR_MEANINGS: Readonly<Record<ErrorCode, ErrorMeaning>> = {
  key_not_found: { status: 404, title: 'Key not found', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  method_not_allowed: { status: 405, title: 'Method not allowed', retryable: false },
  invalid_key: { status: 400, title: 'Invalid key', retryable: false },
  invalid_argument: { status: 400, title: 'Invalid argument', retryable: false },
  invalid_body: { status: 400, title: 'Invalid body', retryable: false },
  precondition_failed: { status: 412, title: 'Precondition failed', retryable: false },
  value_too_large: { status: 413, title: 'Value too large', retryable: false },
  key_too_large: { status: 414, title: 'Key too large', retryable: false },
  wrong_shard: { status: 421, title: 'Wrong shard', retryable: true },
  cross_slot: { status: 422, title: 'Keys in several slots', retryable: false },
  plan_impossible: { status: 422, title: 'Plan impossible', retryable: false },
  conflict: { status: 409, title: 'Conflict', retryable: false },
  unauthenticated: { status: 401, title: 'Unauthenticated', retryable: false },
  permission_denied: { status: 403, title: 'Permission denied', retryable: false },
  overloaded: { status: 429, title: 'Overloaded', retryable: true },
  no_leader: { status: 503, title: 'No leader', retryable: true },
  slot_moving: { status: 503, title: 'Slot moving', retryable: true },
  unavailable: { status: 503, title: 'Unavailable', retryable: true },
  outcome_unknown: { status: 504, title: 'Outcome unknown', retryable: false },
  internal: { status: 500, title: 'Internal error', retryable: false },
  not_implemented: { status: 501, title: 'Not implemented', retryable: false },
};
