/**
 * Whether replicas still hold the same, and plans have kept what they promised. It takes as long as it takes to read the disks,
 * so it is answered 202 once it has begun; where it is then, and what it has found, is asked by GET, of any node.
 */
import { type AdminRoute, refused, respond } from './admin-route.js';
import { parseNothing, parseVerify } from './admin-schemas.js';
import { timeoutParameter } from './query.js';

type Handle = AdminRoute['handle'];

const begin: Handle = async (services, { query, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const request = parseVerify(body);
  if (!request.ok) return refused(services, request);
  const answer = await services.admin.verify(request.value, timeout.value);
  const response = respond(services, answer, 202);
  if (answer.ok) response.headers.push('Location', `/v1/admin/verify/${encodeURIComponent(answer.value.id)}`);
  return response;
};

const show: Handle = async (services, { query, id }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  return respond(services, await services.admin.verification(id, timeout.value), 200);
};

const list: Handle = async (services, { query }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  return respond(services, await services.admin.verifications(timeout.value), 200);
};

const cancel: Handle = async (services, { query, id, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const nothing = parseNothing(body);
  if (!nothing.ok) return refused(services, nothing);
  return respond(services, await services.admin.cancelVerification(id, timeout.value), 200);
};

export const VERIFY_ROUTES: readonly AdminRoute[] = [
  { path: '/v1/admin/verify', method: 'POST', parameters: ['timeout'], handle: begin },
  { path: '/v1/admin/verify', method: 'GET', parameters: ['timeout'], handle: list },
  { path: '/v1/admin/verify/:id', method: 'GET', parameters: ['timeout'], handle: show },
  { path: '/v1/admin/verify/:id/cancel', method: 'POST', parameters: ['timeout'], handle: cancel },
];
