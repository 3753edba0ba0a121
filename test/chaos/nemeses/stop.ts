/** SIGSTOP, later SIGCONT: a process that is there but does nothing, and believes no time has passed (F12). */
import { drawVictims } from '../site/site.js';
import type { Nemesis } from './nemesis.js';
import { names } from './nemesis.js';

const nemesis = (variant: string, describe: string, share: (nodes: number) => number): Nemesis => ({
  name: `stop:${variant}`,
  describe,
  needs: [],
  inject: async (site, random) => {
    const victims = [...drawVictims(site, site.targets, random).slice(0, share(site.ids.length))].sort();
    if (victims.length === 0) return null;
    for (const id of victims) site.pause(id);
    return {
      what: `SIGSTOP ${names(victims)}`,
      heal: async () => {
        for (const id of victims) site.resume(id);
      },
    };
  },
});

export const STOPS: readonly Nemesis[] = [
  nemesis('one', 'SIGSTOP of one node, then SIGCONT', () => 1),
  nemesis('several', 'SIGSTOP of a majority of the nodes', (nodes) => Math.floor(nodes / 2) + 1),
];
