/**
 * A directory of LevelDBs, one for each replica's applied state. Opening one first makes sure that its files can be
 * trusted: the logs are cut to a true prefix of the writes, tables are checked against their checksums.
 *
 * A removed engine is renamed before it is deleted: a crash halfway leaves rubbish that can't be taken for an engine.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StateEngine, StateEngines } from '../../../raft/index.js';
import { syncDirectory } from './directory-sync.js';
import { asDamage, EngineDamagedError, LevelFileError } from './engine-damaged-error.js';
import { LevelEngine, type LevelEngineOptions } from './level-engine.js';
import { type LogRepair, repairLevelLogs } from './level-log-repair.js';
import { readManifest } from './level-manifest.js';
import { checkTables } from './level-table-check.js';
import { SerialQueue } from './serial-queue.js';

const NAME = /^[a-z0-9-]+$/;
const TRASH = /^\.trash-/;
const DEFAULTS: LevelEngineOptions = { cacheBytes: 8 * 1024 * 1024, writeBufferBytes: 4 * 1024 * 1024 };

export interface LevelEnginesOptions extends Partial<LevelEngineOptions> {
  /** Created when missing. Belongs to one process: the caller holds the lock of the node's data directory. */
  readonly directory: string;
  /** Reads every table once when an engine is opened and checks it. True by default. */
  readonly checkTables?: boolean;
  /** Told when an engine's logs were cut. */
  readonly repaired?: (engine: string, repair: LogRepair) => void;
}

class LevelEngines implements StateEngines {
  readonly #options: LevelEnginesOptions;
  readonly #engineOptions: LevelEngineOptions;
  readonly #queues = { flushes: new SerialQueue(), reclaims: new SerialQueue() };
  readonly #open = new Set<string>();
  #trash = 0;

  constructor(options: LevelEnginesOptions) {
    this.#options = options;
    this.#engineOptions = {
      cacheBytes: options.cacheBytes ?? DEFAULTS.cacheBytes,
      writeBufferBytes: options.writeBufferBytes ?? DEFAULTS.writeBufferBytes,
    };
  }

  /** Rejects with EngineDamagedError when the files can't be trusted, with other errors when they could not be read. */
  async open(name: string): Promise<StateEngine> {
    const directory = this.#path(name);
    if (this.#open.has(name)) throw new Error(`engine ${name} is open already`);
    this.#open.add(name);
    try {
      await mkdir(directory, { recursive: true });
      await this.#makeTrustworthy(name, directory);
      const engine = await LevelEngine.open(name, directory, this.#engineOptions, this.#queues, () => {
        this.#open.delete(name);
      });
      // LevelDB renames CURRENT without syncing its directory, and deletes the MANIFEST that the old one names.
      await syncDirectory(directory);
      await syncDirectory(this.#options.directory);
      return engine;
    } catch (error) {
      this.#open.delete(name);
      throw asOpenError(name, error);
    }
  }

  async remove(name: string): Promise<void> {
    const directory = this.#path(name);
    if (this.#open.has(name)) throw new Error(`engine ${name} is open, it cannot be removed`);
    const trash = join(this.#options.directory, `.trash-${name}-${this.#trash++}`);
    await rm(trash, { recursive: true, force: true });
    try {
      await rename(directory, trash);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    await syncDirectory(this.#options.directory);
    await rm(trash, { recursive: true, force: true });
  }

  async list(): Promise<string[]> {
    const entries = await readdir(this.#options.directory, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && NAME.test(entry.name))
      .map((entry) => entry.name)
      .sort();
  }

  async emptyTrash(): Promise<void> {
    for (const name of await readdir(this.#options.directory)) {
      if (TRASH.test(name)) await rm(join(this.#options.directory, name), { recursive: true, force: true });
    }
  }

  async #makeTrustworthy(name: string, directory: string): Promise<void> {
    const names = await readdir(directory);
    const manifest = await readManifest(directory, names);
    if (manifest === null) return;
    if (this.#options.checkTables ?? true) await checkTables(directory, names, manifest);
    const repair = await repairLevelLogs(directory, names, manifest);
    if (repair.cut !== null || repair.removed.length > 0) this.#options.repaired?.(name, repair);
  }

  #path(name: string): string {
    if (!NAME.test(name)) throw new Error(`invalid engine name ${JSON.stringify(name)}: a-z, 0-9 and - are allowed`);
    return join(this.#options.directory, name);
  }
}

/** The binding wraps LevelDB's own error in one that only says that the database is not open. */
function asOpenError(name: string, error: unknown): unknown {
  if (error instanceof LevelFileError) return new EngineDamagedError(name, error.message, { cause: error });
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error)) return error;
  const damage = asDamage(name, cause);
  if (damage !== cause) return damage;
  return new Error(`engine ${name} could not be opened: ${cause.message}`, { cause });
}

/** Opens the directory, not the engines in it. */
export async function openLevelEngines(options: LevelEnginesOptions): Promise<StateEngines> {
  await mkdir(options.directory, { recursive: true });
  const engines = new LevelEngines(options);
  await engines.emptyTrash();
  return engines;
}
