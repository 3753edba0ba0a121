/** How much the driver does at once, and how patient it is. */
export interface DriverSettings {
  /** Batches on their way at once, not counting those whose shards do not answer and those that are only purged. */
  readonly batchesMax: number;
  /** The same for any one node that hosts a replica of a batch's source or destination. */
  readonly batchesPerNodeMax: number;
  /** Of one move: the next is exported while one is frozen. */
  readonly batchesPerMoveMax: number;
  /** Published batches of one source whose purge is not finished: above it no further batch leaves that source. */
  readonly purgesPerSourceMax: number;
  /** A batch is closed at whichever comes first; a slot that is larger by itself goes alone. */
  readonly batchKeys: number;
  readonly batchBytes: number;
  readonly batchSlots: number;
  /** Attempts that may fail in a row before the plan fails. */
  readonly attemptsMax: number;
  /** How often a batch is copied because digests differ. */
  readonly copiesMax: number;
  /** How often a batch is frozen before it is given up because its last changes did not fit into the pause. */
  readonly freezesMax: number;
  /** How often a batch has its turn and is not frozen, since a shard does not answer in time, before it is given up. */
  readonly turnsMax: number;
  /** How often a freeze of a batch is put off because it would take too long just then. */
  readonly deferralsMax: number;
  /** So few changes left to copy are worth a freeze; and how often they are copied before it is tried all the same. */
  readonly drainedAt: number;
  readonly drainsMax: number;
  /** So many changes waiting to be copied are too many: the source keeps a note of each. */
  readonly notesMax: number;
  readonly call_timeout_ms: number;
  readonly reclaim_timeout_ms: number;
  /** Waiting time after a failure: doubles from the first to the last. */
  readonly backOffFirst_ms: number;
  readonly backOffLast_ms: number;
  readonly purgePoll_ms: number;
  /** How long a plan waits for nodes that answer to remove the data of its retired shards. */
  readonly removalPatience_ms: number;
  /** Between two looks at a change of members that waits for something. */
  readonly memberPoll_ms: number;
  /** How long a newcomer may be away before its change is given up. */
  readonly newcomerPatience_ms: number;
  /** How many replicas of nodes that stay away are made anew at once, groups that do not answer not counted. */
  readonly rebuildsMax: number;
  /** How often the driver looks whether a change of members is due by itself. */
  readonly repairEvery_ms: number;
  /** How often it looks whether shards are led by whom they should be. */
  readonly spreadEvery_ms: number;
  /** Between two attempts to have a shard led by whom it should be. */
  readonly handOverPause_ms: number;
  /** The same for nodes that do not answer: they do it when they come back. */
  readonly silencePatience_ms: number;
  /** How long nothing is placed on a node that answered and made no replica that works. */
  readonly newcomerBackOff_ms: number;
  /** How long a newcomer may get nothing, or nothing but beginnings, before its change is given up. */
  readonly catchUpPatience_ms: number;
}

export const DRIVER_DEFAULTS: DriverSettings = {
  batchesMax: 16,
  batchesPerNodeMax: 2,
  batchesPerMoveMax: 2,
  purgesPerSourceMax: 8,
  batchKeys: 4_000,
  batchBytes: 1024 * 1024,
  batchSlots: 512,
  attemptsMax: 10,
  copiesMax: 3,
  freezesMax: 5,
  turnsMax: 20,
  deferralsMax: 5,
  drainedAt: 16,
  drainsMax: 10,
  notesMax: 100_000,
  call_timeout_ms: 2_000,
  reclaim_timeout_ms: 60_000,
  backOffFirst_ms: 50,
  backOffLast_ms: 2_000,
  purgePoll_ms: 50,
  memberPoll_ms: 100,
  newcomerPatience_ms: 30_000,
  rebuildsMax: 2,
  repairEvery_ms: 1_000,
  spreadEvery_ms: 5_000,
  handOverPause_ms: 60_000,
  removalPatience_ms: 60_000,
  silencePatience_ms: 10_000,
  newcomerBackOff_ms: 600_000,
  catchUpPatience_ms: 120_000,
};
