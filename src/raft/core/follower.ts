/**
 * The follower's half of replication: Append, Heartbeat and snapshots from the leader of its term. An acceptance promises
 * durability and goes only after the entries; a refusal promises nothing.
 */
import { isMember } from './confchange.js';
import type { CoreState } from './core-state.js';
import { message } from './messages.js';
import { type Entry, index, type Message, MessageType, term } from './types.js';

/** Entries that follow on `previous` without a gap, of terms that could be in the leader's log. */
function wellFormed(append: Message): boolean {
  let previousIndex: number = append.index;
  let previousTerm: number = append.logTerm;
  for (const entry of append.entries) {
    if (entry.index !== previousIndex + 1 || entry.term < previousTerm || entry.term > append.term) return false;
    previousIndex = entry.index;
    previousTerm = entry.term;
  }
  return append.logTerm <= append.term;
}

function accept(core: CoreState, request: Message, upTo: number): void {
  core.outbox.sendAfterAppend(
    message(MessageType.AppendResponse, core.id, request.from, core.term, { index: index(upTo) }),
  );
}

export function handleAppend(core: CoreState, append: Message): void {
  const { log } = core;
  if (!wellFormed(append)) return;
  // What is committed agrees with every leader's log; the entry before `index` may be compacted already (F4).
  if (append.index < log.commit) {
    accept(core, append, log.commit);
    return;
  }
  // A log alone does not tell a newcomer who the first members were: it refuses even at index 0, and so asks for a
  // snapshot, which does.
  const newcomer = core.conf.voters.length === 0;
  if (newcomer || !log.matches(append.index, append.logTerm)) {
    refuse(core, append);
    return;
  }
  appendEntries(core, append.entries);
  const lastNew = append.index + append.entries.length;
  // Beyond `lastNew` our log may differ from the leader's (F3).
  log.commitTo(Math.min(append.commit, lastNew));
  accept(core, append, lastNew);
}

/** Only a conflict truncates: the message may be old, and what follows its entries acknowledged since (section 3.5). */
function appendEntries(core: CoreState, entries: readonly Entry[]): void {
  const { log } = core;
  for (const entry of entries) {
    if (entry.index <= log.last) {
      if (log.termOrZero(entry.index) === entry.term) continue;
      log.truncateFrom(entry.index);
      core.writes.truncated(entry.index);
    }
    log.append(entry);
  }
}

/** Names the last place where the logs may agree: the leader's terms up to `index` are at most `logTerm`. */
function refuse(core: CoreState, append: Message): void {
  const { log } = core;
  const hint = log.lastIndexWithTermAtMost(Math.min(append.index, log.last), append.logTerm);
  core.outbox.send(
    message(MessageType.AppendResponse, core.id, append.from, core.term, {
      index: append.index,
      logTerm: term(log.termOrZero(hint)),
      reject: true,
      hint: index(hint),
    }),
  );
}

export function handleHeartbeat(core: CoreState, heartbeat: Message): void {
  core.log.commitTo(heartbeat.commit);
  core.outbox.send(
    message(MessageType.HeartbeatResponse, core.id, heartbeat.from, core.term, { context: heartbeat.context }),
  );
}

/** The driver has received all of a snapshot. It becomes the state unless it is obsolete. */
export function handleInstallSnapshot(core: CoreState, install: Message): void {
  const { log } = core;
  const snapshot = install.snapshot;
  if (snapshot === null || snapshot.term > install.term) return;
  if (snapshot.index <= log.commit || !isMember(snapshot.conf, core.id)) {
    accept(core, install, log.commit);
    return;
  }
  if (log.matches(snapshot.index, snapshot.term)) {
    // We have all of it, and maybe more that must not be thrown away: all it tells us is that it is committed.
    log.commitTo(snapshot.index);
    accept(core, install, log.commit);
    return;
  }
  // Different or missing at the snapshot's index: nothing of the log can be kept (F5, F6).
  log.restore(snapshot);
  core.writes.restarted();
  core.conf = snapshot.conf;
  core.confIndex = snapshot.index;
  accept(core, install, snapshot.index);
}
