/**
 * How long a plan will take, and how long its slots will pause: by the pace of the newest plan that has moved anything, as
 * its receipts tell it, else by that of this build on a small machine. Pure.
 */
import { countBatches } from './batch-packing.js';
import type { DriverSettings } from './driver-settings.js';
import type { PlanId, PlanLimits, PlanState, StoredReceipt } from './plan.js';
import type { SlotMove } from './planner.js';
import type { SlotSizes } from './slot-figures.js';

export interface PlanPace {
  /** Whose receipts tell it; null: none, these are the defaults. */
  readonly plan: PlanId | null;
  /** How many receipts. */
  readonly batches: number;
  /** Before the first batch and after the last: shards are made, space is given back, what is left of shards is removed. */
  readonly around_ms: number;
  /** What a batch costs beside what is in it. */
  readonly batch_ms: number;
  readonly keys_per_s: number;
  readonly bytes_per_s: number;
  /** Of a batch in the middle, and the longest. */
  readonly pause_ms: number;
  readonly pause_ms_max: number;
}

/** Of three nodes that share two cores with their clients. */
export const PACE_DEFAULT: PlanPace = {
  plan: null,
  batches: 0,
  around_ms: 1_500,
  batch_ms: 60,
  keys_per_s: 8_000,
  bytes_per_s: 8 * 1024 * 1024,
  pause_ms: 50,
  pause_ms_max: 150,
};

/** null: the receipts do not tell when their batches ran, or there are none. */
export function paceOf(plan: PlanState, receipts: readonly StoredReceipt[]): PlanPace | null {
  const timed = receipts.filter(
    ({ started_ms, published_ms }) => started_ms !== undefined && published_ms !== undefined,
  );
  if (timed.length === 0) return null;
  const spans = timed.map(({ started_ms, published_ms }): Span => [started_ms!, published_ms!]);
  const keys = timed.reduce((sum, receipt) => sum + receipt.keys, 0);
  const bytes = timed.reduce((sum, receipt) => sum + receipt.bytes, 0);
  // One plan cannot tell what batches cost, what keys and what bytes: only how much slower all of it was than by the defaults.
  const times = busyTime_ms(spans) / contentTime_ms(PACE_DEFAULT, { batches: spans.length, keys, bytes });
  const { batch_ms, keys_per_s, bytes_per_s } = PACE_DEFAULT;
  return {
    plan: plan.id,
    batches: spans.length,
    around_ms: aroundTime_ms(plan, spans) ?? PACE_DEFAULT.around_ms,
    batch_ms: batch_ms * times,
    keys_per_s: keys_per_s / times,
    bytes_per_s: bytes_per_s / times,
    ...pausesOf(timed),
  };
}

type Span = readonly [from_ms: number, to_ms: number];

interface Content {
  readonly batches: number;
  readonly keys: number;
  readonly bytes: number;
}

const contentTime_ms = (pace: PlanPace, { batches, keys, bytes }: Content): number =>
  batches * pace.batch_ms + (1_000 * keys) / pace.keys_per_s + (1_000 * bytes) / pace.bytes_per_s;

/** null: it has not ended yet. */
function aroundTime_ms({ created_ms, ended_ms }: PlanState, spans: readonly Span[]): number | null {
  if (ended_ms === null) return null;
  const first_ms = Math.min(...spans.map(([from_ms]) => from_ms));
  const last_ms = Math.max(...spans.map(([, to_ms]) => to_ms));
  return Math.max(0, first_ms - created_ms) + Math.max(0, ended_ms - last_ms);
}

/** How long at least one of them ran: not while the plan was paused or waited for a shard. */
function busyTime_ms(spans: readonly Span[]): number {
  let [busy_ms, until_ms] = [0, Number.NEGATIVE_INFINITY];
  for (const [from_ms, to_ms] of [...spans].sort((a, b) => a[0] - b[0])) {
    busy_ms += Math.max(0, to_ms - Math.max(from_ms, until_ms));
    until_ms = Math.max(until_ms, to_ms);
  }
  return busy_ms;
}

function pausesOf(receipts: readonly StoredReceipt[]): Pick<PlanPace, 'pause_ms' | 'pause_ms_max'> {
  const pauses_ms = receipts.flatMap(({ pause_ms }) => (pause_ms === null ? [] : [pause_ms])).sort((a, b) => a - b);
  const [pause_ms, pause_ms_max] = [pauses_ms[pauses_ms.length >> 1], pauses_ms.at(-1)];
  if (pause_ms !== undefined && pause_ms_max !== undefined) return { pause_ms, pause_ms_max };
  return { pause_ms: PACE_DEFAULT.pause_ms, pause_ms_max: PACE_DEFAULT.pause_ms_max };
}

export interface PlanForecast {
  readonly batches: number;
  readonly time_ms: number;
  readonly pause_ms: number;
  readonly pause_ms_max: number;
}

export type BatchSizes = Pick<DriverSettings, 'batchKeys' | 'batchBytes' | 'batchSlots'>;

/** null: it is not known what the slots hold. */
export function forecastOf(
  moves: readonly SlotMove[],
  sizes: SlotSizes,
  pace: PlanPace,
  batchSizes: BatchSizes,
  limits: PlanLimits,
): PlanForecast | null {
  let [batches, keys, bytes] = [0, 0, 0];
  for (const { slots } of moves) {
    const held = sizes.sum(slots);
    if (held === null) return null;
    keys += held.keys;
    bytes += held.bytes;
    const { batchKeys, batchBytes, batchSlots } = batchSizes;
    // As the driver will cut them, if nothing changes.
    batches += countBatches(slots, (slot) => sizes.of(slot), { keys: batchKeys, bytes: batchBytes, slots: batchSlots });
  }
  if (batches === 0) return { batches, time_ms: 0, pause_ms: 0, pause_ms_max: 0 };
  const limited_ms = limits.maxRate === null ? 0 : (1_000 * bytes) / limits.maxRate;
  const content_ms = Math.max(contentTime_ms(pace, { batches, keys, bytes }), limited_ms);
  // Longer they must not be.
  const within = (pause_ms: number): number => Math.min(pause_ms, limits.max_pause_ms ?? pause_ms);
  return {
    batches,
    time_ms: Math.round(pace.around_ms + content_ms),
    pause_ms: within(pace.pause_ms),
    pause_ms_max: within(pace.pause_ms_max),
  };
}
