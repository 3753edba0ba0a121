/** Figures from probes: how much of the time each shard was served, and how long it was not. Pure. */
import type { FaultSpan } from '../journal.js';
import type { Sample } from './service-probe.js';

export interface Gap {
  readonly shard: string;
  /** From one served probe to the next that was served. */
  readonly from_ms: number;
  readonly to_ms: number;
}

export interface ShardAvailability {
  readonly shard: string;
  /** Of the seconds in which it was probed, the share in which at least one probe was served. */
  readonly share: number;
  readonly longestGap_ms: number;
  /** By second of the run: served, not served, or null where it was not probed (it did not exist). */
  readonly seconds: readonly (boolean | null)[];
}

const byShard = (samples: readonly Sample[]): Map<string, Sample[]> => {
  const shards = new Map<string, Sample[]>();
  for (const sample of samples) {
    const known = shards.get(sample.shard);
    if (known === undefined) shards.set(sample.shard, [sample]);
    else known.push(sample);
  }
  return new Map([...shards].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })));
};

/** Between served probes; and after the last one, where failed ones followed. */
export function gapsOf(samples: readonly Sample[]): Gap[] {
  const gaps: Gap[] = [];
  for (const [shard, all] of byShard(samples)) {
    const served = all
      .filter(({ ok }) => ok)
      .map(({ done_ms }) => done_ms)
      .sort((a, b) => a - b);
    const first = Math.min(...all.map(({ sent_ms }) => sent_ms));
    let before = first;
    for (const at of served) {
      gaps.push({ shard, from_ms: before, to_ms: at });
      before = at;
    }
    const failed = Math.max(...all.map(({ ok, done_ms }) => (ok ? 0 : done_ms)), 0);
    if (failed > before) gaps.push({ shard, from_ms: before, to_ms: failed });
  }
  return gaps;
}

export function availabilityOf(samples: readonly Sample[], run_ms: number): ShardAvailability[] {
  const gaps = gapsOf(samples);
  return [...byShard(samples)].map(([shard, all]) => {
    const seconds: (boolean | null)[] = new Array(Math.ceil(run_ms / 1000)).fill(null);
    for (const { sent_ms, ok } of all) {
      const second = Math.floor(sent_ms / 1000);
      if (second < seconds.length) seconds[second] = ok || seconds[second] === true;
    }
    const probed = seconds.filter((each) => each !== null);
    const own = gaps.filter((gap) => gap.shard === shard);
    return {
      shard,
      share: probed.length === 0 ? 1 : probed.filter((each) => each === true).length / probed.length,
      longestGap_ms: Math.max(0, ...own.map(({ from_ms, to_ms }) => to_ms - from_ms)),
      seconds,
    };
  });
}

/** The longest gap of any shard that touches the fault: from its beginning until all shards were served again. */
export function longestGapOf(fault: FaultSpan, gaps: readonly Gap[], end_ms: number): Gap | null {
  const healed_ms = fault.healed_ms ?? end_ms;
  const until_ms = healed_ms + (fault.recovered_ms ?? (fault.lane === 'faults' ? end_ms - healed_ms : 0));
  let longest: Gap | null = null;
  for (const gap of gaps) {
    if (gap.to_ms < fault.began_ms || gap.from_ms > until_ms) continue;
    if (longest === null || gap.to_ms - gap.from_ms > longest.to_ms - longest.from_ms) longest = gap;
  }
  return longest;
}
