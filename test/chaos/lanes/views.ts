/** Views of clusters that never were, for tests. */
import type { ClusterView } from '../../../src/kv/client/index.js';

type Shard = ClusterView['shards'][number];

/** `n1` leads where it comes first; `n4?` says nothing, `n4+` is being filled, `n4!` is damaged. */
export function shardOf(id: string, members: string): Shard {
  const parsed = members.split(' ').map((text, i) => {
    const node = text.replace(/[?+!]$/, '');
    const role = text.endsWith('?') ? 'unknown' : text.endsWith('+') ? 'learner' : i === 0 ? 'leader' : 'follower';
    const state = text.endsWith('?') ? 'down' : text.endsWith('!') ? 'damaged' : 'ok';
    return { node, role, applied: 1, lag: 0, state };
  });
  const leader = parsed.find(({ role }) => role === 'leader')?.node ?? null;
  return {
    id,
    state: 'ok',
    slots: '0-16383',
    slot_count: 16_384,
    members: parsed,
    leader,
    term: 1,
    keys: null,
    bytes: null,
    reads_per_s: null,
    writes_per_s: null,
  };
}

/** `viewOf('n1 n2 n3', { s1: 'n1 n2 n3' }, 'n1 n2 n3')` */
export function viewOf(nodes: string, shards: Readonly<Record<string, string>>, controller = nodes): ClusterView {
  return {
    cluster_id: 'c',
    epoch: 1,
    health: '',
    nodes: nodes.split(' ').map((id) => ({ id, http: '', peer: '', labels: {}, state: 'healthy', since: '' })),
    shards: Object.entries(shards).map(([id, members]) => shardOf(id, members)),
    controller: { leader: null, term: null, members: controller.split(' ') },
    balance: null,
    missing_replicas: [],
  };
}
