/**
 * Stamps of one shard while this node leads it: never below what the shard has applied, running on this node's monotonic
 * clock, and drawn towards the cluster's time only forwards, so that stamps never go back.
 */
import type { ClusterClock } from './cluster-clock.js';

export class StampClock {
  readonly #cluster: ClusterClock;
  #last_ms = 0;

  constructor(cluster: ClusterClock) {
    this.#cluster = cluster;
  }

  /** `applied_ms`: the replicated clock of the shard as applied here. */
  next(applied_ms: number): number {
    this.#last_ms = Math.max(this.#last_ms, applied_ms, this.#cluster.now_ms());
    return this.#last_ms;
  }
}
