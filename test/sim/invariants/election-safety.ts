/** Election safety (dissertation, figure 3.2): at most one leader in a term of a group. */
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

export class ElectionSafety implements Invariant {
  readonly name = 'election safety';
  /** By group and term. */
  readonly #leaders = new Map<number, Map<number, string>>();

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      if (replica.role !== 'leader') continue;
      const terms = this.#leaders.get(group) ?? new Map<number, string>();
      this.#leaders.set(group, terms);
      const known = terms.get(replica.term);
      if (known === undefined) terms.set(replica.term, node);
      else if (known !== node) return `${nameOf(group)} term ${replica.term} has two leaders: ${known} and ${node}`;
    }
    return null;
  }
}
