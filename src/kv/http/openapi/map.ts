/** The shard map, and where a key lives by it. */
import { integer, type Json, keyEncoding, list, number, object, ref, text } from './json-schema.js';
import { enc, get, query, timeout } from './operations.js';

export const mapPaths: Json = {
  '/v1/cluster/map': get(
    'The shard map',
    [query('epoch', integer, 'As it was'), query('wait_epoch', integer, 'Waits until the map has reached it'), timeout],
    ref('Map'),
  ),
  '/v1/cluster/locate': get('Where a key lives', [query('key', text, 'The key'), enc, timeout], ref('Location')),
};

/** `Node` says the same, and how it is. */
export const nodeInMap = { id: text, http: text, peer: text, labels: { type: 'object', additionalProperties: text } };

export const mapSchemas: Json = {
  Map: object({
    cluster_id: text,
    epoch: integer,
    shards: list(
      object({ id: text, slots: text, members: list(text), weight: number, avoids: list(text) }, ['avoids']),
    ),
    nodes: list(object(nodeInMap)),
  }),
  Location: object({
    key: text,
    key_encoding: keyEncoding,
    slot: integer,
    shard: text,
    leader: { type: ['string', 'null'] },
    members: list(text),
    epoch: integer,
  }),
};
