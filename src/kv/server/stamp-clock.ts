/**
 * Stamps of one shard while this node leads it: never below what the shard has applied, and never going back. They follow
 * the cluster's time; while too few nodes have said what time it is (a node that has just started and leads at once), they
 * go on from the last stamp on this node's monotonic clock, so that its own wall clock alone decides nothing.
 *
 * Where the cluster's time is behind the stamps (most clocks were set back, or an earlier leader's was ahead), they go on at
 * half the pace until it has caught up: a key with a TTL then lasts at most twice as long. Standing still instead, it would
 * last longer by all that the clocks were set back, be it an hour.
 */
import type { NodeId } from '../../raft/index.js';
import type { ClusterClock } from './cluster-clock.js';

const SLEW = 0.5;

export class StampClock {
  readonly #cluster: ClusterClock;
  readonly #members: () => readonly NodeId[];
  #last_ms = 0;
  /** The last stamp with its fraction of a millisecond, or small steps at half the pace would come to nothing. */
  #exact_ms = 0;
  /** When the last stamp was given, on the monotonic clock. */
  #given_ms = 0;

  /** `members`: the nodes of the group; none where they are not known yet. */
  constructor(cluster: ClusterClock, members: () => readonly NodeId[]) {
    this.#cluster = cluster;
    this.#members = members;
  }

  /**
   * Enough members have said what time it is. Until then stamps may be behind by as long as the group was without a leader,
   * and will jump: who says "in five seconds" must wait for that.
   */
  get agreed(): boolean {
    const members = this.#members();
    return members.length === 0 ? this.#cluster.agreed : this.#cluster.agreedAmong(members);
  }

  /** Whole milliseconds since 1970. `applied_ms`: the replicated clock of the shard as applied here, 0 if it has none. */
  next(applied_ms: number): number {
    const monotonic_ms = this.#cluster.monotonic_ms();
    const agreed = (this.#last_ms === 0 && applied_ms === 0) || this.agreed;
    const elapsed_ms = this.#last_ms === 0 ? 0 : monotonic_ms - this.#given_ms;
    const onwards_ms = Math.max(applied_ms, this.#exact_ms + elapsed_ms * (agreed ? SLEW : 1));
    this.#exact_ms = agreed ? Math.max(onwards_ms, this.#cluster.now_ms()) : onwards_ms;
    this.#given_ms = monotonic_ms;
    this.#last_ms = Math.floor(this.#exact_ms);
    return this.#last_ms;
  }
}
