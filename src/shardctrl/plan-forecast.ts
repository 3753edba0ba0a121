/**
 * How long a plan will take, and how long its slots will pause: by the pace of the newest plan that has moved anything, as
 * its receipts tell it, else by that of this build on a small machine. Pure.
 */
import { countBatches } from './batch-packing.js';
import type { DriverSettings } from './driver-settings.js';
import type { PlanId, StoredReceipt } from './plan.js';
import type { SlotMove } from './planner.js';
import type { SlotSizes } from './slot-figures.js';

export interface PlanPace {
  /** Whose receipts tell it; null: none, these are the defaults. */
  readonly plan: PlanId | null;
  /** How many receipts. */
  readonly batches: number;
  /** What a batch costs beside what is in it. */
  readonly batch_ms: number;
  readonly keys_per_s: number;
  readonly bytes_per_s: number;
  /** Of a batch in the middle, and the longest. */
  readonly pause_ms: number;
  readonly pause_ms_max: number;
}

/** Three nodes and their clients on two cores, with small values: what `npm run bench:reshard` shows there. */
export const PACE_DEFAULT: PlanPace = {
  plan: null,
  batches: 0,
  batch_ms: 60,
  keys_per_s: 8_000,
  bytes_per_s: 8 * 1024 * 1024,
  pause_ms: 50,
  pause_ms_max: 150,
};

/** With less than that in all, what a batch costs by itself hides what its keys cost. */
const KEYS_TOLD = 1_000;

/** null: the receipts do not tell when their batches ran, or there are none. */
export function paceOf(plan: PlanId, receipts: readonly StoredReceipt[]): PlanPace | null {
  const timed = receipts.filter(
    ({ started_ms, published_ms }) => started_ms !== undefined && published_ms !== undefined,
  );
  if (timed.length === 0) return null;
  const busy_ms = busyTime_ms(timed.map(({ started_ms, published_ms }) => [started_ms!, published_ms!]));
  const keys = timed.reduce((sum, receipt) => sum + receipt.keys, 0);
  const bytes = timed.reduce((sum, receipt) => sum + receipt.bytes, 0);
  const pauses_ms = timed.flatMap(({ pause_ms }) => (pause_ms === null ? [] : [pause_ms])).sort((a, b) => a - b);
  const told = { plan, batches: timed.length, ...pausesOf(pauses_ms) };
  const spent_ms = busy_ms - timed.length * PACE_DEFAULT.batch_ms;
  // What its content cost shows only where there was some, and where it cost more than the batches by themselves.
  if (keys < KEYS_TOLD || spent_ms <= 0) {
    const { keys_per_s, bytes_per_s } = PACE_DEFAULT;
    return { ...told, batch_ms: busy_ms / timed.length, keys_per_s, bytes_per_s };
  }
  const { batch_ms } = PACE_DEFAULT;
  return { ...told, batch_ms, keys_per_s: (keys * 1_000) / spent_ms, bytes_per_s: (bytes * 1_000) / spent_ms };
}

/** How long at least one of them ran: not while the plan was paused or waited for a shard. */
function busyTime_ms(spans: readonly (readonly [from_ms: number, to_ms: number])[]): number {
  let [busy_ms, until_ms] = [0, Number.NEGATIVE_INFINITY];
  for (const [from_ms, to_ms] of [...spans].sort((a, b) => a[0] - b[0])) {
    busy_ms += Math.max(0, to_ms - Math.max(from_ms, until_ms));
    until_ms = Math.max(until_ms, to_ms);
  }
  return busy_ms;
}

function pausesOf(sorted_ms: readonly number[]): Pick<PlanPace, 'pause_ms' | 'pause_ms_max'> {
  const [middle_ms, longest_ms] = [sorted_ms[sorted_ms.length >> 1], sorted_ms.at(-1)];
  if (middle_ms === undefined || longest_ms === undefined) {
    return { pause_ms: PACE_DEFAULT.pause_ms, pause_ms_max: PACE_DEFAULT.pause_ms_max };
  }
  return { pause_ms: middle_ms, pause_ms_max: longest_ms };
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
  limits: BatchSizes,
): PlanForecast | null {
  let [batches, keys, bytes] = [0, 0, 0];
  for (const { slots } of moves) {
    const held = sizes.sum(slots);
    if (held === null) return null;
    keys += held.keys;
    bytes += held.bytes;
    const { batchKeys, batchBytes, batchSlots } = limits;
    // As the driver will cut them, if nothing changes.
    batches += countBatches(slots, (slot) => sizes.of(slot), { keys: batchKeys, bytes: batchBytes, slots: batchSlots });
  }
  const content_ms = Math.max((keys * 1_000) / pace.keys_per_s, (bytes * 1_000) / pace.bytes_per_s);
  const { pause_ms, pause_ms_max } = batches === 0 ? { pause_ms: 0, pause_ms_max: 0 } : pace;
  return { batches, time_ms: Math.round(batches * pace.batch_ms + content_ms), pause_ms, pause_ms_max };
}
