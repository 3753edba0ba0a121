import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { committedIndex, voteResult } from '../../../src/raft/core/quorum.js';

const RUNS = { seed: 7, numRuns: 500 };
const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
const maybeIds = fc.oneof(fc.constant<number[]>([]), ids);
const matches = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 10, maxLength: 10 });
const answers = fc.array(fc.constantFrom(true, false, null), { minLength: 10, maxLength: 10 });

const members = (list: readonly number[]) => list.map((id) => ({ id, node: `n${id}` }));
const majority = (count: number, of: number): boolean => count > Math.floor(of / 2);

describe('quorums, against counting by hand', () => {
  it('the committed index is the highest that a majority of each half has reached', () => {
    fc.assert(
      fc.property(ids, maybeIds, matches, (voters, outgoing, match) => {
        const reached = (half: readonly number[], index: number): boolean =>
          half.length === 0 || majority(half.filter((id) => match[id]! >= index).length, half.length);
        let expected = 0;
        for (let index = 1; index <= 12; index++)
          if (reached(voters, index) && reached(outgoing, index)) expected = index;
        const progress = (half: readonly number[]) => half.map((id) => ({ match: match[id]! }));
        expect(committedIndex(progress(voters), progress(outgoing))).toBe(expected);
      }),
      RUNS,
    );
  });

  it('a vote is won or lost when no further answer can change that, else it is pending', () => {
    fc.assert(
      fc.property(ids, maybeIds, answers, (voters, outgoing, answer) => {
        const votes = new Map(answer.flatMap((vote, id) => (vote === null ? [] : [[id, vote] as const])));
        const wins = (vote: (id: number) => boolean): boolean =>
          [voters, outgoing].every((half) => half.length === 0 || majority(half.filter(vote).length, half.length));
        const worst = wins((id) => votes.get(id) === true);
        const best = wins((id) => votes.get(id) !== false);
        const expected = worst ? 'won' : best ? 'pending' : 'lost';
        expect(voteResult(members(voters), members(outgoing), votes)).toBe(expected);
      }),
      RUNS,
    );
  });

  it('any two majorities of one configuration share a voter, also in a joint one', () => {
    fc.assert(
      fc.property(ids, maybeIds, answers, (voters, outgoing, answer) => {
        const yes = new Map(answer.map((vote, id) => [id, vote === true] as const));
        const no = new Map(answer.map((vote, id) => [id, vote !== true] as const));
        const both = [yes, no].filter((votes) => voteResult(members(voters), members(outgoing), votes) === 'won');
        expect(both.length).toBeLessThanOrEqual(1);
      }),
      RUNS,
    );
  });

  it('nothing commits in a group without voters', () => {
    expect(committedIndex([], [])).toBe(0);
    expect(voteResult([], [], new Map())).toBe('lost');
  });
});
