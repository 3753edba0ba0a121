/**
 * `LogStorage` on the caller's own thread. Group commit as in production: writes that come while a sync is under way
 * share the next one. When each step runs is the owner's to say, which lets a simulator give the disk its latency.
 */
import type { GroupId, Index, Term } from '../core/index.js';
import type { LogStats, LogStorage, LogWrite, RecoveredGroup } from '../ports.js';
import { asError, LogClosedError } from './log-error.js';
import type { LogFiles } from './log-files.js';
import { type OpenedLog, SegmentedLog, type SegmentedLogOptions } from './segmented-log.js';
import { toRecovered } from './stored-group.js';
import { type BatchWaiters, WriteBatcher } from './write-batcher.js';

/** `write`: soon; `sync`: when the disk has done it; `retry`: in a while, the disk is full. */
export type LogStep = 'write' | 'sync' | 'retry';

export interface InProcessLogOptions extends SegmentedLogOptions {
  readonly files: LogFiles;
  readonly schedule: (step: LogStep, run: () => void) => void;
}

const MAINTENANCE_BYTES = 256 * 1024;

/** Throws as `SegmentedLog.open` does. */
export function openInProcessLog(options: InProcessLogOptions): LogStorage {
  return new InProcessLogStorage(SegmentedLog.open(options.files, options), options.schedule);
}

class InProcessLogStorage implements LogStorage {
  readonly #log: SegmentedLog;
  readonly #schedule: InProcessLogOptions['schedule'];
  readonly #batcher: WriteBatcher;
  #recovered: Map<GroupId, RecoveredGroup>;
  /** Who waits for what is being written. */
  #flying: (BatchWaiters | null)[] = [];
  #busy = false;
  #full = false;
  /** What later calls are rejected with. */
  #error: Error | null = null;
  #failure: Error | null = null;
  #closing: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;
  #listener: ((error: Error) => void) | null = null;

  readonly fresh: boolean;

  constructor({ log, recovered, fresh }: OpenedLog, schedule: InProcessLogOptions['schedule']) {
    this.#log = log;
    this.fresh = fresh;
    this.#schedule = schedule;
    this.#batcher = new WriteBatcher(recovered);
    this.#recovered = new Map(recovered.map((stored) => [stored.group, toRecovered(stored)]));
    // What recovery has found to be of no use goes at once, as in production.
    this.#start();
  }

  get full(): boolean {
    return this.#full;
  }

  recovered(): ReadonlyMap<GroupId, RecoveredGroup> {
    const recovered = this.#recovered;
    this.#recovered = new Map();
    return recovered;
  }

  append(write: LogWrite): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    const promise = this.#batcher.append(write);
    this.#start();
    return promise;
  }

  remove(group: GroupId): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    const promise = this.#batcher.remove(group);
    this.#start();
    return promise;
  }

  compact(group: GroupId, to: Index, toTerm: Term): void {
    if (this.#refusal() === null) this.#batcher.compact(group, to, toTerm);
  }

  onFailure(listener: (error: Error) => void): void {
    this.#listener = listener;
    const failure = this.#failure;
    if (failure !== null) queueMicrotask(() => listener(failure));
  }

  stats(): LogStats {
    return this.#log.stats();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#full) this.#die(new LogClosedError('the log was closed while its disk was full'));
    if (this.#error === null && !this.#batcher.empty) this.#start();
    if (this.#busy) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#error ??= new LogClosedError('the log is closed');
    if (this.#failure === null) this.#log.close();
    else this.#log.abandon();
  }

  #refusal(): Error | null {
    return this.#error ?? (this.#closing === null ? null : new LogClosedError('the log is closed'));
  }

  #start(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#schedule('write', () => this.#run(() => this.#next()));
  }

  /** A step must not outlive the log, nor let an error go anywhere but to those who wait. */
  #run(step: () => void): void {
    if (this.#error === null) {
      try {
        step();
        return;
      } catch (error) {
        this.#fail(asError(error));
      }
    }
    this.#idle();
  }

  #next(): void {
    const batch = this.#batcher.take();
    if (batch !== null) this.#flying.push(batch.waiters);
    if (batch !== null) this.#written(this.#log.append([batch.bytes]));
    else if (this.#full) this.#written(this.#log.retry());
    else this.#sync();
  }

  #written(result: 'ok' | 'full'): void {
    this.#full = result === 'full';
    if (this.#full) this.#schedule('retry', () => this.#run(() => this.#next()));
    else this.#schedule('sync', () => this.#run(() => this.#sync()));
  }

  #sync(): void {
    this.#log.sync();
    for (const waiters of this.#flying.splice(0)) waiters?.resolve();
    if (this.#log.maintain(MAINTENANCE_BYTES) || !this.#batcher.empty) {
      this.#schedule('write', () => this.#run(() => this.#next()));
      return;
    }
    this.#log.rest();
    this.#idle();
  }

  #idle(): void {
    this.#busy = false;
    this.#onIdle?.();
  }

  #fail(error: Error): void {
    if (this.#error !== null) return;
    this.#failure = error;
    this.#die(error);
    this.#listener?.(error);
  }

  #die(error: Error): void {
    this.#error = error;
    this.#full = false;
    for (const waiters of this.#flying.splice(0)) waiters?.reject(error);
    this.#batcher.fail(error);
  }
}
