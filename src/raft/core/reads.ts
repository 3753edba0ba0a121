/** Linearizable reads without a log entry (section 6.4): what leader and follower do with ReadIndex. */
import type { CoreState } from './core-state.js';
import type { Leadership } from './leadership.js';
import { message } from './messages.js';
import type { MemberProgress } from './progress.js';
import type { ReadBatch } from './read-rounds.js';
import { sendHeartbeatsToVoters } from './replication.js';
import { index, type Message, MessageType, NOBODY } from './types.js';

/** Our own request. False: nobody to ask, or too many wait. */
export function requestRead(core: CoreState, context: number): boolean {
  if (core.leading !== null) return core.leading.reads.askOwn(context);
  if (core.leader === NOBODY) return false;
  return core.forwarded.add(context);
}

/** A read round could start, or a question be sent. */
export function hasReadsDue(core: CoreState): boolean {
  if (core.leading !== null) return core.leading.reads.due && core.committedInTerm;
  return core.forwarded.due;
}

/** At each Ready: so that all requests since the last one share a round. */
export function startReads(core: CoreState): void {
  const lead = core.leading;
  if (lead === null) {
    if (core.forwarded.due) sendQuestion(core, core.forwarded.ask());
    return;
  }
  // Before its own entry is committed the leader may not know what its predecessors have committed (F11).
  if (!lead.reads.due || !core.committedInTerm) return;
  lead.reads.start(core.log.commit);
  if (lead.alone) answer(core, lead.reads.finish(), lead.reads.index);
  else sendHeartbeatsToVoters(core);
}

function sendQuestion(core: CoreState, number: number): void {
  core.outbox.send(message(MessageType.ReadIndex, core.id, core.leader, core.term, { context: number }));
}

/** A question may be lost on its way, or the answer. */
export function repeatQuestion(core: CoreState): void {
  const number = core.forwarded.tick(core.options.heartbeatTicks);
  if (number !== 0) sendQuestion(core, number);
}

/** A member answered a heartbeat: was it the last that the round needed? (F10: a deposed leader never gets there.) */
export function countRoundAnswer(core: CoreState, lead: Leadership, member: MemberProgress, round: number): void {
  if (round === 0 || round !== lead.reads.inFlight) return;
  member.ackedRound = round;
  finishRound(core, lead);
}

/** Also after a change of membership: those whose answers are missing may not be needed any more. */
export function finishRound(core: CoreState, lead: Leadership): void {
  const round = lead.reads.inFlight;
  if (round !== 0 && lead.roundConfirmed(round)) answer(core, lead.reads.finish(), lead.reads.index);
}

function answer(core: CoreState, batch: ReadBatch, at: number): void {
  const readIndex = index(at);
  for (const context of batch.own) core.reads.push({ context, index: readIndex });
  for (let i = 0; i < batch.askers.length; i++) {
    core.outbox.send(
      message(MessageType.ReadIndexResponse, core.id, batch.askers[i] as number, core.term, {
        index: readIndex,
        context: batch.numbers[i] as number,
      }),
    );
  }
}

/** A follower asks. We are perhaps not leader (any more): then it shall not wait for us. */
export function handleReadIndex(core: CoreState, request: Message): void {
  if (core.leading?.reads.askFor(request.from, request.context)) return;
  core.outbox.send(
    message(MessageType.ReadIndexResponse, core.id, request.from, core.term, {
      reject: true,
      context: request.context,
    }),
  );
}

export function handleReadIndexResponse(core: CoreState, response: Message): void {
  const contexts = core.forwarded.answered(response.context);
  if (contexts === null) return;
  const at = response.reject ? null : response.index;
  for (const context of contexts) core.reads.push({ context, index: at });
}
