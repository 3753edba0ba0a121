import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Operation } from '../../../src/kv/server/operation.js';
import { Roster } from '../../../src/kv/server/roster.js';

const operation = (): Operation =>
  new Operation(
    { kind: 'get', key: Buffer.from('k'), consistency: 'linearizable', maxStaleness_ms: null },
    { timeout_ms: 1_000, noForward: false, requestId: 'r' },
    null,
    0,
    () => undefined,
  );

it('the roster holds exactly those that came and have not gone', () => {
  const moves = fc.array(fc.record({ come: fc.boolean(), which: fc.nat(15) }), { maxLength: 200, size: 'max' });
  fc.assert(
    fc.property(moves, (steps) => {
      const operations = Array.from({ length: 16 }, operation);
      const roster = new Roster();
      const expected = new Set<Operation>();
      for (const { come, which } of steps) {
        const one = operations[which]!;
        if (!come) expect(roster.delete(one)).toBe(expected.delete(one));
        else if (!expected.has(one)) {
          roster.add(one);
          expected.add(one);
        }
        expect(roster.size).toBe(expected.size);
      }
      expect(new Set(roster.all())).toEqual(expected);
      roster.clear();
      expect(roster.size).toBe(0);
      expect(operations.some((one) => roster.delete(one))).toBe(false);
    }),
  );
});

it('an operation can be entered only once', () => {
  const roster = new Roster();
  const one = operation();
  roster.add(one);
  expect(() => roster.add(one)).toThrow('invariant');
});
