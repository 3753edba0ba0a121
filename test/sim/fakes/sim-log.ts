/**
 * The node's log in the simulator: production's format and group commit over the disk that forgets, with the latency of
 * each sync drawn under the seed.
 *
 * A crash: `disk.crash()` (or `disk.kill()`), drop the object, make a new one. Steps of the old one that are still in
 * the clock then do nothing.
 */
import type {
  Clock,
  GroupId,
  Index,
  LogStats,
  LogStorage,
  LogWrite,
  Random,
  RecoveredGroup,
  Term,
} from '../../../src/raft/index.js';
import { openInProcessLog } from '../../../src/raft/log/index.js';
import { SimDisk } from './disk.js';
import { DurableLog } from './durable-log.js';
import { never } from './process-gone.js';

export interface SimLogOptions {
  readonly disk: SimDisk;
  /** Is told what the log says is durable. */
  readonly durable?: DurableLog;
  /** Something that was durable is not there when the log opens. */
  readonly lost?: (what: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly segmentBytes?: number;
  /** Uniform between the two. Default 0.2 to 2. */
  readonly syncLatencyMin_ms?: number;
  readonly syncLatencyMax_ms?: number;
}

const RETRY_FULL_MS = 100;
const SEGMENT_BYTES = 64 * 1024;

/** What a process would find in the log if the power went now, with nothing kept that was not synced. Changes nothing. */
export function foundAfterPowerCut(disk: SimDisk, random: Random): ReadonlyMap<GroupId, RecoveredGroup> {
  const left = new SimDisk({ random, name: `${disk.directory} after a power cut` });
  left.putBack(disk.leastLeft());
  return openInProcessLog({
    files: left.view(),
    segmentBytes: SEGMENT_BYTES,
    zeroAheadBytes: 0,
    salt: Buffer.alloc(8),
    schedule: () => {},
  }).recovered();
}

export class SimLog implements LogStorage {
  readonly #log: LogStorage;
  /** The process that has opened it still runs. */
  readonly #alive: () => boolean;
  readonly #durable: DurableLog;
  readonly #lost: (what: string) => void;
  #latencyMin_ms: number;
  #latencyMax_ms: number;

  /** Throws as `openInProcessLog` does. */
  constructor(options: SimLogOptions) {
    const { disk, clock, random } = options;
    const generation = disk.generation;
    this.#alive = () => disk.generation === generation;
    this.#durable = options.durable ?? new DurableLog();
    this.#lost = options.lost ?? (() => {});
    this.#latencyMin_ms = options.syncLatencyMin_ms ?? 0.2;
    this.#latencyMax_ms = options.syncLatencyMax_ms ?? 2;
    this.#log = openInProcessLog({
      files: disk.view(),
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
      zeroAheadBytes: random.next() < 0.5 ? 0 : 8 * 1024,
      salt: Buffer.from(Array.from({ length: 8 }, () => Math.floor(random.next() * 256))),
      schedule: (step, run) => {
        const unlessCrashed = (): void => {
          if (this.#alive()) run();
        };
        if (step === 'write') clock.soon(unlessCrashed);
        else clock.after(step === 'retry' ? RETRY_FULL_MS : this.#draw(random), unlessCrashed);
      },
    });
  }

  /** A disk that gets slow, or fast again (F37). */
  setSyncLatency(min_ms: number, max_ms: number): void {
    this.#latencyMin_ms = min_ms;
    this.#latencyMax_ms = max_ms;
  }

  #draw(random: Random): number {
    return this.#latencyMin_ms + random.next() * (this.#latencyMax_ms - this.#latencyMin_ms);
  }

  get full(): boolean {
    return this.#log.full;
  }

  get fresh(): boolean {
    return this.#log.fresh;
  }

  recovered(): ReadonlyMap<GroupId, RecoveredGroup> {
    const recovered = this.#log.recovered();
    const missing = this.#durable.reopened(recovered);
    if (missing !== null) this.#lost(missing);
    return recovered;
  }

  append(write: LogWrite): Promise<void> {
    if (!this.#alive()) return never();
    this.#durable.asked(write);
    const promise = this.#log.append(write);
    // Before whoever waits for it hears of it.
    promise.then(
      () => this.#durable.wrote(write),
      () => {},
    );
    return promise;
  }

  compact(group: GroupId, to: Index, toTerm: Term): void {
    this.#log.compact(group, to, toTerm);
  }

  remove(group: GroupId): Promise<void> {
    if (!this.#alive()) return never();
    this.#durable.removed(group);
    return this.#log.remove(group);
  }

  onFailure(listener: (error: Error) => void): void {
    this.#log.onFailure(listener);
  }

  stats(): LogStats {
    return this.#log.stats();
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
