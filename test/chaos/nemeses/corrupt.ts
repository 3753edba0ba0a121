/**
 * Bytes on the disk of one node change while it is down (F34, F38). The node must notice; what is damaged stays out of
 * service until its node is replaced, so that node is spent, and never more of them than every shard can spare.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Nemesis } from './nemesis.js';

const FLIPS = 16;

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size > 0)
    .sort();
}

/** Inverts some bytes of the first three quarters: the end of a log may be a torn tail, which is no damage. */
export function flipBytes(file: string, random: SimRandom, flips = FLIPS): number {
  const handle = openSync(file, 'r+');
  try {
    const size = Math.floor(fstatSync(handle).size * 0.75);
    const byte = Buffer.alloc(1);
    const places = new Set(Array.from({ length: Math.min(flips, size) }, () => random.int(0, size - 1)));
    for (const at of places) {
      readSync(handle, byte, 0, 1, at);
      byte[0] = byte[0]! ^ 0xff;
      writeSync(handle, byte, 0, 1, at);
    }
    return places.size;
  } finally {
    closeSync(handle);
  }
}

const nemesis = (variant: string, directory: string, pattern: RegExp, describe: string): Nemesis => ({
  name: `corrupt:${variant}`,
  describe,
  needs: [],
  inject: async (site, random) => {
    const victim = site.targets.length === 0 ? null : random.pick(site.targets);
    if (victim === null || !site.spend(victim)) return null;
    await site.kill(victim);
    const root = join(site.dataDir(victim), directory);
    const files = filesBelow(root).filter((path) => pattern.test(path));
    const heal = async (): Promise<void> => site.start(victim);
    // A node that has just joined, or is about to leave, has no replica.
    if (files.length === 0) return { what: `kill -9 ${victim}, which holds nothing to damage`, heal };
    const file = random.pick(files);
    const flipped = flipBytes(file, random);
    return {
      what: `${flipped} bytes of ${file.slice(site.dataDir(victim).length + 1)} on ${victim} flipped`,
      heal,
    };
  },
});

export const CORRUPTIONS: readonly Nemesis[] = [
  nemesis('log', 'log', /\.wal$/, 'bytes of the write-ahead log of a minority flipped while it is down'),
  nemesis('state', 'state', /\.ldb$|MANIFEST|\.log$/, 'bytes of a LevelDB of a minority flipped while it is down'),
];
