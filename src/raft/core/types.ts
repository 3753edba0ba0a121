/**
 * The vocabulary of the consensus core: what it is told, what it asks for. Plain data, no behaviour.
 *
 * Names and meanings follow Ongaro's dissertation ("Consensus: Bridging Theory and Practice", 2014) and, where the
 * dissertation leaves the driver's side open, etcd-io/raft.
 */

declare const brand: unique symbol;

/** A Raft term. 0 is "before the first election". */
export type Term = number & { readonly [brand]: 'term' };
/** A position in the log. 0 is "before the first entry". */
export type Index = number & { readonly [brand]: 'index' };

export const term = (n: number): Term => n as Term;
export const index = (n: number): Index => n as Index;

/** One member of one group, unique in the group for ever (a lost disk comes back under a new one). 0 means "nobody". */
export type ReplicaId = number;
/** The name of a process, `n1`. */
export type NodeId = string;
/** One Raft group. 0 is the controller; shard `sN` is group N. Never reused. */
export type GroupId = number;

export const NOBODY: ReplicaId = 0;

export const EntryKind = {
  /** Payload for the state machine. */
  Command: 0,
  /** A membership change: `data` is an encoded `ConfChange` (see confchange codec). */
  ConfChange: 1,
  /** The entry with which a leader opens its term (section 6.4): empty. */
  Noop: 2,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export interface Entry {
  readonly term: Term;
  readonly index: Index;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** What must never be forgotten (Figure 2, "persistent state"), plus the commit index as a hint for restarts. */
export interface HardState {
  readonly term: Term;
  readonly vote: ReplicaId;
  readonly commit: Index;
}

/** A member's place: which node hosts it. The core carries the node's name and never looks at it. */
export interface Member {
  readonly id: ReplicaId;
  readonly node: NodeId;
}

/**
 * A configuration (section 4.3). Outside a joint change `outgoing` and `learnersNext` are empty.
 * Within one, a decision needs a majority of `voters` and a majority of `outgoing`.
 */
export interface ConfState {
  readonly voters: readonly Member[];
  readonly outgoing: readonly Member[];
  readonly learners: readonly Member[];
  /** Voters of `outgoing` that become learners when the joint configuration is left. */
  readonly learnersNext: readonly Member[];
  /** Leave the joint configuration by itself as soon as it is applied. */
  readonly autoLeave: boolean;
}

export type ConfChangeStep =
  | { readonly op: 'add_voter'; readonly member: Member }
  | { readonly op: 'add_learner'; readonly member: Member }
  | { readonly op: 'remove'; readonly id: ReplicaId };

export interface ConfChange {
  /** No steps: leave the joint configuration. One simple step: applied directly; else, or if asked for: joint. */
  readonly steps: readonly ConfChangeStep[];
  readonly transition: 'auto' | 'joint_implicit' | 'joint_explicit';
}

/** Identifies a state of the state machine: everything up to `index` is in it, under configuration `conf`. */
export interface SnapshotMeta {
  readonly index: Index;
  readonly term: Term;
  readonly conf: ConfState;
}

export const MessageType = {
  PreVote: 1,
  PreVoteResponse: 2,
  Vote: 3,
  VoteResponse: 4,
  Append: 5,
  AppendResponse: 6,
  Heartbeat: 7,
  HeartbeatResponse: 8,
  /** A snapshot that the receiver's runtime has received whole and staged (data never passes through the core). */
  InstallSnapshot: 9,
  /** A follower asks the leader for a read index; `context` is the follower's own number for the request. */
  ReadIndex: 10,
  ReadIndexResponse: 11,
  /** Campaign now, lease or not (section 3.10). */
  TimeoutNow: 12,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/**
 * One flat shape for all messages, so that the engine sees one hidden class. Fields a type does not use hold 0, false,
 * `NO_ENTRIES` or null.
 */
export interface Message {
  readonly type: MessageType;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
  /**
   * Append: previous index. AppendResponse: matched (or rejected) index. Vote, PreVote: last index. ReadIndexResponse: the read
   * index. Heartbeat: `RaftCore.commitBound` of the leader; 0 from a version that did not tell,
   * 2^53 - 1 from a driver that does not vouch for it.
   */
  readonly index: Index;
  /** Term of the entry at `index`. AppendResponse with `reject`: term of the entry at `hint`. */
  readonly logTerm: Term;
  readonly commit: Index;
  readonly entries: readonly Entry[];
  readonly reject: boolean;
  /** AppendResponse with `reject`: where the follower's log may still agree (fast back-tracking, section 5.3). */
  readonly hint: Index;
  /** Heartbeat(Response): number of the ReadIndex round. ReadIndex(Response): the asker's number. Vote, PreVote: 1 = forced by a transfer. */
  readonly context: number;
  readonly snapshot: SnapshotMeta | null;
}

export const NO_ENTRIES: readonly Entry[] = Object.freeze([]);

export type Role = 'follower' | 'pre_candidate' | 'candidate' | 'leader' | 'learner';

/** A read may be served once the state machine has applied `index`. `index` null: the round was lost, ask again. */
export interface ReadState {
  readonly context: number;
  readonly index: Index | null;
}

/**
 * What the driver has to do now. Order that the driver must keep:
 * 1. `messages` may go at once; 2. `snapshot`, then `entries` and `hardState` go to the log (one record batch, in the
 * order of `seq`); 3. only when they are durable: `messagesAfterAppend` go and `persisted(seq)` is called;
 * 4. `committed` is applied in order, then `applied(index)` is called.
 */
export interface Ready {
  /** Grows by one with each Ready that has to be persisted; 0 where nothing has. */
  readonly seq: number;
  readonly hardState: HardState | null;
  /** To be appended; entries of the log at and after `entries[0].index` are thereby gone. */
  readonly entries: readonly Entry[];
  /** A received snapshot that becomes the state: replaces log and state machine. */
  readonly snapshot: SnapshotMeta | null;
  readonly messages: readonly Message[];
  readonly messagesAfterAppend: readonly Message[];
  /** Committed and locally durable, in order, each handed out exactly once. */
  readonly committed: readonly Entry[];
  readonly reads: readonly ReadState[];
  /** Followers that need a snapshot: the driver starts to stream one unless it does already. */
  readonly snapshotsTo: readonly ReplicaId[];
}

/** `ok: false` is a definite refusal: nothing was appended. */
export type ProposeResult =
  | { readonly ok: true; readonly first: Index; readonly term: Term }
  | { readonly ok: false; readonly reason: 'not_leader' | 'transferring' | 'too_many_uncommitted' };

export type ConfChangeResult =
  | { readonly ok: true; readonly first: Index; readonly term: Term }
  | {
      readonly ok: false;
      readonly reason:
        | 'not_leader'
        | 'transferring'
        | 'change_in_progress'
        | 'term_not_committed'
        | 'learner_behind'
        | 'outdated'
        | 'invalid';
      readonly detail: string;
    };

/** `false`: no leader is known (or this leader cannot serve): ask again later. */
export type ReadIndexResult = boolean;

export type TransferResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: 'not_leader' | 'unknown_member' | 'learner' | 'already_leader' | 'busy' };

export interface Progress {
  readonly id: ReplicaId;
  readonly match: Index;
  readonly next: Index;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly recentActive: boolean;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  readonly learner: boolean;
}

export interface CoreStatus {
  readonly id: ReplicaId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: ReplicaId;
  readonly leader: ReplicaId;
  readonly commit: Index;
  readonly applied: Index;
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  readonly stableIndex: Index;
  readonly conf: ConfState;
  /** See `RaftCore.confIndex`. */
  readonly confIndex: Index;
  readonly transferTo: ReplicaId;
  /** Empty unless leader. */
  readonly progress: readonly Progress[];
}

export interface CoreOptions {
  readonly id: ReplicaId;
  /** Ticks without a leader's word before an election; drawn anew from [electionTicks, 2 * electionTicks). */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Limits per follower. */
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  /** Limit of the entries in one Append. */
  readonly maxMessageBytes: number;
  /** Proposals are refused (`too_many_uncommitted`) above this many bytes of uncommitted entries. */
  readonly maxUncommittedBytes: number;
  /** What the log held when it was opened. */
  readonly hardState: HardState;
  /** The compaction point: the entry before the first one of `entries`. `conf` is ignored here. */
  readonly compacted: { readonly index: Index; readonly term: Term };
  readonly entries: readonly Entry[];
  /** What the state machine has already applied, and the configuration as of that index. */
  readonly applied: Index;
  readonly conf: ConfState;
}
