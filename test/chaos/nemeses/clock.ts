/** The wall clock of one node jumps, by seconds or by months, back or ahead, and later back to true time (F13). */
import type { Nemesis } from './nemesis.js';

const OFFSETS_S = [-5_000_000, -3_600, -60, -2, 2, 60, 3_600, 5_000_000];

export const CLOCK: Nemesis = {
  name: 'clock',
  describe: 'the wall clock of one node jumps (libfaketime)',
  needs: ['fake clocks'],
  inject: async (site, random) => {
    const { clocks } = site;
    if (clocks === null || site.targets.length === 0) return null;
    const victim = random.pick(site.targets);
    const offset_s = random.pick(OFFSETS_S);
    clocks.set(victim, offset_s);
    return {
      what: `clock of ${victim} ${offset_s < 0 ? 'back' : 'ahead'} by ${Math.abs(offset_s)} s`,
      heal: async () => clocks.set(victim, 0),
    };
  },
};
