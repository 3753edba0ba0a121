/** Who may be lost for good, who sits where, and that nobody is disturbed. */
import { describe, expect, it } from 'vitest';
import { pause } from '../pause.js';
import { Seats } from './seats.js';
import { maySpend, type Standing } from './site.js';
import { Turns } from './turns.js';

const standing = (
  members: readonly string[] | null,
  { spent = [], leaving = [] }: { spent?: readonly string[]; leaving?: readonly string[] } = {},
  replicas = 3,
): Standing => ({
  spent: new Set(spent),
  replicas,
  roster: members === null ? null : { members, leaving: new Set(leaving) },
});

describe('a node may be lost', () => {
  it('where nobody comes or goes: as many as every shard can spare', () => {
    expect(maySpend('n1', standing(null))).toBe(true);
    expect(maySpend('n2', standing(null, { spent: ['n1'] }))).toBe(false);
    expect(maySpend('n1', standing(null, { spent: ['n1'] }))).toBe(true);
    expect(maySpend('n2', standing(null, { spent: ['n1'] }, 5))).toBe(true);
  });

  it('where nodes are replaced: if those that stay have what every shard needs', () => {
    const four = ['n1', 'n2', 'n3', 'n4'];
    expect(maySpend('n1', standing(['n1', 'n2', 'n3']))).toBe(false);
    expect(maySpend('n1', standing(four))).toBe(true);
    expect(maySpend('n1', standing(four, { leaving: ['n2'] }))).toBe(false);
    // The one that leaves is replaced already.
    expect(maySpend('n2', standing(four, { leaving: ['n2'] }))).toBe(true);
    expect(maySpend('n2', standing([...four, 'n5'], { spent: ['n1'] }))).toBe(false);
  });

  it('but not before it has joined', () => {
    expect(maySpend('n5', standing(['n1', 'n2', 'n3', 'n4']))).toBe(false);
  });
});

describe('seats', () => {
  const seats = new Seats([
    { http: 'h1:1', peer: 'h1:2', advertisedPeer: 'h1:3' },
    { http: 'h2:1', peer: 'h2:2' },
  ]);

  it('keep their addresses whoever sits there', () => {
    seats.sit('n1', 0);
    expect([seats.vacant, seats.peers, seats.seatOf('n1')]).toEqual([1, ['h1:3'], 0]);
    seats.sit('n2', 1);
    expect([seats.vacant, seats.peers]).toEqual([null, ['h1:3', 'h2:2']]);
    seats.leave('n1');
    expect([seats.vacant, seats.peers, seats.seatOf('n1')]).toEqual([0, ['h2:2'], null]);
    seats.sit('n3', 0);
    expect(seats.seatOf('n3')).toBe(0);
    expect(seats.endpoints).toEqual(['http://h1:1', 'http://h2:1']);
  });

  it('hold one node at a time', () => {
    expect(() => seats.sit('n4', 1)).toThrow('n2 sits where n4 is to sit');
  });
});

describe('turns', () => {
  it('come one after the other, also after one that failed', async () => {
    const turns = new Turns();
    const seen: string[] = [];
    const work = (name: string) => async (): Promise<string> => {
      seen.push(`${name} begins`);
      await pause(5);
      seen.push(`${name} ends`);
      if (name === 'b') throw new Error('b fails');
      return name;
    };
    const [a, b, c] = [turns.take(work('a')), turns.take(work('b')), turns.take(work('c'))];
    await expect(b).rejects.toThrow('b fails');
    expect([await a, await c]).toEqual(['a', 'c']);
    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });
});
