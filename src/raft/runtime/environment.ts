/** What a replica is given by its host: the ports, the host's outgoing queues, and whom to tell. */
import type { GroupId, Message, NodeId } from '../core/index.js';
import type { Clock, LogStorage, Random, StateEngines, StateMachine } from '../ports.js';
import type { LogReserve } from './log-reserve.js';
import type { Pulse } from './pulse.js';
import type { Replica } from './replica.js';
import type { RowCache } from './row-cache.js';

export interface RaftSettings {
  readonly heartbeat_ms: number;
  readonly election_timeout_ms: number;
  /** A group's log is compacted when its entries in memory exceed this. */
  readonly snapshotLogBytes: number;
  /** What leaders of the node, together, keep beyond twice that for followers that are being sent a snapshot. */
  readonly catchUpLogBytes: number;
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  readonly maxMessageBytes: number;
  readonly maxUncommittedBytes: number;
  /** What the node keeps in memory of its replicas' rows, for all of them together. */
  readonly rowCacheBytes: number;
}

/** Ticks are half a heartbeat, so that election timeouts are drawn finely enough to avoid split votes. */
export const TICKS_PER_HEARTBEAT = 2;

export type EventLevel = 'debug' | 'info' | 'warn' | 'error';
export type EventSink = (level: EventLevel, text: string, fields: Readonly<Record<string, unknown>>) => void;

export interface ReplicaEnvironment {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LogStorage;
  readonly engines: StateEngines;
  readonly settings: RaftSettings;
  readonly rowCache: RowCache;
  readonly logReserve: LogReserve;
  /** One for all replicas of the node: they tick together. */
  readonly pulse: Pulse;
  readonly newMachine: (group: GroupId) => StateMachine;
  readonly sendRaft: (to: NodeId, group: GroupId, message: Message) => void;
  readonly sendSnapshot: (to: NodeId, frame: Buffer) => boolean;
  readonly schedule: (replica: Replica) => void;
  readonly newEngineName: (group: GroupId) => string;
  /** The replica's role, leader or health has changed. */
  readonly changed: (replica: Replica) => void;
  /** The node can't go on (F33). */
  readonly fatal: (error: Error) => void;
  readonly event: EventSink;
}
