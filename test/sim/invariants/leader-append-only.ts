/** Leader append-only (dissertation, figure 3.2): a leader never overwrites or removes entries of its log, it only adds. */
import { index, type Replica } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

interface Seen {
  readonly term: number;
  readonly last: number;
  readonly lastTerm: number | null;
}

export class LeaderAppendOnly implements Invariant {
  readonly name = 'leader append-only';
  readonly #seen = new WeakMap<Replica, Seen>();

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      if (replica.role !== 'leader') continue;
      const wrong = this.#compare(replica);
      if (wrong !== null) return `${node} ${nameOf(group)}: ${wrong}`;
    }
    return null;
  }

  #compare(replica: Replica): string | null {
    const { term, lastIndex: last } = replica;
    const seen = this.#seen.get(replica);
    this.#seen.set(replica, { term, last, lastTerm: replica.termAt(index(last)) });
    if (seen === undefined || seen.term !== term) return null;
    if (last < seen.last) return `leads term ${term}, and its log has shrunk from ${seen.last} to ${last}`;
    const now = replica.termAt(index(seen.last));
    // null: compacted since.
    if (now === null || now === seen.lastTerm) return null;
    return `leads term ${term}, and its entry ${seen.last} has become one of term ${now}, it was of term ${seen.lastTerm}`;
  }
}
