/** A node in the JSON shape of http-api.md, as this node sees it. */
import type { NodeId } from '../../raft/index.js';
import type { NodeEntry, ShardMap } from '../../shardctrl/index.js';
import type { NodeView } from './api.js';
import type { HelloService } from './hello.js';

export function nodeView(node: NodeEntry, map: ShardMap, hello: HelloService, self: NodeId): NodeView {
  const { id, http, peer, labels } = node;
  const health = id === self ? 'healthy' : hello.state(id);
  // Of a node that is away that is what matters, drained or not.
  const state = health === 'healthy' && map.draining.includes(id) ? 'draining' : health;
  return { id, http, peer, labels, state, since: new Date(hello.since_ms(id)).toISOString() };
}
