/** What nemeses may do to a cluster, and what they must know of it. */
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Links } from '../links/links.js';
import type { FakeClocks } from './fake-clocks.js';
import type { SmallDisks } from './small-disks.js';

export interface Site {
  /** Nodes that sit here now. They come and go only between two turns. */
  readonly ids: readonly string[];
  readonly links: Links;
  /** null: not on this machine, or not asked for. */
  readonly disks: SmallDisks | null;
  readonly clocks: FakeClocks | null;
  /** Nodes that a fault may hit: their process runs, and they are not spent. */
  readonly targets: readonly string[];
  /** Nodes that lead a group now, as far as is known: who hits them hits hardest. */
  readonly leaders: readonly string[];
  /** Alone with the site: nobody else strikes or heals, and nobody comes or goes meanwhile. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  dataDir(id: string): string;
  /** Like all that follows, it does nothing to a node that has left. */
  kill(id: string): Promise<void>;
  /** Does nothing where it runs. */
  start(id: string): void;
  /** SIGSTOP and SIGCONT. */
  pause(id: string): void;
  resume(id: string): void;
  /**
   * The node will not serve all its replicas again (damaged, wiped). False where this would take a majority from a shard, or where
   * nodes are replaced and this one could not be: then it must not be done.
   */
  spend(id: string): boolean;
  /** Until further notice it may end by itself, and is started again. */
  tolerateEnd(id: string, tolerated: boolean): void;
}

/** Nodes that may be lost for good without a majority of any shard being lost. */
export const expendable = (replicas: number): number => Math.floor((replicas - 1) / 2);

export interface Standing {
  readonly spent: ReadonlySet<string>;
  readonly replicas: number;
  /** Where nodes are replaced: those that belong to the cluster, and which of them are being drained. null: nobody comes or goes. */
  readonly roster: { readonly members: readonly string[]; readonly leaving: ReadonlySet<string> } | null;
}

/** Whether the node may be lost for good: the others must have what every shard needs, without it and without new ones. */
export function maySpend(id: string, { spent, replicas, roster }: Standing): boolean {
  if (spent.has(id)) return true;
  if (spent.size >= expendable(replicas)) return false;
  if (roster === null) return true;
  // Of one that is only about to join nobody could say whether it still does.
  if (!roster.members.includes(id)) return false;
  const left = roster.members.filter((other) => other !== id && !spent.has(other) && !roster.leaving.has(other));
  return left.length >= replicas;
}

const LEADER_FIRST = 0.7;

/** `ids` in an order drawn from the seed, mostly with a leader in front. */
export function drawVictims(site: Site, ids: readonly string[], random: SimRandom): readonly string[] {
  const order = random.shuffle(ids);
  const leader = random.chance(LEADER_FIRST) ? order.find((id) => site.leaders.includes(id)) : undefined;
  return leader === undefined ? order : [leader, ...order.filter((id) => id !== leader)];
}
