/** The door of the room: the HTTP API, and its data part without sockets. */

export { parseDuration } from './duration.js';
export { ERROR_MEANINGS, type ErrorMeaning } from './error-map.js';
export { createHttpApi, type HttpApi, type HttpApiOptions } from './http-api.js';
export type { HttpResponse, Refusal } from './http-response.js';
export { decodeBase64url, KEY_BYTES_MAX } from './key-text.js';
export {
  type Exchange,
  type ExchangeOptions,
  type ExchangeResponse,
  handleApi,
  handleKv,
} from './kv-exchange.js';
export { type KvHead, kvRequestOf, parseKvHead } from './kv-request.js';
export { renderKvOutcome } from './kv-response.js';
export { createOtelApiMetrics } from './otel-api-metrics.js';
export { decodePercent, encodePercent } from './percent.js';
export type { ApiMetrics, ApiOperation, RequestLog } from './ports.js';
