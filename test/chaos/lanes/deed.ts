/** What all that the lane of members does has in common: somebody is asked, and answers that cannot be are findings. */
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Journal } from '../journal.js';
import type { ClusterWatch } from '../watch/cluster-watch.js';
import { type AdminCall, ask, type Outcome } from './admin-call.js';

export interface DeedPorts {
  /** Of nodes that are there now, members or not, and mostly running: any of them must do. */
  readonly endpoints: () => readonly string[];
  readonly watch: ClusterWatch;
  readonly journal: Journal;
  /** No fault excuses this. */
  readonly strange: (message: string) => void;
}

/** Asks a node that is drawn from the seed. */
export async function askAnyone<T>(ports: DeedPorts, random: SimRandom, call: AdminCall): Promise<Outcome<T>> {
  const outcome = await ask<T>(random.pick(ports.endpoints()), call);
  if (outcome.kind === 'strange') ports.strange(outcome.why);
  return outcome;
}

/** For a report: how something ended that did not go as it was asked for. */
export const endingOf = (outcome: Exclude<Outcome<unknown>, { kind: 'ok' }>): string =>
  `${outcome.kind}: ${outcome.why}`;
