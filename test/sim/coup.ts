/**
 * Cuts leaders off in the moment they are elected, one after another, while voters restart: the schedules behind two
 * leaders in a term (a vote that was not durable, F1) and behind figure 8 of the Raft paper (F2). Chance alone meets them
 * once in a lifetime; watching roles, which every operator can do, brings them about every few seconds.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface CoupOptions {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
  /** Crashes a node and starts it again soon. */
  readonly bounce: (node: SimNode) => void;
}

export class Coup {
  readonly #options: CoupOptions;
  #group = -1;
  #cut = '';
  /** Leaders still to be cut off. */
  #left = 0;
  #serial = 0;

  constructor(options: CoupOptions) {
    this.#options = options;
  }

  /** Cuts the present leader of a group off, and waits for the next. */
  begin(): void {
    const { leaders, random } = this.#options;
    const views = leaders();
    if (this.#left > 0 || views.length === 0) return;
    const view = random.pick(views);
    this.#group = view.group;
    this.#left = random.int(1, 5);
    this.#isolate(view.node);
  }

  end(): void {
    this.#left = 0;
    this.#serial++;
  }

  elected(view: ReplicaView): void {
    if (this.#left === 0 || view.group !== this.#group || view.node === this.#cut) return;
    const { scheduler, network, random } = this.#options;
    this.#left--;
    const serial = ++this.#serial;
    // Some right now, before anybody has heard; some while the first entries are on their way; some later.
    const delay_ms = random.pick([0, random.between(0, 8 * network.faults.delayMax_ms), random.between(0, 500)]);
    const votersFall = random.chance(0.5);
    const strike = (): void => {
      if (serial !== this.#serial) return;
      const before = this.#cut;
      this.#isolate(view.node);
      for (const node of this.#options.nodes) {
        if (votersFall && node.id !== view.node && node.id !== before && random.chance(0.8)) this.#options.bounce(node);
      }
    };
    if (delay_ms === 0) strike();
    else scheduler.after(delay_ms, strike);
  }

  #isolate(node: string): void {
    const { network, nodes, random, scheduler, trace } = this.#options;
    trace.add('nemesis', `coup: ${node} is cut off`);
    network.heal();
    this.#cut = node;
    network.split(
      [node],
      nodes.flatMap(({ id }) => (id === node ? [] : [id])),
    );
    const serial = ++this.#serial;
    scheduler.after(random.between(1_500, 6_000), () => {
      if (serial !== this.#serial) return;
      this.#left = 0;
      trace.add('nemesis', 'coup ends');
      network.heal();
    });
  }
}
