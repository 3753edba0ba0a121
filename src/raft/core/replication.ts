/**
 * The leader's half of replication (sections 3.5, 5.3, 10.2.1): Appends are pipelined, bounded, and made only when the
 * driver takes its Ready, so that everything proposed until then travels in one Append per follower.
 */
import type { CoreState } from './core-state.js';
import type { Leadership } from './leadership.js';
import { message } from './messages.js';
import type { MemberProgress } from './progress.js';
import { index, type Message, MessageType, NO_ENTRIES, type ReplicaId, term } from './types.js';

/**
 * Advances the commit index to what a quorum holds. Only entries of the leader's own term are counted; those before them
 * are committed along with them (section 3.6.2, Figure 8, F2).
 */
export function maybeCommit(core: CoreState): boolean {
  const lead = core.leading as Leadership;
  const held = Math.min(lead.quorumIndex(), core.log.last);
  if (held <= core.log.commit || core.log.termOrZero(held) !== core.term) return false;
  return core.log.commitTo(held);
}

/** More of the leader's own log is durable: it counts like a follower's acknowledgement (section 10.2.1). */
export function ownLogPersisted(core: CoreState): void {
  const self = core.leading?.self;
  if (self?.acknowledge(core.log.stable)) maybeCommit(core);
}

/** The entries that this member needs next are gone, so that only a snapshot helps; it must be there to receive it. */
function needsSnapshot(core: CoreState, member: MemberProgress): boolean {
  return member.next < core.log.first;
}

function wantsAppend(core: CoreState, member: MemberProgress): boolean {
  if (!member.wantsAppend(core.log.last, core.log.commit)) return false;
  return member.recentActive || !needsSnapshot(core, member);
}

export function hasAppends(core: CoreState): boolean {
  const lead = core.leading as Leadership;
  for (const member of lead.members) {
    if (member.snapshotDue || (member.id !== core.id && wantsAppend(core, member))) return true;
  }
  return false;
}

/** Sends every follower what it may be sent now. */
export function sendAppends(core: CoreState): void {
  for (const member of (core.leading as Leadership).members) {
    if (member.id === core.id) continue;
    while (wantsAppend(core, member)) {
      if (needsSnapshot(core, member)) member.becomeSnapshot();
      else sendAppend(core, member);
    }
  }
}

function sendAppend(core: CoreState, member: MemberProgress): void {
  const { log, options } = core;
  const previous = member.next - 1;
  let entries = NO_ENTRIES;
  let bytes = 0;
  if (member.canSendEntries(log.last)) {
    const limit = member.state === 'replicate' ? member.inflights.freeBytes : options.maxInflightBytes;
    entries = log.slice(member.next, Math.min(options.maxMessageBytes, limit));
    bytes = log.sliceBytes(entries);
  }
  core.outbox.send(
    message(MessageType.Append, core.id, member.id, core.term, {
      index: index(previous),
      logTerm: term(log.termOrZero(previous)),
      // Never beyond what the follower has when it accepts this message (F3).
      commit: index(Math.min(log.commit, previous + entries.length)),
      entries,
    }),
  );
  member.sent(entries.length, bytes, log.commit);
}

export function sendHeartbeats(core: CoreState): void {
  const lead = core.leading as Leadership;
  for (const member of lead.members) if (member.id !== core.id) sendHeartbeat(core, lead, member);
}

/** To those whose answers count for a ReadIndex round. */
export function sendHeartbeatsToVoters(core: CoreState): void {
  const lead = core.leading as Leadership;
  for (const member of lead.members) {
    if (member.id === core.id) continue;
    if (lead.voters.includes(member) || lead.outgoing.includes(member)) sendHeartbeat(core, lead, member);
  }
}

function sendHeartbeat(core: CoreState, lead: Leadership, member: MemberProgress): void {
  core.outbox.send(
    message(MessageType.Heartbeat, core.id, member.id, core.term, {
      // Nothing is done by it in the core: by this a follower knows whether it is behind.
      index: index(core.commitBound),
      // Beyond its match the follower's log may still differ from ours (F3).
      commit: index(Math.min(member.match, core.log.commit)),
      context: lead.reads.inFlight,
    }),
  );
}

/** Only for a leader. True: the response was from a member and news. */
export function handleAppendResponse(core: CoreState, response: Message): void {
  const lead = core.leading as Leadership;
  const member = lead.member(response.from);
  // An acknowledgement of what we do not have is nonsense.
  if (member === undefined || (!response.reject && response.index > core.log.last)) return;
  lead.answered(member);
  if (response.reject) {
    backTrack(core, member, response);
    return;
  }
  const news = member.acknowledge(response.index);
  if (!news && !(member.match === response.index && member.state === 'probe')) return;
  if (member.state === 'probe') {
    member.becomeReplicate();
  } else if (member.state === 'replicate') {
    member.inflights.freeTo(response.index);
  } else if (member.match + 1 >= core.log.first) {
    // It has a snapshot, ours or another's: from here on the log will do.
    member.becomeReplicate();
  }
  maybeCommit(core);
}

/**
 * Section 5.3: the follower named the last place where it could agree, given the term of our entry. Of its terms above
 * ours at that place none can be in our log, so probe the last of our entries whose term is not above its.
 */
function backTrack(core: CoreState, member: MemberProgress, response: Message): void {
  // Every log agrees at index 0. Only a replica that knows no configuration refuses there.
  if (member.state === 'probe' && member.next === 1 && response.index === 0) {
    member.becomeSnapshot();
    return;
  }
  let probe: number = response.hint;
  if (response.logTerm > 0) probe = core.log.lastIndexWithTermAtMost(probe, response.logTerm);
  member.backTrack(response.index, probe);
}

/** Returns the member that answered, if it is one. */
export function handleHeartbeatResponse(core: CoreState, response: Message): MemberProgress | undefined {
  const lead = core.leading as Leadership;
  const member = lead.member(response.from);
  if (member === undefined) return undefined;
  lead.answered(member);
  // Once per interval: ReadIndex rounds make many more heartbeats than it takes to find a lost Append.
  if (member.liftedBeat !== lead.beat) {
    member.liftedBeat = lead.beat;
    member.paused = false;
  }
  return member;
}

/** The transport could not deliver: what is in flight is probably lost. */
export function reportUnreachable(core: CoreState, id: ReplicaId): void {
  const member = core.leading?.member(id);
  if (member?.state === 'replicate') member.becomeProbe();
}

/** `ok`: the follower has the snapshot, its acknowledgement is on its way. Else it will be listed again. */
export function reportSnapshot(core: CoreState, id: ReplicaId, ok: boolean, at: number): void {
  const member = core.leading?.member(id);
  if (member?.state !== 'snapshot') return;
  member.becomeProbe();
  if (ok) member.next = Math.max(member.next, core.log.first, at + 1);
  // Probe (or ask for another snapshot) only when the next heartbeat has been answered.
  member.paused = true;
}

/** Followers that wait for a snapshot and were not listed in this heartbeat interval. */
export function takeSnapshotsDue(core: CoreState): readonly ReplicaId[] {
  const due: ReplicaId[] = [];
  for (const member of (core.leading as Leadership).members) {
    if (!member.snapshotDue) continue;
    member.snapshotDue = false;
    due.push(member.id);
  }
  return due;
}
