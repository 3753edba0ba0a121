/**
 * One LevelDB behind the port of applied state. The only file that loads the binding.
 *
 * What LevelDB can't decode says something about the files of this engine only: that is told as damage, by whatever call.
 *
 * Two things the binding does not give by itself. Order: its batches run on a pool of threads and may overtake each
 * other, so one is in flight at a time. And the truth about a flush: `compactRange` reports no error, so a flush counts
 * only when LevelDB has let go of every log that was there before it, which it does after syncing tables and MANIFEST.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClassicLevel } from 'classic-level';
import type { EngineOp, EngineRange, EngineRow, EngineSnapshot, StateEngine } from '../../../raft/index.js';
import { asDamage, EngineDamagedError } from './engine-damaged-error.js';
import { logNumber } from './level-log-repair.js';
import { type Db, type NativeSnapshot, readRange } from './level-range.js';
import type { SerialQueue } from './serial-queue.js';

type NativeBatch = ReturnType<typeof newBatch>;

/** Below every key in use, so that compacting this "range" compacts no table and only writes the memtable out. */
const UNUSED_KEY = Buffer.alloc(0);
/** Deletions below and above every key in use. */
const ENDS: readonly EngineOp[] = [
  { key: UNUSED_KEY, value: null },
  { key: Buffer.alloc(16, 0xff), value: null },
];
const LET_GO_ATTEMPTS = 10;
const LET_GO_PAUSE_MS = 200;
const NO_SYNC = { sync: false };

export interface LevelEngineOptions {
  /** Cache of uncompressed blocks. */
  readonly cacheBytes: number;
  /** Size of the memtable; up to two of them are in memory. */
  readonly writeBufferBytes: number;
}

export interface LevelEngineQueues {
  readonly flushes: SerialQueue;
  readonly reclaims: SerialQueue;
}

const newBatch = (db: Db) => db.batch();

/** Shared by its users: the native snapshot is released with the last of them. */
class SharedSnapshot {
  readonly native: NativeSnapshot;
  #users = 1;

  constructor(db: Db) {
    this.native = db.snapshot();
  }

  share(): SharedSnapshot {
    this.#users++;
    return this;
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.native.close();
  }
}

export class LevelEngine implements StateEngine {
  readonly #name: string;
  readonly #directory: string;
  readonly #db: Db;
  readonly #queues: LevelEngineQueues;
  readonly #onClosed: () => void;
  /** The end of the chain of writes. Rejected once a write has failed: then every later write fails with the same error. */
  #lastWrite: Promise<void> = Promise.resolve();
  #writesWaiting = 0;
  #writesDone = 0;
  #writesFlushed = 0;
  /** While a write is in flight: the state before it. */
  #beforeWrite: SharedSnapshot | null = null;
  #closing: Promise<void> | null = null;

  private constructor(name: string, directory: string, db: Db, queues: LevelEngineQueues, onClosed: () => void) {
    this.#name = name;
    this.#directory = directory;
    this.#db = db;
    this.#queues = queues;
    this.#onClosed = onClosed;
  }

  /** The files must have been repaired and checked before. */
  static async open(
    name: string,
    directory: string,
    options: LevelEngineOptions,
    queues: LevelEngineQueues,
    onClosed: () => void,
  ): Promise<LevelEngine> {
    const db: Db = new ClassicLevel<Uint8Array, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      cacheSize: options.cacheBytes,
      writeBufferSize: options.writeBufferBytes,
    });
    await db.open();
    return new LevelEngine(name, directory, db, queues, onClosed);
  }

  get(key: Uint8Array): Buffer | undefined {
    try {
      return this.#db.getSync(key);
    } catch (error) {
      throw asDamage(this.#name, error);
    }
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
    return this.#orDamage(this.#db.getMany(keys as Uint8Array[]));
  }

  write(ops: readonly EngineOp[]): Promise<void> {
    if (this.#closing !== null) return Promise.reject(this.#closedError());
    const batch = this.#encode(ops);
    const done = this.#writesWaiting++ === 0 ? this.#commit(batch) : this.#lastWrite.then(() => this.#commit(batch));
    this.#lastWrite = done;
    return done;
  }

  flush(): Promise<void> {
    return this.#queues.flushes.run(() => this.#flushNow());
  }

  snapshot(): EngineSnapshot {
    if (this.#closing !== null) throw this.#closedError();
    const shared = this.#beforeWrite?.share() ?? new SharedSnapshot(this.#db);
    let open = true;
    return {
      range: async (range) => {
        if (!open) throw new Error(`a snapshot of engine ${this.#name} is closed`);
        return this.#orDamage(readRange(this.#db, range, shared.native));
      },
      close: async () => {
        if (!open) return;
        open = false;
        await shared.release();
      },
    };
  }

  range(range: EngineRange): Promise<EngineRow[]> {
    return this.#orDamage(readRange(this.#db, range, null));
  }

  reclaim(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    return this.#queues.reclaims.run(() => this.#reclaimNow(gte, lt));
  }

  /**
   * LevelDB merges a table only with those of the level below, so the lowest ones stay as they are when nothing lies above
   * them, although they may hold values together with their deletions (written out of one memtable). Two deletions of
   * nothing, as far apart as can be, make a table that lies above all others.
   */
  async #reclaimNow(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    await this.flush();
    await this.write(ENDS);
    const before = await this.#tables();
    await this.#db.compactRange(gte, lt);
    await this.#letGoOf(before);
  }

  /**
   * Tables that a read was using when they were replaced stay on disk until LevelDB writes its next one, which in a quiet
   * shard may be never: so it is made to write one, and again while a read goes on.
   */
  async #letGoOf(replaced: readonly string[]): Promise<void> {
    for (let attempt = 0; attempt < LET_GO_ATTEMPTS; attempt++) {
      const left = new Set(await this.#tables());
      if (!replaced.some((name) => left.has(name))) return;
      if (attempt > 0) await sleep(LET_GO_PAUSE_MS);
      await this.write(ENDS);
      await this.flush();
    }
  }

  async #tables(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => /\.(ldb|sst)$/.test(name));
  }

  async sizeBytes(): Promise<number> {
    let sum = 0;
    for (const name of await readdir(this.#directory)) {
      // A compaction may remove a table at any moment.
      sum += await stat(join(this.#directory, name)).then(
        (file) => file.size,
        () => 0,
      );
    }
    return sum;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #closeNow(): Promise<void> {
    await this.#lastWrite.catch(() => undefined);
    await this.#db.close();
    this.#onClosed();
  }

  /** Copies the operations, so the caller may reuse its buffers at once. */
  #encode(ops: readonly EngineOp[]): NativeBatch {
    const batch = newBatch(this.#db);
    for (let i = 0; i < ops.length; i++) {
      const { key, value } = ops[i]!;
      if (value === null) batch.del(key);
      else batch.put(key, value as Buffer);
    }
    return batch;
  }

  async #commit(batch: NativeBatch): Promise<void> {
    const before = new SharedSnapshot(this.#db);
    this.#beforeWrite = before;
    try {
      await this.#orDamage(batch.write(NO_SYNC));
      this.#writesDone++;
      this.#writesWaiting--;
    } finally {
      this.#beforeWrite = null;
      void before.release();
    }
  }

  async #flushNow(): Promise<void> {
    const covered = this.#writesDone;
    // Opening a database writes its logs out, so an engine without new writes has nothing in memory only.
    if (covered === this.#writesFlushed) return;
    const logs = await this.#logs();
    await this.#db.compactRange(UNUSED_KEY, UNUSED_KEY);
    const left = new Set(await this.#logs());
    const kept = logs.find((name) => left.has(name));
    if (kept !== undefined) throw await this.#whyNotWrittenOut(kept);
    this.#writesFlushed = covered;
  }

  /** What keeps LevelDB from writing a table, or from merging some, also fails every later write, and says there what it is. */
  async #whyNotWrittenOut(log: string): Promise<Error> {
    const cause = await this.write(ENDS).catch((error: unknown) => error);
    if (cause instanceof EngineDamagedError) return cause;
    return new Error(`engine ${this.#name}: LevelDB could not write out ${log}`, { cause });
  }

  async #logs(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => logNumber(name) !== null);
  }

  #orDamage<T>(work: Promise<T>): Promise<T> {
    return work.catch((error: unknown) => {
      throw asDamage(this.#name, error);
    });
  }

  #closedError(): Error {
    return new Error(`engine ${this.#name} is closed`);
  }
}
