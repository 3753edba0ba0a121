/**
 * A nemesis does one kind of harm to a running cluster, to victims drawn from the seed, and undoes it again. Each stands in
 * a small file of its own; `catalogue.ts` knows all.
 */
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Site } from '../site/site.js';

/** What a nemesis needs of the place where it works, beyond processes and links. */
export type Need = 'small disks' | 'fake clocks' | 'shaped links';

export interface Fault {
  /** In words, with its victims. */
  readonly what: string;
  /** Ends the harm as far as it can be ended; does not wait for the cluster. */
  heal(): Promise<void>;
}

export interface Nemesis {
  /** `family` or `family:variant`. */
  readonly name: string;
  readonly describe: string;
  readonly needs: readonly Need[];
  /** null: nothing can be done now (no victim is left). */
  inject(site: Site, random: SimRandom): Promise<Fault | null>;
}

/** `n1, n2` */
export const names = (ids: readonly string[]): string => ids.join(', ');
