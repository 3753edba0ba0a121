/**
 * What the API needs of its surroundings beside the services: somewhere to log and something that counts. Both are small
 * enough that pino and an OpenTelemetry meter fit without this room knowing either SDK.
 */

/** A pino logger fits as it is. */
export interface RequestLog {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a request was, as metrics and logs name it. */
export type ApiOperation = 'get' | 'head' | 'put' | 'delete' | 'list' | 'admin' | 'probe' | 'invalid';

export interface ApiMetrics {
  /** Called once per answered request, on the hot path: must be cheap and must not throw. */
  answered(operation: ApiOperation, status: number, duration_ms: number): void;
}
