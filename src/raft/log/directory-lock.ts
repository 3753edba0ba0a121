/**
 * Keeps a second process out of a log's directory.
 *
 * The lock must vanish with its owner, however the owner dies, and must not be taken over by a process that happens to
 * get the same pid: so it has to be one of the kernel's. Node itself has none, but LevelDB takes an fcntl lock on its
 * LOCK file: an empty database beside the segments is the lock.
 */
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { LogLockedError } from './log-error.js';

export interface DirectoryLock {
  release(): Promise<void>;
}

/** Rejects with `LogLocked` when another process, or another log of this one, has the directory. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const lock = new ClassicLevel(join(directory, 'lock'));
  try {
    await lock.open();
  } catch (error) {
    const cause = (error as { cause?: { code?: unknown; message?: unknown } }).cause;
    if (cause?.code !== 'LEVEL_LOCKED') throw error;
    throw new LogLockedError(`the log in ${directory} is in use by another process (${String(cause.message)})`);
  }
  return { release: () => lock.close() };
}
