/** What a leader takes its members for. The stories are told in test/raft/interaction. */
import { describe, expect, it } from 'vitest';
import { index, MessageType } from '../../../src/raft/core/index.js';
import { leader, message } from './lone-core.js';
import { confOf } from './random-cluster.js';

describe('a member that has not been heard of for an election timeout', () => {
  it('is called inactive, whatever the others do, and is active again with its next word (section 6.2)', () => {
    const core = leader();
    const active = (): boolean[] => core.status().progress.map((p) => p.recentActive);
    for (let i = 0; i < 9; i++) {
      core.tick();
      core.step(message(MessageType.HeartbeatResponse, 2, 1));
    }
    expect(active()).toEqual([true, true, true]);
    core.tick();
    expect([core.role, active()]).toEqual(['leader', [true, true, false]]);
    core.step(message(MessageType.HeartbeatResponse, 3, 1));
    expect(active()).toEqual([true, true, true]);
  });
});

describe('a leader that was away from time', () => {
  it('knows how long ago a quorum confirmed it: by answers of its own term, not by its own ticks', () => {
    const core = leader();
    core.tick();
    expect(core.ticksSinceConfirmed()).toBe(1);
    core.step(message(MessageType.HeartbeatResponse, 2, 1));
    expect(core.ticksSinceConfirmed()).toBe(0);
    core.tick();
    core.tick();
    expect(core.ticksSinceConfirmed()).toBe(2);
    core.step(message(MessageType.AppendResponse, 3, 1, { index: index(1) }));
    expect(core.ticksSinceConfirmed()).toBe(0);
    core.step(message(MessageType.HeartbeatResponse, 2, 2));
    expect([core.role, core.ticksSinceConfirmed()]).toEqual(['follower', Number.POSITIVE_INFINITY]);
  });

  it('is confirmed by majorities only, and not by members that have just come', () => {
    const core = leader({ conf: confOf([1, 2, 3, 4, 5]) });
    for (let i = 0; i < 3; i++) core.tick();
    core.step(message(MessageType.HeartbeatResponse, 2, 1));
    expect(core.ticksSinceConfirmed()).toBe(3);
    core.tick();
    core.step(message(MessageType.HeartbeatResponse, 3, 1));
    expect(core.ticksSinceConfirmed()).toBe(1);
  });
});

describe('the target of a transfer', () => {
  it('is told once to campaign, whatever the others answer meanwhile (section 3.10)', () => {
    const core = leader();
    core.propose([Buffer.from('a')]);
    core.persisted(core.ready().seq);
    core.transferLeader(2);
    const told = (): number[] =>
      core
        .ready()
        .messages.filter((m) => m.type === MessageType.TimeoutNow)
        .map((m) => m.to);
    expect(told()).toEqual([]);
    core.step(message(MessageType.AppendResponse, 2, 1, { index: index(2) }));
    expect(told()).toEqual([2]);
    core.step(message(MessageType.AppendResponse, 3, 1, { index: index(2) }));
    expect(told()).toEqual([]);
    expect(core.transferLeader(2)).toEqual({ ok: true });
    expect(told()).toEqual([]);
  });
});
