/** The disk of one node is full, to the last byte; later there is space again (F36). */
import type { Nemesis } from './nemesis.js';

export const DISK_FULL: Nemesis = {
  name: 'disk-full',
  describe: 'the data directory of one node, a small tmpfs, is filled to the last byte',
  needs: ['small disks'],
  inject: async (site, random) => {
    const { disks } = site;
    if (disks === null || site.targets.length === 0) return null;
    const victim = random.pick(site.targets);
    const directory = site.dataDir(victim);
    // A node may end itself when it cannot write; whoever runs it starts it again once there is space.
    site.tolerateEnd(victim, true);
    disks.fill(directory);
    return {
      what: `disk of ${victim} full`,
      heal: async () => {
        disks.free(directory);
        site.tolerateEnd(victim, false);
        site.start(victim);
      },
    };
  },
};
