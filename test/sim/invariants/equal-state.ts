/** F30: any two replicas of a group at the same applied index have the same state. */
import { type ClusterState, type Invariant, isWhole, nameOf } from './invariant.js';

/** Hashes of the newest indexes of each group; replicas further apart than this are not compared. */
const KEPT = 4_000;

export class EqualState implements Invariant {
  readonly name = 'equal state at equal applied index';
  readonly #hashes = new Map<number, Map<number, { hash: string; node: string }>>();

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      if (!isWhole(replica)) continue;
      const hashes = this.#hashes.get(group) ?? new Map<number, { hash: string; node: string }>();
      this.#hashes.set(group, hashes);
      const hash = replica.machine.stateHash();
      const known = hashes.get(replica.applied);
      if (known === undefined) {
        hashes.set(replica.applied, { hash, node });
        if (hashes.size > KEPT) hashes.delete(hashes.keys().next().value!);
      } else if (known.hash !== hash) {
        return `${nameOf(group)} at index ${replica.applied}: ${node} has state ${hash}, ${known.node} had ${known.hash}`;
      }
    }
    return null;
  }
}
