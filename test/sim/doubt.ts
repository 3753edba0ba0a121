/**
 * A leader that was deposed and does not know it yet is read from (section 6.4 of Ongaro's dissertation: ReadIndex). It is cut off
 * with a round of heartbeats under way; when its successor has committed something a key is written there, and, as soon as that
 * is acknowledged, read where the old leader is, which is let in again at the same time: what it hears first may be the
 * answers to its old round. By chance alone all of that hardly ever comes together before it steps down by itself. Half of
 * them hand over, and are cut off as their successor begins to campaign: who has not heard of it is far from stepping down.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimNetwork } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface DoubtOptions {
  readonly scheduler: SimScheduler;
  readonly network: Pick<SimNetwork, 'heal' | 'isolate'>;
  readonly nodes: readonly Pick<SimNode, 'id' | 'node'>[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly leaders: () => readonly ReplicaView[];
  /** Clients who know no other node read keys of this shard there: these, or some. */
  readonly readAt: (node: string, shard: number, keys: readonly string[] | null) => void;
  /** Keys of the shard are written by clients who do not know this node. Resolves with them when that is acknowledged, or has failed. */
  readonly renewElsewhere: (node: string, shard: number) => Promise<readonly string[]>;
  readonly handOver: (view: ReplicaView, to: string) => void;
}

/** A leader without a majority steps down after one to two election timeouts of a second. */
const CUT_OFF_MS = 4_000;
const READS = 4;
const READS_WITHIN_MS = 8;
const STAGGER_MS = [0, 1, 5] as const;
/** Around the time at which it is let in again. */
const LAST_READS = 3;

export class Doubt {
  readonly #options: DoubtOptions;
  readonly #handOvers: SimRandom;
  #deposed: ReplicaView | null = null;
  #cut = false;

  constructor(options: DoubtOptions) {
    this.#options = options;
    this.#handOvers = options.random.fork('hand over');
  }

  begin(): void {
    const { handOver, leaders, random, readAt, scheduler } = this.#options;
    const views = leaders().filter((view) => view.group !== 0);
    if (this.#deposed !== null || views.length === 0) return;
    const deposed = random.pick(views);
    this.#deposed = deposed;
    this.#cut = false;
    // So that it is cut off amid a round, whose answers it gets when it is let in again.
    for (let i = 0; i < READS; i++) {
      scheduler.after(random.between(0, READS_WITHIN_MS), () => readAt(deposed.node, deposed.group, null));
    }
    const others = deposed.replica.members.filter(({ node }) => node !== deposed.node);
    const heir = this.#handOvers.chance(0.5) && others.length > 0 ? this.#handOvers.pick(others).node : null;
    scheduler.after(random.between(0, READS_WITHIN_MS + 2), () => {
      if (heir === null) this.#cutOff(deposed);
      else handOver(deposed, heir);
    });
    scheduler.after(CUT_OFF_MS, () => {
      if (this.#deposed === deposed) this.end();
    });
  }

  /** A replica has become a candidate: nobody has heard of it yet. */
  campaigns(view: ReplicaView): void {
    const deposed = this.#deposed;
    if (deposed !== null && view.group === deposed.group && view.node !== deposed.node) this.#cutOff(deposed);
  }

  #cutOff(deposed: ReplicaView): void {
    const { network, nodes, trace } = this.#options;
    if (this.#deposed !== deposed || this.#cut) return;
    this.#cut = true;
    trace.add('nemesis', `doubt: ${deposed.node}, who leads s${deposed.group}, is cut off`);
    network.heal();
    network.isolate(deposed.node, nodes);
  }

  /** A leader has committed something. */
  committed(view: ReplicaView): void {
    const { random, readAt, renewElsewhere, scheduler, trace } = this.#options;
    const deposed = this.#deposed;
    if (deposed === null || view.group !== deposed.group || view.replica.term <= deposed.replica.term) return;
    this.#deposed = null;
    void renewElsewhere(deposed.node, deposed.group).then((keys) => {
      trace.add('nemesis', `doubt: ${deposed.node} is asked, and let in again`);
      const stagger_ms = random.pick(STAGGER_MS);
      for (let i = 0; i < LAST_READS; i++) {
        const delay_ms = i === 0 ? 0 : this.#handOvers.between(0, stagger_ms);
        scheduler.after(delay_ms, () => readAt(deposed.node, deposed.group, keys));
      }
      scheduler.after(random.between(0, stagger_ms), () => this.end());
    });
  }

  end(): void {
    this.#deposed = null;
    this.#options.network.heal();
  }
}
