/**
 * Production's `LogStorage`: encodes on the main thread, writes and syncs on a worker of its own.
 *
 * What is appended in one turn of the event loop leaves together, at the turn's end; what the worker finds when a sync
 * returns shares the next one.
 */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { GroupId, Index, Term } from '../core/index.js';
import type { LogStats, LogStorage, LogWrite, RecoveredGroup } from '../ports.js';
import { type DirectoryLock, lockDirectory } from './directory-lock.js';
import { asError, LogClosedError, LogCorruptError } from './log-error.js';
import type { LogWorkerData, LogWorkerMessage } from './log-worker.js';
import { DEFAULT_SEGMENT_BYTES, DEFAULT_ZERO_AHEAD_BYTES } from './segmented-log.js';
import { FrameKind, RingWriter, SharedControl } from './shared-ring.js';
import { type StoredGroup, toRecovered } from './stored-group.js';
import { type BatchWaiters, type ReadyBatch, WriteBatcher } from './write-batcher.js';

export interface OpenLogOptions {
  /** Created if need be. */
  readonly directory: string;
  /** Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Zeros written ahead of the log's tail, which makes syncs cheaper. Default 256 KiB. */
  readonly zeroAheadBytes?: number;
  /** The script of the worker thread. Default: `log-worker.js` beside this file. */
  readonly workerUrl?: URL;
}

const RING_BYTES = 4 * 1024 * 1024;

/**
 * Opens the log in a directory, or starts one. Rejects with `LogLocked` if another process has the directory, with
 * `LogCorrupt` if more is broken than marking groups as damaged can express, or with the I/O error.
 */
export async function openLogStorage(options: OpenLogOptions): Promise<LogStorage> {
  const lock = await lockDirectory(options.directory);
  const control = new SharedControl();
  const ring = new SharedArrayBuffer(RING_BYTES);
  const workerData: LogWorkerData = {
    directory: options.directory,
    segmentBytes: options.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
    zeroAheadBytes: options.zeroAheadBytes ?? DEFAULT_ZERO_AHEAD_BYTES,
    salt: randomBytes(8),
    control: control.memory,
    ring,
  };
  const worker = new Worker(options.workerUrl ?? new URL('./log-worker.js', import.meta.url), { workerData });
  try {
    return new WorkerLogStorage(worker, lock, control, ring, await opened(worker));
  } catch (error) {
    await worker.terminate();
    await lock.release();
    throw error;
  }
}

interface Opened {
  readonly groups: readonly StoredGroup[];
  readonly fresh: boolean;
}

function opened(worker: Worker): Promise<Opened> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the log worker ended before the log was open')));
    worker.once('message', (message: LogWorkerMessage) => {
      if (message?.kind === 'opened') resolve(message);
      else reject(errorOf(message));
    });
  });
}

function errorOf(message: LogWorkerMessage): Error {
  if (message?.kind !== 'failed') return new Error('invariant: the log worker spoke out of turn');
  if (message.name === 'LogCorrupt') return new LogCorruptError(message.message);
  return Object.assign(new Error(message.message), message.code === null ? {} : { code: message.code });
}

class WorkerLogStorage implements LogStorage {
  readonly #lock: DirectoryLock;
  readonly #control: SharedControl;
  readonly #ring: RingWriter;
  readonly #batcher: WriteBatcher;
  #recovered: Map<GroupId, RecoveredGroup>;
  /** Of batches in the ring, in order. */
  #flying: (BatchWaiters | null)[] = [];
  /** Did not fit into the ring yet. */
  #held: ReadyBatch | null = null;
  #publishing = false;
  #durable = 0;
  /** What later calls are rejected with. */
  #error: Error | null = null;
  #failure: Error | null = null;
  #listener: ((error: Error) => void) | null = null;
  #closing: Promise<void> | null = null;
  #closeSent = false;
  #closedCleanly = false;
  readonly #exited: Promise<void>;
  readonly fresh: boolean;

  constructor(
    worker: Worker,
    lock: DirectoryLock,
    control: SharedControl,
    ring: SharedArrayBuffer,
    { groups, fresh }: Opened,
  ) {
    this.fresh = fresh;
    this.#lock = lock;
    this.#control = control;
    this.#ring = new RingWriter(control, ring, (memory) => worker.postMessage(memory));
    this.#batcher = new WriteBatcher(groups);
    this.#recovered = new Map(groups.map((stored) => [stored.group, toRecovered(stored)]));
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        this.#onExit();
        resolve();
      });
    });
    worker.on('error', (error) => this.#fail(asError(error)));
    worker.on('message', (message: LogWorkerMessage) => this.#onMessage(message));
  }

  get full(): boolean {
    return this.#control.full;
  }

  recovered(): ReadonlyMap<GroupId, RecoveredGroup> {
    const recovered = this.#recovered;
    this.#recovered = new Map();
    return recovered;
  }

  append(write: LogWrite): Promise<void> {
    if (this.#error !== null) return Promise.reject(this.#error);
    const promise = this.#batcher.append(write);
    this.#publishSoon();
    return promise;
  }

  remove(group: GroupId): Promise<void> {
    if (this.#error !== null) return Promise.reject(this.#error);
    const promise = this.#batcher.remove(group);
    this.#publishSoon();
    return promise;
  }

  compact(group: GroupId, to: Index, toTerm: Term): void {
    if (this.#error !== null) return;
    this.#batcher.compact(group, to, toTerm);
    // Otherwise it leaves with the next write, and nobody writes any more.
    if (this.full) this.#publishSoon();
  }

  onFailure(listener: (error: Error) => void): void {
    this.#listener = listener;
    const failure = this.#failure;
    if (failure !== null) queueMicrotask(() => listener(failure));
  }

  stats(): LogStats {
    const [segments, bytes, syncs, records] = this.#control.readStats() as [number, number, number, number];
    return { segments, bytes, syncs, records };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#error === null) {
      this.#error = new LogClosedError('the log is closed');
      // Only a log that waits for space heeds this; it can't keep the rest.
      this.#control.stop();
      this.#publish();
      this.#sendClose();
    }
    await this.#exited;
    await this.#lock.release();
  }

  #sendClose(): void {
    if (this.#closeSent || this.#held !== null) return;
    this.#closeSent = this.#ring.push(FrameKind.Close);
  }

  #publishSoon(): void {
    if (this.#publishing) return;
    this.#publishing = true;
    queueMicrotask(this.#publishNow);
  }

  readonly #publishNow = (): void => {
    this.#publishing = false;
    this.#publish();
  };

  /** Moves batches into the ring as far as there is room. */
  #publish(): void {
    for (;;) {
      this.#held ??= this.#batcher.take();
      if (this.#held === null || !this.#ring.push(FrameKind.Batch, this.#held.bytes)) return;
      this.#flying.push(this.#held.waiters);
      this.#held = null;
    }
  }

  #onMessage(message: LogWorkerMessage): void {
    if (message !== null) {
      if (message.kind === 'closed') this.#closedCleanly = true;
      else this.#fail(errorOf(message));
      return;
    }
    const durable = this.#control.durable;
    const batches = (durable - this.#durable) >>> 0;
    this.#durable = durable;
    for (const waiters of this.#flying.splice(0, batches)) waiters?.resolve();
    if (this.#held !== null || this.full) this.#publish();
    if (this.#closing !== null && this.#failure === null) this.#sendClose();
  }

  #onExit(): void {
    if (this.#closedCleanly) this.#rejectAll(new LogClosedError('the log was closed while its disk was full'));
    else this.#fail(new Error('the log worker ended unexpectedly'));
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#error = error;
    this.#rejectAll(error);
    this.#listener?.(error);
  }

  #rejectAll(error: Error): void {
    for (const waiters of this.#flying) waiters?.reject(error);
    this.#held?.waiters?.reject(error);
    this.#flying = [];
    this.#held = null;
    this.#batcher.fail(error);
  }
}
