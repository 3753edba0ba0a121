/** Links that are slow (delay and jitter) or lossy (pieces come late, connections break). */
import type { SimRandom } from '../../sim/fakes/random.js';
import { bothWays, type Weather } from '../links/links.js';
import type { Nemesis } from './nemesis.js';

type Draw = (random: SimRandom) => { readonly weather: Partial<Weather>; readonly what: string };

const slow: Draw = (random) => {
  const [delay_ms, jitter_ms] = [random.int(20, 300), random.int(0, 300)];
  return { weather: { delay_ms, jitter_ms }, what: `${delay_ms} ms and up to ${jitter_ms} ms more` };
};

const lossy: Draw = (random) => {
  const loss = random.int(2, 20) / 100;
  const reset = random.chance(0.5) ? 0.01 : 0;
  return { weather: { loss, reset }, what: `${loss * 100}% lost${reset > 0 ? ', connections break' : ''}` };
};

const nemesis = (name: string, describe: string, draw: Draw): Nemesis => ({
  name,
  describe,
  needs: ['shaped links'],
  inject: async (site, random) => {
    const { weather, what } = draw(random);
    const victim = random.pick(site.ids);
    const all = random.chance(0.5);
    await site.links.set(bothWays(all ? site.ids : [victim], site.ids), weather);
    return { what: `${name} links of ${all ? 'all nodes' : victim}: ${what}`, heal: () => site.links.heal() };
  },
});

export const WEATHERS: readonly Nemesis[] = [
  nemesis('slow', 'links with delay and jitter', slow),
  nemesis('lossy', 'links that lose pieces and break connections', lossy),
];
