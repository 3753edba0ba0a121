/** Changes by hand: never below what every shard should have, never to nobody; and how their end is told. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/fakes/random.js';
import { type ChangeBounds, drawChange, endOf } from './hand-changes.js';

const bounds = (able: string, first: string | null = null): ChangeBounds => ({
  able: able.split(' ').filter(Boolean),
  replicas: 3,
  first,
});
const drawn = (members: string, within: ChangeBounds): string[] => {
  const random = new SimRandom('changes');
  const all = Array.from({ length: 100 }, () => drawChange(members.split(' '), within, random));
  return [...new Set(all.map((change) => JSON.stringify(change)))].sort();
};

describe('a change of members by hand', () => {
  it('replaces or adds where there is somebody else', () => {
    expect(drawn('n1 n2 n3', bounds('n1 n2 n3 n4'))).toEqual([
      '{"add":["n4"],"remove":["n1"]}',
      '{"add":["n4"],"remove":["n2"]}',
      '{"add":["n4"],"remove":["n3"]}',
      '{"add":["n4"],"remove":[]}',
    ]);
  });

  it('does nothing where there is nobody', () => {
    expect(drawn('n1 n2 n3', bounds('n1 n2 n3'))).toEqual(['null']);
    expect(drawn('n1 n2', bounds('n1 n2'))).toEqual(['null']);
  });

  it('takes back what a shard has more than it needs, and adds no more', () => {
    const four = drawn('n1 n2 n3 n4', bounds('n1 n2 n3 n4'));
    expect(four).toHaveLength(4);
    for (const change of four) expect(change).toMatch(/^\{"add":\[\],"remove":\["n[1-4]"\]\}$/);
    for (const change of drawn('n1 n2 n3 n4', bounds('n5'))) expect(change).not.toContain('"remove":[]');
  });

  it('is for the newcomer first', () => {
    for (const change of drawn('n1 n2 n3', bounds('n4 n5 n6', 'n5'))) expect(change).toContain('"add":["n5"]');
  });
});

describe('its end', () => {
  const change = { add: ['n4'], remove: ['n1'] };
  const seen = (members: string, waits_for: string | null = null) => ({
    id: 's1',
    members: members.split(' '),
    joining: [],
    leaving: [],
    waits_for,
  });

  it('is not there while the shard waits for something', () => {
    expect(endOf(change, seen('n1 n2 n3', 'asked for by an operator: n4 to catch up'))).toBeNull();
  });

  it('is what the members are then, also where the next change has begun by itself', () => {
    expect(endOf(change, seen('n2 n3 n4'))).toBe('done');
    expect(endOf(change, seen('n2 n3 n4', 'n2 is drained: n5 to catch up'))).toBe('done');
    expect(endOf(change, seen('n1 n2 n3'))).toBe('not so: members are n1, n2, n3');
  });
});
