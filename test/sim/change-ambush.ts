/**
 * Takes the office from leaders while members of their group change. A change is a learner that catches up, then two entries
 * a round trip apart (joint consensus, section 4.3 of Ongaro's dissertation): what the next leader has to finish is in its log only
 * if the office passes within that round trip, which chance alone meets once in thousands of changes.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';

export interface ChangeAmbushOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly handOver: (view: ReplicaView) => void;
  /** Crashes the leader's node and starts it again soon. */
  readonly bounce: (view: ReplicaView) => void;
}

/** Now, in the step's own round trip, or while a learner catches up. */
const DELAYS_MS = [0, 5, 50, 300] as const;
/** A group that is never led for long never gets its change done. */
const PACE_MS = 1_500;

export class ChangeAmbush {
  readonly #options: ChangeAmbushOptions;
  /** Not in all runs: most changes are to end, so that others can begin. */
  readonly #lurks: boolean;
  #next_ms = 0;

  constructor(options: ChangeAmbushOptions) {
    this.#options = options;
    this.#lurks = options.random.chance(0.5);
  }

  /** A leader has committed something. */
  committed(view: ReplicaView): void {
    const { scheduler, random, handOver, bounce } = this.#options;
    const { learners, outgoing } = view.replica.conf;
    if (!this.#lurks || learners.length + outgoing.length === 0 || scheduler.now_ms < this.#next_ms) return;
    this.#next_ms = scheduler.now_ms + random.between(0, 2) * PACE_MS;
    const strike = random.chance(0.6) ? handOver : bounce;
    scheduler.after(random.between(0, random.pick(DELAYS_MS)), () => {
      if (view.replica.role === 'leader') strike(view);
    });
  }
}
