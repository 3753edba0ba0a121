/**
 * Disks that stall, fill up, fail a sync, rot or come back empty. What is lost for good hits one node of a run at most, and
 * none where groups have two members: never a majority of a group, since of a majority's loss no store recovers.
 */
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export type DiskFault = 'disk_stall' | 'disk_full' | 'sync_failure' | 'rot' | 'wipe';

export interface DiskNemesisOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  /** Members of the smallest group. */
  readonly replicas: number;
  readonly reviveWithin: (node: SimNode, limit_ms: number) => void;
}

export class DiskNemesis {
  readonly #options: DiskNemesisOptions;
  readonly #random: SimRandom;
  #victim: SimNode | null = null;

  constructor(options: DiskNemesisOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  strike(fault: DiskFault, node: SimNode): void {
    switch (fault) {
      case 'disk_stall':
        return this.#stall(node);
      case 'disk_full':
        return this.#fill(node);
      case 'sync_failure':
        this.#options.trace.add('nemesis', `the next sync of ${node.id} fails`);
        return node.failSync();
      case 'rot':
        return this.#rot(node);
      case 'wipe':
        return this.#wipe(node);
    }
  }

  /** A process that has ended itself is started again by whoever watches it. */
  ended(node: SimNode): void {
    this.#options.reviveWithin(node, 5_000);
  }

  /** A disk that answers, but late: longer than an election takes, in some cases (F37). */
  #stall(node: SimNode): void {
    const most_ms = this.#random.pick([300, 1_500, 4_000]);
    this.#options.trace.add('nemesis', `syncs of ${node.id} take up to ${most_ms} ms`);
    node.setSyncLatency(most_ms);
    this.#options.scheduler.after(this.#random.between(500, 6_000), () => node.setSyncLatency(null));
  }

  #fill(node: SimNode): void {
    const free_bytes = this.#random.int(0, 3_000);
    this.#options.trace.add('nemesis', `the disk of ${node.id} has ${free_bytes} bytes left`);
    node.limitDisk(free_bytes);
    this.#options.scheduler.after(this.#random.between(500, 6_000), () => node.limitDisk(Number.POSITIVE_INFINITY));
  }

  /** False: this node's loss would be one too many. */
  #mayLose(node: SimNode): boolean {
    if (this.#options.replicas < 3 || (this.#victim !== null && this.#victim !== node)) return false;
    return node.harm !== 'wiped';
  }

  #rot(node: SimNode): void {
    if (!this.#mayLose(node)) return;
    const where = this.#random.chance(0.4) ? 'log' : 'row';
    // A process has its log in memory: what happens to the file shows when it starts again.
    if (where === 'log' || this.#random.chance(0.5)) {
      node.crash('kill');
      this.#options.reviveWithin(node, 3_000);
    }
    const what = node.rot(this.#random, where);
    if (what === null) return;
    this.#victim = node;
    this.#options.trace.add('nemesis', `a bit flips on the disk of ${node.id}: ${what}`);
  }

  #wipe(node: SimNode): void {
    if (!this.#mayLose(node) || node.harm !== 'none') return;
    this.#victim = node;
    node.crash('power-cut');
    node.wipe();
    this.#options.trace.add('nemesis', `${node.id} gets an empty disk`);
    this.#options.reviveWithin(node, 3_000);
  }
}
