/**
 * Elections (sections 3.4, 9.6): a replica asks first whether it would win (PreVote), so that one that was cut off cannot
 * raise the term of a group that works; then it campaigns. Its own vote counts, and its requests go out, only when the
 * vote is durable (F1).
 */
import type { CoreState } from './core-state.js';
import { message } from './messages.js';
import { voteResult } from './quorum.js';
import { index, type Message, MessageType, NOBODY, type ReplicaId, type Term, term } from './types.js';

const FORCED = 1;

/** Only voters may, and not while they are about to become something else. */
function mayCampaign(core: CoreState): boolean {
  return core.role !== 'leader' && core.isVoter && !core.log.snapshotPending;
}

/** The election timeout has passed (or the driver wants the first leader). */
export function startPreVote(core: CoreState): void {
  // Under a configuration that is known to be superseded, majorities need not intersect with those of the present one.
  if (!mayCampaign(core) || core.hasUnappliedCommittedConf) return;
  core.becomePreCandidate();
  requestVotes(core, MessageType.PreVote, term(core.term + 1), false);
  // A pre-vote promises nothing: our own counts at once.
  countVote(core, core.id, true);
}

/** Section 3.10: the leader itself asked for it, so no pre-vote, and the others shall not mind that they know a leader. */
export function campaignForTransfer(core: CoreState): void {
  if (!mayCampaign(core)) return;
  if (core.hasUnappliedCommittedConf) {
    core.campaignWhenApplied = true;
    return;
  }
  campaign(core, true);
}

function campaign(core: CoreState, forced: boolean): void {
  core.becomeCandidate();
  requestVotes(core, MessageType.Vote, core.term, forced);
}

function requestVotes(core: CoreState, type: 1 | 3, forTerm: Term, forced: boolean): void {
  const { log } = core;
  const asked = new Set<ReplicaId>([core.id]);
  for (const half of [core.conf.voters, core.conf.outgoing]) {
    for (const { id } of half) {
      if (asked.has(id)) continue;
      asked.add(id);
      const request = message(type, core.id, id, forTerm, {
        index: index(log.last),
        logTerm: term(log.lastTerm),
        context: forced ? FORCED : 0,
      });
      if (type === MessageType.PreVote) core.outbox.send(request);
      else core.outbox.sendAfterAppend(request);
    }
  }
}

/**
 * A follower that heard a leader within the election timeout does not take part in elections, whatever their term
 * (section 4.2.3): so a removed or partitioned replica disturbs nobody (F19).
 */
export function ignoresVoteRequest(core: CoreState, request: Message): boolean {
  return request.context !== FORCED && core.leader !== NOBODY && core.electionElapsed < core.options.electionTicks;
}

/** Vote or PreVote, of our own term or (PreVote) a later one. Learners vote, too: they may have been promoted (F23). */
export function handleVoteRequest(core: CoreState, request: Message): void {
  const isPreVote = request.type === MessageType.PreVote;
  const free =
    core.vote === request.from ||
    (core.vote === NOBODY && core.leader === NOBODY) ||
    (isPreVote && request.term > core.term);
  const responseType = isPreVote ? MessageType.PreVoteResponse : MessageType.VoteResponse;
  if (!free || !core.log.isUpToDate(request.index, request.logTerm)) {
    core.outbox.send(message(responseType, core.id, request.from, core.term, { reject: true }));
    return;
  }
  // The term of the request, which for a pre-vote is not ours: the asker takes no notice of past terms.
  const grant = message(responseType, core.id, request.from, request.term);
  if (isPreVote) {
    core.outbox.send(grant);
    return;
  }
  core.electionElapsed = 0;
  core.vote = request.from;
  core.outbox.sendAfterAppend(grant);
}

export function handleVoteResponse(core: CoreState, response: Message): void {
  const expected = core.role === 'pre_candidate' ? MessageType.PreVoteResponse : MessageType.VoteResponse;
  if (core.role !== 'pre_candidate' && core.role !== 'candidate') return;
  if (response.type !== expected) return;
  // The grant of a pre-vote from an earlier, shorter attempt.
  if (core.role === 'pre_candidate' && !response.reject && response.term !== core.term + 1) return;
  countVote(core, response.from, !response.reject);
}

/** Our vote for ourselves in `votedIn` is durable. */
export function ownVotePersisted(core: CoreState, votedIn: Term): void {
  if (core.role === 'candidate' && core.term === votedIn) countVote(core, core.id, true);
}

function countVote(core: CoreState, from: ReplicaId, granted: boolean): void {
  if (!core.votes.has(from)) core.votes.set(from, granted);
  switch (voteResult(core.conf.voters, core.conf.outgoing, core.votes)) {
    case 'won':
      if (core.role === 'pre_candidate') campaign(core, false);
      else core.becomeLeader();
      return;
    case 'lost':
      core.becomeFollower(core.term, NOBODY);
      return;
    case 'pending':
      return;
  }
}
