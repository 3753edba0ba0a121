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

/**
 * Rejects with `LogLocked` when another process, or another log of this one, has the directory. A lock whose own files are
 * damaged is made anew: it holds nothing, and LevelDB looks at them only once it has the kernel's lock.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const path = join(directory, 'lock');
  try {
    return await open(path);
  } catch (error) {
    refuseIfLocked(directory, error);
  }
  try {
    await ClassicLevel.destroy(path);
    return await open(path);
  } catch (error) {
    refuseIfLocked(directory, error);
    throw new Error(`the log in ${directory} can't be locked: ${causeOf(error)}`, { cause: error });
  }
}

async function open(path: string): Promise<DirectoryLock> {
  const lock = new ClassicLevel(path);
  await lock.open();
  return { release: () => lock.close() };
}

function refuseIfLocked(directory: string, error: unknown): void {
  const { cause } = error as { cause?: { code?: unknown } };
  const code = cause?.code ?? (error as { code?: unknown }).code;
  if (code !== 'LEVEL_LOCKED') return;
  throw new LogLockedError(`the log in ${directory} is in use by another process (${causeOf(error)})`);
}

const causeOf = (error: unknown): string => {
  const { cause, message } = error as { cause?: { message?: unknown }; message?: unknown };
  return String(cause?.message ?? message ?? error);
};
