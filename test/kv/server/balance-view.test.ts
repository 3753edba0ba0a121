import { describe, expect, it } from 'vitest';
import { balanceLine } from '../../../src/kv/server/balance-view.js';
import { type Assessment, assess, BALANCE_DEFAULTS, SLOT_COUNT, type Standing } from '../../../src/shardctrl/index.js';

const SHARDS = [
  { id: 1, slots: [[0, 8191]] as const, weight: 1 },
  { id: 2, slots: [[8192, 16_383]] as const, weight: 1 },
];

function assessed(load: Readonly<Record<number, number>>): Assessment {
  const rates = new Float64Array(SLOT_COUNT);
  for (const [slot, rate] of Object.entries(load)) rates[Number(slot)] = rate;
  return assess(SHARDS, { load: rates, bytes: new Float64Array(SLOT_COUNT) }, 0.3);
}

const told = (load: Readonly<Record<number, number>>, more: Partial<Standing> = {}) =>
  balanceLine({
    settings: BALANCE_DEFAULTS,
    assessment: assessed(load),
    silent: [],
    overloaded_ms: 200_000,
    ...more,
  });

const HOT = { 0: 40, 1: 20, 2: 10, 3: 1, 9000: 29 };

describe('the balance in a sentence', () => {
  it.each([
    [{ 0: 50, 9000: 50 }, { overloaded_ms: null }, 'balanced', 'no shard carries 30 % more than its fair share'],
    [HOT, {}, 'unbalanced', "s1 carries 71 % of the load (fair: 50 %): 'quorate balance' would move 2 slots"],
    [
      HOT,
      { overloaded_ms: 31_400 },
      'watching',
      "s1 carries 71 % of the load (fair: 50 %) for 31 s, which counts from 120 s on: 'quorate balance' would move 2 slots",
    ],
    [
      HOT,
      { overloaded_ms: null },
      'watching',
      "s1 carries 71 % of the load (fair: 50 %) while slots are on the move: 'quorate balance' would move 2 slots",
    ],
    [
      { 5: 80, 9000: 20 },
      {},
      'stuck',
      's1 carries 80 % of the load (fair: 50 %): slot 5 alone is 80 % of the load, against which no move helps: spread its keys over other hash tags',
    ],
    [
      { 5: 70, 6: 20, 9000: 10 },
      {},
      'unbalanced',
      "s1 carries 90 % of the load (fair: 50 %): 'quorate balance' would move 1 slot and leave s1 with 70 %; slot 5 alone is 70 % of the load, against which no move helps: spread its keys over other hash tags",
    ],
    [HOT, { assessment: null, silent: [2] }, 'unknown', 's2 did not say what it carries'],
    [HOT, { assessment: null, silent: [1, 2] }, 'unknown', 's1, s2 did not say what they carry'],
  ])('%j %j', (load, more, state, detail) => {
    expect(told(load, more)).toEqual({ auto: false, state, detail });
  });
});
