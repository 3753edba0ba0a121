/** What is kept of a log for followers that are sent a snapshot. */
import { describe, expect, it } from 'vitest';
import { index, type Progress } from '../../../src/raft/core/index.js';
import { CatchUps } from '../../../src/raft/runtime/catch-ups.js';

const follower = (id: number, match: number): Progress => ({
  id,
  match: index(match),
  next: index(match + 1),
  state: 'replicate',
  recentActive: true,
  inflightMessages: 0,
  inflightBytes: 0,
  learner: false,
});

describe('what is kept for who gets a snapshot', () => {
  it('is what follows the snapshot, then what came in the last round', () => {
    const catchUps = new CatchUps();
    catchUps.begin(2, index(100));
    const floor = (match: number, written: number): number =>
      catchUps.floor([follower(2, match)], index(1), index(written), false);
    expect([floor(0, 150), floor(100, 200), floor(199, 250), floor(200, 300)]).toEqual([100, 100, 100, 200]);
  });

  it('is nothing as soon as it is abreast; then there is nothing to be given up, but it is still looked after', () => {
    const catchUps = new CatchUps();
    catchUps.begin(2, index(100));
    catchUps.begin(3, index(120));
    const floor = (two: number, three: number, written: number): number =>
      catchUps.floor([follower(2, two), follower(3, three)], index(1), index(written), false);
    expect(floor(200, 110, 200)).toBe(120);
    catchUps.giveUp(index(120));
    expect(floor(200, 110, 200)).toBe(200);
    expect(floor(210, 110, 300)).toBe(200);
  });
});
