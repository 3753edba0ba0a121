import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { index, term } from '../../../src/raft/core/index.js';
import { PendingProposals } from '../../../src/raft/runtime/pending-proposals.js';

/** Who waits, and what each was told. */
class Waiters {
  readonly told = new Map<number, string[]>();
  #next = 0;

  make() {
    const name = this.#next++;
    const said: string[] = [];
    this.told.set(name, said);
    return {
      applied: (result: unknown) => said.push(`applied ${String(result)}`),
      refused: (reason: string) => said.push(reason),
      unknown: () => said.push('unknown'),
    };
  }

  get answers(): string[] {
    return [...this.told.values()].map((said) => said.join(', '));
  }
}

describe('proposals that wait', () => {
  it('are answered by the entry at their index, in any order of turns', () => {
    const waiters = new Waiters();
    const pending = new PendingProposals();
    for (let at = 5; at < 8; at++) pending.add(index(at), term(2), waiters.make());
    for (let at = 3; at < 8; at++) pending.committed(index(at), term(2), `r${at}`);
    expect(waiters.answers).toEqual(['applied r5', 'applied r6', 'applied r7']);
    expect(pending.size).toBe(0);
  });

  it('are superseded by an entry of a later term, wherever it stands (state machine safety)', () => {
    const waiters = new Waiters();
    const pending = new PendingProposals();
    for (let at = 5; at < 8; at++) pending.add(index(at), term(2), waiters.make());
    pending.committed(index(5), term(2), 'mine');
    pending.committed(index(6), term(3), "another's");
    expect(waiters.answers).toEqual(['applied mine', 'superseded', 'superseded']);
    expect(pending.size).toBe(0);
  });

  it('of a leadership that was lost and won again are told apart, though they wait for the same index', () => {
    const waiters = new Waiters();
    const pending = new PendingProposals();
    for (let at = 5; at < 8; at++) pending.add(index(at), term(2), waiters.make());
    pending.add(index(6), term(4), waiters.make());
    pending.committed(index(5), term(4), null);
    pending.committed(index(6), term(4), 'new');
    expect(waiters.answers).toEqual(['superseded', 'superseded', 'superseded', 'applied new']);
  });

  it('below a snapshot are told that nobody knows', () => {
    const waiters = new Waiters();
    const pending = new PendingProposals();
    for (let at = 5; at < 8; at++) pending.add(index(at), term(2), waiters.make());
    pending.skippedTo(index(6));
    pending.committed(index(7), term(2), 'r7');
    expect(waiters.answers).toEqual(['unknown', 'unknown', 'applied r7']);
  });

  it('are each told exactly one thing, however many come and go', () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('propose' as const), count: fc.integer({ min: 1, max: 40 }) }),
      },
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('commit' as const), count: fc.integer({ min: 1, max: 40 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('depose' as const), count: fc.integer({ min: 0, max: 5 }) }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
        const waiters = new Waiters();
        const pending = new PendingProposals();
        /** The log as this replica has it: the terms of its entries; the commit index; who proposed what. */
        const log: number[] = [0];
        const mine: { name: number; index: number; term: number }[] = [];
        let [commit, now] = [0, 1];
        for (const { kind, count } of steps) {
          for (let i = 0; i < count && kind === 'propose'; i++) {
            log.push(now);
            mine.push({ name: waiters.told.size, index: log.length - 1, term: now });
            pending.add(index(log.length - 1), term(now), waiters.make());
          }
          for (let i = 0; i < count && kind === 'commit' && commit < log.length - 1; i++) {
            commit++;
            pending.committed(index(commit), term(log[commit]!), commit);
          }
          if (kind === 'depose') {
            // Another leads meanwhile and overwrites some of what is not committed with entries of its own.
            log.length = Math.max(commit + 1, log.length - count);
            log.push(now + 1);
            now += 2;
          }
        }
        for (commit++; commit < log.length; commit++) pending.committed(index(commit), term(log[commit]!), commit);
        const highest = Math.max(...log);
        for (const { name, index: at, term: proposed } of mine) {
          const said = waiters.told.get(name)!;
          if (log[at] === proposed) expect(said).toEqual([`applied ${at}`]);
          else if (proposed < highest) expect(said).toEqual(['superseded']);
        }
      }),
      { numRuns: 300 },
    );
  });
});
