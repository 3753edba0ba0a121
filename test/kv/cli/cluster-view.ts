/** Two nodes, one of them down; two shards, one of them without a leader. */
export const member = (id: string, role: string, applied: number | null, lag: number | null, state = 'ok') => ({
  node: id,
  role,
  applied,
  lag,
  state,
});

export const CLUSTER = {
  cluster_id: 'c0ffee',
  epoch: 4,
  health: 'shard s2 runs without n2',
  nodes: ['n1', 'n2'].map((id, i) => ({
    id,
    http: `127.0.0.1:700${i + 1}`,
    peer: `127.0.0.1:710${i + 1}`,
    labels: i === 0 ? { zone: 'a' } : {},
    state: i === 0 ? 'healthy' : 'down',
    since: '2026-11-20T10:00:00Z',
  })),
  shards: [
    {
      id: 's1',
      state: 'ok',
      slots: '0-8191',
      slot_count: 8192,
      members: [member('n1', 'leader', 120, 0), member('n2', 'follower', 117, 3)],
      leader: 'n1',
      term: 2,
      keys: 10,
      bytes: 2048,
    },
    {
      id: 's2',
      state: 'no_leader',
      slots: '8192-16383',
      slot_count: 8192,
      members: [member('n2', 'unknown', null, null, 'down')],
      leader: null,
      term: null,
      keys: null,
      bytes: null,
    },
  ],
  controller: { leader: 'n1', term: 1, members: ['n1', 'n2'] },
};
