/**
 * The disk of a minority is gone: all of it, or the log alone. The cluster must go on without it and must not take it back
 * under its old name, since it has forgotten its votes (F25). So the node is spent.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Nemesis } from './nemesis.js';

const nemesis = (variant: string, below: string, describe: string): Nemesis => ({
  name: `wipe:${variant}`,
  describe,
  needs: [],
  inject: async (site, random) => {
    const victim = site.targets.length === 0 ? null : random.pick(site.targets);
    if (victim === null || !site.spend(victim)) return null;
    await site.kill(victim);
    const directory = join(site.dataDir(victim), below);
    // The directory itself may be the root of a mounted disk.
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
    return { what: `${variant === 'log' ? 'log' : 'disk'} of ${victim} wiped`, heal: async () => site.start(victim) };
  },
});

export const WIPES: readonly Nemesis[] = [
  nemesis('all', '', 'the whole data directory of a minority removed while it is down'),
  nemesis('log', 'log', 'the write-ahead log of a minority removed while it is down'),
];
