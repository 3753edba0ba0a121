/**
 * How a replica takes up its work where its log and its state have left it. The log has what was promised, the state what was
 * applied of that; where the one can't go with the other, one of them is not what was written.
 */
import { index, RaftCore, type ReplicaId, term } from '../core/index.js';
import type { RecoveredGroup, StateEngine } from '../ports.js';
import { type AppliedMeta, AppliedState } from './applied-state.js';
import { ReplicaDamaged } from './damage.js';
import { type ReplicaEnvironment, TICKS_PER_HEARTBEAT } from './environment.js';

/** Of which index the rows of `engine` are. Throws `ReplicaDamaged` where the log can't go on from there. */
export function resumedMeta(engine: StateEngine, recovered: RecoveredGroup): AppliedMeta {
  const meta = AppliedState.readMeta(engine) ?? { index: index(0), term: term(0), conf: recovered.snapshot.conf };
  const last = recovered.entries.at(-1)?.index ?? recovered.compacted.index;
  if (meta.index > last || meta.index < recovered.compacted.index) {
    throw new ReplicaDamaged(
      `the state is at index ${meta.index}, but the log holds ${recovered.compacted.index + 1} to ${last}: one of them is not what was written`,
    );
  }
  return meta;
}

export function resumedCore(
  id: ReplicaId,
  recovered: RecoveredGroup,
  applied: AppliedMeta,
  { settings, random }: ReplicaEnvironment,
): RaftCore {
  return new RaftCore({
    id,
    electionTicks: Math.round((settings.election_timeout_ms / settings.heartbeat_ms) * TICKS_PER_HEARTBEAT),
    heartbeatTicks: TICKS_PER_HEARTBEAT,
    random: () => random.next(),
    maxInflightMessages: settings.maxInflightMessages,
    maxInflightBytes: settings.maxInflightBytes,
    maxMessageBytes: settings.maxMessageBytes,
    maxUncommittedBytes: settings.maxUncommittedBytes,
    hardState: recovered.hardState,
    compacted: recovered.compacted,
    entries: recovered.entries,
    applied: applied.index,
    conf: applied.conf,
  });
}
