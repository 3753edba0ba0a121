/** Nodes that come and go, the members of shards and who leads them. */
import { addNodeSchema, membersSchema, transferLeaderSchema } from '../admin-schemas.js';
import { integer, type Json, list, object, ref, text } from './json-schema.js';
import { nodeInMap } from './map.js';
import { get, id, json, post, timeout } from './operations.js';
import { problem } from './problem.js';

export const memberPaths: Json = {
  '/v1/admin/nodes': {
    post: post(
      'Let a node that runs belong to the cluster; again: no effect',
      [timeout],
      addNodeSchema,
      200,
      json('The node', ref('Node')),
    ),
  },
  '/v1/admin/nodes/{id}': {
    delete: {
      summary: 'Move all replicas off a node, then remove it for good; again: no effect',
      parameters: [id, timeout],
      responses: {
        202: json('Begun: the node is `draining`', ref('Node')),
        404: { ...problem, description: 'It has left by now, or there is no such node' },
        default: problem,
      },
    },
  },
  '/v1/admin/shards/{id}/members': {
    ...get('The members of a shard, and where a change of them is', [id, timeout], ref('Members')),
    post: post(
      'Change the members of a shard: at least one name, each at most once',
      [id, timeout],
      membersSchema,
      202,
      json('Begun', ref('Members')),
    ),
  },
  '/v1/admin/shards/{id}/transfer-leader': {
    post: post(
      'Give the leadership to another member; again: no effect',
      [id, timeout],
      transferLeaderSchema,
      200,
      json('It leads', ref('Leader')),
    ),
  },
};

const nodeState: Json = { enum: ['healthy', 'suspect', 'down', 'draining'] };

export const memberSchemas: Json = {
  Node: object({ ...nodeInMap, state: nodeState, since: { type: 'string', format: 'date-time' } }),
  Members: object({
    id: text,
    members: list(text),
    joining: list(text),
    leaving: list(text),
    waits_for: { type: ['string', 'null'], description: 'null: no change is under way' },
  }),
  Leader: object({ id: text, leader: text, term: integer }),
};
