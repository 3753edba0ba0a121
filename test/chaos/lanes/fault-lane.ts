/**
 * One fault after the other: a nemesis drawn from the seed strikes, holds, heals; then every shard must be served within
 * the limit, and after a little calm the next one comes.
 */
import type { SimRandom } from '../../sim/fakes/random.js';
import type { Journal } from '../journal.js';
import type { Nemesis } from '../nemeses/nemesis.js';
import { pause } from '../pause.js';
import type { Site } from '../site/site.js';
import type { ServiceProbe } from '../watch/service-probe.js';

const HOLD_MS = { least: 1_500, most: 6_000 } as const;
const CALM_MS = { least: 500, most: 2_500 } as const;
/** A fault that came about is not to be waited for longer than this once it has been healed without effect. */
const NO_VICTIM_MS = 500;

export interface FaultLaneOptions {
  readonly nemeses: readonly Nemesis[];
  readonly site: Site;
  readonly journal: Journal;
  readonly probe: ServiceProbe;
  readonly random: SimRandom;
  /** From heal until every shard serves. */
  readonly limit_ms: number;
  /** The time is up, or somebody wants the run to end. */
  readonly signal: AbortSignal;
}

/** Resolves with everything healed. */
export async function runFaults(options: FaultLaneOptions): Promise<void> {
  const { nemeses, random, signal } = options;
  if (nemeses.length === 0) return;
  let bag: Nemesis[] = [];
  for (let round = 1; !signal.aborted; round++) {
    await pause(random.between(CALM_MS.least, CALM_MS.most), signal);
    if (signal.aborted) return;
    // A bag, not a die: a short run meets every nemesis before any comes again.
    if (bag.length === 0) bag = random.shuffle(nemeses);
    await strike(bag.pop()!, random.fork(`round-${round}`), options);
  }
}

async function strike(nemesis: Nemesis, random: SimRandom, options: FaultLaneOptions): Promise<void> {
  const { site, journal, probe, limit_ms, signal } = options;
  const fault = await site.alone(() => nemesis.inject(site, random));
  if (fault === null) {
    await pause(NO_VICTIM_MS, signal);
    return;
  }
  const span = journal.begin(nemesis.name, fault.what, 'faults');
  try {
    await pause(random.between(HOLD_MS.least, HOLD_MS.most), signal);
  } finally {
    span.healed_ms = journal.now();
    await site.alone(() => fault.heal());
  }
  span.recovered_ms = await probe.whenServed(span.healed_ms, limit_ms);
  if (span.recovered_ms !== null) return;
  const unserved = probe.unservedSince(span.healed_ms).join(', ');
  journal.stall(`${unserved} not served within ${limit_ms / 1000} s after ${fault.what} was healed`);
}
