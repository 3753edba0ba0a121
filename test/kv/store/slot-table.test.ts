/** What a shard knows of its slots: leftovers, floors that receipts hang on, and a hash that replicas are compared by. */
import { describe, expect, it } from 'vitest';
import { hashPair } from '../../../src/kv/store/digest.js';
import { type SlotStep, SlotTable } from '../../../src/kv/store/slot-table.js';
import type { StateEngine } from '../../../src/raft/index.js';
import { MoveOutcome, SlotState, slotsOf } from '../../../src/shardctrl/index.js';
import { MemoryRows } from './memory-rows.js';

/** The table as it is read from what it has written. */
async function reopened(table: SlotTable): Promise<SlotTable> {
  const rows = new MemoryRows();
  table.write(rows);
  const sorted = [...rows.all.values()].sort((a, b) => Buffer.compare(a.key, b.key));
  const range: StateEngine['range'] = async ({ gte, lt }) =>
    sorted.filter(({ key }) => Buffer.compare(key, gte!) >= 0 && Buffer.compare(key, lt!) < 0);
  const read = new SlotTable();
  await read.open({ range } as StateEngine);
  return read;
}

const record = (text: string): void => hashPair(1, Buffer.from(text), Buffer.alloc(0));
function add(table: SlotTable, slot: number, text: string, isKey = true): void {
  record(text);
  table.add(slot, text.length, isKey);
}
function subtract(table: SlotTable, slot: number, text: string, isKey = true): void {
  record(text);
  table.subtract(slot, text.length, isKey);
}
const made = (steps: readonly (readonly [number, SlotStep])[]): SlotTable => {
  const table = new SlotTable();
  for (const [slot, step] of steps) table.step(slot, step);
  return table;
};

describe('the slots of a shard', () => {
  it('at NONE that hold records are left-overs, also after a restart, until they are empty or taken', async () => {
    const table = made([[3, { state: SlotState.Importing }]]);
    add(table, 3, 'key');
    add(table, 4, 'token', false);
    add(table, 5, 'served');
    table.step(5, { state: SlotState.Own });
    expect([...table.leftovers]).toEqual([4]);
    table.step(3, { state: SlotState.None });
    expect(slotsOf(table.leftovers)).toEqual([[3, 4]]);
    expect(slotsOf((await reopened(table)).leftovers)).toEqual([[3, 4]]);
    subtract(table, 4, 'token', false);
    expect([...table.leftovers]).toEqual([3]);
    table.step(3, { state: SlotState.Importing });
    expect([...table.leftovers]).toEqual([]);
  });

  it('are counted by their state', async () => {
    const table = made([
      [1, { state: SlotState.Own }],
      [2, { state: SlotState.Own }],
      [3, { state: SlotState.Frozen }],
      [2, { state: SlotState.Frozen }],
      [3, { outcome: MoveOutcome.Given }],
    ]);
    for (const each of [table, await reopened(table)]) {
      const counts = Object.values(SlotState).map((state) => each.countIn(state));
      expect(counts).toEqual([16_381, 1, 0, 2, 0, 0]);
    }
  });

  it('say when a move is the floor of none of them any more: its receipt can go', async () => {
    const table = made([
      [1, { floor: 5 }],
      [2, { floor: 5 }],
      [3, { floor: 4 }],
    ]);
    for (const each of [table, await reopened(table)]) {
      expect(each.step(1, { floor: 5 })).toBe(0);
      expect(each.step(1, { floor: 6 })).toBe(0);
      expect(each.step(3, { floor: 6 })).toBe(4);
      expect(each.step(2, { floor: 6 })).toBe(5);
      expect(each.step(9, { floor: 1 })).toBe(0);
      expect(each.step(2, { floor: 7 })).toBe(0);
      expect(() => each.step(2, { floor: 6 })).toThrow('the floor of slot 2 fell from 7 to 6');
    }
  });

  it('are summed up over ranges, both ends included', () => {
    const table = new SlotTable();
    const alone = new SlotTable();
    for (const each of [table, alone]) add(each, 5, 'key');
    add(table, 4, 'a');
    add(table, 7, 'token', false);
    add(table, 8, 'bc');
    expect(table.sums([[5, 7]])).toMatchObject({ keys: 1, bytes: 8, idempotencyRecords: 1 });
    const both = [
      [4, 4],
      [7, 8],
    ] as const;
    expect(table.sums(both)).toMatchObject({ keys: 2, bytes: 8, idempotencyRecords: 1 });
    expect(table.sums([[5, 6]])).toEqual(alone.sums([[0, 16_383]]));
    expect(table.sums([])).toEqual({ keys: 0, bytes: 0, digest: '0'.repeat(32), idempotencyRecords: 0 });
  });

  it('that would hold less than nothing are damaged (F38)', () => {
    const table = new SlotTable();
    expect(() => subtract(table, 1, 'key')).toThrow('sums of slot 1 fell below zero');
    const other = new SlotTable();
    add(other, 1, 'a', true);
    add(other, 1, 'b', false);
    record('a');
    expect(() => other.subtract(1, 100, true)).toThrow('sums of slot 1 fell below zero');
  });
});

describe('the hash of all slots', () => {
  it('differs with anything that is known of any of them', () => {
    const steps: SlotStep[] = [
      { state: SlotState.Own },
      { state: SlotState.Exporting },
      { outcome: MoveOutcome.Aborted },
      { outcome: MoveOutcome.Undone },
      { move: 1 },
      { floor: 1 },
      { state: SlotState.Own, freezeRound: 1 },
      { state: SlotState.Own, barredRound: 1 },
      { state: SlotState.Own, outcome: MoveOutcome.Installed },
    ];
    const tables = [new SlotTable(), ...[1, 2].flatMap((slot) => steps.map((step) => made([[slot, step]])))];
    for (const [slot, text, isKey] of [
      [1, 'a', true],
      [1, 'a', false],
      [1, 'b', true],
      [2, 'a', true],
    ] as const) {
      for (const state of [SlotState.None, SlotState.Own]) {
        const table = made([[slot, { state }]]);
        add(table, slot, text, isKey);
        tables.push(table);
      }
    }
    const hashes = tables.map((table) => table.stateHash());
    expect(new Set(hashes).size).toBe(tables.length);
    expect(hashes[0]).toBe('0'.repeat(32));
  });

  it('is the same however a state came about: at once, step by step, there and back, or read from rows', async () => {
    const straight = made([
      [1, { state: SlotState.Own }],
      [2, { state: SlotState.Own }],
    ]);
    const expected = straight.stateHash();
    expect(straight.stateHash()).toBe(expected);
    const winding = made([[1, { state: SlotState.Frozen, barredRound: 3, freezeRound: 2, move: 4 }]]);
    winding.stateHash();
    winding.step(3, { state: SlotState.Importing });
    add(winding, 2, 'a');
    winding.stateHash();
    subtract(winding, 2, 'a');
    winding.step(1, { state: SlotState.Own, barredRound: 0, freezeRound: 0, move: 0 });
    winding.step(2, { state: SlotState.Own });
    winding.step(3, { state: SlotState.None });
    expect(winding.stateHash()).toBe(expected);
    expect((await reopened(winding)).stateHash()).toBe(expected);
    expect((await reopened(straight)).stateHash()).toBe(expected);
    // A hash that was known before is no other one.
    expect(
      made([
        [2, { state: SlotState.Own }],
        [1, { state: SlotState.Own }],
      ]).stateHash(),
    ).toBe(expected);
  });
});
