/**
 * A message arrives: first what its term means for ours (Figure 2, "Rules for Servers"), then what our role makes of it.
 */
import type { CoreState } from './core-state.js';
import { campaignForTransfer, handleVoteRequest, handleVoteResponse, ignoresVoteRequest } from './election.js';
import { handleAppend, handleHeartbeat, handleInstallSnapshot } from './follower.js';
import type { Leadership } from './leadership.js';
import { message } from './messages.js';
import { countRoundAnswer, handleReadIndex, handleReadIndexResponse } from './reads.js';
import { handleAppendResponse, handleHeartbeatResponse } from './replication.js';
import { maybeSendTimeoutNow } from './transfer.js';
import { type Message, MessageType, NOBODY } from './types.js';

export function step(core: CoreState, incoming: Message): void {
  // To an earlier replica on this node, or a repeat of nonsense.
  if (incoming.to !== core.id || incoming.from === core.id || incoming.from === NOBODY) return;
  if (incoming.term > core.term) {
    if (!acceptHigherTerm(core, incoming)) return;
  } else if (incoming.term < core.term) {
    answerLowerTerm(core, incoming);
    return;
  }
  dispatch(core, incoming);
}

const isFromLeader = (type: MessageType): boolean =>
  type === MessageType.Append || type === MessageType.Heartbeat || type === MessageType.InstallSnapshot;

/** False: the message is to be ignored altogether. */
function acceptHigherTerm(core: CoreState, incoming: Message): boolean {
  const { type } = incoming;
  const asksForVote = type === MessageType.Vote || type === MessageType.PreVote;
  if (asksForVote && ignoresVoteRequest(core, incoming)) return false;
  // A pre-vote is about a term that has not begun, and so is its grant; a refusal comes with the refuser's real term.
  if (type === MessageType.PreVote || (type === MessageType.PreVoteResponse && !incoming.reject)) return true;
  core.becomeFollower(incoming.term, isFromLeader(type) ? incoming.from : NOBODY);
  return true;
}

function answerLowerTerm(core: CoreState, incoming: Message): void {
  if (isFromLeader(incoming.type)) {
    // A leader that has missed our term would wait for us for ever, and we, ignored as long as it leads, for it (F17).
    // This tells it the term; that we accept nothing, index 0 says.
    core.outbox.send(message(MessageType.AppendResponse, core.id, incoming.from, core.term));
  } else if (incoming.type === MessageType.PreVote) {
    // Else a replica with a shorter log and higher term, and one with a longer log and lower term, wait for ever (F16).
    core.outbox.send(message(MessageType.PreVoteResponse, core.id, incoming.from, core.term, { reject: true }));
  }
}

/** `incoming.term` is ours, or a later one for PreVote and its grant. */
function dispatch(core: CoreState, incoming: Message): void {
  switch (incoming.type) {
    case MessageType.PreVote:
    case MessageType.Vote:
      handleVoteRequest(core, incoming);
      return;
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      handleVoteResponse(core, incoming);
      return;
    case MessageType.Append:
      core.heardLeader(incoming.from);
      handleAppend(core, incoming);
      return;
    case MessageType.Heartbeat:
      core.heardLeader(incoming.from);
      handleHeartbeat(core, incoming);
      return;
    case MessageType.InstallSnapshot:
      core.heardLeader(incoming.from);
      handleInstallSnapshot(core, incoming);
      return;
    case MessageType.AppendResponse:
      if (core.leading === null) return;
      handleAppendResponse(core, incoming);
      maybeSendTimeoutNow(core);
      return;
    case MessageType.HeartbeatResponse:
      if (core.leading !== null) heartbeatAnswered(core, core.leading, incoming);
      return;
    case MessageType.ReadIndex:
      handleReadIndex(core, incoming);
      return;
    case MessageType.ReadIndexResponse:
      handleReadIndexResponse(core, incoming);
      return;
    case MessageType.TimeoutNow:
      if (core.role === 'follower') campaignForTransfer(core);
      return;
  }
}

function heartbeatAnswered(core: CoreState, lead: Leadership, response: Message): void {
  const member = handleHeartbeatResponse(core, response);
  if (member !== undefined) countRoundAnswer(core, lead, member, response.context);
}
