/**
 * A leader is cut off while its disk takes seconds to sync: what it is still asked for stays on its way to the disk. The
 * next leader's entries then take the same places, and the old sync, when it ends, must not count for them (F9, the ABA race).
 * The power may fail before they are synced, too.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface LateSyncOptions {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
  /** And starts the node again later. */
  readonly powerCut: (node: SimNode) => void;
}

/** Longer than an election, so that the new entries find the old sync under way. */
const SYNC_MIN_MS = 2_500;
const SYNC_MAX_MS = 6_000;
/** By then there is another leader, or there is none to be had. */
const LIMIT_MS = 5_000;
const POWER_CUT_CHANCE = 0.3;

interface Victim {
  readonly node: SimNode;
  readonly group: number;
}

export class LateSync {
  readonly #options: LateSyncOptions;
  #victim: Victim | null = null;
  #over = false;

  constructor(options: LateSyncOptions) {
    this.#options = options;
  }

  begin(): void {
    const { leaders, network, nodes, random, scheduler, trace } = this.#options;
    const shards = leaders().filter(({ group }) => group !== 0);
    const views = shards.length > 0 && random.chance(0.9) ? shards : leaders();
    if (this.#victim !== null || views.length === 0) return;
    const { node: id, group } = random.pick(views);
    const victim = { node: nodes.find((node) => node.id === id)!, group };
    this.#victim = victim;
    trace.add('nemesis', `late sync: ${id} is cut off, and its syncs take seconds`);
    victim.node.setSyncLatency(SYNC_MAX_MS, SYNC_MIN_MS);
    network.isolate(id, nodes);
    scheduler.after(LIMIT_MS, () => this.#rejoin(victim));
  }

  /** Early, with the new leader's first entries; or when there are more. */
  elected(view: ReplicaView): void {
    const victim = this.#victim;
    if (victim === null || view.group !== victim.group || view.node === victim.node.id) return;
    const { random, scheduler } = this.#options;
    scheduler.after(random.between(0, random.pick([20, 500])), () => this.#rejoin(victim));
  }

  #rejoin(victim: Victim): void {
    if (this.#victim !== victim) return;
    this.#victim = null;
    const { network, powerCut, random, scheduler, trace } = this.#options;
    trace.add('nemesis', `late sync: ${victim.node.id} is back`);
    network.heal();
    if (random.chance(POWER_CUT_CHANCE))
      scheduler.after(random.between(0, SYNC_MAX_MS), () => {
        if (!this.#over) powerCut(victim.node);
      });
    scheduler.after(SYNC_MAX_MS, () => victim.node.setSyncLatency(null));
  }

  end(): void {
    this.#over = true;
    this.#victim = null;
  }
}
