/**
 * A leader whose own disk has become slow (F37). Its followers' disks commit what its own has not got yet, but it answers
 * only from what is durable here: clients wait for this disk although a quorum does not. So it goes, and tells the follower that has
 * most to campaign at once.
 *
 * Measured against what is committed, not by the clock alone: where all disks are slow, or full, nobody does better, and
 * a leader that stays can at least be read from.
 */
import type { CoreState } from './core-state.js';
import type { Leadership } from './leadership.js';
import { message } from './messages.js';
import { MessageType, NOBODY } from './types.js';

/** Every tick. True: the leader has stepped down. */
export function tickOwnDisk(core: CoreState, lead: Leadership): boolean {
  const { log, options } = core;
  if (log.stable >= lead.diskMark) {
    lead.diskMark = log.commit;
    lead.diskMarkedAt = lead.now;
    return false;
  }
  if (lead.now - lead.diskMarkedAt < options.electionTicks) return false;
  const heir = bestPlaced(core, lead);
  if (heir !== NOBODY) core.outbox.send(message(MessageType.TimeoutNow, core.id, heir, core.term));
  core.becomeFollower(core.term, NOBODY);
  return true;
}

function bestPlaced(core: CoreState, lead: Leadership): number {
  let best = NOBODY;
  let most: number = core.log.commit - 1;
  for (const { id } of core.conf.voters) {
    const member = lead.member(id);
    if (id === core.id || member === undefined || !member.recentActive || member.match <= most) continue;
    best = id;
    most = member.match;
  }
  return best;
}
