/**
 * Writes answers to sockets: the one place where headers that belong to the connection (CORS, `Connection: close`) are
 * added, and where an answer is counted and logged.
 *
 * Logging: every request at debug level; at info only what took longer than a second; at error what answered 500. Other
 * 5xx answers are the cluster's state, not this process's fault, and would flood the log just when there is no time for it;
 * those that waited for their deadline show up as slow anyway.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CorsPolicy } from './cors.js';
import type { HttpResponse } from './http-response.js';
import type { ApiMetrics, ApiOperation, RequestLog } from './ports.js';
import { requestIdOf } from './request-headers.js';

const SLOW_MS = 1_000;
/** How much of a refused body is read and thrown away, so that the client gets to see the refusal. */
const LINGER_BYTES_MAX = 64 * 1_048_576;
const LINGER_MS_MAX = 5_000;

/** One request on its way to an answer. */
export interface Call {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly operation: ApiOperation;
  readonly requestId: string;
  /** `performance.now()` as it came. */
  readonly began_ms: number;
  /** It waits by design (a long poll): not slow however long it takes. */
  readonly waits?: boolean;
}

export class Responder {
  readonly #log: RequestLog;
  readonly #metrics: ApiMetrics;
  readonly #cors: CorsPolicy | null;
  #closing = false;

  constructor(log: RequestLog, metrics: ApiMetrics, cors: CorsPolicy | null) {
    this.#log = log;
    this.#metrics = metrics;
    this.#cors = cors;
  }

  /** From now on every answer ends its connection. */
  beginClosing(): void {
    this.#closing = true;
  }

  /** Answers a CORS preflight; false where `req` is none that the policy answers. */
  sendPreflight(req: IncomingMessage, res: ServerResponse, epoch: number): boolean {
    const response = this.#cors?.preflight(req, epoch) ?? null;
    if (response === null) return false;
    this.send(
      { req, res, operation: 'probe', requestId: requestIdOf(req.headers), began_ms: performance.now() },
      response,
    );
    return true;
  }

  send(call: Call, response: HttpResponse): void {
    const { res } = call;
    this.#writeHead(call, response, this.#closing);
    res.end(response.body);
    this.#account(call, response.status);
  }

  /** An answer after which the connection ends at once: the rest of the body was not asked for (`Expect`). */
  sendAndClose(call: Call, response: HttpResponse): void {
    this.#writeHead(call, response, true);
    call.res.end(response.body);
    this.#account(call, response.status);
  }

  /**
   * An answer while the body is still coming. Closing with unread bytes makes the kernel send a reset, which can overtake the
   * answer (RFC 9112 section 9.6); so the answer goes out whole, the rest is read and dropped within bounds, then it closes.
   */
  sendAndLinger(call: Call, response: HttpResponse): void {
    const { req, res } = call;
    this.#writeHead(call, response, true);
    res.write(response.body);
    let dropped_bytes = 0;
    const finish = (): void => {
      clearTimeout(timer);
      req.removeAllListeners('data');
      res.end();
    };
    const timer = setTimeout(finish, LINGER_MS_MAX);
    req.on('data', (chunk: Buffer) => {
      dropped_bytes += chunk.length;
      if (dropped_bytes > LINGER_BYTES_MAX) finish();
    });
    req.once('end', finish);
    req.once('close', finish);
    this.#account(call, response.status);
  }

  /** Headers set by somebody else (the metrics handler) still need these. */
  prepare(call: Call): void {
    const headers: string[] = [];
    this.#cors?.decorate(call.req, headers);
    if (this.#closing) headers.push('Connection', 'close');
    for (let i = 0; i < headers.length; i += 2) call.res.setHeader(headers[i]!, headers[i + 1]!);
    call.res.once('close', () => this.#account(call, call.res.statusCode));
  }

  failed(call: Call, error: unknown): void {
    this.#log.error(
      { err: error, request_id: call.requestId, method: call.req.method, url: call.req.url },
      'request failed',
    );
  }

  #writeHead(call: Call, response: HttpResponse, close: boolean): void {
    const { headers } = response;
    if (close) headers.push('Connection', 'close');
    // An id is given back where the client sent one, or needs one to report an error.
    if (response.status >= 400 || call.req.headers['x-request-id'] !== undefined)
      headers.push('X-Request-Id', call.requestId);
    this.#cors?.decorate(call.req, headers);
    call.res.writeHead(response.status, headers);
  }

  #account(call: Call, status: number): void {
    const took_ms = performance.now() - call.began_ms;
    this.#metrics.answered(call.operation, status, took_ms);
    const slow = took_ms > SLOW_MS && call.waits !== true;
    if (!slow && status !== 500 && !this.#log.isLevelEnabled('debug')) return;
    const fields = {
      request_id: call.requestId,
      method: call.req.method,
      url: call.req.url,
      status,
      took_ms: Math.round(took_ms * 1_000) / 1_000,
    };
    if (status === 500) this.#log.error(fields, 'answered 500');
    else if (slow) this.#log.info(fields, 'slow request');
    else this.#log.debug(fields, 'request');
  }
}
