/**
 * Followers on their way back by a snapshot. While a state of index S is streamed and opened, writes go on; were the log
 * compacted beyond S meanwhile, the follower would need the next state as soon as it has this one, and so on for as long as
 * there are writes. So what follows S is kept until the follower has it, then in rounds (section 4.2.1): what was written
 * while it caught up with the last one. The rounds end when what is kept is no more than what is kept for anybody.
 */
import type { Index, Progress, ReplicaId } from '../core/index.js';

interface CatchUp {
  /** What follows this index is kept. */
  from: number;
  /** Once the follower has this, the round is over. */
  goal: number;
}

export class CatchUps {
  readonly #followers = new Map<ReplicaId, CatchUp>();

  /** A stream begins; its state is of this index or a later one. */
  begin(to: ReplicaId, at: Index): void {
    this.#followers.set(to, { from: at, goal: at });
  }

  /** Of which index it is. */
  streams(to: ReplicaId, at: Index): void {
    if (this.#followers.has(to)) this.begin(to, at);
  }

  /** Those for whom nothing less than what follows `floor` would do. */
  giveUp(floor: Index): void {
    for (const [id, { from }] of this.#followers) if (from <= floor) this.#followers.delete(id);
  }

  clear(): void {
    this.#followers.clear();
  }

  /**
   * Up to where the log may be compacted, `written` at most. Followers that are not heard of do not count; nor, if `near`, those
   * that are through with their round: what is kept is so little that it is kept for anybody.
   */
  floor(followers: readonly Progress[], first: Index, written: Index, near: boolean): Index {
    let floor = written;
    for (const [id, catchUp] of this.#followers) {
      const follower = followers.find((progress) => progress.id === id);
      // Not a member any more, or too late: it needs another state.
      if (follower === undefined || catchUp.from + 1 < first) {
        this.#followers.delete(id);
        continue;
      }
      if (!follower.recentActive) continue;
      if (follower.match >= catchUp.goal) {
        if (near) {
          this.#followers.delete(id);
          continue;
        }
        // One that is abreast needs nothing of what is kept: there is no point in giving it up.
        catchUp.from = follower.match >= written ? written : catchUp.goal;
        catchUp.goal = written;
      }
      floor = Math.min(floor, catchUp.from) as Index;
    }
    return floor;
  }
}
