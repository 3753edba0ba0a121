/** A replica's id names one replica on one node, for ever (F24): who has left a group never comes back under the same. */
import type { NodeId, Replica, ReplicaId } from '../../../src/raft/index.js';
import { type ClusterState, type Invariant, isWhole, nameOf } from './invariant.js';

interface Group {
  readonly nodes: Map<ReplicaId, NodeId>;
  /** Those that a committed configuration had, and a later one has no more: since which. */
  readonly left: Map<ReplicaId, number>;
  /** Of the newest committed configuration that was seen. */
  newest: number;
  members: ReadonlySet<ReplicaId>;
}

export class ReplicaIds implements Invariant {
  readonly name = 'replica ids are not used again';
  readonly #groups = new Map<number, Group>();
  /** The committed configuration that was looked at last. */
  readonly #seen = new WeakMap<Replica, number>();

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      if (this.#seen.get(replica) === replica.confIndex || !isWhole(replica)) continue;
      if (replica.confIndex <= replica.commit) this.#seen.set(replica, replica.confIndex);
      const known = this.#groups.get(group) ?? { nodes: new Map(), left: new Map(), newest: -1, members: new Set() };
      this.#groups.set(group, known);
      const members = replica.members;
      for (const member of members) {
        const before = known.nodes.get(member.id);
        if (before !== undefined && before !== member.node)
          return `replica ${member.id} of ${nameOf(group)} is on ${member.node} by the word of ${node}, it was on ${before}`;
        known.nodes.set(member.id, member.node);
      }
      if (replica.confIndex > replica.commit || replica.confIndex <= known.newest) continue;
      const ids = new Set(members.map(({ id }) => id));
      for (const id of known.members) if (!ids.has(id)) known.left.set(id, replica.confIndex);
      const back = [...ids].find((id) => known.left.has(id));
      if (back !== undefined) return `replica ${back} of ${nameOf(group)} had left by entry ${known.left.get(back)}`;
      known.newest = replica.confIndex;
      known.members = ids;
    }
    return null;
  }
}
