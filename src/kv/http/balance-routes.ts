/** What slots, keys and shards carry, and what is to be done where some shard carries too much. */
import type { HotReport, HotView } from '../server/api.js';
import { type AdminRoute, refused, respond } from './admin-route.js';
import { parseBalance, parseBalanceSettings } from './admin-schemas.js';
import { encodedKey } from './key-text.js';
import { integerParameter, timeoutParameter } from './query.js';

type Handle = AdminRoute['handle'];

const HOT_DEFAULT = 10;
export const HOT_MAX = 1_000;

const hotView = ({ keys, ...report }: HotReport): HotView => ({
  ...report,
  keys: keys.map(({ key, ...rest }) => ({ ...encodedKey(key), ...rest })),
});

const hot: Handle = async (services, { query }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const limit = integerParameter(query, 'limit', 1, HOT_MAX);
  if (!limit.ok) return refused(services, limit);
  const answer = await services.admin.hot(limit.value ?? HOT_DEFAULT, timeout.value);
  return respond(services, answer.ok ? { ok: true, value: hotView(answer.value) } : answer, 200);
};

const balance: Handle = async (services, { query }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  return respond(services, await services.admin.balance(timeout.value), 200);
};

const start: Handle = async (services, { query, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const request = parseBalance(body);
  if (!request.ok) return refused(services, request);
  const answer = await services.admin.startBalance(request.value, timeout.value);
  const started = answer.ok && answer.value.state !== 'planned';
  const response = respond(services, answer, started ? 202 : 200);
  if (started) response.headers.push('Location', `/v1/admin/reshard/${encodeURIComponent(answer.value.id)}`);
  return response;
};

const settings: Handle = async (services, { query, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const request = parseBalanceSettings(body);
  if (!request.ok) return refused(services, request);
  return respond(services, await services.admin.setBalance(request.value, timeout.value), 200);
};

export const BALANCE_ROUTES: readonly AdminRoute[] = [
  { path: '/v1/cluster/hot', method: 'GET', parameters: ['limit', 'timeout'], handle: hot },
  { path: '/v1/admin/balance', method: 'GET', parameters: ['timeout'], handle: balance },
  { path: '/v1/admin/balance', method: 'POST', parameters: ['timeout'], handle: start },
  { path: '/v1/admin/balance', method: 'PUT', parameters: ['timeout'], handle: settings },
];
