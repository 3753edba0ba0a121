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
  /** Clients who know no other node write some of the shard's keys there. */
  readonly renewAt: (node: string, shard: number) => void;
  /** Crashes a node and starts it again soon. */
  readonly bounce: (node: SimNode) => void;
}

/** Right now, before anybody has heard of the new leader; as soon as it has committed anything; in between; or later. */
type Moment = 'now' | 'commit' | 'soon' | 'later';
const MOMENTS: readonly Moment[] = ['now', 'now', 'commit', 'commit', 'soon', 'later'];

/**
 * Figure 8: a leader is cut off with entries that nobody else has, the next one before anybody has heard of it, and the
 * one after that, which may be the first again, as soon as it has committed anything. Who was cut off second has the
 * newer entry then.
 */
const FIGURE_8: readonly Moment[] = ['now', 'commit'];

export class Coup {
  readonly #options: CoupOptions;
  #group = -1;
  #cut = '';
  /** A new leader that is left alone until it commits something. */
  #awaited: ReplicaView | null = null;
  /** Leaders still to be cut off. */
  #left = 0;
  /** When the next of them are; after that chance decides. */
  #script: Moment[] = [];
  /** Of the blow that is planned, and of the end that is. */
  #blow = 0;
  #end = 0;

  constructor(options: CoupOptions) {
    this.#options = options;
  }

  /** Cuts the present leader of a group off, and waits for the next. */
  begin(): void {
    const { leaders, random } = this.#options;
    const shards = leaders().filter((view) => view.group !== 0);
    const views = shards.length > 0 && random.chance(0.8) ? shards : leaders();
    if (this.#left > 0 || views.length === 0) return;
    const view = random.pick(views);
    this.#group = view.group;
    this.#script = random.chance(0.6) ? [...FIGURE_8] : [];
    this.#left = this.#script.length + random.int(1, 4);
    this.#isolate(view.node);
    // It takes them, for it does not know yet that it is cut off.
    if (this.#script.length > 0 && view.group !== 0) this.#options.renewAt(view.node, view.group);
  }

  end(): void {
    this.#left = 0;
    this.#awaited = null;
    this.#blow++;
    this.#end++;
  }

  elected(view: ReplicaView): void {
    if (this.#left === 0 || view.group !== this.#group || view.node === this.#cut) return;
    const { scheduler, network, random } = this.#options;
    this.#left--;
    this.#awaited = null;
    const when = this.#script.shift() ?? random.pick(MOMENTS);
    const blow = ++this.#blow;
    const strike = (): void => {
      if (blow === this.#blow) this.#strike(view.node, when === 'commit' ? 0 : 0.4);
    };
    if (when === 'now') strike();
    else if (when === 'commit') this.#awaited = view;
    else scheduler.after(random.between(0, when === 'soon' ? 8 * network.faults.delayMax_ms : 500), strike);
  }

  committed(view: ReplicaView): void {
    if (view === this.#awaited) this.#strike(view.node, 0);
  }

  #strike(leader: string, votersFall: number): void {
    const { nodes, random, bounce } = this.#options;
    const before = this.#cut;
    this.#awaited = null;
    this.#isolate(leader);
    if (!random.chance(votersFall)) return;
    for (const node of nodes) if (node.id !== leader && node.id !== before && random.chance(0.8)) bounce(node);
  }

  #isolate(node: string): void {
    const { network, nodes, random, scheduler, trace } = this.#options;
    trace.add('nemesis', `coup: ${node} is cut off`);
    network.heal();
    this.#cut = node;
    network.isolate(node, nodes);
    this.#blow++;
    const end = ++this.#end;
    scheduler.after(random.between(1_500, 6_000), () => {
      if (end !== this.#end) return;
      this.#blow++;
      this.#left = 0;
      this.#awaited = null;
      trace.add('nemesis', 'coup ends');
      network.heal();
    });
  }
}
