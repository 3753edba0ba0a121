/**
 * Data directories on small disks (tmpfs) that can be filled. Mounted in the private mount namespace of the run, so that
 * the kernel takes them away with its last process.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { command, succeeds } from '../links/commands.js';

const SIZE_MIB = 256;
const BALLAST = 'ballast';
const BLOCK = Buffer.alloc(1024 * 1024);

export class SmallDisks {
  readonly #mounted = new Set<string>();

  mount(directory: string): void {
    command('mount', '-t', 'tmpfs', '-o', `size=${SIZE_MIB}m,mode=0700`, 'quorate-chaos', directory);
    this.#mounted.add(directory);
  }

  /** Nobody uses it any more. */
  unmount(directory: string): void {
    command('umount', directory);
    this.#mounted.delete(directory);
  }

  /** Not a byte is left. */
  fill(directory: string): void {
    const file = openSync(join(directory, BALLAST), 'a');
    try {
      // The last pieces by halves, so that no small write fits either.
      for (let size = BLOCK.length; size >= 512; ) {
        if (!written(file, size)) size >>= 1;
      }
    } finally {
      closeSync(file);
    }
  }

  free(directory: string): void {
    rmSync(join(directory, BALLAST), { force: true });
  }

  close(): void {
    for (const directory of this.#mounted) succeeds('umount', directory);
    this.#mounted.clear();
  }
}

function written(file: number, size: number): boolean {
  try {
    return writeSync(file, BLOCK, 0, size) === size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
