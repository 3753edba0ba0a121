/**
 * An election of which nobody hears. A leader is silent for so long that a follower is granted the pre-votes of the others; the
 * moment it has begun its term it is cut off, and the leader is there again. Both lead their lives from then on: the one
 * ignores what is of an earlier term, the others grant nobody a vote as long as they hear from a leader. Unless the leader
 * learns that there is a later term, the node that was cut off never takes part again (F17; section 9.6 of Ongaro's dissertation).
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface StillbornOptions {
  readonly scheduler: SimScheduler;
  readonly network: Pick<SimNetwork, 'heal' | 'isolate'>;
  readonly nodes: readonly Pick<SimNode, 'id' | 'clock'>[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
}

/** Elections begin after one to two election timeouts of a second. */
const SILENCE_MS = 4_000;
const CUT_OFF_MS = [500, 4_000] as const;

export class Stillborn {
  readonly #options: StillbornOptions;
  /** Whose leader is silent. */
  #silent: ReplicaView | null = null;
  #cut = 0;

  constructor(options: StillbornOptions) {
    this.#options = options;
  }

  begin(): void {
    const { leaders, random, scheduler, trace } = this.#options;
    const views = leaders();
    if (this.#silent !== null || views.length === 0) return;
    const silent = random.pick(views);
    trace.add('nemesis', `stillborn: ${silent.node} is silent until somebody wants to lead group ${silent.group}`);
    this.#clockOf(silent)?.pause();
    this.#silent = silent;
    scheduler.after(SILENCE_MS, () => {
      if (this.#silent === silent) this.end();
    });
  }

  /** A replica has become a candidate. */
  campaigns(view: ReplicaView): void {
    const { network, nodes, random, scheduler, trace } = this.#options;
    const silent = this.#silent;
    if (silent === null || view.group !== silent.group || view.node === silent.node) return;
    trace.add('nemesis', `stillborn: ${view.node} is cut off`);
    network.heal();
    network.isolate(view.node, nodes);
    this.end();
    const cut = ++this.#cut;
    scheduler.after(random.between(...CUT_OFF_MS), () => {
      if (cut === this.#cut) network.heal();
    });
  }

  end(): void {
    const silent = this.#silent;
    this.#silent = null;
    if (silent !== null) this.#clockOf(silent)?.resume();
  }

  #clockOf({ node }: ReplicaView): SimNode['clock'] {
    return this.#options.nodes.find(({ id }) => id === node)?.clock ?? null;
  }
}
