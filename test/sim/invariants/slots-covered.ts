/** In every epoch each slot has exactly one owner: no map forgets one, none gives it twice. */
import { type ControllerStateMachine, SLOT_COUNT, type SlotRanges } from '../../../src/shardctrl/index.js';
import { type ClusterState, type Invariant, isWhole } from './invariant.js';

export class SlotsCovered implements Invariant {
  readonly name = 'each slot has an owner';
  #epoch = 0;

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      if (group !== 0 || !isWhole(replica)) continue;
      const map = (replica.machine as ControllerStateMachine).map();
      if (map === null || map.epoch <= this.#epoch) continue;
      this.#epoch = map.epoch;
      const wrong = gapIn(map.shards.flatMap(({ slots }) => slots));
      if (wrong !== null) return `epoch ${map.epoch} on ${node}: ${wrong}`;
    }
    return null;
  }
}

function gapIn(ranges: SlotRanges): string | null {
  let next = 0;
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    if (first > next) return `slots ${next}-${first - 1} belong to nobody`;
    if (first < next) return `slot ${first} belongs to two shards`;
    next = last + 1;
  }
  return next === SLOT_COUNT ? null : `slots ${next}-${SLOT_COUNT - 1} belong to nobody`;
}
