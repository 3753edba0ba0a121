/** Elections, vote by vote: who may ask, whose answer counts, and when. The stories are told in test/raft/interaction. */
import { describe, expect, it } from 'vitest';
import { index, MessageType, RaftCore, term } from '../../../src/raft/core/index.js';
import { entry, leader, message, options } from './lone-core.js';
import { confOf } from './random-cluster.js';

const answer = (from: number, atTerm: number, reject = false) =>
  message(MessageType.VoteResponse, from, atTerm, { reject });
const preAnswer = (from: number, atTerm: number, reject = false) =>
  message(MessageType.PreVoteResponse, from, atTerm, { reject });

/** Its vote for itself is written, but not durable yet. */
function candidate(more: Parameters<typeof options>[0] = {}): { core: RaftCore; seq: number } {
  const core = new RaftCore(options(more));
  core.campaign();
  core.ready();
  for (const { id } of core.conf.voters) core.step(preAnswer(id, 1));
  const { seq } = core.ready();
  expect([core.role, core.term, seq]).toEqual(['candidate', 1, 1]);
  return { core, seq };
}

describe('a campaign', () => {
  it('is begun by voters only, asked by its driver, its clock or the leader (F22)', () => {
    const core = new RaftCore(options({ conf: confOf([2, 3], [1]) }));
    core.campaign();
    for (let i = 0; i < 20; i++) core.tick();
    core.step(message(MessageType.TimeoutNow, 2, 0));
    expect([core.role, core.term, core.hasReady()]).toEqual(['learner', 0, false]);
  });

  it('is not begun by the leader', () => {
    const core = leader();
    core.campaign();
    expect([core.role, core.term, core.hasReady()]).toEqual(['leader', 1, false]);
  });

  it('is not begun by one whose snapshot is not durable yet (F8)', () => {
    const core = new RaftCore(options());
    const snapshot = { index: index(5), term: term(1), conf: confOf([1, 2, 3]) };
    core.step(message(MessageType.InstallSnapshot, 2, 1, { snapshot }));
    const { seq } = core.ready();
    core.campaign();
    core.step(message(MessageType.TimeoutNow, 2, 1));
    expect(core.role).toBe('follower');
    core.persisted(seq);
    core.campaign();
    expect(core.role).toBe('pre_candidate');
  });

  it('asks whether it would win without waiting for its disk (section 9.6)', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Append, 2, 1, { entries: [entry(1, 1)] }));
    core.ready();
    core.campaign();
    expect(core.ready().messages.map((m) => [m.type, m.to, m.index, m.term])).toEqual([
      [MessageType.PreVote, 2, 1, 2],
      [MessageType.PreVote, 3, 1, 2],
    ]);
  });
});

describe('a vote', () => {
  it('is refused by one that follows a leader in that term', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Heartbeat, 2, 5));
    core.ready();
    core.step(message(MessageType.Vote, 3, 5));
    expect(core.ready().messages.map((m) => [m.type, m.to, m.reject])).toEqual([[MessageType.VoteResponse, 3, true]]);
    expect(core.status().vote).toBe(0);
  });

  it('for oneself counts only in the term in which it was given, and when it is durable (F1)', () => {
    const { core, seq } = candidate();
    // Nobody has answered, the disk is slow: the next attempt.
    core.campaign();
    core.step(preAnswer(2, 2));
    const second = core.ready();
    core.persisted(seq);
    core.step(answer(2, 2));
    expect([core.role, core.term]).toEqual(['candidate', 2]);
    core.persisted(second.seq);
    expect(core.role).toBe('leader');
  });

  it('counts as it was given first', () => {
    const { core, seq } = candidate({ conf: confOf([1, 2, 3, 4, 5]) });
    core.persisted(seq);
    core.step(answer(2, 1));
    core.step(answer(2, 1, true));
    core.step(answer(3, 1));
    expect(core.role).toBe('leader');
  });

  it('that comes late is no news to one that has found its leader', () => {
    const { core } = candidate();
    core.step(message(MessageType.Heartbeat, 2, 1));
    core.step(answer(2, 1, true));
    core.step(answer(3, 1, true));
    expect([core.role, core.leader]).toEqual(['follower', 2]);
  });
});

describe('a pre-vote', () => {
  it('that a majority refuses is over', () => {
    const core = new RaftCore(options());
    core.campaign();
    core.step(preAnswer(2, 0, true));
    expect(core.role).toBe('pre_candidate');
    core.step(preAnswer(3, 0, true));
    expect(core.role).toBe('follower');
  });

  it('granted for an earlier term does not count', () => {
    const core = new RaftCore(options());
    core.campaign();
    core.ready();
    // Meanwhile somebody else has asked for that term.
    core.step(message(MessageType.Vote, 3, 1));
    core.ready();
    core.campaign();
    core.step(preAnswer(2, 1));
    expect([core.role, core.term]).toEqual(['pre_candidate', 1]);
    core.step(preAnswer(2, 2));
    expect([core.role, core.term]).toEqual(['candidate', 2]);
  });
});

describe('a leader whose process has ended', () => {
  const roleAfter = (core: RaftCore, ticks: number): string => {
    for (let i = 0; i < ticks; i++) core.tick();
    return core.role;
  };

  it('is forgotten only by one that knows it: else the election timeout counts', () => {
    const core = new RaftCore(options());
    core.forgetLeader();
    expect([roleAfter(core, 9), roleAfter(core, 1)]).toEqual(['follower', 'pre_candidate']);
  });

  it('is not thought of any more once another one has been heard', () => {
    const core = new RaftCore(options());
    core.step(message(MessageType.Heartbeat, 2, 1));
    core.forgetLeader();
    core.step(message(MessageType.Heartbeat, 3, 2));
    core.ready();
    expect([roleAfter(core, 9), roleAfter(core, 1)]).toEqual(['follower', 'pre_candidate']);
    const asked = (): number => core.ready().messages.length;
    expect(asked()).toBe(2);
    // The next attempt comes a whole timeout later.
    roleAfter(core, 9);
    expect(asked()).toBe(0);
    roleAfter(core, 1);
    expect(asked()).toBe(2);
  });
});
