/**
 * CORS (Fetch standard, section 3.2), off unless configured. Browsers of the listed origins may call everything here;
 * credentials are never allowed, so `*` is a legal entry.
 */
import type { IncomingMessage } from 'node:http';
import { epochText, type HttpResponse } from './http-response.js';

const EXPOSED = [
  'ETag',
  'Location',
  'Retry-After',
  'X-Quorate-Epoch',
  'X-Quorate-Expires-In',
  'X-Quorate-Session',
  'X-Quorate-Shard',
  'X-Quorate-Version',
  'X-Request-Id',
].join(', ');
const ALLOWED_HEADERS = [
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'X-Quorate-No-Forward',
  'X-Quorate-Session',
  'X-Request-Id',
].join(', ');
const ALLOWED_METHODS = 'GET, HEAD, PUT, POST, DELETE';
/** Chromium caps it at two hours. */
const MAX_AGE_SECONDS = '7200';

export class CorsPolicy {
  readonly #any: boolean;
  readonly #origins: ReadonlySet<string>;

  constructor(origins: readonly string[]) {
    this.#any = origins.includes('*');
    this.#origins = new Set(origins);
  }

  /** Headers for an answer to `req`; `Vary` also where the origin is not allowed, or a cache would mix the two up. */
  decorate(req: IncomingMessage, headers: string[]): void {
    if (!this.#any) headers.push('Vary', 'Origin');
    const { origin } = req.headers;
    if (origin === undefined || !(this.#any || this.#origins.has(origin))) return;
    headers.push('Access-Control-Allow-Origin', this.#any ? '*' : origin, 'Access-Control-Expose-Headers', EXPOSED);
  }

  /** The answer to a preflight from an allowed origin (before `decorate`), or null where `req` is none. */
  preflight(req: IncomingMessage, epoch: number): HttpResponse | null {
    if (req.method !== 'OPTIONS' || req.headers['access-control-request-method'] === undefined) return null;
    const { origin } = req.headers;
    if (origin === undefined || !(this.#any || this.#origins.has(origin))) return null;
    const headers = [
      'Access-Control-Allow-Methods',
      ALLOWED_METHODS,
      'Access-Control-Allow-Headers',
      ALLOWED_HEADERS,
      'Access-Control-Max-Age',
      MAX_AGE_SECONDS,
      'X-Quorate-Epoch',
      epochText(epoch),
    ];
    return { status: 204, headers, body: '' };
  }
}
