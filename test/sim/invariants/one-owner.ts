/**
 * Invariant 1 of resharding.md: for every slot at every moment at most one shard serves it, and none is forgotten. A
 * shard's word is that of its replica which has applied most: the state that its log says.
 */
import type { KvStateMachine } from '../../../src/kv/store/index.js';
import { SLOT_COUNT } from '../../../src/shardctrl/index.js';
import { type ClusterState, type Invariant, nameOf, type ReplicaView } from './invariant.js';

const serving = (view: ReplicaView): readonly (readonly [number, number])[] =>
  (view.replica.machine as KvStateMachine).servedSlots();

export class OneOwner implements Invariant {
  readonly name = 'one owner per slot';
  readonly #furthest = new Map<number, { applied: number; slots: readonly (readonly [number, number])[] }>();

  check(state: ClusterState): string | null {
    for (const view of state.replicas) {
      if (view.group === 0 || view.replica.damage !== null) continue;
      const known = this.#furthest.get(view.group);
      if (known !== undefined && known.applied >= view.replica.applied) continue;
      this.#furthest.set(view.group, { applied: view.replica.applied, slots: serving(view) });
    }
    const owner = new Int32Array(SLOT_COUNT);
    for (const [group, { slots }] of this.#furthest) {
      for (const [first, last] of slots) {
        for (let slot = first; slot <= last; slot++) {
          if (owner[slot] !== 0) return `slot ${slot} is served by ${nameOf(owner[slot]!)} and by ${nameOf(group)}`;
          owner[slot] = group;
        }
      }
    }
    return null;
  }
}
