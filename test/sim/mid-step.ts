/**
 * Processes that die amid a step. Other crashes come at a time of their own, and in simulated time next to everything takes none:
 * between a frame and the turn that handles it, between an answer of the disk and whoever waits for it, between two files
 * that one step of the log writes, no clock ever stands. So these are counted: the process dies in its n-th step from now
 * on (a timer, a frame, an answer of disk or engine), before it or so many `await`s into it; or at the n-th change that it asks
 * its disk for. Often it does so while it starts, and again when it starts anew.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { Death, SimNode } from './sim-node.js';

export interface MidStepOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly nodes: readonly SimNode[];
  /** Starts a node that is down. */
  readonly revive: (node: SimNode) => void;
}

/** A node that never gets through its start is as good as one that is gone. */
const STARTS_MAX = 3;

export class MidStep {
  readonly #options: MidStepOptions;
  readonly #random: SimRandom;
  #active = true;

  constructor(options: MidStepOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  /** The node dies soon; or now, and then amid its start. */
  strike(node: SimNode): void {
    if (!node.up || this.#random.chance(0.7)) {
      node.dieAmid(this.#death(node, STARTS_MAX));
      return;
    }
    node.crash(this.#random.chance(0.5) ? 'kill' : 'power-cut');
    this.#reviveToDie(node, STARTS_MAX);
  }

  #death(node: SimNode, starts: number): Death {
    const random = this.#random;
    const amid = random.pick(['steps', 'steps', 'changes', 'segments'] as const);
    return {
      amid,
      // A start is some dozen steps; what a loaded node does in a second, some hundred; a segment comes in about ten changes.
      after: random.int(0, amid === 'segments' ? 10 : random.pick([3, 30, 300])),
      continuations: random.chance(0.3) ? null : random.int(0, random.pick([0, 3, 15])),
      kind: random.chance(0.4) ? 'kill' : 'power-cut',
      died: () => this.#reviveToDie(node, starts),
    };
  }

  #reviveToDie(node: SimNode, starts: number): void {
    const { revive, scheduler } = this.#options;
    const again = starts > 0 && this.#random.chance(0.5);
    scheduler.after(this.#random.between(1, this.#random.pick([5, 500, 5_000])), () => {
      if (again && !node.up && this.#active) node.dieAmid(this.#death(node, starts - 1));
      revive(node);
    });
  }

  /** Whoever lives, lives on. */
  end(): void {
    this.#active = false;
    for (const node of this.#options.nodes) node.dieAmid(null);
  }
}
