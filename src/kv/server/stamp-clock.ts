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
import { hasToken, needsTime } from '../store/index.js';
import type { ClusterClock } from './cluster-clock.js';

const SLEW = 0.5;
/** So much of their ten minutes results kept for repetitions may lose. */
const JUMP_MAX_MS = 60_000;

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

  /**
   * Whether this write must wait until the time is agreed on. One with a TTL must. The result of one with an idempotency key is kept by
   * stamps, too: if they jumped by fifteen minutes, the next one would end it, and a repetition would have a second effect.
   * So it waits where a long jump is to be expected, and only there, or each new leader would make all clients wait. This node's
   * own wall clock tells: to wait by, a guess is good enough.
   */
  holds(write: Buffer, applied_ms: number): boolean {
    const brief = needsTime(write);
    if ((!brief && !hasToken(write)) || this.agreed) return false;
    return brief || this.#jump_ms(applied_ms) > JUMP_MAX_MS;
  }

  /** How far stamps would jump if this node's wall clock were right. */
  #jump_ms(applied_ms: number): number {
    if (this.#last_ms === 0 && applied_ms === 0) return 0;
    return this.#cluster.own_ms() - this.#onwards_ms(applied_ms, 1);
  }

  #onwards_ms(applied_ms: number, pace: number): number {
    const elapsed_ms = this.#last_ms === 0 ? 0 : this.#cluster.monotonic_ms() - this.#given_ms;
    return Math.max(applied_ms, this.#exact_ms + elapsed_ms * pace);
  }

  /** Whole milliseconds since 1970. `applied_ms`: the replicated clock of the shard as applied here, 0 if it has none. */
  next(applied_ms: number): number {
    const agreed = (this.#last_ms === 0 && applied_ms === 0) || this.agreed;
    const onwards_ms = this.#onwards_ms(applied_ms, agreed ? SLEW : 1);
    this.#exact_ms = agreed ? Math.max(onwards_ms, this.#cluster.now_ms()) : onwards_ms;
    this.#given_ms = this.#cluster.monotonic_ms();
    this.#last_ms = Math.floor(this.#exact_ms);
    return this.#last_ms;
  }
}
