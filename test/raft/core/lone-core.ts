/** One core whose peers are the test: what it is told, and what of it comes back. */
import { expect } from 'vitest';
import {
  type CoreOptions,
  type Entry,
  EntryKind,
  index,
  type Message,
  MessageType,
  NO_ENTRIES,
  RaftCore,
  term,
} from '../../../src/raft/core/index.js';
import { confOf } from './random-cluster.js';

export const options = (more: Partial<CoreOptions> = {}): CoreOptions => ({
  id: 1,
  electionTicks: 10,
  heartbeatTicks: 1,
  random: () => 0,
  maxInflightMessages: 16,
  maxInflightBytes: 1 << 20,
  maxMessageBytes: 1 << 16,
  maxUncommittedBytes: 1 << 20,
  hardState: { term: term(0), vote: 0, commit: index(0) },
  compacted: { index: index(0), term: term(0) },
  entries: [],
  applied: index(0),
  conf: confOf([1, 2, 3]),
  ...more,
});

export const message = (type: MessageType, from: number, atTerm: number, more: Partial<Message> = {}): Message => ({
  type,
  from,
  to: 1,
  term: term(atTerm),
  index: index(0),
  logTerm: term(0),
  commit: index(0),
  entries: NO_ENTRIES,
  reject: false,
  hint: index(0),
  context: 0,
  snapshot: null,
  ...more,
});

export const entry = (i: number, t: number, text = ''): Entry => ({
  term: term(t),
  index: index(i),
  kind: EntryKind.Command,
  data: Buffer.from(text),
});

/** A leader of term 1 whose no-op everybody has. */
export function leader(more: Partial<CoreOptions> = {}): RaftCore {
  const core = new RaftCore(options(more));
  core.campaign();
  core.ready();
  const others = core.conf.voters.map(({ id }) => id).filter((id) => id !== 1);
  for (const id of others) core.step(message(MessageType.PreVoteResponse, id, 1));
  core.persisted(core.ready().seq);
  for (const id of others) core.step(message(MessageType.VoteResponse, id, 1));
  core.persisted(core.ready().seq);
  for (const id of others) core.step(message(MessageType.AppendResponse, id, 1, { index: index(1) }));
  core.ready();
  core.applied(index(1));
  expect([core.role, core.hasCommittedInTerm(), core.hasReady()]).toEqual(['leader', true, false]);
  return core;
}
