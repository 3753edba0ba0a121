import { describe, expect, it } from 'vitest';
import { CatchUp } from '../../src/shardctrl/catch-up.js';

const PATIENCE_MS = 10_000;

/** Looked at once a second, for so long. */
function watched(
  seconds: number,
  seen: (second: number) => { match?: number; behind?: number; frames?: number },
  termAt: (second: number) => number = () => 1,
): CatchUp {
  const catchUp = new CatchUp();
  for (let second = 0; second <= seconds; second++) {
    const progress = { id: 9, match: 0, behind: 100, frames: 0, ...seen(second) };
    catchUp.note(progress, termAt(second), second * 1_000);
  }
  return catchUp;
}

describe('whether a newcomer gets anywhere', () => {
  it('it does as long as a snapshot or entries arrive, however long that takes', () => {
    for (const seen of [(s: number) => ({ frames: s }), (s: number) => ({ match: s, behind: 1_000 - s })]) {
      const catchUp = watched(600, seen);
      expect([catchUp.isStuck(PATIENCE_MS), catchUp.isLagging(PATIENCE_MS)]).toEqual([false, false]);
    }
  });

  it('it is stuck where nothing arrives, or only beginnings of snapshots, but not after a few of them', () => {
    expect(watched(9, () => ({})).isStuck(PATIENCE_MS)).toBe(false);
    expect(watched(10, () => ({})).isStuck(PATIENCE_MS)).toBe(true);
    expect(watched(20, (s) => ({ frames: s % 3 })).isStuck(PATIENCE_MS)).toBe(true);
    expect(watched(40, (s) => ({ frames: s % 15 })).isStuck(PATIENCE_MS)).toBe(false);
  });

  it('it lags where the others write as fast as it gets what they wrote', () => {
    const catchUp = watched(60, (s) => ({ match: s, behind: 100 }));
    expect([catchUp.isStuck(PATIENCE_MS), catchUp.isLagging(PATIENCE_MS)]).toEqual([false, true]);
  });

  it('it is neither where it has all there is, and the change waits for something else', () => {
    const catchUp = watched(60, () => ({ match: 100, behind: 0 }));
    expect([catchUp.isStuck(PATIENCE_MS), catchUp.isLagging(PATIENCE_MS)]).toEqual([false, false]);
  });

  it('another leader begins anew, and time in which nobody told anything does not count', () => {
    expect(
      watched(
        60,
        () => ({}),
        (s) => Math.floor(s / 9),
      ).isStuck(PATIENCE_MS),
    ).toBe(false);
    const catchUp = new CatchUp();
    const seen = { id: 9, match: 0, behind: 100, frames: 0 };
    catchUp.note(seen, 1, 0);
    catchUp.note(seen, 1, 600_000);
    expect(catchUp.isStuck(PATIENCE_MS)).toBe(false);
  });
});
