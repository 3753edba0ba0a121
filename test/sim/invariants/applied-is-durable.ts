/**
 * What a replica has applied is in its own log for certain (F9, F31). Else a power cut leaves it with a state that is
 * beyond its log, of entries that the group may have replaced since.
 */
import type { Replica } from '../../../src/raft/index.js';
import type { Holds } from './durable-majority.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

export class AppliedIsDurable implements Invariant {
  readonly name = 'applied is durable';
  readonly #holds: Holds;
  readonly #checked = new WeakMap<Replica, number>();

  constructor(holds: Holds) {
    this.#holds = holds;
  }

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      const { applied } = replica;
      if (applied <= (this.#checked.get(replica) ?? 0)) continue;
      this.#checked.set(replica, applied);
      const term = replica.termAt(applied);
      if (term !== null && !this.#holds(node, group, applied, term))
        return `${node} has applied entry ${applied} of ${nameOf(group)}, of term ${term}, which its disk may lose`;
    }
    return null;
  }
}
