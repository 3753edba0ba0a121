/** The map of every epoch stays what it was when it was made, whoever is asked for it and however late (HistoricalQueries). */
import type { Replica } from '../../../src/raft/index.js';
import type { ControllerStateMachine, ShardMap } from '../../../src/shardctrl/index.js';
import { type ClusterState, type Invariant, isWhole } from './invariant.js';

export class OldMaps implements Invariant {
  readonly name = 'old maps stay';
  /** By epoch. */
  readonly #maps = new Map<number, string>();
  /** A map is never changed in place. */
  readonly #seen = new WeakMap<Replica, ShardMap>();

  check(state: ClusterState): string | null {
    for (const { node, group, replica } of state.changed) {
      if (group !== 0 || !isWhole(replica)) continue;
      const map = (replica.machine as ControllerStateMachine).map();
      if (map === null || this.#seen.get(replica) === map) continue;
      this.#seen.set(replica, map);
      const text = JSON.stringify(map);
      const before = this.#maps.get(map.epoch);
      if (before === undefined) this.#maps.set(map.epoch, text);
      else if (before !== text) return `epoch ${map.epoch} is ${text} on ${node}, it was ${before}`;
    }
    return null;
  }

  /** Of this replica: what it says of any epoch that was seen, or null. */
  recall(machine: Pick<ControllerStateMachine, 'mapAt'>): string | null {
    for (const [epoch, text] of this.#maps) {
      const now = JSON.stringify(machine.mapAt(epoch));
      if (now !== text) return `${this.name}: epoch ${epoch} is told as ${now}, it was ${text}`;
    }
    return null;
  }
}
