/** The cluster as it is. */
import { balanceLine } from './balance.js';
import { integer, type Json, list, number, object, optionalInteger, ref, text } from './json-schema.js';
import { get, timeout } from './operations.js';

export const clusterPaths: Json = {
  '/v1/cluster': get('Nodes, shards and controller', [timeout], ref('Cluster')),
};

export const clusterSchemas: Json = {
  Cluster: object({
    cluster_id: text,
    epoch: integer,
    health: text,
    nodes: list(ref('Node')),
    shards: list(
      object({
        id: text,
        state: text,
        slots: text,
        slot_count: integer,
        members: list(object({ node: text, role: text, applied: optionalInteger, lag: optionalInteger, state: text })),
        leader: { type: ['string', 'null'] },
        term: optionalInteger,
        keys: optionalInteger,
        bytes: optionalInteger,
        weight: number,
        reads_per_s: { type: ['number', 'null'] },
        writes_per_s: { type: ['number', 'null'] },
      }),
    ),
    controller: object({ leader: { type: ['string', 'null'] }, term: optionalInteger, members: list(text) }),
    balance: { anyOf: [object(balanceLine), { type: 'null' }], description: 'null: the controller does not say' },
    missing_replicas: list(
      object({
        group: { type: 'string', description: 'A shard, or `controller`' },
        node: text,
        since: { type: 'string', format: 'date-time' },
        state: { enum: ['rebuilding', 'waiting', 'blocked'] },
        reason: text,
      }),
    ),
  }),
};
