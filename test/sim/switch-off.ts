/**
 * Whoever set that the cluster balances by itself, or makes replicas of nodes anew that stay away, takes it back before the end: one
 * that rests must not begin anything any more, also ten seconds later. Nodes whose disk is lost stay away for good.
 *
 * What was set before may be under way still, or come from a process that slept: so this is said again for as long as such a
 * request may take, and it is over when it was last confirmed after that.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface SwitchOffOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
}

const TIMEOUT_MS = 3_000;
const AGAIN_MS = 500;
/** Longer than any request of the nemesis may take. */
const PATIENCE_MS = 6_000;

export class SwitchOff {
  readonly #options: SwitchOffOptions;
  #begun_ms = 0;
  #over = false;

  constructor(options: SwitchOffOptions) {
    this.#options = options;
  }

  /** Nothing begins by itself any more. */
  get over(): boolean {
    return this.#over;
  }

  begin(): void {
    this.#begun_ms = this.#options.scheduler.now_ms;
    this.#again();
  }

  #again(): void {
    if (this.#over) return;
    this.#ask();
    this.#options.scheduler.after(AGAIN_MS, () => this.#again());
  }

  #ask(): void {
    const { nodes, random, scheduler, trace } = this.#options;
    const node = random.pick(nodes);
    const admin = node.node?.admin;
    if (admin === undefined) return;
    const asked_ms = scheduler.now_ms;
    const ask = async (): Promise<void> => {
      const balance = await admin.setBalance({ auto: false }, TIMEOUT_MS);
      const rebuilds = await admin.changeSettings({ rebuildAfter_ms: null }, TIMEOUT_MS);
      if (!balance.ok || !rebuilds.ok || asked_ms < this.#begun_ms + PATIENCE_MS || this.#over) return;
      this.#over = true;
      trace.add('nemesis', 'nothing begins by itself any more');
    };
    node.clock?.run(() => void ask());
  }
}
