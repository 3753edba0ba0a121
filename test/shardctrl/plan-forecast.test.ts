/** How long a plan will take: by what the last one took, or by what this build takes on a small machine. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countBatches, packBatch } from '../../src/shardctrl/batch-packing.js';
import {
  DRIVER_DEFAULTS,
  figuresOf,
  forecastOf,
  PACE_DEFAULT,
  type PlanState,
  paceOf,
  SlotSizes,
  type StoredReceipt,
  slotsOf,
  subtractSlots,
} from '../../src/shardctrl/index.js';
import { receiptOf } from './memory-controller.js';

/** Whatever the defaults become. */
const DRIVER = { ...DRIVER_DEFAULTS, batchKeys: 1_000 };
const FREE = { max_pause_ms: null, maxRate: null };

const receipt = (from_ms: number, to_ms: number, keys: number, pause_ms: number | null = 40): StoredReceipt => ({
  ...receiptOf({ keys, bytes: keys * 100, pause_ms }),
  move: 1,
  planMove: 'm1',
  slots: [],
  epoch: 2,
  started_ms: from_ms,
  published_ms: to_ms,
});

describe('the pace of a plan', () => {
  const ended = { id: 'p3', created_ms: 0, ended_ms: 8_000 } as PlanState;
  const { batch_ms, keys_per_s, bytes_per_s } = PACE_DEFAULT;

  it('is not known without receipts that tell when their batches ran', () => {
    expect(paceOf(ended, [])).toBeNull();
    const { started_ms: _started, published_ms: _published, ...old } = receipt(0, 100, 5_000);
    expect(paceOf(ended, [old])).toBeNull();
  });

  it('is that of the defaults, as many times slower as the batches were: what ran at once counts once', () => {
    const pace = paceOf(ended, [receipt(500, 1_500, 4_000), receipt(500, 1_560, 4_000), receipt(5_500, 6_500, 2_000)])!;
    const expected_ms = 3 * batch_ms + 10_000_000 / keys_per_s + 1_000_000_000 / bytes_per_s;
    const times = 2_060 / expected_ms;
    expect(pace).toMatchObject({ plan: 'p3', batches: 3 });
    expect(pace.batch_ms).toBeCloseTo(batch_ms * times, 6);
    expect(pace.keys_per_s).toBeCloseTo(keys_per_s / times, 6);
    expect(pace.bytes_per_s).toBeCloseTo(bytes_per_s / times, 3);
  });

  it('tells also what comes before the first batch and after the last, but nothing of pauses in between', () => {
    const receipts = [receipt(500, 600, 1), receipt(5_000, 6_000, 1)];
    expect(paceOf(ended, receipts)).toMatchObject({ around_ms: 2_500 });
    expect(paceOf({ ...ended, ended_ms: null }, receipts)).toMatchObject({ around_ms: PACE_DEFAULT.around_ms });
  });

  it('foretells the same plan as it went', () => {
    const receipts = [receipt(500, 900, 1_000), receipt(900, 1_700, 1_000)];
    const pace = paceOf({ ...ended, ended_ms: 2_000 }, receipts)!;
    const stats = [0, 1].map((slot) => ({ slot, keys: 1_000, bytes: 100_000 }));
    const sizes = new SlotSizes(figuresOf(1, stats, []));
    const moves = [{ from: 1, to: 2, slots: [[0, 1]] as const }];
    expect(forecastOf(moves, sizes, pace, DRIVER, FREE)).toMatchObject({ batches: 2, time_ms: 2_000 });
  });

  it('tells the pause in the middle and the longest', () => {
    const pauses = [90, 10, 30, null].map((pause_ms, i) => receipt(i * 100, i * 100 + 50, 1, pause_ms));
    expect(paceOf(ended, pauses)).toMatchObject({ pause_ms: 30, pause_ms_max: 90 });
    expect(paceOf(ended, [receipt(0, 10, 1, null)])).toMatchObject({ pause_ms: PACE_DEFAULT.pause_ms });
  });
});

describe('a forecast', () => {
  const sizes = new SlotSizes(
    figuresOf(
      1,
      Array.from({ length: 100 }, (_, slot) => ({ slot, keys: 100, bytes: 10_000 })),
      [[1_000, 1_099]],
    ),
  );
  const pace = { ...PACE_DEFAULT, around_ms: 7, batch_ms: 10, keys_per_s: 1_000, bytes_per_s: 1_000_000 };
  const move = (first: number, last: number) => ({ from: 1, to: 2, slots: [[first, last]] as const });

  it('counts batches as the driver cuts them, and what they hold', () => {
    // Ten slots of a hundred keys a batch: ten batches; ten thousand keys take ten seconds, a million bytes one.
    expect(forecastOf([move(0, 99)], sizes, pace, DRIVER, FREE)).toEqual({
      batches: 10,
      time_ms: 11_107,
      pause_ms: pace.pause_ms,
      pause_ms_max: pace.pause_ms_max,
    });
    // Empty ones: 512 a batch.
    expect(forecastOf([move(2_000, 2_999)], sizes, pace, DRIVER, FREE)).toMatchObject({
      batches: 2,
      time_ms: 27,
    });
  });

  it('keeps to what the plan is held to', () => {
    const limits = { max_pause_ms: 30, maxRate: 50_000 };
    // A million bytes.
    expect(forecastOf([move(0, 99)], sizes, pace, DRIVER, limits)).toEqual({
      batches: 10,
      time_ms: 20_007,
      pause_ms: 30,
      pause_ms_max: 30,
    });
    const wide = { max_pause_ms: 5_000, maxRate: 1e9 };
    expect(forecastOf([move(0, 99)], sizes, pace, DRIVER, wide)).toMatchObject({ time_ms: 11_107 });
  });

  it('counts as many batches as are packed one after the other', () => {
    const held = fc.array(fc.record({ keys: fc.nat(400), bytes: fc.nat(400) }), { maxLength: 80, size: 'max' });
    const limits = fc.record({ keys: fc.nat(900), bytes: fc.nat(900), slots: fc.integer({ min: 1, max: 9 }) });
    fc.assert(
      fc.property(held, limits, (list, limit) => {
        const stats = list.map((one, slot) => ({ slot, ...one }));
        const all = slotsOf(list.map((_, slot) => slot));
        let packed = 0;
        for (let left = all; left.length > 0; packed++) left = subtractSlots(left, packBatch(left, stats, limit, 0));
        expect(countBatches(all, (slot) => list[slot]!, limit)).toBe(packed);
      }),
      { seed: 8 },
    );
  });

  it('is nothing for a plan that moves nothing, and not known where it is not known what slots hold', () => {
    expect(forecastOf([], sizes, pace, DRIVER, FREE)).toEqual({
      batches: 0,
      time_ms: 0,
      pause_ms: 0,
      pause_ms_max: 0,
    });
    expect(forecastOf([move(0, 9), move(1_050, 1_060)], sizes, pace, DRIVER, FREE)).toBeNull();
  });
});
