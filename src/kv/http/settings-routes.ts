/** What is set for the whole cluster. */
import { type AdminRoute, refused, respond } from './admin-route.js';
import { parseSettings } from './admin-schemas.js';
import { timeoutParameter } from './query.js';

type Handle = AdminRoute['handle'];

const settings: Handle = async (services, { query }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  return respond(services, await services.admin.settings(timeout.value), 200);
};

const changeSettings: Handle = async (services, { query, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const request = parseSettings(body);
  if (!request.ok) return refused(services, request);
  return respond(services, await services.admin.changeSettings(request.value, timeout.value), 200);
};

const PATH = '/v1/admin/settings';

export const SETTINGS_ROUTES: readonly AdminRoute[] = [
  { path: PATH, method: 'GET', parameters: ['timeout'], handle: settings },
  { path: PATH, method: 'PUT', parameters: ['timeout'], handle: changeSettings },
];
