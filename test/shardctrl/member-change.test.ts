import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextConf } from '../../src/raft/core/confchange.js';
import type { ConfState } from '../../src/raft/index.js';
import { index, term } from '../../src/raft/index.js';
import { type Membership, nextMemberStep, type ShardMember } from '../../src/shardctrl/index.js';

const member = (replica: number): ShardMember => ({ node: `n${replica}`, replica });
const confOf = (voters: readonly number[], learners: readonly number[] = []): ConfState => {
  const list = (ids: readonly number[]) => ids.map((id) => ({ id, node: `n${id}` }));
  return { voters: list(voters), outgoing: [], learners: list(learners), learnersNext: [], autoLeave: false };
};
const seen = (conf: ConfState, leader: number, settled = true): Membership => ({
  conf,
  leader,
  confIndex: index(1),
  settled,
  term: term(1),
});
const NOBODY = new Set<string>();

describe('the next step towards the members that are wanted', () => {
  const next = (target: readonly number[], conf: ConfState, leader: number, avoid = NOBODY) =>
    nextMemberStep({ target: target.map(member) }, seen(conf, leader), avoid);

  it('makes a newcomer a learner first, and a voter together with what leaves', () => {
    expect(next([1, 2, 9], confOf([1, 2, 3]), 1)).toMatchObject({
      change: { steps: [{ op: 'add_learner', member: { id: 9, node: 'n9' } }] },
    });
    expect(next([1, 2, 9], confOf([1, 2, 3], [9]), 1)).toMatchObject({
      change: {
        steps: [
          { op: 'add_voter', member: { id: 9, node: 'n9' } },
          { op: 'remove', id: 3 },
        ],
      },
    });
    expect(next([1, 2, 9], confOf([1, 2, 9]), 1)).toEqual({ kind: 'done' });
  });

  it('asks a leader that is to leave to hand over, to one that stays and is there', () => {
    expect(next([1, 2, 9], confOf([1, 2, 3], [9]), 3)).toEqual({ kind: 'transfer', to: 'n1' });
    expect(next([1, 2, 9], confOf([1, 2, 3], [9]), 3, new Set(['n1']))).toEqual({ kind: 'transfer', to: 'n2' });
    // Nobody could: it goes all the same, and the group elects.
    expect(next([8, 9], confOf([3], [8, 9]), 3)).toMatchObject({ kind: 'change' });
  });

  it('waits while the group is between two configurations', () => {
    expect(next([1, 2], { ...confOf([1, 2]), outgoing: confOf([1, 2, 3]).voters }, 1)).toEqual({ kind: 'wait' });
  });

  it('is not done before all is settled that has let anybody go (F18)', () => {
    const then = (voters: readonly number[], settled: boolean) =>
      nextMemberStep(
        { target: [1, 2, 3].map(member), abandoned: [1, 2, 9].map(member) },
        seen(confOf(voters), 1, settled),
        NOBODY,
      );
    expect([then([1, 2, 3], false), then([1, 2, 3], true)]).toEqual([{ kind: 'wait' }, { kind: 'done' }]);
    expect([then([1, 2, 9], false), then([1, 2, 9], true)]).toEqual([{ kind: 'wait' }, { kind: 'taken' }]);
    // What is left to do needs nobody who has left.
    expect(then([1, 2], false)).toMatchObject({ kind: 'change' });
  });

  it('goes forward where a change was given up that the group had taken, and back where it had not', () => {
    const givenUp = { target: [1, 2, 3].map(member), abandoned: [1, 2, 9].map(member) };
    const then = (conf: ConfState) => nextMemberStep(givenUp, seen(conf, 1), NOBODY);
    expect(then(confOf([1, 2, 9]))).toEqual({ kind: 'taken' });
    expect(then(confOf([1, 2, 3]))).toEqual({ kind: 'done' });
    expect(then(confOf([1, 2, 3], [9]))).toMatchObject({ change: { steps: [{ op: 'remove', id: 9 }] } });
    expect(then({ ...confOf([1, 2, 9]), outgoing: confOf([1, 2, 3]).voters })).toEqual({ kind: 'wait' });
  });

  it('removes learners that nobody wants any more', () => {
    expect(next([1, 2, 3], confOf([1, 2, 3], [9]), 1)).toMatchObject({ change: { steps: [{ op: 'remove', id: 9 }] } });
  });

  it('gets from any configuration to any other, and never has fewer voters than the smaller of them', () => {
    const ids = (min: number) => fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: min, maxLength: 5 });
    fc.assert(
      fc.property(ids(1), ids(1), ids(0), (before, target, strays) => {
        const learners = strays.filter((id) => !before.includes(id));
        let conf = confOf(before, learners);
        const least = Math.min(before.length, target.length);
        let leader = before[0]!;
        for (let steps = 0; ; steps++) {
          expect(steps).toBeLessThan(40);
          const step = next(target, conf, leader);
          if (step.kind === 'done') break;
          if (step.kind === 'transfer') leader = Number(step.to.slice(1));
          const change = step.kind === 'change' ? step.change : { steps: [], transition: 'auto' as const };
          if (step.kind === 'transfer') continue;
          const result = nextConf(conf, change);
          if (!result.ok) throw new Error(result.detail);
          conf = result.conf;
          expect(conf.voters.length).toBeGreaterThanOrEqual(least);
          if (conf.outgoing.length === 0 && !conf.voters.some(({ id }) => id === leader)) leader = conf.voters[0]!.id;
        }
        expect(conf.voters.map(({ id }) => id).sort()).toEqual([...target].sort());
        expect(conf.learners).toEqual([]);
      }),
    );
  });
});
