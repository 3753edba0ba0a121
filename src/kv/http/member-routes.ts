/**
 * Who belongs to the cluster and to its shards: nodes come and go, members of a shard change, its leadership goes to another
 * member. What takes long is answered 202 as soon as it has begun; where it is then is asked by GET.
 */
import { type AdminRoute, refused, respond } from './admin-route.js';
import {
  parseAddNode,
  parseMembers,
  parseNodeId,
  parseNothing,
  parseShardId,
  parseTransferLeader,
} from './admin-schemas.js';
import { timeoutParameter } from './query.js';

type Handle = AdminRoute['handle'];

const addNode: Handle = async (services, { query, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const request = parseAddNode(body);
  if (!request.ok) return refused(services, request);
  return respond(services, await services.admin.addNode(request.value, timeout.value), 200);
};

const removeNode: Handle = async (services, { query, id, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const node = parseNodeId(id);
  if (!node.ok) return refused(services, node);
  const nothing = parseNothing(body);
  if (!nothing.ok) return refused(services, nothing);
  return respond(services, await services.admin.removeNode(node.value, timeout.value), 202);
};

const members: Handle = async (services, { query, id }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const shard = parseShardId(id);
  if (!shard.ok) return refused(services, shard);
  return respond(services, await services.admin.members(shard.value, timeout.value), 200);
};

const changeMembers: Handle = async (services, { query, id, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const shard = parseShardId(id);
  if (!shard.ok) return refused(services, shard);
  const request = parseMembers(body);
  if (!request.ok) return refused(services, request);
  const answer = await services.admin.changeMembers(shard.value, request.value, timeout.value);
  const response = respond(services, answer, 202);
  if (answer.ok) response.headers.push('Location', `/v1/admin/shards/${shard.value}/members`);
  return response;
};

const transferLeader: Handle = async (services, { query, id, body }) => {
  const timeout = timeoutParameter(query);
  if (!timeout.ok) return refused(services, timeout);
  const shard = parseShardId(id);
  if (!shard.ok) return refused(services, shard);
  const to = parseTransferLeader(body);
  if (!to.ok) return refused(services, to);
  return respond(services, await services.admin.transferLeader(shard.value, to.value, timeout.value), 200);
};

const SHARD = '/v1/admin/shards/:id';

export const MEMBER_ROUTES: readonly AdminRoute[] = [
  { path: '/v1/admin/nodes', method: 'POST', parameters: ['timeout'], handle: addNode },
  { path: '/v1/admin/nodes/:id', method: 'DELETE', parameters: ['timeout'], handle: removeNode },
  { path: `${SHARD}/members`, method: 'GET', parameters: ['timeout'], handle: members },
  { path: `${SHARD}/members`, method: 'POST', parameters: ['timeout'], handle: changeMembers },
  { path: `${SHARD}/transfer-leader`, method: 'POST', parameters: ['timeout'], handle: transferLeader },
];
