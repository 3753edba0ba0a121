/**
 * One batch of a source is frozen at a time: those that wait are still served, so that the sum of pauses stays short
 * and the copy of one does not slow down the other's.
 */
import type { GroupId } from '../raft/index.js';

export class FrozenGate {
  readonly #queues = new Map<GroupId, (() => void)[]>();

  /** Resolves, in order of calls, to what must be called once when the source may freeze the next batch. */
  enter(source: GroupId): Promise<() => void> {
    const queue = this.#queues.get(source);
    if (queue === undefined) {
      this.#queues.set(source, []);
      return Promise.resolve(this.#exitOf(source));
    }
    return new Promise((resolve) => queue.push(() => resolve(this.#exitOf(source))));
  }

  #exitOf(source: GroupId): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#queues.get(source)?.shift();
      if (next === undefined) this.#queues.delete(source);
      else next();
    };
  }
}
