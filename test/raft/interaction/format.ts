/** How the dialogues write down messages, entries and configurations: short, and in the words of the Raft paper. */
import {
  type ConfChange,
  type ConfState,
  decodeConfChange,
  type Entry,
  EntryKind,
  type Member,
  type Message,
  MessageType,
  type RaftCore,
} from '../../../src/raft/core/index.js';

const text = new TextDecoder();

const TYPE_NAMES = Object.fromEntries(Object.entries(MessageType).map(([name, type]) => [type, name])) as Record<
  MessageType,
  keyof typeof MessageType
>;

export const typeName = (message: Message): string => TYPE_NAMES[message.type];

const ids = (members: readonly Member[]): string => members.map((member) => member.id).join(' ');

export function showConf(conf: ConfState): string {
  let shown = `voters (${ids(conf.voters)})`;
  if (conf.outgoing.length > 0) shown += ` and outgoing (${ids(conf.outgoing)})`;
  if (conf.learners.length > 0) shown += ` learners (${ids(conf.learners)})`;
  if (conf.learnersNext.length > 0) shown += ` learners next (${ids(conf.learnersNext)})`;
  if (conf.autoLeave) shown += ' auto-leave';
  return shown;
}

function showChange(change: ConfChange): string {
  if (change.steps.length === 0) return 'leave joint';
  return change.steps.map((step) => `${step.op} ${step.op === 'remove' ? step.id : step.member.id}`).join(', ');
}

export function showEntry(entry: Entry): string {
  const at = `${entry.index}/${entry.term}`;
  if (entry.kind === EntryKind.Noop) return `${at} noop`;
  if (entry.kind === EntryKind.ConfChange) return `${at} {${showChange(decodeConfChange(entry.data))}}`;
  return `${at} ${entry.data.length > 20 ? `<${entry.data.length} bytes>` : text.decode(entry.data)}`;
}

export const showEntries = (entries: readonly Entry[]): string => `[${entries.map(showEntry).join(', ')}]`;

function showBody(message: Message): string {
  switch (message.type) {
    case MessageType.PreVote:
    case MessageType.Vote:
      return `last ${message.index}/${message.logTerm}${message.context === 1 ? ', forced' : ''}`;
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return message.reject ? 'refused' : 'granted';
    case MessageType.Append:
      return `after ${message.index}/${message.logTerm} ${showEntries(message.entries)} commit ${message.commit}`;
    case MessageType.AppendResponse:
      if (!message.reject) return `has up to ${message.index}`;
      return `refused after ${message.index}, may agree at ${message.hint}/${message.logTerm}`;
    case MessageType.Heartbeat:
      return `commit ${message.commit} of ${message.index}${message.context === 0 ? '' : ` round ${message.context}`}`;
    case MessageType.HeartbeatResponse:
      return message.context === 0 ? '' : `round ${message.context}`;
    case MessageType.InstallSnapshot: {
      const { snapshot } = message;
      return snapshot === null ? 'nothing' : `${snapshot.index}/${snapshot.term}, ${showConf(snapshot.conf)}`;
    }
    case MessageType.ReadIndex:
      return `question ${message.context}`;
    case MessageType.ReadIndexResponse:
      return `question ${message.context}: ${message.reject ? 'not leader' : `index ${message.index}`}`;
    case MessageType.TimeoutNow:
      return '';
  }
}

export function showMessage(message: Message): string {
  const body = showBody(message);
  const head = `${message.from}->${message.to} ${TYPE_NAMES[message.type]} term ${message.term}`;
  return body === '' ? head : `${head}: ${body}`;
}

/** Terms of the entries in memory, as the figures of the paper show logs. */
export function showLog(core: RaftCore): string {
  const terms: string[] =
    core.firstIndex > 1 ? [`..${core.firstIndex - 1}/${core.termAt((core.firstIndex - 1) as never)}`] : [];
  for (const entry of core.entriesFrom(core.firstIndex, Number.POSITIVE_INFINITY)) terms.push(String(entry.term));
  return `[${terms.join(' ')}]`;
}
