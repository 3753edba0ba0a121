/**
 * How much of a group's log is kept. When its entries in memory exceed the limit, the engine is flushed, and the log
 * forgotten up to what was in the engine before: never what is not durable in its rows. A leader keeps more than that for
 * followers that are a little behind, and for those that are being sent a snapshot (catch-ups.ts, log-reserve.ts).
 */
import type { GroupId, Index, RaftCore } from '../core/index.js';
import type { StateEngine } from '../ports.js';
import type { Applier } from './applier.js';
import { CatchUps } from './catch-ups.js';
import type { ReplicaEnvironment } from './environment.js';
import type { Life } from './life.js';

export interface LogCompactionOptions {
  readonly environment: ReplicaEnvironment;
  readonly group: GroupId;
  readonly core: RaftCore;
  readonly life: Life;
  readonly applier: Applier;
  readonly engineFailed: (engine: StateEngine, error: Error) => void;
  readonly event: (text: string) => void;
}

export class LogCompaction {
  readonly #options: LogCompactionOptions;
  readonly #core: RaftCore;
  /** Followers that are being sent a snapshot. */
  readonly catchUps = new CatchUps();
  #running = false;

  constructor(options: LogCompactionOptions) {
    this.#options = options;
    this.#core = options.core;
  }

  /** Compacts if it is time for it. */
  run(): void {
    const { environment, group, life, applier } = this.#options;
    if (this.#running) return;
    const limit = environment.settings.snapshotLogBytes;
    if (this.#core.logBytes <= 2 * limit) environment.logReserve.release(this);
    if (this.#core.logBytes <= limit) return;
    const { rows } = applier.state;
    const target = this.#target(rows.written.index, limit);
    if (target <= this.#core.firstIndex) return;
    this.#running = true;
    rows.engine.flush().then(
      () => {
        this.#running = false;
        if (!life.active || rows !== applier.state.rows) return;
        const targetTerm = this.#core.termAt(target);
        if (targetTerm === null) return;
        environment.log.compact(group, target, targetTerm);
        this.#core.compact(target);
      },
      (error: Error) => {
        this.#running = false;
        this.#options.engineFailed(rows.engine, error);
      },
    );
  }

  /**
   * A follower that is a little behind gets entries, not a snapshot, as long as that costs at most twice the limit. One that
   * is sent a snapshot gets what follows it, as long as the node's reserve suffices.
   */
  #target(written: Index, limit: number): Index {
    const { life, environment } = this.#options;
    if (this.#core.role !== 'leader' || !life.active) return written;
    const { progress } = this.#core.status();
    const over = this.#core.logBytes - 2 * limit;
    const floorNow = (): Index => this.catchUps.floor(progress, this.#core.firstIndex, written, over <= 0);
    const floor = floorNow();
    if (over > 0 && floor < written && !environment.logReserve.take(this, over)) {
      this.#giveUp(floor);
      return floorNow();
    }
    if (over > 0) return floor;
    let target = floor;
    for (const follower of progress) {
      if (follower.recentActive && follower.match < target) target = follower.match;
    }
    return target;
  }

  #giveUp(floor: Index): void {
    this.catchUps.giveUp(floor);
    this.#options.environment.logReserve.release(this);
    this.#options.event(`no more log is kept for who gets the snapshot at index ${floor}: it will need another one`);
  }

  /** Nobody gets a snapshot from here any more. */
  forgetFollowers(): void {
    this.catchUps.clear();
    this.#options.environment.logReserve.release(this);
  }
}
