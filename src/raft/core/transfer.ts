/**
 * Leadership transfer (section 3.10): the leader takes no new proposals, waits until the target has its whole log and
 * tells it to campaign at once. If that does not work out within one election timeout it goes on as leader (F15).
 */
import type { CoreState } from './core-state.js';
import type { Leadership } from './leadership.js';
import { message } from './messages.js';
import { MessageType, NOBODY, type ReplicaId, type TransferResult } from './types.js';

export function transferLeader(core: CoreState, to: ReplicaId): TransferResult {
  const lead = core.leading;
  if (lead === null) return { ok: false, reason: 'not_leader' };
  if (to === core.id) return { ok: false, reason: 'already_leader' };
  const target = lead.member(to);
  if (target === undefined) return { ok: false, reason: 'unknown_member' };
  const { voters, learnersNext } = core.conf;
  if (target.learner || learnersNext.some((member) => member.id === to)) return { ok: false, reason: 'learner' };
  if (!voters.some((member) => member.id === to)) return { ok: false, reason: 'unknown_member' };
  if (lead.transferTo !== NOBODY) return lead.transferTo === to ? { ok: true } : { ok: false, reason: 'busy' };
  lead.transferTo = to;
  lead.transferElapsed = 0;
  lead.timeoutNowSent = false;
  maybeSendTimeoutNow(core);
  return { ok: true };
}

export function maybeSendTimeoutNow(core: CoreState): void {
  const lead = core.leading;
  if (lead === null || lead.transferTo === NOBODY || lead.timeoutNowSent) return;
  if (lead.member(lead.transferTo)?.match !== core.log.last) return;
  lead.timeoutNowSent = true;
  core.outbox.send(message(MessageType.TimeoutNow, core.id, lead.transferTo, core.term));
}

/** True: the transfer has just been given up. */
export function tickTransfer(core: CoreState, lead: Leadership): boolean {
  if (lead.transferTo === NOBODY) return false;
  lead.transferElapsed++;
  if (lead.transferElapsed < core.options.electionTicks) return false;
  lead.transferTo = NOBODY;
  return true;
}
