/**
 * A failing seed with fewer faults: takes one after the other away for as long as something is still violated (delta
 * debugging by single removals, Zeller 2002), then shortens the run. What is left is what a person has to think about.
 */
import type { Fault } from './faults.js';

export interface Attempt {
  readonly faults: readonly Fault[];
  readonly seconds: number;
}

export interface Shrunk extends Attempt {
  readonly violation: string;
  readonly runs: number;
}

/** What is violated in such a run, or null. */
export type Play = (attempt: Attempt) => Promise<string | null>;

const SHORTEST_S = 5;

/** null: the seed fails with all of its faults no more. */
export async function shrink(all: Attempt, play: Play): Promise<Shrunk | null> {
  let runs = 0;
  const tried = (attempt: Attempt): Promise<string | null> => {
    runs++;
    return play(attempt);
  };
  let violation = await tried(all);
  if (violation === null) return null;
  let best = all;
  for (const fault of all.faults) {
    const fewer = { ...best, faults: best.faults.filter((each) => each !== fault) };
    if (fewer.faults.length === 0) continue;
    const still = await tried(fewer);
    if (still === null) continue;
    best = fewer;
    violation = still;
  }
  for (let seconds = best.seconds / 2; seconds >= SHORTEST_S; seconds /= 2) {
    const still = await tried({ ...best, seconds });
    if (still === null) break;
    best = { ...best, seconds };
    violation = still;
  }
  return { ...best, violation, runs };
}
