/** kill -9 of one node, of several (a majority of the cluster: nothing can be served), of all at once; then they start again. */
import type { SimRandom } from '../../sim/fakes/random.js';
import { drawVictims, type Site } from '../site/site.js';
import { type Fault, type Nemesis, names } from './nemesis.js';

async function kill(site: Site, victims: readonly string[]): Promise<Fault | null> {
  if (victims.length === 0) return null;
  await Promise.all(victims.map((id) => site.kill(id)));
  return {
    what: `kill -9 ${names(victims)}`,
    heal: async () => {
      for (const id of victims) site.start(id);
    },
  };
}

const nemesis = (variant: string, describe: string, count: (nodes: number) => number): Nemesis => ({
  name: `kill:${variant}`,
  describe,
  needs: [],
  inject: (site: Site, random: SimRandom) =>
    kill(site, [...drawVictims(site, site.targets, random).slice(0, count(site.ids.length))].sort()),
});

export const KILLS: readonly Nemesis[] = [
  nemesis('one', 'kill -9 of one node, then its restart', () => 1),
  nemesis('several', 'kill -9 of a majority of the nodes', (nodes) => Math.floor(nodes / 2) + 1),
  nemesis('all', 'kill -9 of all nodes at once', (nodes) => nodes),
];
