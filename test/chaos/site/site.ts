/** What nemeses may do to a cluster, and what they must know of it. */
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Links } from '../links/links.js';
import type { FakeClocks } from './fake-clocks.js';
import type { SmallDisks } from './small-disks.js';

export interface Site {
  readonly ids: readonly string[];
  readonly links: Links;
  /** null: not on this machine, or not asked for. */
  readonly disks: SmallDisks | null;
  readonly clocks: FakeClocks | null;
  /** Nodes that a fault may hit: their process runs, and they are not spent. */
  readonly targets: readonly string[];
  /** Nodes that lead a group now, as far as is known: who hits them hits hardest. */
  readonly leaders: readonly string[];
  dataDir(id: string): string;
  kill(id: string): Promise<void>;
  /** Does nothing where it runs. */
  start(id: string): void;
  /** SIGSTOP and SIGCONT. */
  pause(id: string): void;
  resume(id: string): void;
  /**
   * The node will not serve all its replicas again (damaged, wiped). False where this would take a majority from a shard:
   * then it must not be done.
   */
  spend(id: string): boolean;
  /** Until further notice it may end by itself, and is started again. */
  tolerateEnd(id: string, tolerated: boolean): void;
}

/** Nodes that may be lost for good without a majority of any shard being lost. */
export const expendable = (replicas: number): number => Math.floor((replicas - 1) / 2);

const LEADER_FIRST = 0.7;

/** `ids` in an order drawn from the seed, mostly with a leader in front. */
export function drawVictims(site: Site, ids: readonly string[], random: SimRandom): readonly string[] {
  const order = random.shuffle(ids);
  const leader = random.chance(LEADER_FIRST) ? order.find((id) => site.leaders.includes(id)) : undefined;
  return leader === undefined ? order : [leader, ...order.filter((id) => id !== leader)];
}
