/**
 * Everything beside `/v1/kv`, as a table: path, method, the query parameters it knows, and a function from request to
 * answer that has no socket in sight. `express-app.ts` hangs the table into Express.
 */
import type { Answer, PlanAction } from '../server/api.js';
import { type AdminRoute, type AdminServices, refused, respond } from './admin-route.js';
import { parseMove, parseNothing, parseReshard } from './admin-schemas.js';
import { BALANCE_ROUTES } from './balance-routes.js';
import { type HttpResponse, jsonResponse, problemResponse, refuse } from './http-response.js';
import { KEY_BYTES_MAX, keyMembers } from './key-text.js';
import { MEMBER_ROUTES } from './member-routes.js';
import { OPENAPI_DOCUMENT } from './openapi.js';
import { encodingParameter, flagParameter, integerParameter, keyParameter, timeoutParameter } from './query.js';
import { SETTINGS_ROUTES } from './settings-routes.js';
import { VERIFY_ROUTES } from './verify-routes.js';

const cluster: AdminRoute['handle'] = async (services, request) => {
  const timeout = timeoutParameter(request.query);
  if (!timeout.ok) return refused(services, timeout);
  return respond(services, await services.admin.cluster(timeout.value), 200);
};

const map: AdminRoute['handle'] = async (services, { query }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const epoch = integerParameter(query, 'epoch', 0, Number.MAX_SAFE_INTEGER);
  if (!epoch.ok) return refused(services, epoch);
  const waitEpoch = integerParameter(query, 'wait_epoch', 0, Number.MAX_SAFE_INTEGER);
  if (!waitEpoch.ok) return refused(services, waitEpoch);
  if (epoch.value !== null && waitEpoch.value !== null) {
    return refused(services, refuse('invalid_argument', 'epoch and wait_epoch exclude each other'));
  }
  return respond(services, await services.admin.map(epoch.value, waitEpoch.value, timeout.value), 200);
};

/** It answers at once, out of the map: `timeout` is checked like everywhere and has nothing to wait for. */
const locate: AdminRoute['handle'] = async (services, { query }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const base64url = encodingParameter(query);
  if (!base64url.ok) return refused(services, base64url);
  const decoded = keyParameter(query, 'key', base64url.value, KEY_BYTES_MAX);
  if (decoded === null) return refused(services, refuse('invalid_key', 'key is missing or empty'));
  if (!decoded.ok) return refused(services, decoded);
  const answer = services.admin.locate(decoded.key);
  if (!answer.ok) return problemResponse(answer.error, services.kv.epoch());
  const { slot, shard, leader, members, epoch } = answer.value;
  const place = JSON.stringify({ slot, shard, leader, members, epoch });
  return jsonResponse(200, `{${keyMembers(decoded.key)},${place.slice(1)}`, services.kv.epoch());
};

const reshard: AdminRoute['handle'] = async (services, request) => {
  const timeout = timeoutParameter(request.query);
  if (!timeout.ok) return refused(services, timeout);
  const body = parseReshard(request.body);
  if (!body.ok) return refused(services, body);
  return planStarted(services, await services.admin.reshard(body.value, timeout.value), body.value.dry_run);
};

const move: AdminRoute['handle'] = async (services, request) => {
  const timeout = timeoutParameter(request.query);
  if (!timeout.ok) return refused(services, timeout);
  const body = parseMove(request.body);
  if (!body.ok) return refused(services, body);
  return planStarted(services, await services.admin.move(body.value, timeout.value), body.value.dry_run);
};

function planStarted(services: AdminServices, answer: Answer<{ id: string }>, dryRun: boolean): HttpResponse {
  const response = respond(services, answer, dryRun ? 200 : 202);
  if (answer.ok && !dryRun) {
    response.headers.push('Location', `/v1/admin/reshard/${encodeURIComponent(answer.value.id)}`);
  }
  return response;
}

const plan: AdminRoute['handle'] = async (services, { query, id }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  return respond(services, await services.admin.plan(id === '' ? null : id, timeout.value), 200);
};

const steer =
  (action: PlanAction): AdminRoute['handle'] =>
  async (services, { query, id, body }) => {
    const timeout = timeoutParameter(query);
    if (!timeout.ok) return refused(services, timeout);
    const nothing = parseNothing(body);
    if (!nothing.ok) return refused(services, nothing);
    return respond(services, await services.admin.steerPlan(id, action, timeout.value), 200);
  };

const RECEIPTS_MAX = 1_000;

const receipts: AdminRoute['handle'] = async (services, { query, id }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const after = integerParameter(query, 'after', 0, Number.MAX_SAFE_INTEGER);
  if (!after.ok) return refused(services, after);
  const limit = integerParameter(query, 'limit', 1, RECEIPTS_MAX);
  if (!limit.ok) return refused(services, limit);
  const answer = await services.admin.receipts(id, after.value ?? 0, limit.value ?? RECEIPTS_MAX, timeout.value);
  return respond(services, answer, 200);
};

const livez: AdminRoute['handle'] = async (services) => jsonResponse(200, '{"status":"ok"}', services.kv.epoch());

const readyz: AdminRoute['handle'] = async (services, { query }) => {
  const verbose = flagParameter(query, 'verbose');
  if (!verbose.ok) return refused(services, verbose);
  const { ready, checks } = services.admin.readiness();
  const epoch = services.kv.epoch();
  const shown = verbose.value ? { ready, checks } : { ready };
  if (ready) return jsonResponse(200, JSON.stringify(shown), epoch);
  const failing = checks.filter((check) => !check.ok).map((check) => `${check.name}: ${check.detail}`);
  const detail = failing.length > 0 ? failing.join('; ') : 'this node is not ready';
  return problemResponse({ code: 'unavailable', detail }, epoch, { extra: shown });
};

const openapi: AdminRoute['handle'] = async (services) => jsonResponse(200, OPENAPI_DOCUMENT, services.kv.epoch());

function notImplemented(method: AdminRoute['method'], path: string): AdminRoute {
  const what = `${method} ${path.replace(/:(\w+)/g, '{$1}')}`;
  const refusal = refuse('not_implemented', `${what} is part of the API and not implemented by this version`);
  // Whatever its parameters and its body are: none of them is wrong yet.
  return { path, method, parameters: null, ignoresBody: true, handle: (services) => refused(services, refusal) };
}

export const ADMIN_ROUTES: readonly AdminRoute[] = [
  { path: '/v1/cluster', method: 'GET', parameters: ['timeout'], handle: cluster },
  { path: '/v1/cluster/map', method: 'GET', parameters: ['epoch', 'wait_epoch', 'timeout'], waits: true, handle: map },
  { path: '/v1/cluster/locate', method: 'GET', parameters: ['key', 'enc', 'timeout'], handle: locate },
  { path: '/v1/admin/reshard', method: 'POST', parameters: ['timeout'], handle: reshard },
  { path: '/v1/admin/reshard', method: 'GET', parameters: ['timeout'], handle: plan },
  { path: '/v1/admin/reshard/:id', method: 'GET', parameters: ['timeout'], handle: plan },
  {
    path: '/v1/admin/reshard/:id/receipts',
    method: 'GET',
    parameters: ['after', 'limit', 'timeout'],
    handle: receipts,
  },
  { path: '/v1/admin/reshard/:id/pause', method: 'POST', parameters: ['timeout'], handle: steer('pause') },
  { path: '/v1/admin/reshard/:id/resume', method: 'POST', parameters: ['timeout'], handle: steer('resume') },
  { path: '/v1/admin/reshard/:id/cancel', method: 'POST', parameters: ['timeout'], handle: steer('cancel') },
  { path: '/v1/admin/move', method: 'POST', parameters: ['timeout'], handle: move },
  ...BALANCE_ROUTES,
  ...MEMBER_ROUTES,
  ...SETTINGS_ROUTES,
  ...VERIFY_ROUTES,
  { path: '/livez', method: 'GET', parameters: null, handle: livez },
  { path: '/readyz', method: 'GET', parameters: null, handle: readyz },
  { path: '/openapi.json', method: 'GET', parameters: null, handle: openapi },
  notImplemented('POST', '/v1/batch'),
  notImplemented('POST', '/v1/txn'),
  notImplemented('GET', '/v1/watch'),
];
