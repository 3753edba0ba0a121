import { describe, expect, it } from 'vitest';
import { CopyPace } from '../../../src/kv/migration/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

/** How long a copy of so many pages takes, each confirmed after so long. */
async function duration_ms(maxRate: number | null, pages: number, bytes: number, page_ms: number): Promise<number> {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  const pace = new CopyPace(clock, maxRate);
  const began_ms = clock.monotonic_ms();
  for (let i = 0; i < pages; i++) {
    const page_began_ms = clock.monotonic_ms();
    await scheduler.runFor(page_ms);
    await scheduler.runFor(pace.rest_ms(bytes, page_began_ms));
  }
  return clock.monotonic_ms() - began_ms;
}

describe('the pace of a copy', () => {
  it('leaves half of the time to clients, and does not sleep long after one slow page', async () => {
    expect(await duration_ms(null, 10, 1_000, 20)).toBe(400);
    expect(await duration_ms(null, 1, 1_000, 5_000)).toBe(5_100);
  });

  it('keeps to the rate, however quickly pages are confirmed', async () => {
    expect(await duration_ms(10_000, 10, 1_000, 1)).toBeCloseTo(1_000);
  });

  it('does not get slower by a rate that it does not reach', async () => {
    expect(await duration_ms(1_000_000, 10, 1_000, 20)).toBe(400);
  });
});
