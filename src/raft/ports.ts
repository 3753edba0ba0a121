/**
 * All that touches the world. Production adapters live beside their room (`log/`, `transport/`, kv's LevelDB engine);
 * the simulator brings its own. Nothing behind these interfaces is deterministic; everything in front of them is.
 */
import type { Entry, GroupId, HardState, Index, NodeId, SnapshotMeta, Term } from './core/index.js';

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds of a clock that never goes back; its zero means nothing. */
  monotonic_ms(): number;
  /** Milliseconds since 1970 as this node believes; may jump. */
  wall_ms(): number;
  after(delay_ms: number, run: () => void): Timer;
  /** Runs after the events that are ready now have been handled (setImmediate): what arrives together is handled together. */
  soon(run: () => void): void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

// ---------------------------------------------------------------------------------------------------------------- log

/** The log's word on which state belongs to it: writing this record is the switch to a received snapshot (F7). */
export interface SnapshotRecord extends SnapshotMeta {
  /** Name of the state engine (LevelDB directory) in force. */
  readonly engine: string;
}

/** What one group wants made durable, atomically and in the order of calls. */
export interface LogWrite {
  readonly group: GroupId;
  readonly hardState: HardState | null;
  /** Makes this the base of the group's log: drops all its earlier entries. Also how a group is created (index 0). */
  readonly snapshot: SnapshotRecord | null;
  /** Replaces whatever the group has at and after `entries[0].index`. Contiguous. */
  readonly entries: readonly Entry[];
}

export interface RecoveredGroup {
  readonly group: GroupId;
  readonly hardState: HardState;
  readonly snapshot: SnapshotRecord;
  /** The compaction point: index and term before `entries[0]`. At least `snapshot.index`. */
  readonly compacted: { readonly index: Index; readonly term: Term };
  readonly entries: readonly Entry[];
  /** Why the group can't be trusted (corruption that may have touched it, F34), or null. Then the rest is a best effort. */
  readonly damaged: string | null;
}

/**
 * One node's log for all its groups.
 *
 * After a rejected write or any other I/O failure the log is dead: every later call rejects with the first error, and
 * the owner ends the process (F33). There is no retry.
 *
 * A full disk is no failure (F36): nothing is acknowledged or lost, writes wait until there is space again, and `full`
 * says so. The owner refuses new work meanwhile. (Rejecting single writes would tear holes into what is pipelined.)
 */
export interface LogStorage {
  /** Writes wait for space on the disk. */
  readonly full: boolean;
  /** Nothing was there when it was opened: no log has ever been here, or it was taken away. */
  readonly fresh: boolean;
  /** What was found when the log was opened. The owner takes it once; the log may forget it afterwards. */
  recovered(): ReadonlyMap<GroupId, RecoveredGroup>;
  /**
   * Resolves when the write is durable, in the order of calls; calls made while a sync is in flight share the next one. What
   * a power cut leaves of those that have not resolved is the first ones of each group: of all groups together only if the
   * disk was not full. Throws on what no correct caller asks for, such as a write to a group that is damaged: such a
   * group can only be removed.
   */
  append(write: LogWrite): Promise<void>;
  /**
   * Entries up to `to` are no longer needed by `group`: its state engine holds them durably. Lazy: space comes back
   * when segments go. A replica reopened before that may find older entries again.
   */
  compact(group: GroupId, to: Index, toTerm: Term): void;
  /** Forgets the group, durably. It is not found on the next open. */
  remove(group: GroupId): Promise<void>;
  /** Called once, when the log has died of an I/O error. */
  onFailure(listener: (error: Error) => void): void;
  stats(): LogStats;
  close(): Promise<void>;
}

export interface LogStats {
  readonly segments: number;
  readonly bytes: number;
  readonly syncs: number;
  readonly records: number;
}

// ---------------------------------------------------------------------------------------------------------- transport

/** Streams of different purpose over one connection. */
export const Channel = {
  /** Raft messages, many groups to a frame. */
  Raft: 0,
  /** Requests and answers between nodes (forwarded operations, admin, map). */
  Rpc: 1,
  /** Snapshot pieces. */
  Snapshot: 2,
} as const;
export type Channel = (typeof Channel)[keyof typeof Channel];

/**
 * Frames between nodes: at most once, in order per channel while one connection lasts, silently lost otherwise.
 * Everyone above must live with loss, delay and (across reconnects) reordering and repetition.
 */
export interface Transport {
  readonly self: NodeId;
  /**
   * False: not taken (no such peer, not connected, or its bounded queue is full). The buffer belongs to the transport
   * afterwards.
   */
  send(to: NodeId, channel: Channel, frame: Uint8Array): boolean;
  /** One handler a channel. The frame may be a view into a bigger buffer that lives as long as it is referenced. */
  onFrame(channel: Channel, handler: (from: NodeId, frame: Buffer) => void): void;
  /**
   * `up`: connected. `lost`: the connection broke. `gone`: the peer's host answers but nobody listens on the port, that
   * is, the process has ended. `refused`: the peer turned us away, or we it (wrong cluster, wrong incarnation, version).
   */
  onPeer(listener: (peer: NodeId, event: PeerEvent) => void): void;
  /** The nodes to keep connections to, by address `host:port`. Others are disconnected. */
  setPeers(peers: ReadonlyMap<NodeId, PeerAddress>): void;
  /**
   * Asks who listens at an address `host:port`, without becoming a peer of it. null: nobody answered in time, or no node
   * of this protocol version.
   */
  discover(address: string): Promise<Discovered | null>;
  close(): Promise<void>;
}

/** Who listens at an address. */
export interface Discovered {
  readonly node: NodeId;
  readonly incarnation: string;
  /** null: it belongs to no cluster yet. */
  readonly clusterId: string | null;
}

export interface PeerAddress {
  readonly address: string;
  /** The incarnation the cluster knows for this node, or null while unknown: a peer that shows another is refused (F24, F25). */
  readonly incarnation: string | null;
}

export type PeerEvent =
  | { readonly kind: 'up'; readonly incarnation: string }
  | { readonly kind: 'lost' | 'gone' }
  | { readonly kind: 'refused'; readonly reason: string };

// ------------------------------------------------------------------------------------------------------- applied state

export interface EngineOp {
  readonly key: Uint8Array;
  /** null: delete. */
  readonly value: Uint8Array | null;
}

export interface EngineRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Byte order; `gte` inclusive, `lt` exclusive. What is read are all rows that there are, from `gte` up to where it ends. */
export interface EngineRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
  readonly limit?: number;
  /** Stop after the row that reaches this many bytes of keys and values. */
  readonly maxBytes?: number;
}

export interface EngineSnapshot {
  range(range: EngineRange): Promise<EngineRow[]>;
  close(): Promise<void>;
}

/**
 * An ordered byte store for the applied state of one replica. Not the durability: that is the log.
 *
 * No read takes rows that can't be read for rows that are not there: `get` throws and all others reject, also `range` of a
 * snapshot, however little of the range is read. The error's `code` is 'ENGINE_DAMAGED' where it says that the files are not what was
 * written; so it is for `write` and `flush`. Any other error says nothing about them.
 */
export interface StateEngine {
  /** Sees every write whose promise has resolved. */
  get(key: Uint8Array): Buffer | undefined;
  getMany(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]>;
  /**
   * Atomic. Writes take effect in the order of calls. After a power cut a prefix of the writes is there, never a mixture.
   * Once one has failed, every later one rejects with the same error.
   */
  write(ops: readonly EngineOp[]): Promise<void>;
  /** Resolves when every write that had resolved before the call survives a power cut. */
  flush(): Promise<void>;
  /** Sees exactly the writes that had resolved before the call. */
  snapshot(): EngineSnapshot;
  range(range: EngineRange): Promise<EngineRow[]>;
  /** Gives the space of deleted keys in the range back to the disk. */
  reclaim(gte: Uint8Array, lt: Uint8Array): Promise<void>;
  /** Approximate, of the whole engine. */
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

export interface StateEngines {
  /**
   * Opens or creates. Rejects with an error of `code` 'ENGINE_DAMAGED' when the files are damaged beyond what the log can
   * repair; any other rejection (no space, too many open files) says nothing about them.
   */
  open(name: string): Promise<StateEngine>;
  /** Gone from disk when it resolves. No error if it is not there. */
  remove(name: string): Promise<void>;
  list(): Promise<string[]>;
}

// ------------------------------------------------------------------------------------------------------ state machine

/** What a state machine may do with its rows while it applies: synchronous, its own writes visible at once. */
export interface StateRows {
  get(key: Uint8Array): Buffer | undefined;
  /** The same, of one of many that are asked for once: it takes no place from those that are asked for again. */
  peek(key: Uint8Array): Buffer | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
}

/** What the runtime gives a state machine: rows, and views of them at one index. */
export interface ViewableRows extends StateRows {
  /**
   * Called while an entry is applied: its round ends with it, and once the engine has it, `taken` is given a snapshot of the
   * rows of exactly that index, which the taker closes; null where it never will be (the replica stops, or its state is
   * replaced). Nothing that replicas have in common depends on it.
   */
  view(taken: (snapshot: EngineSnapshot | null) => void): void;
}

/**
 * A deterministic function of rows and entries. Rows of the runtime itself live under the first byte 0x00; a state machine
 * uses neither that nor 0xff, nor the empty key.
 */
export interface StateMachine {
  /** Reads what it keeps in memory. Called once, before anything is applied, and again on a new instance after a snapshot. */
  open(engine: StateEngine, rows: ViewableRows): Promise<void>;
  /** The result goes to the proposer's waiter, if it still waits. Must not throw on any bytes that peers may propose. */
  apply(entry: Entry): unknown;
  /** After the last entry of a round, before its rows are written as one atomic batch. */
  endRound(): void;
  /**
   * Why this row of the engine is not what this machine wrote, or null. Asked of each row before it is streamed to another
   * replica: rot must not spread to those that are sound, and whose row it is must know (F35).
   */
  rowFault(key: Buffer, value: Buffer): string | null;
  /** Equal on any two replicas at the same applied index (F30). Cheap enough to call often. */
  stateHash(): string;
}
