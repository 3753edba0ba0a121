/**
 * Makes a LevelDB that lost power hold a true prefix of its writes.
 *
 * LevelDB does not sync its log unless asked, not even the old one when it goes on to the next, and pages of a file reach
 * the disk in any order. Its recovery reads on behind a broken record and behind the lost end of an older log: the state
 * would lack writes in the middle. So the live logs are walked before LevelDB sees them; at the first record that is not
 * whole, or whose sequence number does not follow on the one before, that log is cut and all later ones are removed.
 *
 *   log      := batch*                      records (level-record-format.ts) of "%06d.log" files, in order of number
 *   batch    := sequence u64le              of its first operation; one more for each further one
 *               count    u32le
 *               operation*
 *
 * What is lost that way had not been flushed: the shared log has it and replays it.
 */
import { open, readFile, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from './directory-sync.js';
import type { LevelManifest } from './level-manifest.js';
import { walkRecords } from './level-record-format.js';

const BATCH_HEADER_BYTES = 12;

export interface LogRepair {
  /** The file that was cut, where and why; null when every log was whole. */
  readonly cut: {
    readonly file: string;
    readonly at_bytes: number;
    readonly lost_bytes: number;
    readonly reason: string;
  } | null;
  /** Logs removed because they come after the break. */
  readonly removed: readonly string[];
}

export function logNumber(name: string): number | null {
  const digits = /^(\d+)\.log$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The logs that LevelDB would replay, oldest first. */
function liveLogs(names: readonly string[], manifest: LevelManifest): { name: string; number: number }[] {
  return names
    .map((name) => ({ name, number: logNumber(name) ?? -1 }))
    .filter(({ number }) => number >= manifest.logNumber || (number > 0 && number === manifest.prevLogNumber))
    .filter(({ number }) => number >= 0)
    .sort((a, b) => a.number - b.number);
}

/** Checks that batches follow on each other, over file boundaries too. */
class SequenceCheck {
  readonly #startMax: number;
  #next: number | null = null;

  constructor(lastSequence: number) {
    // The MANIFEST may be ahead of the log's beginning, since it notes the number in use when a compaction ends.
    this.#startMax = lastSequence + 1;
  }

  get started(): boolean {
    return this.#next !== null;
  }

  /** Why this batch does not follow, or null. */
  accept(batch: Buffer): string | null {
    if (batch.length < BATCH_HEADER_BYTES) return 'a batch is too short';
    const sequence = batch.readUInt32LE(0) + batch.readUInt32LE(4) * 2 ** 32;
    const count = batch.readUInt32LE(8);
    const follows = this.#next === null ? sequence <= this.#startMax : sequence === this.#next;
    if (!follows) return `batches before number ${sequence} are missing`;
    this.#next = sequence + count;
    return null;
  }
}

async function cut(path: string, at_bytes: number): Promise<void> {
  await truncate(path, at_bytes);
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function removeAll(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) await unlink(join(directory, name));
  if (names.length > 0) await syncDirectory(directory);
}

/**
 * `names`: what the directory holds. Nobody else may have the database open. Doing it again changes nothing; a crash in
 * the middle leaves logs that the next run cuts at the same place.
 */
export async function repairLevelLogs(
  directory: string,
  names: readonly string[],
  manifest: LevelManifest,
): Promise<LogRepair> {
  if (manifest.tornAt !== null) await cut(join(directory, manifest.file), manifest.tornAt);
  const logs = liveLogs(names, manifest);
  const later = (from: number): string[] => logs.slice(from).map(({ name }) => name);
  const sequence = new SequenceCheck(manifest.lastSequence);
  for (const [i, { name, number }] of logs.entries()) {
    if (i === 0 && manifest.logNumber > 0 && number > manifest.logNumber) {
      // The MANIFEST is synced after the log it names was created: without that log we can't know what is missing.
      await removeAll(directory, later(0));
      return { cut: null, removed: later(0) };
    }
    const file = await readFile(join(directory, name));
    const { end, broken } = walkRecords(file, (batch) => sequence.accept(batch));
    // A log is closed only when it has batches; without any, nothing says that the next one begins where it should.
    const lostStart = !sequence.started && i < logs.length - 1;
    if (broken === null && !lostStart) continue;
    // Later logs go first: if this stops halfway, the break is still there to be found.
    await removeAll(directory, later(i + 1));
    if (broken === null) return { cut: null, removed: later(i + 1) };
    await cut(join(directory, name), end);
    const lost = { file: name, at_bytes: end, lost_bytes: file.length - end, reason: broken };
    return { cut: lost, removed: later(i + 1) };
  }
  return { cut: null, removed: [] };
}
