/** What a leader makes of its followers' answers, above all of late ones. The stories are told in test/raft/interaction. */
import { describe, expect, it } from 'vitest';
import { index, type Message, MessageType, RaftCore, term } from '../../../src/raft/core/index.js';
import { entry, leader, message, options } from './lone-core.js';
import { confOf } from './random-cluster.js';

const accepts = (from: number, upTo: number, atTerm = 1): Message =>
  message(MessageType.AppendResponse, from, atTerm, { index: index(upTo) });
const refuses = (from: number, at: number, hint: number, atTerm = 1): Message =>
  message(MessageType.AppendResponse, from, atTerm, {
    index: index(at),
    logTerm: term(1),
    reject: true,
    hint: index(hint),
  });

const progressOf = (core: RaftCore, id: number): string => {
  const { match, next, state } = core.status().progress.find((p) => p.id === id)!;
  return `${state} ${match} ${next}`;
};

/** Of term 2, with a log whose entries up to 5 are compacted; 2 has all of it, 3 has not answered yet. */
function compactedLeader(): RaftCore {
  const hardState = { term: term(1), vote: 0, commit: index(5) };
  const core = new RaftCore(options({ hardState, compacted: { index: index(5), term: term(1) }, applied: index(5) }));
  core.campaign();
  core.ready();
  core.step(message(MessageType.PreVoteResponse, 2, 2));
  core.persisted(core.ready().seq);
  core.step(message(MessageType.VoteResponse, 2, 2));
  core.persisted(core.ready().seq);
  core.step(accepts(2, 6, 2));
  core.ready();
  expect([core.role, core.commit, progressOf(core, 3)]).toEqual(['leader', 6, 'probe 0 6']);
  return core;
}

describe('an acknowledgement', () => {
  it('that was overtaken by a later one takes nothing back', () => {
    const core = leader();
    core.propose([Buffer.from('a'), Buffer.from('b')]);
    core.persisted(core.ready().seq);
    core.step(accepts(3, 3));
    core.step(accepts(3, 2));
    expect(progressOf(core, 3)).toBe('replicate 3 4');
    // Nor does it prove that messages arrive again.
    core.reportUnreachable(3);
    core.step(accepts(3, 2));
    expect(progressOf(core, 3)).toBe('probe 3 4');
    core.step(accepts(3, 3));
    expect(progressOf(core, 3)).toBe('replicate 3 4');
  });
});

describe('a refusal', () => {
  it('of what has been acknowledged since is old', () => {
    const core = leader();
    core.step(refuses(3, 1, 0));
    expect(progressOf(core, 3)).toBe('replicate 1 2');
    core.step(refuses(3, 2, 1));
    expect(progressOf(core, 3)).toBe('probe 1 2');
    // A follower that takes back what it has acknowledged is not believed: it has promised to keep it.
    core.step(refuses(3, 1, 0));
    expect(progressOf(core, 3)).toBe('probe 1 2');
  });

  it('of another Append than the last probe is old', () => {
    const core = compactedLeader();
    core.step(refuses(3, 9, 2, 2));
    expect(progressOf(core, 3)).toBe('probe 0 6');
    core.step(refuses(3, 5, 2, 2));
    expect(progressOf(core, 3)).toBe('probe 0 3');
  });

  it('that takes back what was acknowledged is answered once per heartbeat, not at the speed of the line (section 5.3)', () => {
    const core = leader();
    const appendsTo3 = (): number =>
      core.ready().messages.filter((m) => m.type === MessageType.Append && m.to === 3).length;
    core.reportUnreachable(3);
    expect([progressOf(core, 3), appendsTo3()]).toEqual(['probe 1 2', 1]);
    for (let beat = 0; beat < 3; beat++) {
      for (let i = 0; i < 3; i++) {
        core.step(refuses(3, 1, 0));
        expect([progressOf(core, 3), appendsTo3()]).toEqual(['probe 1 2', 0]);
      }
      core.tick();
      core.step(message(MessageType.HeartbeatResponse, 3, 1));
      expect(appendsTo3()).toBe(1);
    }
  });

  it('at the very beginning of the log is that of a newcomer, if it was probed there (section 5.3)', () => {
    const following = leader();
    following.step(refuses(3, 0, 0));
    expect(progressOf(following, 3)).toBe('replicate 1 2');
    const probing = compactedLeader();
    probing.step(refuses(3, 0, 0, 2));
    expect(progressOf(probing, 3)).toBe('probe 0 6');
    const entries = [1, 2, 3].map((i) => entry(i, 1));
    const core = new RaftCore(options({ entries, hardState: { term: term(1), vote: 0, commit: index(0) } }));
    core.campaign();
    core.ready();
    core.step(message(MessageType.PreVoteResponse, 2, 2));
    core.persisted(core.ready().seq);
    core.step(message(MessageType.VoteResponse, 2, 2));
    core.ready();
    const empty = message(MessageType.AppendResponse, 3, 2, { index: index(3), reject: true });
    core.step(empty);
    core.step(empty);
    expect(progressOf(core, 3)).toBe('probe 0 1');
    core.ready();
    core.step(message(MessageType.AppendResponse, 3, 2, { reject: true }));
    expect(core.ready().snapshotsTo).toEqual([3]);
  });

  it('changes nothing while a snapshot is under way', () => {
    const core = compactedLeader();
    core.step(refuses(3, 5, 2, 2));
    expect(core.ready().snapshotsTo).toEqual([3]);
    core.step(refuses(3, 2, 1, 2));
    expect(progressOf(core, 3)).toBe('snapshot 0 3');
    expect(core.ready().messages).toEqual([]);
  });
});

describe('the stream of a snapshot', () => {
  const streaming = (): RaftCore => {
    const core = compactedLeader();
    core.step(refuses(3, 5, 2, 2));
    expect(core.ready().snapshotsTo).toEqual([3]);
    return core;
  };
  const heard = (core: RaftCore): void => {
    core.tick();
    core.step(message(MessageType.HeartbeatResponse, 3, 2));
  };

  it('that was taken whole: what follows it is sent once the follower is heard of, not before', () => {
    const core = streaming();
    core.reportSnapshot(3, true, index(5));
    expect(progressOf(core, 3)).toBe('probe 0 6');
    expect(core.ready().messages).toEqual([]);
    heard(core);
    const { messages } = core.ready();
    expect(messages.filter((m) => m.type === MessageType.Append).map((m) => [m.to, m.index])).toEqual([[3, 5]]);
  });

  it('that broke off is begun again once the follower is heard of', () => {
    const core = streaming();
    core.reportSnapshot(3, false, index(5));
    expect(core.ready().snapshotsTo).toEqual([]);
    heard(core);
    expect(core.ready().snapshotsTo).toEqual([3]);
  });

  it('ends with the acknowledgement of all that has been compacted, and not with one of less', () => {
    const core = streaming();
    core.step(accepts(3, 4, 2));
    expect(progressOf(core, 3)).toBe('snapshot 4 5');
    core.step(accepts(3, 5, 2));
    expect(progressOf(core, 3)).toBe('replicate 5 6');
  });

  it('is asked for only when the follower is there to take it', () => {
    const core = leader();
    core.propose([Buffer.from('a')]);
    core.persisted(core.ready().seq);
    core.step(accepts(2, 2));
    core.ready();
    core.applied(index(2));
    core.compact(index(2));
    for (let i = 0; i < 10; i++) {
      core.tick();
      core.step(message(MessageType.HeartbeatResponse, 2, 1));
    }
    core.reportUnreachable(3);
    expect(core.ready().snapshotsTo).toEqual([]);
    core.step(message(MessageType.HeartbeatResponse, 3, 1));
    expect(core.ready().snapshotsTo).toEqual([3]);
  });

  it('that nobody has asked for says nothing', () => {
    new RaftCore(options()).reportSnapshot(3, true, index(5));
    const core = leader();
    core.reportSnapshot(3, true, index(5));
    core.reportSnapshot(9, true, index(5));
    expect(progressOf(core, 3)).toBe('replicate 1 2');
  });
});

describe('heartbeats', () => {
  const told = (core: RaftCore): string[] => {
    core.tick();
    const beats = core.ready().messages.filter((m) => m.type === MessageType.Heartbeat);
    return beats.map((m) => `${m.to}: commit ${m.commit} of ${m.index}`);
  };

  it('tell what is committed at the leader also to those who do not have it', () => {
    const core = leader();
    core.propose([Buffer.from('a')]);
    core.persisted(core.ready().seq);
    core.step(accepts(2, 2));
    expect(told(core)).toEqual(['2: commit 2 of 2', '3: commit 1 of 2']);
  });

  it('tell, until the leader knows what its predecessors committed, the index of its own first entry', () => {
    const hardState = { term: term(1), vote: 0, commit: index(0) };
    const core = new RaftCore(options({ hardState, entries: [entry(1, 1), entry(2, 1)] }));
    core.campaign();
    core.ready();
    for (const id of [2, 3]) core.step(message(MessageType.PreVoteResponse, id, 2));
    core.persisted(core.ready().seq);
    for (const id of [2, 3]) core.step(message(MessageType.VoteResponse, id, 2));
    expect([core.role, core.commitBound]).toEqual(['leader', 3]);
    expect(told(core)).toEqual(['2: commit 0 of 3', '3: commit 0 of 3']);
  });

  it('that are answered more than once in an interval make no further probe: rounds of reads are many', () => {
    const core = compactedLeader();
    const probes = (): number =>
      core.ready().messages.filter((m) => m.type === MessageType.Append && m.to === 3).length;
    core.tick();
    core.step(message(MessageType.HeartbeatResponse, 3, 2));
    expect(probes()).toBe(1);
    core.step(message(MessageType.HeartbeatResponse, 3, 2));
    expect(probes()).toBe(0);
  });

  it('of a round of reads go to those whose answers count', () => {
    const core = leader({ conf: confOf([1, 2, 3], [4]) });
    core.readIndex(7);
    const asked = core.ready().messages.filter((m) => m.type === MessageType.Heartbeat);
    expect(asked.map((m) => m.to)).toEqual([2, 3]);
  });
});
