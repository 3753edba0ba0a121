import { describe, expect, it } from 'vitest';
import { ReadingPace } from '../../../src/kv/server/verify/reading-pace.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

const PAGE = 100_000;

/** How long so many pages take that are read in `page_ms` each. */
async function took_ms(bytesPerS: number, pages: number, page_ms: (page: number) => number): Promise<number> {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  const pace = new ReadingPace(clock, bytesPerS);
  let done = false;
  const run = async (): Promise<void> => {
    for (let page = 0; page < pages; page++) {
      await new Promise<void>((resolve) => clock.after(page_ms(page), resolve));
      await pace.rest(PAGE);
    }
    done = true;
  };
  void run();
  await scheduler.runWhile(() => !done);
  return scheduler.now_ms;
}

describe('the pace of reading', () => {
  it('keeps to the rate where the disk is quick', async () => {
    expect(await took_ms(1_000_000, 50, () => 1)).toBeCloseTo(5_000, -2);
  });

  it('leaves half of the time where the work is what takes long', async () => {
    expect(await took_ms(1_000_000_000, 50, () => 10)).toBeCloseTo(1_000, -1);
  });

  it('does not make up for what a slow disk cost', async () => {
    // One page takes ten seconds; the others are not read all at once after it.
    const slow = await took_ms(1_000_000, 50, (page) => (page === 10 ? 10_000 : 1));
    expect(slow).toBeGreaterThan(10_000 + 4_500);
  });
});
