/** What the driver relies on, call by call. The stories are told in test/raft/interaction. */
import { describe, expect, it } from 'vitest';
import {
  type CoreOptions,
  EntryKind,
  encodeConfChange,
  index,
  type Message,
  MessageType,
  RaftCore,
  term,
} from '../../../src/raft/core/index.js';
import { entry, leader, message, options } from './lone-core.js';
import { confOf } from './random-cluster.js';

describe('Ready', () => {
  it('carries term and vote with the very vote that they back (F1)', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Vote, 2, 5));
    const ready = core.ready();
    expect(ready.hardState).toEqual({ term: 5, vote: 2, commit: 0 });
    expect(ready.seq).toBe(1);
    expect(ready.messages).toEqual([]);
    expect(ready.messagesAfterAppend.map((m) => [m.type, m.to, m.term, m.reject])).toEqual([
      [MessageType.VoteResponse, 2, 5, false],
    ]);
    expect(core.hasReady()).toBe(false);
  });

  it('holds a repeated vote back until the first one is durable, without another write (F1)', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Vote, 2, 5));
    const { seq } = core.ready();
    core.step(message(MessageType.Vote, 2, 5));
    const again = core.ready();
    expect([again.seq, again.messages, again.messagesAfterAppend]).toEqual([0, [], []]);
    core.step(message(MessageType.Vote, 2, 5));
    expect(core.ready().seq).toBe(0);
    core.persisted(seq);
    expect(core.ready().messages.map((m) => m.type)).toEqual([MessageType.VoteResponse, MessageType.VoteResponse]);
    expect(() => core.persisted(seq + 1)).toThrow('write 2 acknowledged, but only 1 handed out');
    // And at once when nothing is in flight.
    core.step(message(MessageType.Vote, 2, 5));
    expect(core.ready().messages.map((m) => m.type)).toEqual([MessageType.VoteResponse]);
  });

  it('never votes for two in a term', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Vote, 2, 5));
    core.step(message(MessageType.Vote, 3, 5));
    const ready = core.ready();
    expect(ready.messages.map((m) => [m.to, m.reject])).toEqual([[3, true]]);
    expect(ready.messagesAfterAppend.map((m) => [m.to, m.reject])).toEqual([[2, false]]);
  });

  it('numbers only what has to be persisted', () => {
    const core = leader();
    core.tick();
    expect(core.ready().seq).toBe(0);
    core.propose([Buffer.from('a')]);
    const first = core.ready().seq;
    core.propose([Buffer.from('b')]);
    expect(core.ready().seq).toBe(first + 1);
    core.persisted(first + 1);
    expect(core.stableIndex).toBe(3);
  });

  it('does not count the own log of the leader before it is durable (section 10.2.1)', () => {
    const core = leader({ conf: confOf([1, 2]) });
    core.propose([Buffer.from('a')]);
    const { seq } = core.ready();
    core.step(message(MessageType.AppendResponse, 2, 1, { index: index(2) }));
    expect(core.commit).toBe(1);
    core.persisted(seq);
    expect(core.commit).toBe(2);
  });

  it('hands out to be applied only what is committed and durable here, once', () => {
    const core = leader();
    core.propose([Buffer.from('a')]);
    const { seq } = core.ready();
    core.step(message(MessageType.AppendResponse, 2, 1, { index: index(2) }));
    core.step(message(MessageType.AppendResponse, 3, 1, { index: index(2) }));
    expect(core.commit).toBe(2);
    expect(core.ready().committed).toEqual([]);
    core.persisted(seq);
    expect(core.ready().committed.map((e) => e.index)).toEqual([2]);
    expect(core.ready().committed).toEqual([]);
  });

  it('does not write the commit index alone', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1)] }));
    core.persisted(core.ready().seq);
    core.step(message(MessageType.Heartbeat, 2, 1, { commit: index(1) }));
    const ready = core.ready();
    expect([ready.seq, ready.hardState]).toEqual([0, null]);
    expect(ready.committed.map((e) => e.index)).toEqual([1]);
  });

  it('merges acceptances of one leader into the last', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1)] }));
    core.step(message(MessageType.Append, 2, 1, { index: index(1), logTerm: term(1), entries: [entry(2, 1)] }));
    // Comes a second time, says less.
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1)] }));
    const { messagesAfterAppend } = core.ready();
    expect(messagesAfterAppend.at(0)).toMatchObject({ type: MessageType.AppendResponse, index: 2 });
  });

  it('arrays that were handed out are not changed afterwards', () => {
    const core = leader();
    core.propose([Buffer.from('a')]);
    const ready = core.ready();
    const copy = structuredClone({ ...ready, entries: ready.entries.map((e) => e.index) });
    core.propose([Buffer.from('b'), Buffer.from('c')]);
    core.tick();
    core.ready();
    expect({ ...ready, entries: ready.entries.map((e) => e.index) }).toMatchObject({
      seq: copy.seq,
      entries: copy.entries,
    });
    expect(ready.messages.map((m) => m.entries.length)).toEqual([1, 1]);
  });
});

describe('a snapshot', () => {
  it('voids the writes of the old log that are still in flight (F8, F9)', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1), entry(2, 1), entry(3, 1)] }));
    const old = core.ready();
    const meta = { index: index(2), term: term(2), conf: confOf([1, 2, 3]) };
    core.step(message(MessageType.InstallSnapshot, 3, 2, { snapshot: meta }));
    const entries = [entry(3, 2)];
    core.step(message(MessageType.Append, 3, 2, { index: index(2), logTerm: term(2), entries, commit: index(3) }));
    const fresh = core.ready();
    expect([fresh.snapshot, fresh.entries.map((e) => e.index), fresh.hardState?.commit]).toEqual([meta, [3], 3]);
    // The old write reached index 3, but of a log that is gone.
    core.persisted(old.seq);
    expect([core.stableIndex, core.ready().committed]).toEqual([0, []]);
    core.persisted(fresh.seq);
    expect([core.stableIndex, core.appliedIndex]).toEqual([3, 2]);
    expect(core.ready().committed.map((e) => e.index)).toEqual([3]);
  });
});

describe('heartbeats', () => {
  it('go once in so many ticks', () => {
    const core = leader({ heartbeatTicks: 3 });
    const sent = Array.from({ length: 7 }, () => {
      core.tick();
      return core.ready().messages.filter(({ type }) => type === MessageType.Heartbeat).length;
    });
    expect(sent).toEqual([0, 0, 2, 0, 0, 2, 0]);
  });
});

describe('proposals', () => {
  it('are taken up to the very limit of uncommitted bytes (F41)', () => {
    const core = leader({ maxUncommittedBytes: 300 });
    core.propose([Buffer.alloc(100)]);
    const room = 300 - core.uncommittedBytes - (core.uncommittedBytes - 100);
    expect(core.propose([Buffer.alloc(room + 1)])).toEqual({ ok: false, reason: 'too_many_uncommitted' });
    expect(core.propose([Buffer.alloc(room)]).ok).toBe(true);
    expect(core.uncommittedBytes).toBe(300);
  });

  it('are taken all or not at all, within the limit of uncommitted bytes (F41)', () => {
    const core = leader({ maxUncommittedBytes: 300 });
    expect(core.propose([Buffer.alloc(200)])).toEqual({ ok: true, first: 2, term: 1 });
    expect(core.propose([Buffer.alloc(1), Buffer.alloc(100)])).toEqual({ ok: false, reason: 'too_many_uncommitted' });
    expect(core.lastIndex).toBe(2);
    expect(core.uncommittedBytes).toBeGreaterThanOrEqual(200);
    core.persisted(core.ready().seq);
    core.step(message(MessageType.AppendResponse, 2, 1, { index: index(2) }));
    expect(core.uncommittedBytes).toBe(0);
    // One that is bigger than the limit gets through when nothing else waits.
    expect(core.propose([Buffer.alloc(1_000)]).ok).toBe(true);
  });

  it('go to the leader only', () => {
    expect(new RaftCore(options()).propose([Buffer.from('a')])).toEqual({ ok: false, reason: 'not_leader' });
  });
});

describe('what the driver says is applied', () => {
  it('must have been handed out', () => {
    const core = leader();
    core.propose([Buffer.from('a')]);
    expect(() => core.applied(index(2))).toThrow('applied 2, but handed out only up to 1');
    expect(core.appliedIndex).toBe(1);
  });

  it('cannot be a change of membership that makes no sense: another log, or another state (F26)', () => {
    const data = encodeConfChange({ steps: [{ op: 'remove', id: 9 }], transition: 'auto' });
    const entries = [entry(1, 1), { ...entry(2, 1), kind: EntryKind.ConfChange, data }];
    const core = new RaftCore(options({ entries, hardState: { term: term(1), vote: 1, commit: index(2) } }));
    expect(core.ready().committed.map((e) => e.index)).toEqual([1, 2]);
    expect(() => core.applied(index(2))).toThrow('the membership change at 2 cannot be applied');
  });
});

describe('what it says of itself', () => {
  it('its id, what its log takes in memory, to whom leadership is on its way', () => {
    const core = leader();
    const before = core.logBytes;
    core.propose([Buffer.alloc(100)]);
    expect([core.id, core.logBytes - before >= 100]).toEqual([1, true]);
    expect(core.status().transferTo).toBe(0);
    core.transferLeader(2);
    expect(core.status().transferTo).toBe(2);
  });

  it('entries that it still has, and none that it has not', () => {
    const core = leader();
    core.propose([Buffer.from('a'), Buffer.from('b')]);
    core.compact(index(1));
    const indexes = (from: number) => core.entriesFrom(index(from), 1_000_000).map((e) => e.index);
    expect([indexes(1), indexes(2), indexes(3), indexes(4), indexes(5)]).toEqual([[], [2, 3], [3], [], []]);
  });

  it('progress of all members, its own too, as soon as it leads', () => {
    const core = new RaftCore(options());
    expect(core.status().progress).toEqual([]);
    core.campaign();
    core.ready();
    core.step(message(MessageType.PreVoteResponse, 2, 1));
    core.persisted(core.ready().seq);
    core.step(message(MessageType.VoteResponse, 2, 1));
    expect(core.status().progress.map((p) => [p.id, p.match, p.next, p.state, p.recentActive])).toEqual([
      [1, 0, 2, 'replicate', true],
      [2, 0, 1, 'probe', false],
      [3, 0, 1, 'probe', false],
    ]);
  });

  it('only a leader claims to know all that is committed (section 6.4)', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1)], commit: index(1) }));
    expect([core.commit, core.hasCommittedInTerm()]).toEqual([1, false]);
    expect(leader().hasCommittedInTerm()).toBe(true);
  });
});

describe('a round of reads', () => {
  it('is confirmed by answers to its own heartbeats, which late answers to earlier ones do not undo (section 6.4)', () => {
    const core = leader({ conf: confOf([1, 2, 3, 4, 5]) });
    const answers = (from: number, round: number): void =>
      core.step(message(MessageType.HeartbeatResponse, from, 1, { context: round }));
    core.readIndex(7);
    core.ready();
    answers(2, 1);
    answers(2, 0);
    answers(3, 0);
    expect(core.ready().reads).toEqual([]);
    answers(3, 1);
    expect(core.ready().reads).toEqual([{ context: 7, index: 1 }]);
    core.readIndex(8);
    core.ready();
    answers(2, 2);
    answers(2, 1);
    answers(3, 1);
    expect(core.ready().reads).toEqual([]);
    answers(3, 2);
    expect(core.ready().reads).toEqual([{ context: 8, index: 1 }]);
  });
});

describe('reads that wait', () => {
  const MOST = 65_536;
  const askFor = (core: RaftCore, count: number): boolean[] =>
    Array.from({ length: count }, (_, context) => core.readIndex(context));

  it('are refused beyond a number that no driver reaches while its group has a quorum: at the leader', () => {
    const core = leader();
    expect(askFor(core, MOST - 1)).not.toContain(false);
    core.step(message(MessageType.ReadIndex, 2, 1, { context: 7 }));
    core.step(message(MessageType.ReadIndex, 3, 1, { context: 8 }));
    expect(core.readIndex(9)).toBe(false);
    const { messages } = core.ready();
    const answers = messages.filter(({ type }) => type === MessageType.ReadIndexResponse);
    expect(answers.map((m) => [m.to, m.context, m.reject])).toEqual([[3, 8, true]]);
    // They have their round now, there is room again.
    expect(core.readIndex(9)).toBe(true);
  });

  it('are refused beyond that number at a follower', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Heartbeat, 2, 1));
    expect(askFor(core, MOST)).not.toContain(false);
    expect(core.readIndex(9)).toBe(false);
    core.ready();
    expect(core.readIndex(9)).toBe(true);
  });
});

describe('bytes from peers that make no sense', () => {
  it('entries with a gap, of falling or future terms are dropped', () => {
    const core = new RaftCore(options());
    const bad: Partial<Message>[] = [
      { entries: [entry(2, 1)] },
      { entries: [entry(1, 1), entry(3, 1)] },
      { entries: [entry(1, 2)] },
      { entries: [entry(1, 1), entry(2, 0)] },
    ];
    for (const more of bad) core.step(message(MessageType.Append, 2, 1, more));
    expect([core.lastIndex, core.commit]).toEqual([0, 0]);
  });

  it('an acknowledgement beyond the log is dropped', () => {
    const core = leader();
    core.step(message(MessageType.AppendResponse, 2, 1, { index: index(99) }));
    core.step(message(MessageType.AppendResponse, 9, 1, { index: index(1) }));
    expect([core.commit, core.status().progress.map((p) => p.match)]).toEqual([1, [1, 1, 1]]);
  });

  it('messages to others, or from ourselves, are dropped', () => {
    const core = leader();
    core.step({ ...message(MessageType.Heartbeat, 2, 9), to: 7 });
    core.step(message(MessageType.Heartbeat, 1, 9));
    core.step(message(MessageType.Heartbeat, 0, 9));
    expect([core.role, core.term]).toEqual(['leader', 1]);
  });

  it('a leader that says more is committed than we have acknowledged is an invariant failure: entries were lost (F26)', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1), entry(2, 1)], commit: index(2) }));
    expect(() => core.step(message(MessageType.Heartbeat, 2, 1, { commit: index(7) }))).toThrow('the log lost entries');
    expect([core.lastIndex, core.commit]).toEqual([2, 2]);
  });

  it('an Append that claims another entry at the commit index is refused, what is committed stays', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1), entry(2, 1)], commit: index(2) }));
    core.ready();
    core.step(message(MessageType.Append, 3, 4, { index: index(2), logTerm: term(3), entries: [entry(3, 4)] }));
    expect(core.ready().messages.map((m) => [m.type, m.reject])).toEqual([[MessageType.AppendResponse, true]]);
    core.step(message(MessageType.Append, 3, 4, { index: index(0), entries: [entry(1, 4), entry(2, 4)] }));
    expect([core.termAt(index(2)), core.commit]).toEqual([1, 2]);
  });

  it('two leaders in a term are an invariant failure', () => {
    const core = leader();
    expect(() => core.step(message(MessageType.Heartbeat, 2, 1))).toThrow('both 1 and 2 are leaders in term 1');
  });
});

describe('the commit index at a follower', () => {
  it('does not go beyond the last entry that the Append has shown to match, whatever the leader says (F3)', () => {
    const entries = [entry(1, 1), entry(2, 1), entry(3, 1)];
    const core = new RaftCore(options({ entries, hardState: { term: term(1), vote: 0, commit: index(0) } }));
    // The leader of term 2 has another entry at 3; this Append only shows that entry 1 matches.
    core.step(message(MessageType.Append, 2, 2, { index: index(1), logTerm: term(1), commit: index(3) }));
    expect(core.commit).toBe(1);
    core.step(
      message(MessageType.Append, 2, 2, {
        index: index(2),
        logTerm: term(1),
        entries: [entry(3, 2)],
        commit: index(9),
      }),
    );
    expect([core.commit, core.termAt(index(3))]).toEqual([3, 2]);
  });
});

describe('a start', () => {
  it('from a damaged disk is refused: applied or committed beyond the log, gaps, terms that were never recorded (F26)', () => {
    const hardState = { term: term(1), vote: 0, commit: index(0) };
    const start = (more: Partial<CoreOptions>) => () => new RaftCore(options({ hardState, ...more }));
    expect(start({ applied: index(1) })).toThrow('applied up to 1, but the log ends at 0');
    expect(start({ hardState: { ...hardState, commit: index(1) } })).toThrow('the log lost entries');
    expect(start({ entries: [entry(2, 1)] })).toThrow('entry 2 after 0');
    expect(start({ entries: [entry(1, 2)] })).toThrow('only term 1 was recorded');
    const later = { ...hardState, term: term(2) };
    expect(start({ hardState: later, entries: [entry(1, 2), entry(2, 1)] })).toThrow('entry 2 after 1');
    expect(start({ compacted: { index: index(3), term: term(1) } })).toThrow('the log starts after 3');
  });

  it('with impossible options is refused', () => {
    expect(() => new RaftCore(options({ heartbeatTicks: 10 }))).toThrow('electionTicks must be above heartbeatTicks');
    const sizes = [
      'id',
      'heartbeatTicks',
      'electionTicks',
      'maxInflightMessages',
      'maxInflightBytes',
      'maxMessageBytes',
      'maxUncommittedBytes',
    ] as const;
    for (const name of sizes) {
      for (const value of [0, 1.5, -1, Number.NaN]) {
        expect(() => new RaftCore(options({ [name]: value }))).toThrow(`${name} must be a positive integer`);
      }
    }
    expect(new RaftCore(options({ heartbeatTicks: 1, electionTicks: 2 })).role).toBe('follower');
  });

  it('finds membership changes that are not applied yet', () => {
    const data = encodeConfChange({
      steps: [{ op: 'add_learner', member: { id: 2, node: 'n2' } }],
      transition: 'auto',
    });
    const entries = [entry(1, 1), { ...entry(2, 1), kind: EntryKind.ConfChange, data }];
    const hardState = { term: term(1), vote: 1, commit: index(2) };
    const core = new RaftCore(options({ conf: confOf([1]), entries, hardState, applied: index(1) }));
    core.campaign();
    // Committed, not applied: under a superseded configuration nobody may campaign.
    expect(core.role).toBe('follower');
    expect(core.ready().committed.map((e) => e.index)).toEqual([2]);
    core.applied(index(2));
    expect(core.conf).toEqual(confOf([1], [2]));
    // Nobody has asked it to.
    expect(core.role).toBe('follower');
    core.campaign();
    expect(core.role).toBe('candidate');
  });
});
