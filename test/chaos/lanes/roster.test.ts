/** Nodes come and go in the one order in which there are never too few, whatever is known at the moment. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/fakes/random.js';
import { drawTransfer } from './leader-transfer.js';
import { hasSettled, type Known, nextStep } from './roster.js';
import { viewOf } from './views.js';

const THREE = viewOf('n1 n2 n3', { s1: 'n1 n2 n3', s2: 'n2 n1 n3' });
const FOUR = viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3', s2: 'n2 n1 n4' }, 'n1 n2 n3');
const known = (more: Partial<Known> = {}): Known => ({
  view: FOUR,
  seated: ['n1', 'n2', 'n3', 'n4'],
  vacant: false,
  spent: new Set(),
  arriving: null,
  leaving: null,
  ...more,
});

describe('the next step of nodes that come and go', () => {
  it('is that somebody takes the vacant seat', () => {
    const vacant = known({ view: THREE, seated: ['n1', 'n2', 'n3'], vacant: true });
    expect(nextStep(vacant, true)).toEqual({ kind: 'seat' });
    expect(nextStep(vacant, false)).toEqual({ kind: 'wait' });
  });

  it('is to wait for a newcomer, until it is a member and has replicas', () => {
    expect(nextStep(known({ view: THREE, arriving: 'n4' }), true)).toEqual({ kind: 'wait' });
    const filling = viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3 n4+', s2: 'n2 n1 n3' });
    expect(nextStep(known({ view: filling, arriving: 'n4' }), true)).toEqual({ kind: 'wait' });
    expect(nextStep(known({ arriving: 'n4' }), true)).toEqual({ kind: 'arrived', id: 'n4' });
    expect(nextStep(known({ arriving: 'n4' }), false)).toEqual({ kind: 'arrived', id: 'n4' });
    expect(nextStep(known({ view: null, arriving: 'n4' }), true)).toEqual({ kind: 'wait' });
  });

  it('is that one of the others goes, and a lost one first', () => {
    expect(nextStep(known(), true)).toEqual({ kind: 'choose', candidates: ['n1', 'n2', 'n3'] });
    expect(nextStep(known({ spent: new Set(['n2']) }), true)).toEqual({ kind: 'choose', candidates: ['n2'] });
    // The newcomer itself may be the lost one.
    expect(nextStep(known({ spent: new Set(['n4']) }), true)).toEqual({ kind: 'choose', candidates: ['n4'] });
    expect(nextStep(known(), false)).toEqual({ kind: 'wait' });
  });

  it('is to ask until it has certainly been heard, also in the end', () => {
    const chosen = known({ leaving: { id: 'n1', asked: false } });
    for (const begins of [true, false]) expect(nextStep(chosen, begins)).toEqual({ kind: 'drain', id: 'n1' });
  });

  it('is to empty the seat of a node that has left, and not before', () => {
    const leaving = { id: 'n1', asked: true };
    expect(nextStep(known({ leaving }), true)).toEqual({ kind: 'wait' });
    const left = viewOf('n2 n3 n4', { s1: 'n2 n3 n4', s2: 'n2 n3 n4' });
    for (const begins of [true, false])
      expect(nextStep(known({ view: left, leaving }), begins)).toEqual({ kind: 'vacate', id: 'n1' });
    expect(nextStep(known({ view: null, leaving }), true)).toEqual({ kind: 'wait' });
  });
});

describe('a newcomer', () => {
  it('has its share where there is none for it', () => {
    const single = viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3' });
    expect(hasSettled(single, 'n4', false)).toBe(true);
    expect(hasSettled(viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3', s2: 'n1 n2 n3' }), 'n4', false)).toBe(false);
  });

  it('gets none while a node is lost', () => {
    expect(hasSettled(viewOf('n1 n2 n3 n4', { s1: 'n1 n2 n3?', s2: 'n1 n2 n3?' }), 'n4', true)).toBe(true);
    expect(hasSettled(THREE, 'n4', true)).toBe(false);
  });
});

describe('a leadership', () => {
  it('goes to another voter, or nowhere', () => {
    const random = new SimRandom('transfers');
    const view = viewOf('n1 n2 n3', { s1: 'n1 n2 n3+', s2: 'n1 n2? n3?' });
    for (let i = 0; i < 10; i++) expect(drawTransfer(view, random)).toEqual({ shard: 's1', to: 'n2' });
    expect(drawTransfer(viewOf('n1', { s1: 'n1' }), random)).toBeNull();
    expect(drawTransfer(null, random)).toBeNull();
  });
});
