/** What of the wishes of a command line can be done on this machine, and why the rest cannot. Nothing is left out silently. */
import type { ChaosOptions } from './arguments.js';
import { succeeds } from './links/commands.js';
import { hasNetem } from './links/namespace-links.js';
import type { Need, Nemesis } from './nemeses/nemesis.js';
import { findFaketime } from './site/fake-clocks.js';

export interface Feasible {
  readonly nemeses: readonly Nemesis[];
  readonly network: 'proxy' | 'namespaces';
  readonly smallDisks: boolean;
  readonly faketime: string | null;
  /** Nodes come and go. */
  readonly replaces: boolean;
  readonly skipped: readonly string[];
}

export interface Machine {
  /** This process runs in namespaces of its own. */
  readonly inside: boolean;
  readonly netem: boolean;
  readonly faketime: string | null;
}

export const lookAround = (inside: boolean): Machine => ({
  inside,
  netem: inside && succeeds('tc', '-Version') && hasNetem(),
  faketime: findFaketime(),
});

const needs = (nemeses: readonly Nemesis[], need: Need): boolean => nemeses.some((each) => each.needs.includes(need));

/** Whether it would gain anything to run in namespaces of its own. */
export const gainsByIsolation = ({ network, nemeses }: Pick<ChaosOptions, 'network' | 'nemeses'>): boolean =>
  network !== 'proxy' || needs(nemeses, 'small disks');

/** Nodes of others are theirs to start and to end, and where their replicas are may have reasons. */
const LEADERS_ONLY =
  'members: nodes and members of a cluster that is not ours stay as they are; only leaders of its shards change';

export type Feasibility =
  | { readonly ok: true; readonly plan: Feasible }
  | { readonly ok: false; readonly message: string };

export function feasible(
  options: Pick<ChaosOptions, 'network' | 'nemeses' | 'reshard' | 'members' | 'endpoints'>,
  machine: Machine,
): Feasibility {
  const { network, nemeses, reshard, members } = options;
  const { inside, netem, faketime } = machine;
  if (network === 'namespaces' && !inside)
    return {
      ok: false,
      message: '--network namespaces: needs Linux, root, and the right to make namespaces (unshare, ip)',
    };
  const shaped = needs(nemeses, 'shaped links');
  // Whatever can do all that is asked for; packets, where both can.
  const chosen = network === 'auto' ? (inside && (netem || !shaped) ? 'namespaces' : 'proxy') : network;
  const lacking: Readonly<Record<Need, string | null>> = {
    'small disks': inside ? null : 'a small disk can only be mounted as root on Linux',
    'fake clocks': faketime === null ? 'libfaketime is not installed (or name it in QUORATE_CHAOS_FAKETIME)' : null,
    'shaped links':
      chosen === 'proxy' || netem ? null : 'this kernel has no netem for namespaces; with --network proxy it works',
  };
  const foreign = options.endpoints.length > 0;
  const skipped = members && foreign ? [LEADERS_ONLY] : [];
  const possible = nemeses.filter((nemesis) => {
    const reason = nemesis.needs.map((need) => lacking[need]).find((each) => each !== null);
    if (reason !== undefined) skipped.push(`${nemesis.name}: ${reason}`);
    return reason === undefined;
  });
  if (nemeses.length > 0 && possible.length === 0 && !reshard && !members)
    return { ok: false, message: `--nemesis: nothing of it can be done here: ${skipped.join('; ')}` };
  return {
    ok: true,
    plan: {
      nemeses: possible,
      network: chosen,
      smallDisks: needs(possible, 'small disks'),
      faketime: needs(possible, 'fake clocks') ? faketime : null,
      replaces: members && !foreign,
      skipped,
    },
  };
}
