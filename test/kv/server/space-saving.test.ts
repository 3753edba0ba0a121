import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SpaceSaving } from '../../../src/kv/server/space-saving.js';

const stream = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }).map(String), fc.integer({ min: 1, max: 9 })), {
  maxLength: 300,
});
const capacities = fc.integer({ min: 1, max: 12 });

function counted(capacity: number, additions: readonly (readonly [string, number])[]) {
  const sketch = new SpaceSaving(capacity);
  const truth = new Map<string, number>();
  let total = 0;
  for (const [key, weight] of additions) {
    sketch.add(key, weight);
    truth.set(key, (truth.get(key) ?? 0) + weight);
    total += weight;
  }
  return { sketch, truth, total, entries: sketch.entries() };
}

describe('the keys that weigh most', () => {
  it('are exact while there are counters for all', () => {
    fc.assert(
      fc.property(stream, (additions) => {
        const { truth, entries, sketch } = counted(40, additions);
        expect(new Map(entries.map(({ key, count }) => [key, count]))).toEqual(truth);
        expect(entries.every(({ error }) => error === 0)).toBe(true);
        expect(sketch.floor).toBe(0);
      }),
    );
  });

  it('have counts that are never too low, and too high by no more than is said', () => {
    fc.assert(
      fc.property(capacities, stream, (capacity, additions) => {
        const { truth, total, entries, sketch } = counted(capacity, additions);
        expect(entries.length).toBe(Math.min(capacity, truth.size));
        for (const { key, count, error } of entries) {
          const exact = truth.get(key)!;
          expect(count).toBeGreaterThanOrEqual(exact);
          expect(count - error).toBeLessThanOrEqual(exact);
          expect(error).toBeLessThanOrEqual(total / capacity);
        }
        // All weight stands in some counter.
        expect(entries.reduce((sum, { count }) => sum + count, 0)).toBe(total);
        const missing = [...truth].filter(([key]) => !entries.some((entry) => entry.key === key));
        for (const [, exact] of missing) expect(exact).toBeLessThanOrEqual(sketch.floor);
      }),
    );
  });

  it('are there whatever comes between: any key above the average of the counters', () => {
    fc.assert(
      fc.property(capacities, stream, (capacity, additions) => {
        const { truth, total, entries } = counted(capacity, additions);
        for (const [key, exact] of truth) {
          if (exact > total / capacity) expect(entries.map((entry) => entry.key)).toContain(key);
        }
      }),
    );
  });

  it('stay the same when all is scaled', () => {
    fc.assert(
      fc.property(capacities, stream, stream, (capacity, before, after) => {
        const plain = counted(capacity, [...before, ...after]).entries;
        const scaled = new SpaceSaving(capacity);
        for (const [key, weight] of before) scaled.add(key, weight * 4);
        scaled.scale(0.25);
        for (const [key, weight] of after) scaled.add(key, weight);
        expect(scaled.entries()).toEqual(plain);
      }),
    );
  });
});
