/**
 * Stamps of one shard while this node leads it: never below what the shard has applied, and never going back. They follow
 * the cluster's time; while too few nodes have said what time it is (a node that has just started and leads at once), they
 * go on from the last stamp on this node's monotonic clock, so that its own wall clock alone decides nothing.
 */
import type { ClusterClock } from './cluster-clock.js';

export class StampClock {
  readonly #cluster: ClusterClock;
  #last_ms = 0;
  /** What to add to the monotonic clock to go on from the last stamp. */
  #offset_ms = 0;

  constructor(cluster: ClusterClock) {
    this.#cluster = cluster;
  }

  /** Whole milliseconds since 1970. `applied_ms`: the replicated clock of the shard as applied here, 0 if it has none. */
  next(applied_ms: number): number {
    const monotonic_ms = this.#cluster.monotonic_ms();
    const floor_ms = Math.max(this.#last_ms, applied_ms);
    const agreed = floor_ms === 0 || this.#cluster.agreed;
    const onwards_ms = this.#last_ms === 0 ? 0 : Math.floor(monotonic_ms + this.#offset_ms);
    const stamp_ms = Math.max(floor_ms, agreed ? this.#cluster.now_ms() : onwards_ms);
    if (stamp_ms !== onwards_ms) this.#offset_ms = stamp_ms - monotonic_ms;
    this.#last_ms = stamp_ms;
    return stamp_ms;
  }
}
