/**
 * What LevelDB's MANIFEST says about a database: which logs are live, which tables exist.
 *
 *   CURRENT   := the MANIFEST's file name, "\n"
 *   MANIFEST  := edit*                      each a record (level-record-format.ts), each changes what the earlier said
 *   edit      := field*
 *   field     := 1 string                   comparator
 *              | 2 n                        log number: logs below it are obsolete
 *              | 3 n                        next file number
 *              | 4 n                        last sequence number used so far
 *              | 5 level key                where the level's next compaction starts
 *              | 6 level n                  table n is gone
 *              | 7 level n size key key     table n is new
 *              | 9 n                        previous log number (old versions of LevelDB)
 *
 * All numbers are varints, all strings and keys have a varint length before them (db/version_edit.cc of LevelDB).
 *
 * LevelDB syncs every edit before it writes the next one. So bytes at the end that are no record, with no record after
 * them, are an edit that a power cut tore: as if it had never been written. Anything else is damage. Should rot have hit
 * the last edit, then leaving it out leads back to an earlier state, a prefix of the writes as well.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LevelFileError } from './engine-damaged-error.js';
import { recordBeginsBehind, walkRecords } from './level-record-format.js';
import { VarintReader } from './varint-reader.js';

const COMPARATOR = 'leveldb.BytewiseComparator';
/** An edit names a handful of tables. A longer torn tail is not one edit. */
const TORN_BYTES_MAX = 64 * 1024;

export interface LevelManifest {
  readonly file: string;
  /** Logs with this number and above are live. */
  readonly logNumber: number;
  /** 0: none. */
  readonly prevLogNumber: number;
  /** At least the sequence number before the first record of log `logNumber`. */
  readonly lastSequence: number;
  /** Size in bytes by number. */
  readonly tables: ReadonlyMap<number, number>;
  /** Where the torn end begins that must go, or null. */
  readonly tornAt: number | null;
}

interface Draft {
  comparator: string | null;
  logNumber: number | null;
  prevLogNumber: number;
  nextFile: number | null;
  lastSequence: number | null;
  readonly tables: Map<number, number>;
}

function applyEdit(draft: Draft, edit: VarintReader): void {
  while (!edit.done) {
    const tag = edit.number();
    if (tag === 1) draft.comparator = edit.string().toString();
    else if (tag === 2) draft.logNumber = edit.number();
    else if (tag === 3) draft.nextFile = edit.number();
    else if (tag === 4) draft.lastSequence = edit.number();
    else if (tag === 9) draft.prevLogNumber = edit.number();
    else if (tag === 5) {
      edit.number();
      edit.string();
    } else if (tag === 6) {
      edit.number();
      draft.tables.delete(edit.number());
    } else if (tag === 7) {
      edit.number();
      draft.tables.set(edit.number(), edit.number());
      edit.string();
      edit.string();
    } else throw new RangeError(`unknown field ${tag}`);
  }
}

function tryEdit(draft: Draft, record: Buffer): string | null {
  try {
    applyEdit(draft, new VarintReader(record));
    return null;
  } catch (error) {
    if (error instanceof RangeError) return `an edit cannot be read: ${error.message}`;
    throw error;
  }
}

/** Throws LevelFileError when the bytes are not a MANIFEST that LevelDB could have left behind. */
export function parseManifest(name: string, file: Buffer): LevelManifest {
  const draft: Draft = {
    comparator: null,
    logNumber: null,
    prevLogNumber: 0,
    nextFile: null,
    lastSequence: null,
    tables: new Map(),
  };
  let unreadable: string | null = null;
  const { end, broken } = walkRecords(file, (record) => {
    unreadable = tryEdit(draft, record);
    return unreadable;
  });
  if (unreadable !== null) throw new LevelFileError(name, unreadable);
  if (broken !== null && (file.length - end > TORN_BYTES_MAX || recordBeginsBehind(file, end))) {
    throw new LevelFileError(name, `${broken}, at byte ${end} or after`);
  }
  if (draft.comparator !== null && draft.comparator !== COMPARATOR) {
    throw new LevelFileError(name, `unknown comparator ${JSON.stringify(draft.comparator)}`);
  }
  if (draft.logNumber === null || draft.nextFile === null || draft.lastSequence === null) {
    throw new LevelFileError(name, 'its first edits are missing');
  }
  return {
    file: name,
    logNumber: draft.logNumber,
    prevLogNumber: draft.prevLogNumber,
    lastSequence: draft.lastSequence,
    tables: draft.tables,
    tornAt: broken === null ? null : end,
  };
}

/** null: there is no database yet. Rejects with LevelFileError when there must have been one. */
export async function readManifest(directory: string, names: readonly string[]): Promise<LevelManifest | null> {
  if (!names.includes('CURRENT')) {
    // Before LevelDB writes its first row it makes CURRENT durable.
    const rows = names.find((name) => /\.(ldb|sst)$/.test(name));
    if (rows !== undefined) throw new LevelFileError('CURRENT', `it is missing, but there is ${rows}`);
    return null;
  }
  const current = await readFile(join(directory, 'CURRENT'), 'latin1');
  const name = /^(MANIFEST-\d+)\n$/.exec(current)?.[1];
  if (name === undefined) throw new LevelFileError('CURRENT', 'it names no MANIFEST');
  if (!names.includes(name)) throw new LevelFileError('CURRENT', `it names ${name}, which is missing`);
  return parseManifest(name, await readFile(join(directory, name)));
}
