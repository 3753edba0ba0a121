import { describe, expect, it } from 'vitest';
import { ProposalInbox } from '../../../src/raft/runtime/proposal-inbox.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

const WAITER = { applied: () => {}, refused: () => {}, unknown: () => {} };

/** A leader that takes proposals as `Replica` does: when one comes and when the inbox asks for it. */
class Leader {
  readonly scheduler = new SimScheduler();
  readonly inbox = new ProposalInbox(new SimClock(this.scheduler), () => this.pass());
  /** Sizes of the appends, in order. */
  readonly appends: number[] = [];
  unanswered = 0;
  appending = false;

  propose(count: number, bytes = 100): void {
    for (let i = 0; i < count; i++) this.inbox.add(Buffer.alloc(bytes), WAITER);
    this.pass();
  }

  pass(): void {
    const taken = this.inbox.take(this.unanswered, this.appending).length;
    if (taken === 0) return;
    this.appends.push(taken);
    this.unanswered += taken;
    this.appending = true;
  }

  durable(): void {
    this.appending = false;
    this.pass();
  }

  answer(): void {
    this.unanswered = 0;
  }

  /** The append in flight ends, and all who wait have their answers. */
  done(): void {
    this.durable();
    this.answer();
  }

  /** A crowd of `count` that has come once and been answered. */
  static async after(count: number): Promise<Leader> {
    const leader = new Leader();
    leader.propose(count);
    leader.done();
    return leader;
  }
}

describe('proposals on their way to the core', () => {
  it('go at once where there are few, and while an append is in flight become the next one', () => {
    const leader = new Leader();
    leader.propose(1);
    leader.propose(2);
    leader.propose(1);
    expect(leader.appends).toEqual([1]);
    leader.durable();
    expect(leader.appends).toEqual([1, 3]);
  });

  it('gather until as many are back as there were at once, however their appends had divided them', () => {
    const leader = new Leader();
    leader.propose(5);
    leader.propose(27);
    leader.done();
    expect(leader.appends).toEqual([5]);
    leader.propose(4);
    expect(leader.appends).toEqual([5]);
    leader.propose(1);
    expect(leader.appends).toEqual([5, 32]);
  });

  it('wait for company two milliseconds at most, and only while nothing is in flight', async () => {
    const leader = await Leader.after(32);
    leader.propose(20);
    await leader.scheduler.runFor(1.9);
    expect(leader.appends).toEqual([32]);
    await leader.scheduler.runFor(0.2);
    expect(leader.appends).toEqual([32, 20]);

    const slow = await Leader.after(32);
    slow.propose(32);
    slow.answer();
    slow.propose(20);
    await slow.scheduler.runFor(50);
    slow.durable();
    expect(slow.appends).toEqual([32, 32]);
    slow.propose(12);
    expect(slow.appends).toEqual([32, 32, 32]);
  });

  it('wait ever more rarely for a crowd that does not come', async () => {
    const leader = await Leader.after(32);
    let waits = 0;
    for (let i = 0; i < 2_000; i++) {
      // Now eight at once, now seven: the eighth is somebody else.
      const before = leader.appends.length;
      leader.propose(8 - (i % 2));
      if (leader.appends.length === before) waits++;
      await leader.scheduler.runFor(5);
      expect(leader.appends.length).toBe(before + 1);
      leader.done();
    }
    expect(waits).toBeLessThan(50);
  });

  it('do not wait once they are many bytes', async () => {
    const leader = await Leader.after(32);
    leader.propose(1, 255 * 1024);
    expect(leader.appends).toEqual([32]);
    leader.propose(1, 2_000);
    expect(leader.appends).toEqual([32, 2]);
  });

  it('leave nothing behind when they are refused: no timer, no bytes', async () => {
    const leader = await Leader.after(32);
    leader.propose(20);
    expect(leader.inbox.drain()).toHaveLength(20);
    expect(leader.inbox.empty).toBe(true);
    await leader.scheduler.runFor(10);
    expect(leader.appends).toEqual([32]);
    expect(leader.scheduler.idle).toBe(true);
  });
});
