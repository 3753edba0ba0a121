import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OrderedRows } from '../../../sim/fakes/ordered-rows.js';

type Model = Map<string, string>;

const allRows = (rows: OrderedRows, gte = '', lt: string | null = null): [string, string][] => {
  const found: [string, string][] = [];
  rows.scan(Buffer.from(gte, 'hex'), lt === null ? null : Buffer.from(lt, 'hex'), (key, value) => {
    found.push([key.toString('hex'), value.toString('hex')]);
    return true;
  });
  return found;
};

const sorted = (model: Model): [string, string][] => [...model].sort(([a], [b]) => (a < b ? -1 : 1));

const key = fc.uint8Array({ minLength: 0, maxLength: 2, max: 15 }).map((bytes) => Buffer.from(bytes));
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key, value: key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fork' as const) }) },
);

describe('ordered rows of the simulator', () => {
  it('behaves as a sorted map, and forks stay as they were', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600, size: 'max' }), key, key, (steps, gte, lt) => {
        const rows = new OrderedRows();
        const model: Model = new Map();
        const forks: { rows: OrderedRows; expected: [string, string][] }[] = [];
        for (const s of steps) {
          if (s.do === 'fork') {
            forks.push({ rows: rows.fork(), expected: sorted(model) });
            continue;
          }
          const before = s.do === 'put' ? rows.put(s.key, s.value) : rows.delete(s.key);
          expect(before?.toString('hex')).toBe(model.get(s.key.toString('hex')));
          if (s.do === 'put') model.set(s.key.toString('hex'), s.value.toString('hex'));
          else model.delete(s.key.toString('hex'));
          expect(rows.get(s.key)?.toString('hex')).toBe(model.get(s.key.toString('hex')));
        }
        expect(allRows(rows)).toEqual(sorted(model));
        expect(rows.size).toBe(model.size);
        expect(rows.bytes).toBe([...model].reduce((sum, [k, v]) => sum + (k.length + v.length) / 2, 0));
        expect(allRows(rows, gte.toString('hex'), lt.toString('hex'))).toEqual(
          sorted(model).filter(([k]) => k >= gte.toString('hex') && k < lt.toString('hex')),
        );
        for (const fork of forks) expect(allRows(fork.rows)).toEqual(fork.expected);
      }),
      { seed: 20261107, numRuns: 150 },
    );
  });

  it('keeps 100,000 rows in order, whether they come ascending or not', () => {
    for (const spread of [1, 48_271]) {
      const rows = new OrderedRows();
      for (let i = 0; i < 100_000; i++) {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE((i * spread) % 100_003);
        rows.put(bytes, bytes);
      }
      expect(rows.size).toBe(100_000);
      let last = -1;
      rows.scan(Buffer.alloc(0), null, (k) => {
        expect(k.readUInt32BE()).toBeGreaterThan(last);
        last = k.readUInt32BE();
        return true;
      });
    }
  });
});
