/**
 * Express for everything beside `/v1/kv`: it routes and reads JSON bodies; what is answered is decided by the table of
 * `admin-routes.ts`. Nothing it would say of its own (HTML, stacks, `X-Powered-By`) reaches a client.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import type { AdminService, KvService } from '../server/api.js';
import type { AdminRoute } from './admin-route.js';
import { ADMIN_ROUTES } from './admin-routes.js';
import { type HttpResponse, problemResponse, refusalResponse, refuse, refuseMethod } from './http-response.js';
import { noSuchPath } from './kv-exchange.js';
import type { ApiOperation } from './ports.js';
import { parseQuery, pathEnd } from './query.js';
import { requestIdOf } from './request-headers.js';
import type { Call, Responder } from './responder.js';

export interface ExpressAppOptions {
  readonly kv: KvService;
  readonly admin: AdminService;
  readonly responder: Responder;
  readonly prometheus?: (req: IncomingMessage, res: ServerResponse) => void;
}

/** Plans are small; anything near this is a mistake. */
const JSON_BYTES_MAX = 65_536;
const METRICS_PATH = '/metrics';

export function createExpressApp(options: ExpressAppOptions): Express {
  const { kv, responder } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  // A slash at the end makes another path, and there is none.
  app.enable('strict routing');
  // Queries are parsed here, strictly, from the raw target.
  app.set('query parser', false);
  app.use(beginCall(options));
  const byPath = groupByPath();
  for (const [path, routes] of byPath) mount(app, path, routes, options);
  if (options.prometheus !== undefined) mountMetrics(app, options.prometheus, options);
  app.use((req, res) => responder.send(callOf(res, req), noSuchPath(kv, req.originalUrl)));
  app.use(errorHandler(options));
  return app;
}

function groupByPath(): Map<string, AdminRoute[]> {
  const byPath = new Map<string, AdminRoute[]>();
  for (const route of ADMIN_ROUTES) {
    const routes = byPath.get(route.path);
    if (routes === undefined) byPath.set(route.path, [route]);
    else routes.push(route);
  }
  return byPath;
}

interface Locals {
  began_ms?: number;
  requestId?: string;
}

/** Before Express looks at the path: it answers a malformed escape with HTML. */
function beginCall({ kv, responder }: ExpressAppOptions): RequestHandler {
  return (req, res, next) => {
    const locals: Locals = res.locals;
    locals.began_ms = performance.now();
    locals.requestId = requestIdOf(req.headers);
    try {
      decodeURIComponent(req.originalUrl.slice(0, pathEnd(req.originalUrl)));
    } catch {
      const refusal = refuse('invalid_argument', 'the path has a malformed percent-escape');
      responder.send(callOf(res, req), refusalResponse(refusal, kv.epoch()));
      return;
    }
    next();
  };
}

function callOf(res: Response, req: Request, operation: ApiOperation = 'invalid', waits = false): Call {
  const locals: Locals = res.locals;
  return {
    req,
    res,
    operation,
    requestId: locals.requestId ?? requestIdOf(req.headers),
    began_ms: locals.began_ms ?? performance.now(),
    waits,
  };
}

/** Any type: `curl -d` calls JSON a form, and what parses is meant as JSON. */
const readJson = express.json({ type: () => true, limit: JSON_BYTES_MAX, strict: true });

const METHODS = { POST: 'post', PUT: 'put', DELETE: 'delete' } as const;

function mount(app: Express, path: string, routes: readonly AdminRoute[], options: ExpressAppOptions): void {
  const { kv, responder } = options;
  const route = app.route(path);
  for (const entry of routes) {
    const run = runRoute(entry, options);
    if (entry.method === 'GET') route.get(run).head(run);
    else if (entry.ignoresBody) route[METHODS[entry.method]](run);
    else if (entry.method === 'POST') route.post(readJson, run);
    else if (entry.method === 'PUT') route.put(readJson, run);
    // A body has no meaning here. It is read all the same: one that asks for something must not be passed over.
    else route.delete(readJson, run);
  }
  const allow = routes.map((entry) => (entry.method === 'GET' ? 'GET, HEAD' : entry.method)).join(', ');
  route.all((req, res) => {
    responder.send(callOf(res, req), refusalResponse(refuseMethod(req.method, allow), kv.epoch()));
  });
}

function runRoute(entry: AdminRoute, options: ExpressAppOptions): RequestHandler {
  const known = entry.parameters === null ? null : new Set(entry.parameters);
  const operation: ApiOperation = entry.path.startsWith('/v1/') ? 'admin' : 'probe';
  return async (req, res) => {
    const call = callOf(res, req, operation, entry.waits);
    const query = parseQuery(req.originalUrl, pathEnd(req.originalUrl), known);
    let response: HttpResponse;
    if (query.ok) {
      const id = req.params['id'];
      const request = { query: query.value, id: typeof id === 'string' ? id : '', body: req.body as unknown };
      response = await entry.handle(options, request);
    } else {
      response = refusalResponse(query, options.kv.epoch());
    }
    options.responder.send(call, response);
  };
}

function mountMetrics(
  app: Express,
  prometheus: (req: IncomingMessage, res: ServerResponse) => void,
  { kv, responder }: ExpressAppOptions,
): void {
  const handle: RequestHandler = (req, res) => {
    responder.prepare(callOf(res, req, 'probe'));
    res.setHeader('X-Quorate-Epoch', String(kv.epoch()));
    prometheus(req, res);
  };
  const route = app.route(METRICS_PATH);
  route.get(handle).head(handle);
  route.all((req, res) => {
    responder.send(callOf(res, req), refusalResponse(refuseMethod(req.method, 'GET, HEAD'), kv.epoch()));
  });
}

/** What comes here is a body that could not be read (body-parser marks it with a 4xx status), or a defect. */
function errorHandler({ kv, responder }: ExpressAppOptions): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    const call = callOf(res, req);
    const status = statusOf(error);
    if (status < 500) {
      const detail = status === 413 ? `the body is larger than ${JSON_BYTES_MAX} bytes` : 'the body is not JSON';
      responder.send(call, problemResponse({ code: 'invalid_body', detail }, kv.epoch()));
      return;
    }
    responder.failed(call, error);
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const detail = 'this node failed; its log has the request id';
    responder.send(call, problemResponse({ code: 'internal', detail }, kv.epoch()));
  };
}

function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('status' in error)) return 500;
  return typeof error.status === 'number' && error.status >= 400 ? error.status : 500;
}
