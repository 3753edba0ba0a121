/**
 * What a sharded Raft store must survive, and the scenarios by which it is accepted, each in one line: what happens → what must
 * hold. `coverage-table.ts` looks for the tests that name them.
 */

export interface Entry {
  /** `F12` or the name of a scenario: a test that covers it has it in its title. */
  readonly name: string;
  readonly what: string;
}

export interface Chapter {
  readonly title: string;
  readonly entries: readonly Entry[];
}

export const FAULTS: readonly Chapter[] = [
  {
    title: 'Consensus',
    entries: [
      { name: 'F1', what: 'vote not durable before it is sent, or raced → one leader a term' },
      {
        name: 'F2',
        what: 'entry of an earlier term on a majority (Figure 8) → only entries of the current term are counted',
      },
      { name: 'F3', what: 'empty append carries a commit index past a diverging tail → capped at the matched index' },
      { name: 'F4', what: 'compacted previous entry taken for a conflict → committed log kept' },
      { name: 'F5', what: "obsolete entries after a leader's snapshot → never committed" },
      { name: 'F6', what: "conflicting entry at the snapshot's index → log truncated" },
      { name: 'F7', what: 'crash between snapshot and log → one atomic switch' },
      { name: 'F8', what: 'two snapshots in quick succession; snapshot racing append' },
      { name: 'F9', what: 'late disk acknowledgement after truncation (ABA) → ignored' },
      { name: 'F10', what: 'deposed leader reads → quorum confirmed first' },
      { name: 'F11', what: "read before the term's first own entry is committed → waits" },
      { name: 'F12', what: 'pause (SIGSTOP) around a ReadIndex → no stale read' },
      { name: 'F13', what: 'clock jump or slow clock under a lease → lease void' },
      { name: 'F14', what: 'lease read during leader transfer → lease dropped' },
      { name: 'F15', what: 'transfer to a laggard → bounded time without leader' },
      { name: 'F16', what: 'PreVote with a lower-term node still elects' },
      { name: 'F17', what: 'PreVote + CheckQuorum with a stale leader still elects' },
      { name: 'F18', what: 'PreVote inside a joint configuration does not deadlock' },
      { name: 'F19', what: 'removed node campaigns on → ignored' },
      { name: 'F20', what: "membership change before the leader's own no-op is committed → refused" },
      { name: 'F21', what: 'membership change inside a partition → no second majority' },
      { name: 'F22', what: 'learner promoted while behind → refused' },
      { name: 'F23', what: 'learner that does not know it was promoted still votes' },
      { name: 'F24', what: 'node comes back under a used id → refused, tombstone' },
    ],
  },
  {
    title: 'Disk',
    entries: [
      { name: 'F25', what: 'wiped disk under the same id → no vote, no silent rejoin' },
      { name: 'F26', what: 'one node restored from an old copy → detected' },
      { name: 'F27', what: 'whole cluster restored from a backup → revisions jump forward, watches are told' },
      { name: 'F28', what: 'foreign cluster id → refused' },
      { name: 'F30', what: 'any two replicas with the same applied index have the same state hash' },
      { name: 'F31', what: 'crash between data and applied index → one atomic batch' },
      {
        name: 'F32',
        what: 'acknowledged before durable → what was acknowledged survives a power cut (all that was not synced is lost)',
      },
      { name: 'F33', what: 'fsync fails → the process stops; never retried' },
      {
        name: 'F34',
        what: 'torn tail of the log → cut; corrupt middle → never cut: the replica refuses to serve and refetches from its peers',
      },
      { name: 'F35', what: 'corruption on a minority deletes data of the cluster → never' },
      { name: 'F36', what: 'disk full → a clear error, reads go on, recovers when space is back' },
      { name: 'F37', what: 'leader with a slow disk → steps down' },
      { name: 'F38', what: 'bit flip in a value at rest → checksum error, never a wrong value' },
    ],
  },
  {
    title: 'Network and load',
    entries: [
      { name: 'F40', what: 'asymmetric partition → no election storm' },
      { name: 'F41', what: 'group of two loses one → no writes, log bounded, clear error' },
      { name: 'F42', what: 'slow follower → in-flight bytes bounded on the leader' },
      { name: 'F43', what: 'giant value → refused before the log' },
      { name: 'F44', what: 'hot key or hot shard → the other shards keep their latency' },
      { name: 'F45', what: 'messages dropped, repeated, reordered by seconds' },
      { name: 'F46', what: '100 idle groups on three nodes → next to no CPU' },
    ],
  },
  {
    title: 'Clients and shards',
    entries: [
      {
        name: 'F50',
        what: 'blind retry of an unknown outcome → one effect (idempotency key), across leader change and move',
      },
      { name: 'F51', what: 'source late or destination early → one owner a slot and epoch' },
      { name: 'F52', what: 'write during the move → not lost' },
      { name: 'F53', what: 'key seen missing for a moment during the move → never' },
      {
        name: 'F54',
        what: 'source leader, destination leader, controller leader dies at each step of a move → the plan goes on',
      },
      { name: 'F55', what: 'import aborted → no hidden keys left' },
      { name: 'F56', what: 'step timed out, outcome unknown → resumed, idempotent' },
      { name: 'F57', what: 'old controller leader comes back → fenced' },
      { name: 'F58', what: 'two reshards at once → one refused' },
      { name: 'F59', what: 'epoch skipped by a node that slept → catches up, never serves what it lost' },
      { name: 'F60', what: 'A→B→A → nothing old comes back' },
      { name: 'F61', what: 'source deletes before the destination committed → never; and after: really deleted' },
      {
        name: 'F62',
        what: 'move of a huge or busy slot → write pause stays in the budget or the move aborts and says so',
      },
      { name: 'F63', what: 'slots that do not move → not delayed' },
      { name: 'F64', what: 'TTL or idempotency record in flight → the same instant, the same answer' },
      { name: 'F65', what: 'list with a cursor across a reshard → no gap, no repeat' },
      { name: 'F66', what: 'watch across leader change and reshard → no loss, never backwards' },
    ],
  },
];

export const SCENARIOS: readonly Chapter[] = [
  {
    title: 'The shard map',
    entries: [
      {
        name: 'BasicJoinLeave',
        what: 'exact members; no slot without an owner; shares differ by at most one slot (by weight)',
      },
      { name: 'HistoricalQueries', what: 'every old epoch answers the same, whichever controller node is down' },
      {
        name: 'Move',
        what: 'an explicit move changes the owner and the epoch; the next rebalance may undo it only if asked to',
      },
      { name: 'ConcurrentJoinLeave', what: 'ten clients at once; the map is exact in the end' },
      {
        name: 'MinimalTransfer',
        what: 'on growing and shrinking, no slot moves between shards that stay, and no more than needed',
      },
      { name: 'AgreeConfig', what: "the controller's leader is killed: the same map" },
    ],
  },
  {
    title: 'Serving and moving',
    entries: [
      {
        name: 'StaticShards',
        what: 'one of two shards down: exactly its keys fail, with 503 that says why; all back after restart',
      },
      { name: 'Rejection', what: 'a client with a wrong map never gets a wrong or empty value' },
      {
        name: 'JoinLeave',
        what: 'grow, shrink while a client appends; then stop the retired shard: every key is there',
      },
      { name: 'SnapshotMoves', what: 'with a tiny snapshot limit, grow and shrink, restart everything: all data' },
      {
        name: 'MissChange',
        what: 'one replica of each shard sleeps through a grow and a shrink, wakes up, another sleeps: all right',
      },
      {
        name: 'ConcurrentAppends',
        what: "appenders run while maps change and whole shards restart: the exact order of every client's appends",
      },
      { name: 'Unreliable', what: 'the same with drops, repeats and long reordering; the history is linearizable' },
      { name: 'DeleteAfterMove', what: "moved data is really gone from the source's disk (measured in bytes)" },
      { name: 'Unaffected', what: 'slots that stay keep reading and writing while a source is dead' },
      { name: 'Partial', what: 'slots that have arrived are served although another move of the plan cannot finish' },
      { name: 'ProgressUnderChurn', what: 'constant reshards: keys outside the moving slots keep their throughput' },
      {
        name: 'RecoverController',
        what: "the controller's leader is cut off at every step; its successor finishes that plan",
      },
      { name: 'FencedController', what: 'the old one comes back after the partition heals and changes nothing' },
      {
        name: 'ReshardRefused',
        what: 'an impossible plan (not enough nodes for the replicas asked) is refused and says what is missing',
      },
      {
        name: 'KeyCounts',
        what: 'the counts over all shards sum to the keys written; each within 25 % of even for 600 uniform keys',
      },
      {
        name: 'LateJoiner',
        what: 'a node joins later, takes replicas, all data reaches it; drain takes them off again',
      },
    ],
  },
];

/** What concerns a feature that this version does not have, and which. An acceptance test that names it makes the line here wrong. */
export const NOT_YET: Readonly<Record<string, string>> = {
  F14: 'there are no lease reads: a linearizable read always asks a quorum',
  F27: 'a cluster cannot be backed up and restored yet',
  F66: 'there is no watch yet',
};

/** Covered as far as the feature goes, and what is missing until it is complete. */
export const PARTLY: Readonly<Record<string, string>> = {
  F13: 'there are no leases; what a wrong clock can do to times of expiry is covered',
  F34: 'a damaged replica refuses to serve; to refetch it under a new id needs changes of membership',
};
