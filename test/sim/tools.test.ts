import { describe, expect, it } from 'vitest';
import { Acknowledged } from './acknowledged.js';
import type { Fault } from './faults.js';
import { totalOf } from './ledger.js';
import { type Attempt, shrink } from './shrink.js';

describe('shrinking a failing seed', () => {
  const all: Attempt = { faults: ['kill', 'loss', 'pause', 'shuttle'], seconds: 60 };
  const needs =
    (...needed: Fault[]) =>
    async ({ faults, seconds }: Attempt): Promise<string | null> =>
      needed.every((fault) => faults.includes(fault)) && seconds >= 20 ? `with ${faults.join(' ')}` : null;

  it('leaves the faults that it takes, and the time', async () => {
    expect(await shrink(all, needs('loss', 'shuttle'))).toEqual({
      faults: ['loss', 'shuttle'],
      seconds: 30,
      violation: 'with loss shuttle',
      runs: 7,
    });
  });

  it('says so where the seed does not fail', async () => {
    expect(await shrink(all, needs('rot'))).toBeNull();
  });

  it('keeps at least one fault: without any there is nothing to be seen', async () => {
    expect((await shrink(all, needs()))?.faults).toEqual(['shuttle']);
  });
});

describe('the ledger', () => {
  const line = (src: string, from: number, seeds: number, failed: number[] = []): string =>
    JSON.stringify({ src, test: 't', date: 'd', seconds: 60, from, seeds, failed, simulated_s: 66 * seeds, cpu_s: 1 });

  it('counts the seeds of the present code only, each once', () => {
    const text = `${[line('a', 1, 100), line('b', 1, 5_000), line('a', 51, 100, [60]), ''].join('\n')}`;
    expect(totalOf(text, 'a')).toEqual({ seeds: 150, simulated_s: 200 * 66, failed: [60] });
    expect(totalOf(text, 'c')).toEqual({ seeds: 0, simulated_s: 0, failed: [] });
  });
});

describe('what was acknowledged of a key', () => {
  it('is what a read that may be so and so old must show at least, also where answers come late and out of order', () => {
    const acknowledged = new Acknowledged();
    acknowledged.note('k', 5, 1_000);
    acknowledged.note('k', 9, 2_000);
    acknowledged.note('k', 7, 3_000);
    acknowledged.note('other', 99, 0);
    expect([999, 1_000, 1_999, 2_000, 9_999].map((at_ms) => acknowledged.by('k', at_ms))).toEqual([0, 5, 5, 9, 9]);
    expect(acknowledged.by('nobody', 9_999)).toBe(0);
  });
});
