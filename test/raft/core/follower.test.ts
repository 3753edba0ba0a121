/** A follower and what its leader sends, message by message. The stories are told in test/raft/interaction. */
import { describe, expect, it } from 'vitest';
import { index, MessageType, RaftCore, type SnapshotMeta, term } from '../../../src/raft/core/index.js';
import { message, options } from './lone-core.js';
import { confOf } from './random-cluster.js';

const snapshotOf = (more: Partial<SnapshotMeta> = {}): SnapshotMeta => ({
  index: index(5),
  term: term(1),
  conf: confOf([1, 2, 3]),
  ...more,
});

function received(snapshot: SnapshotMeta | null): RaftCore {
  const core = new RaftCore(options());
  core.step(message(MessageType.InstallSnapshot, 2, 1, { snapshot }));
  return core;
}

describe('a snapshot', () => {
  it('becomes the state of each who is in its configuration, in whatever part', () => {
    const joint = { ...confOf([2, 3]), outgoing: confOf([1, 2, 3]).voters };
    for (const conf of [confOf([1, 2, 3]), confOf([2, 3], [1]), joint]) {
      const core = received(snapshotOf({ conf }));
      expect([core.lastIndex, core.conf]).toEqual([5, conf]);
    }
  });

  it('that knows nothing of us is not ours to take: we would not know who we are', () => {
    const core = received(snapshotOf({ conf: confOf([2, 3], [4]) }));
    expect([core.lastIndex, core.conf]).toEqual([0, confOf([1, 2, 3])]);
    const { messages, messagesAfterAppend, snapshot } = core.ready();
    expect(snapshot).toBeNull();
    expect([...messages, ...messagesAfterAppend].map((m) => [m.type, m.index])).toEqual([
      [MessageType.AppendResponse, 0],
    ]);
  });

  it('is dropped without an answer where it is missing or of a term that has not begun', () => {
    for (const snapshot of [null, snapshotOf({ term: term(2) })]) {
      const core = received(snapshot);
      const { messages, messagesAfterAppend } = core.ready();
      expect([core.lastIndex, messages, messagesAfterAppend]).toEqual([0, [], []]);
    }
  });
});

describe('a leader of an earlier term', () => {
  it('is told ours, whatever it sends: else it would wait for us for ever (F17)', () => {
    for (const type of [MessageType.Append, MessageType.Heartbeat, MessageType.InstallSnapshot]) {
      const core = new RaftCore(options({ hardState: { term: term(3), vote: 0, commit: index(0) } }));
      core.step(message(type, 2, 1, { snapshot: type === MessageType.InstallSnapshot ? snapshotOf() : null }));
      const answers = core.ready().messages.map((m) => [m.type, m.to, m.term, m.index]);
      expect(answers).toEqual([[MessageType.AppendResponse, 2, 3, 0]]);
      expect(core.leader).toBe(0);
    }
  });
});

describe('an Append', () => {
  it('that follows on an entry of a term that has not begun is dropped without an answer', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { index: index(1), logTerm: term(2) }));
    const { messages, messagesAfterAppend } = core.ready();
    expect([messages, messagesAfterAppend]).toEqual([[], []]);
  });
});
