export { ClockParting } from './clock-parting.js';
export { isDamage, ReplicaDamaged } from './damage.js';
export { type EventLevel, type EventSink, type RaftSettings, TICKS_PER_HEARTBEAT } from './environment.js';
export type { ProposalRefusal, ProposalWaiter } from './pending-proposals.js';
export type { ReadWaiter } from './pending-reads.js';
export type { Replica } from './replica.js';
export { type DamagedReplica, ReplicaHost, type ReplicaHostOptions } from './replica-host.js';
