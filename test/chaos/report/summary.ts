/** Figures of a run, by workload, shard and nemesis. Pure. */
import type { Operation } from '../../checker/history.js';
import type { FaultSpan } from '../journal.js';
import { availabilityOf, type Gap, gapsOf, longestGapOf, type ShardAvailability } from '../watch/availability.js';
import type { RunRecord } from './run-record.js';

export interface OperationCounts {
  readonly name: string;
  readonly answered: number;
  /** Certainly without effect. */
  readonly failed: number;
  readonly unknown: number;
  readonly slowest_ms: number;
}

export interface FaultFigures {
  readonly fault: FaultSpan;
  readonly gap: Gap | null;
}

export interface NemesisFigures {
  readonly nemesis: string;
  readonly times: number;
  readonly longestGap_ms: number;
  readonly longestGapShard: string;
  /** From heal until every shard served, at worst; null: not within the limit. Undefined: it heals by itself. */
  readonly slowestRecovery_ms: number | null | undefined;
}

export interface Summary {
  readonly operations: readonly OperationCounts[];
  readonly shards: readonly ShardAvailability[];
  readonly faults: readonly FaultFigures[];
  readonly nemeses: readonly NemesisFigures[];
}

export function summarize(record: RunRecord): Summary {
  const gaps = gapsOf(record.samples);
  const faults = record.journal.faults.map((fault) => ({ fault, gap: longestGapOf(fault, gaps, record.run_ms) }));
  return {
    operations: record.workloads.map(({ name, operations, extra }) => countsOf(name, operations, extra)),
    shards: availabilityOf(record.samples, record.run_ms),
    faults,
    nemeses: nemesesOf(faults),
  };
}

function countsOf(name: string, operations: readonly Operation[], extra: number): OperationCounts {
  let [answered, failed, unknown, slowest_ms] = [extra, 0, 0, 0];
  for (const { outcome, call, return: end } of operations) {
    if (outcome.kind === 'failed') failed++;
    else if (outcome.kind === 'unknown') unknown++;
    else answered++;
    if (end !== null) slowest_ms = Math.max(slowest_ms, end - call);
  }
  return { name, answered, failed, unknown, slowest_ms };
}

function nemesesOf(faults: readonly FaultFigures[]): NemesisFigures[] {
  const names = [...new Set(faults.map(({ fault }) => fault.nemesis))].sort();
  return names.map((nemesis) => {
    const own = faults.filter(({ fault }) => fault.nemesis === nemesis);
    const worst = own.reduce<Gap | null>((most, { gap }) => (length(gap) > length(most) ? gap : most), null);
    const healed = own.filter(({ fault }) => fault.lane === 'faults');
    const recoveries = healed.map(({ fault }) => fault.recovered_ms);
    const known = recoveries.filter((each) => each !== null);
    const slowest = known.length < recoveries.length ? null : Math.max(0, ...known);
    return {
      nemesis,
      times: own.length,
      longestGap_ms: length(worst),
      longestGapShard: worst?.shard ?? '',
      slowestRecovery_ms: healed.length === 0 ? undefined : slowest,
    };
  });
}

const length = (gap: Gap | null): number => (gap === null ? 0 : gap.to_ms - gap.from_ms);
