/**
 * Changes of membership (chapter 4). A change is an entry; it takes effect where it is applied, and only one may be on
 * its way at a time. The leader leaves a joint configuration by itself if the change said so, and steps down when it is
 * no voter any more.
 *
 * That a change is committed only its leader knows at first, and commit indexes are not synced for their own sake: members that
 * restart may be back under the configuration before it, and need those who have left for an election. So a change has settled
 * only when a majority holds an entry that came after the news, for with it the news is durable (F18). Until then nobody
 * who has left may go.
 */
import { isJoint, nextConf } from './confchange.js';
import { decodeConfChange, encodeConfChange } from './confchange-codec.js';
import { type CoreState, NO_DATA } from './core-state.js';
import type { Leadership } from './leadership.js';
import { message } from './messages.js';
import { finishRound } from './reads.js';
import { maybeCommit } from './replication.js';
import {
  type ConfChange,
  type ConfChangeResult,
  type ConfState,
  EntryKind,
  index,
  MessageType,
  NOBODY,
  type ReplicaId,
} from './types.js';

const LEAVE: ConfChange = { steps: [], transition: 'auto' };

type Reason = (ConfChangeResult & { ok: false })['reason'];
const refuse = (reason: Reason, detail: string): ConfChangeResult => ({ ok: false, reason, detail });

/**
 * `seenAt`: the `confIndex` under which the caller found that this change is due. Any change since refuses it, so that an
 * order that was long under way has no effect any more.
 */
export function proposeConfChange(core: CoreState, change: ConfChange, seenAt: number | null): ConfChangeResult {
  const lead = core.leading;
  if (lead === null) return refuse('not_leader', 'only the leader can change the membership');
  if (lead.transferTo !== NOBODY) return refuse('transferring', `leadership is on its way to ${lead.transferTo}`);
  // An earlier leader's change may be committed without our knowing it (F20).
  if (!core.committedInTerm) {
    return refuse('term_not_committed', "the leader's first entry of its term is not committed yet");
  }
  const pending = core.log.firstUnappliedConf;
  if (pending !== 0) return refuse('change_in_progress', `the change at ${pending} is not applied yet`);
  if (seenAt !== null && seenAt !== core.confIndex) {
    return refuse('outdated', `the configuration is that of index ${core.confIndex}, not ${seenAt}`);
  }
  if (isJoint(core.conf) && change.steps.length > 0) {
    return refuse('change_in_progress', 'the joint configuration has to be left first');
  }
  const next = nextConf(core.conf, change);
  if (!next.ok) return refuse('invalid', next.detail);
  const behind = learnerBehind(core, lead, change);
  if (behind !== NOBODY) return refuse('learner_behind', `learner ${behind} has not caught up`);
  core.appendOwn(EntryKind.ConfChange, encodeConfChange(change));
  return { ok: true, first: index(core.log.last), term: core.term };
}

/**
 * The first learner that the change would promote too early (section 4.2.1, F22): it has not even got what was committed
 * one to two heartbeats ago.
 */
function learnerBehind(core: CoreState, lead: Leadership, change: ConfChange): ReplicaId {
  for (const step of change.steps) {
    if (step.op !== 'add_voter') continue;
    const { id } = step.member;
    if (!core.conf.learners.some((member) => member.id === id)) continue;
    const progress = lead.member(id);
    if (progress === undefined || progress.state !== 'replicate' || progress.match < lead.caughtUpMark) return id;
  }
  return NOBODY;
}

/** The driver has applied everything up to `to`: changes of membership on the way take effect. */
export function appliedTo(core: CoreState, to: number): void {
  const { log } = core;
  if (to > log.handedToApply) {
    throw new Error(`invariant: applied ${to}, but handed out only up to ${log.handedToApply}`);
  }
  for (let at = log.firstUnappliedConf; at !== 0 && at <= to; at = log.firstUnappliedConf) {
    const change = decodeConfChange(log.at(at).data);
    const next = nextConf(core.conf, change);
    if (!next.ok) throw new Error(`invariant: the membership change at ${at} cannot be applied: ${next.detail}`);
    log.appliedTo(at);
    core.confIndex = at;
    switchTo(core, next.conf);
  }
  log.appliedTo(to);
  maybeFinishChange(core);
}

function switchTo(core: CoreState, conf: ConfState): void {
  const before = core.conf;
  core.conf = conf;
  const lead = core.leading;
  if (lead === null) {
    const candidate = core.role === 'candidate' || core.role === 'pre_candidate';
    if (candidate && !core.isVoter) core.becomeFollower(core.term, NOBODY);
    return;
  }
  if (!core.isVoter) {
    stepDownRemoved(core, lead);
    return;
  }
  lead.setConf(conf, core.log.last + 1);
  if (losesVoters(before, conf)) lead.settlesAt = 0;
  if (lead.transferTo !== NOBODY && !conf.voters.some((member) => member.id === lead.transferTo)) {
    lead.transferTo = NOBODY;
  }
  // The new quorum may be satisfied with less.
  maybeCommit(core);
  finishRound(core, lead);
}

/** Somebody counts for no majority any more, and may go. */
function losesVoters(before: ConfState, after: ConfState): boolean {
  const stay = new Set([...after.voters, ...after.outgoing].map(({ id }) => id));
  return [...before.voters, ...before.outgoing].some(({ id }) => !stay.has(id));
}

/** Section 4.2.2: the change is committed, others can take over; the one that has most may do so at once. */
function stepDownRemoved(core: CoreState, lead: Leadership): void {
  let heir = NOBODY;
  for (const { id } of core.conf.voters) {
    if (id !== core.id && lead.member(id)?.match === core.log.last) heir = id;
  }
  if (heir !== NOBODY) core.outbox.send(message(MessageType.TimeoutNow, core.id, heir, core.term));
  core.becomeFollower(core.term, NOBODY);
}

/** Called whenever what kept the leader from it may be over. */
export function maybeFinishChange(core: CoreState): void {
  const lead = core.leading;
  if (lead === null || lead.transferTo !== NOBODY) return;
  if (core.log.firstUnappliedConf !== 0 || !core.committedInTerm) return;
  if (core.conf.autoLeave) {
    core.appendOwn(EntryKind.ConfChange, encodeConfChange(LEAVE));
  } else if (lead.settlesAt === 0) {
    core.appendOwn(EntryKind.Noop, NO_DATA);
    lead.settlesAt = core.log.last;
  }
}

/** A majority of the members will know of the configuration in force whatever happens to them. Of a leader only. */
export function isSettled(core: CoreState): boolean {
  const lead = core.leading;
  return lead !== null && lead.settlesAt !== 0 && core.log.commit >= lead.settlesAt;
}
