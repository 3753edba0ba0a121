/**
 * Disks that stall, fill up, fail a sync, rot, come back empty or as they once were. What is lost for good hits one node of a run at most, and
 * none where groups have two members: never a majority of a group, since of a majority's loss no store recovers.
 */
import type { GroupId } from '../../src/raft/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import { OldCopy } from './old-copy.js';
import type { Rot, SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export type DiskFault = 'disk_stall' | 'disk_full' | 'sync_failure' | 'rot' | 'wipe' | 'old_copy';

export interface DiskNemesisOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly nodes: readonly SimNode[];
  /** The last entry of a group that anybody has seen committed. */
  readonly committed: (group: GroupId) => { readonly index: number; readonly term: number } | null;
  /** Members of the smallest group. */
  readonly replicas: number;
  /** Members of groups change by more than the cluster itself sees fit. */
  readonly membersChange: boolean;
  /** This node's loss might be one too many, as members change now. */
  readonly spared: (node: SimNode) => boolean;
  readonly reviveWithin: (node: SimNode, limit_ms: number) => void;
}

export class DiskNemesis {
  readonly #options: DiskNemesisOptions;
  readonly #random: SimRandom;
  readonly #oldCopy: OldCopy;
  #victim: SimNode | null = null;
  #rots = 0;

  constructor(options: DiskNemesisOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#oldCopy = new OldCopy({
      ...options,
      random: options.random.fork('old copy'),
      allowed: (node) => this.#mayAge(node),
      claim: (node) => {
        this.#victim = node;
      },
    });
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
      case 'old_copy':
        return this.#oldCopy.begin(this.#victim ?? node);
    }
  }

  end(): void {
    this.#oldCopy.end();
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
    const { replicas, spared } = this.#options;
    if (replicas < 3 || (this.#victim !== null && this.#victim !== node) || spared(node)) return false;
    return node.harm === 'none' || node.harm === 'rotten';
  }

  /** Once, or again: what it has promised since is known. */
  #mayAge(node: SimNode): boolean {
    if (node.harm === 'old') return !this.#options.spared(node);
    return this.#mayLose(node) && node.harm === 'none';
  }

  /** One that has all it had: what else it may have lost could not be told from what it loses now. */
  #claim(node: SimNode): boolean {
    if (!this.#mayLose(node) || node.harm !== 'none') return false;
    this.#victim = node;
    return true;
  }

  #rot(node: SimNode): void {
    if (!this.#mayLose(node)) return;
    let where: Rot = this.#random.chance(0.4) ? 'log' : 'row';
    // A process has its log in memory: what happens to the file shows when it starts again.
    if (where === 'log' || this.#random.chance(0.5)) {
      node.crash('kill');
      this.#options.reviveWithin(node, 3_000);
    }
    // By a chance of its own: seeds that are known for what rot did to a row remain what they are, as far as they can.
    if (where === 'row' && this.#random.fork(`block ${++this.#rots}`).chance(0.1)) where = 'block';
    const what = node.rot(this.#random, where);
    if (what === null) return;
    this.#victim = node;
    this.#options.trace.add(
      'nemesis',
      `${where === 'block' ? 'a block rots' : 'a bit flips'} on the disk of ${node.id}: ${what}`,
    );
  }

  #wipe(node: SimNode): void {
    if (!this.#claim(node)) return;
    node.crash('power-cut');
    node.wipe();
    this.#options.trace.add('nemesis', `${node.id} gets an empty disk`);
    this.#options.reviveWithin(node, 3_000);
  }
}
