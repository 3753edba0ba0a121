/** What is wrong with the members of a calm cluster, and what cannot be helped. */
import { describe, expect, it } from 'vitest';
import { flawsOf, summed } from './roster-check.js';
import { viewOf } from './views.js';

const flaws = (view: ReturnType<typeof viewOf>, { gone = [] as string[], spent = [] as string[] } = {}) =>
  flawsOf(view, { replicas: 3, gone: new Set(gone), spent: new Set(spent) });
const NONE = { ghosts: [], lacks: [], excused: [] };

describe('the members of a calm cluster', () => {
  it('are as many as they should be', () => {
    expect(flaws(viewOf('n2 n3 n4', { s1: 'n2 n3 n4' }), { gone: ['n1'] })).toEqual(NONE);
    expect(flaws(viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3 n4' }, 'n1 n2 n3'))).toEqual(NONE);
    expect(flaws(viewOf('n1 n2 n3', { s1: 'n1 n2' }))).toMatchObject({ lacks: ['s1 has 2 members of 3'] });
    expect(flaws(viewOf('n1 n2 n3 n4 n5', {}, 'n1 n2 n3'))).toMatchObject({
      lacks: ['the controller has 3 members instead of 5'],
    });
  });

  it('are no nodes that have left, or never were there', () => {
    const view = viewOf('n2 n3 n4', { s1: 'n1? n2 n3' }, 'n1 n3 n4');
    expect(flaws(view, { gone: ['n1'] }).ghosts).toEqual([
      'n1 has left, and is a member of the controller',
      'n1 has left, and is a member of s1',
    ]);
    expect(flaws(view).lacks).toContain('n1 is a member of s1, and no node of the cluster');
  });

  it('all take part', () => {
    expect(flaws(viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3 n4+' }, 'n1 n2 n3')).lacks).toEqual([
      'n4 does not take part in s1 (learner, ok)',
    ]);
    expect(flaws(viewOf('n1 n2 n3', { s1: 'n1 n2! n3?' })).lacks).toEqual([
      'n2 does not take part in s1 (follower, damaged)',
      'n3 does not take part in s1 (unknown, down)',
    ]);
  });

  it('are excused where a node is lost', () => {
    expect(flaws(viewOf('n1 n2 n3', { s1: 'n1 n2 n3?' }), { spent: ['n3'] })).toEqual({
      ...NONE,
      excused: ['the controller has a member on n3, which is lost', 's1 has a member on n3, which is lost'],
    });
  });

  it('are told once, whoever says it', () => {
    const lacks = ['s1 has 2 members of 3'];
    expect(
      summed([
        { by: 'n1', ...NONE, lacks },
        { by: 'n2', ...NONE, lacks },
        { by: 'n3', ...NONE },
      ]),
    ).toEqual({ ...NONE, lacks: ['s1 has 2 members of 3 (by n1, n2)'] });
  });
});
