/**
 * ReadIndex at the leader (section 6.4), batched: all requests that wait share one round of heartbeats. What arrives
 * while a round is in flight joins the next one: its heartbeats must be sent after the request.
 *
 * A round notes the commit index when it starts. When a quorum has answered its heartbeats in the leader's term, nobody
 * else can have been leader at that moment, so the index covers everything that was acknowledged before the request.
 */
import type { ReplicaId } from './types.js';

/** Beyond this many waiting requests further ones are refused: the group has no quorum, or the driver no bounds. */
const WAITING_MAX = 65_536;

export class ReadBatch {
  /** Contexts of this replica's own requests. */
  readonly own: number[] = [];
  /** Parallel arrays: followers that asked, and their numbers for it. */
  readonly askers: ReplicaId[] = [];
  readonly numbers: number[] = [];

  get size(): number {
    return this.own.length + this.askers.length;
  }
}

export class ReadRounds {
  #waiting = new ReadBatch();
  #flying: ReadBatch | null = null;
  #round = 0;
  #index = 0;

  /** Number of the round in flight; 0: none. */
  get inFlight(): number {
    return this.#flying === null ? 0 : this.#round;
  }

  /** A round could start. */
  get due(): boolean {
    return this.#flying === null && this.#waiting.size > 0;
  }

  /** False: too many wait already. */
  askOwn(context: number): boolean {
    if (this.#waiting.size >= WAITING_MAX) return false;
    this.#waiting.own.push(context);
    return true;
  }

  askFor(asker: ReplicaId, number: number): boolean {
    if (this.#waiting.size >= WAITING_MAX) return false;
    this.#waiting.askers.push(asker);
    this.#waiting.numbers.push(number);
    return true;
  }

  /** Returns the number of the new round. */
  start(commit: number): number {
    this.#flying = this.#waiting;
    this.#waiting = new ReadBatch();
    this.#index = commit;
    return ++this.#round;
  }

  /** The index that the round in flight confirms. */
  get index(): number {
    return this.#index;
  }

  /** The round in flight has its quorum: its requests. */
  finish(): ReadBatch {
    const batch = this.#flying as ReadBatch;
    this.#flying = null;
    return batch;
  }

  /** Leadership is lost: the contexts of all own requests. */
  drainOwn(): readonly number[] {
    const lost = this.#flying === null ? this.#waiting.own : this.#flying.own.concat(this.#waiting.own);
    this.#flying = null;
    this.#waiting = new ReadBatch();
    return lost;
  }
}
