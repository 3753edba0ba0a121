/**
 * How much of a group's log is kept. When its entries in memory exceed the limit, the engine is flushed, and the log
 * forgotten up to what was in the engine before: never what is not durable in its rows. A leader keeps more than that for
 * followers that are a little behind, and for those that are being sent a snapshot (catch-ups.ts, log-reserve.ts).
 */
import type { Index, RaftCore } from '../core/index.js';
import type { Applier } from './applier.js';
import { CatchUps } from './catch-ups.js';
import type { ReplicaContext } from './replica-context.js';

export class LogCompaction {
  readonly #context: ReplicaContext;
  readonly #core: RaftCore;
  readonly #applier: Applier;
  /** Followers that are being sent a snapshot. */
  readonly catchUps = new CatchUps();
  #running = false;

  constructor(context: ReplicaContext, applier: Applier) {
    this.#context = context;
    this.#core = context.core;
    this.#applier = applier;
  }

  /** Compacts if it is time for it. */
  run(): void {
    const { environment, group, life } = this.#context;
    if (this.#running) return;
    const limit = environment.settings.snapshotLogBytes;
    if (this.#core.logBytes <= 2 * limit) environment.logReserve.release(this);
    if (this.#core.logBytes <= limit) return;
    const { rows } = this.#applier.state;
    const target = this.#target(rows.written.index, limit);
    if (target <= this.#core.firstIndex) return;
    this.#running = true;
    rows.engine.flush().then(
      () => {
        this.#running = false;
        if (!life.active || rows !== this.#applier.state.rows) return;
        const targetTerm = this.#core.termAt(target);
        if (targetTerm === null) return;
        environment.log.compact(group, target, targetTerm);
        this.#core.compact(target);
      },
      (error: Error) => {
        this.#running = false;
        this.#applier.engineFailed(rows.engine, error);
      },
    );
  }

  /**
   * A follower that is a little behind gets entries, not a snapshot, as long as that costs at most twice the limit. One that
   * is sent a snapshot gets what follows it, as long as the node's reserve suffices.
   */
  #target(written: Index, limit: number): Index {
    const { life, environment } = this.#context;
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
    this.#context.environment.logReserve.release(this);
    this.#context.event(
      'warn',
      `no more log is kept for who gets the snapshot at index ${floor}: it will need another one`,
    );
  }

  /** Nobody gets a snapshot from here any more. */
  forgetFollowers(): void {
    this.catchUps.clear();
    this.#context.environment.logReserve.release(this);
  }
}
