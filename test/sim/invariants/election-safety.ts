/** Election safety (dissertation, figure 3.2): at most one leader in a term of a group. */
import { type ClusterState, type Invariant, nameOf } from './invariant.js';

export class ElectionSafety implements Invariant {
  readonly name = 'election safety';
  readonly #leaders = new Map<string, string>();

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.replicas) {
      if (replica.role !== 'leader') continue;
      const term = `${nameOf(group)} term ${replica.term}`;
      const known = this.#leaders.get(term);
      if (known === undefined) this.#leaders.set(term, node);
      else if (known !== node) return `${term} has two leaders: ${known} and ${node}`;
    }
    return null;
  }
}
