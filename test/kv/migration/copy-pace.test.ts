import { describe, expect, it } from 'vitest';
import { CopyPace } from '../../../src/kv/migration/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

interface Course {
  readonly maxRate?: number;
  readonly pages: number;
  readonly page_ms: number;
  /** Requests of clients during each page. */
  readonly requests: number;
  /** Of the node all the while; default: it has nothing else to do. */
  readonly utilization?: number;
  /** For all of it; default: as long as it takes. */
  readonly time_ms?: number;
}

/** How long a copy of pages of 1,000 bytes takes, one after the other. */
async function duration_ms({ maxRate, pages, page_ms, requests, utilization = 0, time_ms }: Course): Promise<number> {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  let asked = 0;
  const pace = new CopyPace({
    clock,
    maxRate: maxRate ?? null,
    requests: () => asked,
    busy_ms: () => utilization * clock.monotonic_ms(),
    deadline_ms: clock.monotonic_ms() + (time_ms ?? Number.POSITIVE_INFINITY),
  });
  const began_ms = clock.monotonic_ms();
  for (let i = 0; i < pages; i++) {
    const pageBegan_ms = clock.monotonic_ms();
    asked += requests;
    await scheduler.runFor(page_ms);
    await scheduler.runFor(pace.rest_ms(1_000, pageBegan_ms));
  }
  return clock.monotonic_ms() - began_ms;
}

describe('the pace of a copy', () => {
  it('leaves half of the time to clients, and does not sleep long after one slow page', async () => {
    expect(await duration_ms({ pages: 10, page_ms: 20, requests: 1 })).toBe(400);
    expect(await duration_ms({ pages: 1, page_ms: 5_000, requests: 1 })).toBe(5_500);
  });

  it('leaves more of it the busier the node is, and most of it where it has no time to spare', async () => {
    const course = { pages: 10, page_ms: 20, requests: 1 };
    expect(await duration_ms({ ...course, utilization: 0.4 })).toBe(400);
    expect(await duration_ms({ ...course, utilization: 0.5 })).toBeCloseTo(1_300);
    for (const utilization of [0.6, 1]) expect(await duration_ms({ ...course, utilization })).toBeCloseTo(2_200);
    expect(await duration_ms({ ...course, utilization: 1, requests: 0 })).toBe(200);
  });

  it('rests less and less where its time is short, and so comes to an end within it', async () => {
    const course = { page_ms: 10, requests: 1, utilization: 1, time_ms: 10_000 };
    const few = await duration_ms({ ...course, pages: 32 });
    expect([few > 32 * 60, few < 5_500]).toEqual([true, true]);
    expect(await duration_ms({ ...course, pages: 500 })).toBeLessThan(10_000);
  });

  it('does not rest where nobody asks for anything', async () => {
    expect(await duration_ms({ pages: 10, page_ms: 20, requests: 0 })).toBe(200);
  });

  it('keeps to the rate, whoever works and however quickly pages are confirmed', async () => {
    expect(await duration_ms({ maxRate: 10_000, pages: 10, page_ms: 1, requests: 0 })).toBeCloseTo(1_000);
    expect(await duration_ms({ maxRate: 10_000, pages: 10, page_ms: 1, requests: 1 })).toBeCloseTo(1_000);
    expect(await duration_ms({ maxRate: 1_000_000, pages: 10, page_ms: 20, requests: 1 })).toBe(400);
  });

  it('sends several pages at once only where it is alone and has no rate', () => {
    const clock = new SimClock(new SimScheduler());
    let asked = 0;
    const free = new CopyPace({ clock, maxRate: null, requests: () => asked, busy_ms: () => 0, deadline_ms: 1e9 });
    const held = new CopyPace({ clock, maxRate: 1_000_000, requests: () => asked, busy_ms: () => 0, deadline_ms: 1e9 });
    expect([free.atOnce, held.atOnce]).toEqual([1, 1]);
    for (const pace of [free, held]) pace.rest_ms(1, 0);
    expect([free.atOnce, held.atOnce]).toEqual([4, 1]);
    asked++;
    free.rest_ms(1, 0);
    expect(free.atOnce).toBe(1);
  });
});
