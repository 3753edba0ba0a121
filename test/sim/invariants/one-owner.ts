/**
 * Invariant 1 of resharding.md: for every slot at every moment at most one shard serves it. A shard's word is that of its
 * replica which has applied most: the state that its log says.
 */
import type { KvStateMachine } from '../../../src/kv/store/index.js';
import type { SlotRanges } from '../../../src/shardctrl/index.js';
import { type ClusterState, type Invariant, isWhole, nameOf } from './invariant.js';

interface Word {
  applied: number;
  slots: SlotRanges;
}

export class OneOwner implements Invariant {
  readonly name = 'one owner per slot';
  readonly #furthest = new Map<number, Word>();

  check(state: ClusterState): string | null {
    let moved = false;
    for (const { group, replica } of state.changed) {
      if (group === 0 || !isWhole(replica)) continue;
      const applied = replica.applied;
      const known = this.#furthest.get(group);
      if (known !== undefined && known.applied >= applied) continue;
      const slots = (replica.machine as KvStateMachine).servedSlots();
      if (known === undefined) this.#furthest.set(group, { applied, slots });
      else known.applied = applied;
      if (known !== undefined && same(known.slots, slots)) continue;
      if (known !== undefined) known.slots = slots;
      moved = true;
    }
    return moved ? this.#overlap() : null;
  }

  #overlap(): string | null {
    const served = [...this.#furthest].flatMap(([group, { slots }]) =>
      slots.map(([first, last]) => ({ group, first, last })),
    );
    served.sort((a, b) => a.first - b.first);
    for (let i = 1; i < served.length; i++) {
      const [left, right] = [served[i - 1]!, served[i]!];
      if (right.first <= left.last)
        return `slot ${right.first} is served by ${nameOf(left.group)} and by ${nameOf(right.group)}`;
    }
    return null;
  }
}

function same(a: SlotRanges, b: SlotRanges): boolean {
  return a.length === b.length && a.every(([first, last], i) => b[i]![0] === first && b[i]![1] === last);
}
