/**
 * When this replica last knew that its leader leads, be it itself, and what that says about the age of the applied state (README,
 * "How old a state is"). Times are of the node's pulse: of when what was heard was sent at the earliest.
 */
import type { Index, RaftCore } from '../core/index.js';
import { Freshness } from './freshness.js';
import type { Pulse } from './pulse.js';

export class LeaderContact {
  readonly #core: RaftCore;
  readonly #pulse: Pulse;
  readonly #freshness = new Freshness();
  /** On a leader: when a quorum confirmed it. */
  #seen_ms = Number.NEGATIVE_INFINITY;

  constructor(core: RaftCore, pulse: Pulse) {
    this.#core = core;
    this.#pulse = pulse;
  }

  /** Something came from it, or a quorum has just elected this replica. */
  seen(): void {
    this.#seen_ms = this.#pulse.asOf_ms();
  }

  /** A heartbeat of the present term, sent after `asOf_ms`: beyond `bound` its leader had committed nothing then. */
  heartbeat(bound: Index, asOf_ms: number): void {
    // From a leader of a version that does not tell: what we know to be committed.
    const { commit, appliedIndex } = this.#core;
    this.#freshness.note(bound > 0 ? bound : commit, asOf_ms, appliedIndex);
  }

  /** A leader is no fresher than the last answers of a quorum: it may have been paused, and deposed meanwhile. */
  noteConfirmed(): void {
    const at_ms = this.#pulse.asOf_ms(this.#core.ticksSinceConfirmed());
    this.#seen_ms = Math.max(this.#seen_ms, at_ms);
    this.#freshness.note(this.#core.commitBound, at_ms, this.#core.appliedIndex);
  }

  /** Milliseconds since then; Infinity if never. */
  age_ms(): number {
    return this.#pulse.now_ms() - this.#seen_ms;
  }

  /** How old the applied state may be; Infinity where nothing is known. */
  staleness_ms(): number {
    return this.#pulse.now_ms() - this.#freshness.asOf_ms(this.#core.appliedIndex);
  }
}
