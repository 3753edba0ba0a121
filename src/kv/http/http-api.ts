/**
 * The server: `/v1/kv` goes to the hot path, all else to Express. Not listening yet; the composition root decides where.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AdminService, KvService } from '../server/api.js';
import { answerGarbage } from './client-error.js';
import { CorsPolicy } from './cors.js';
import { createExpressApp } from './express-app.js';
import { problemResponse } from './http-response.js';
import { targetKind } from './kv-exchange.js';
import { KvListener } from './kv-listener.js';
import type { ApiMetrics, RequestLog } from './ports.js';
import { requestIdOf } from './request-headers.js';
import { Responder } from './responder.js';

export interface HttpApiOptions {
  readonly kv: KvService;
  readonly admin: AdminService;
  readonly config: {
    /** Largest value. */
    readonly valueBytes: number;
    /** All bodies of unanswered writes together. */
    readonly inflightBytes: number;
    readonly cors: { readonly origins: readonly string[] } | null;
  };
  readonly log: RequestLog;
  readonly metrics: ApiMetrics;
  /** Answers `/metrics`; without it that path is 404. */
  readonly prometheus?: (req: IncomingMessage, res: ServerResponse) => void;
}

export interface HttpApi {
  readonly server: Server;
  /** Bytes of bodies whose writes are not answered yet. */
  inflightBytes(): number;
  /**
   * Stops accepting, lets requests in flight finish and ends their connections; what is left after `grace_ms` is cut off.
   * Resolves when the last connection is gone.
   */
  close(grace_ms?: number): Promise<void>;
}

/** Idle connections live longer than those of common load balancers and client pools (60 s), so that it is they who close. */
const KEEP_ALIVE_MS = 75_000;
/** From a message's first byte to the end of its headers, and to the end of its body: against clients that trickle. */
const HEADERS_MS = 20_000;
const REQUEST_MS = 120_000;
/** Room for a key of 1,024 bytes as escapes, thrice over, and the headers of proxies. */
const HEADER_BYTES_MAX = 32_768;
const GRACE_MS = 10_000;

export function createHttpApi(options: HttpApiOptions): HttpApi {
  const { kv, config } = options;
  const responder = new Responder(options.log, options.metrics, config.cors && new CorsPolicy(config.cors.origins));
  const listener = new KvListener(kv, responder, config);
  const app = createExpressApp({ ...options, responder });
  const server = createServer({
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    // Checked below, with an answer that explains itself.
    requireHostHeader: false,
  });

  const route = (req: IncomingMessage, res: ServerResponse, expects: boolean): void => {
    if (req.headers.host === undefined && req.httpVersion === '1.1') {
      refuseRequest(req, res, 'Host is missing');
      return;
    }
    if (req.method === 'OPTIONS' && responder.sendPreflight(req, res, kv.epoch())) return;
    const target = originForm(req.url ?? '');
    const kind = targetKind(target);
    if (kind === 'key') {
      listener.onKey(req, res, target, expects);
    } else if (kind === 'list') {
      listener.onList(req, res, target, expects);
    } else {
      if (expects) res.writeContinue();
      req.url = target;
      app(req, res);
    }
  };
  const refuseRequest = (req: IncomingMessage, res: ServerResponse, detail: string): void => {
    const call = {
      req,
      res,
      operation: 'invalid',
      requestId: requestIdOf(req.headers),
      began_ms: performance.now(),
    } as const;
    responder.sendAndClose(call, problemResponse({ code: 'invalid_argument', detail }, kv.epoch()));
  };

  server.on('request', (req, res) => route(req, res, false));
  server.on('checkContinue', (req, res) => route(req, res, true));
  server.on('checkExpectation', (req, res) => refuseRequest(req, res, 'Expect is 100-continue or not given'));
  server.on('clientError', (error, socket) => answerGarbage(error, socket, kv.epoch()));

  return {
    server,
    inflightBytes: () => listener.inflight_bytes,
    close: (grace_ms = GRACE_MS) => {
      responder.beginClosing();
      return closeServer(server, grace_ms);
    },
  };
}

/** RFC 9112 section 3.2.2: a server takes the absolute form too. Its authority means nothing here. */
function originForm(target: string): string {
  if (target.charCodeAt(0) === 0x2f) return target;
  const match = /^https?:\/\/[^/?#]*/i.exec(target);
  if (match === null) return target;
  const rest = target.slice(match[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function closeServer(server: Server, grace_ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => server.closeAllConnections(), grace_ms);
    // Ends idle connections as well (Node 19 and later).
    server.close((error) => {
      clearTimeout(timer);
      const code = error && 'code' in error ? error.code : undefined;
      if (error === undefined || code === 'ERR_SERVER_NOT_RUNNING') resolve();
      else reject(error);
    });
  });
}
