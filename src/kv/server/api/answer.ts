/**
 * What each request can end as: its answer, or the error that says why there is none. The map from codes to HTTP statuses
 * is in `kv/http`.
 */

export type ErrorCode =
  | 'key_not_found'
  | 'not_found'
  | 'method_not_allowed'
  | 'invalid_key'
  | 'invalid_argument'
  | 'invalid_body'
  | 'precondition_failed'
  | 'value_too_large'
  | 'key_too_large'
  | 'wrong_shard'
  | 'cross_slot'
  | 'plan_impossible'
  | 'conflict'
  | 'unauthenticated'
  | 'permission_denied'
  | 'overloaded'
  | 'no_leader'
  | 'slot_moving'
  | 'unavailable'
  | 'outcome_unknown'
  | 'internal'
  | 'not_implemented';

export interface ApiError {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly shard?: string;
  readonly slot?: number;
  readonly epoch?: number;
  readonly leader?: string;
  readonly phase?: string;
}

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ApiError };
