/** Sums of slots as rows: whatever comes in whatever rounds, what is read at open is what was in memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Table } from '../../../src/kv/store/key-layout.js';
import { SumsTable, sumsFault } from '../../../src/kv/store/sums-table.js';
import type { EngineRow } from '../../../src/raft/index.js';
import { SLOT_COUNT } from '../../../src/shardctrl/index.js';
import { MemoryRows } from './memory-rows.js';

class Rows extends MemoryRows {
  of(table: number): EngineRow[] {
    const rows = [...this.all.values()].filter(({ key }) => key[0] === table);
    return rows.sort((a, b) => Buffer.compare(a.key, b.key));
  }

  read(): SumsTable {
    const sums = new SumsTable();
    sums.open(this.of(Table.Sums), this.of(Table.SumsJournal));
    return sums;
  }
}

function set(sums: SumsTable, slot: number, value: number): void {
  sums.keys[slot] = value;
  sums.bytes[slot] = value * 1_000_003;
  sums.idempotency[slot] = value % 3;
  for (let i = 0; i < 4; i++) sums.digest[slot * 4 + i] = value * 2_654_435_761 + i;
  sums.changed(slot);
}

function expectSame(read: SumsTable, expected: SumsTable): void {
  for (const name of ['keys', 'bytes', 'idempotency', 'digest'] as const) {
    expect(Buffer.compare(Buffer.from(read[name].buffer), Buffer.from(expected[name].buffer)), name).toBe(0);
  }
}

describe('sums of slots', () => {
  it('are read as they were, after any rounds and restarts', () => {
    const change = fc.tuple(fc.oneof(fc.nat(90), fc.nat(SLOT_COUNT - 1)), fc.nat(1_000));
    const round = fc.record({ changes: fc.array(change, { maxLength: 200, size: 'max' }), restart: fc.boolean() });
    fc.assert(
      fc.property(fc.array(round, { maxLength: 30, size: 'max' }), (rounds) => {
        const rows = new Rows();
        let sums = new SumsTable();
        for (const { changes, restart } of rounds) {
          for (const [slot, value] of changes) set(sums, slot, value);
          sums.write(rows);
          if (!restart) continue;
          const read = rows.read();
          expectSame(read, sums);
          sums = read;
        }
        expectSame(rows.read(), sums);
      }),
    );
  });

  it('stay few rows however much is written, and go when their records go', () => {
    const rows = new Rows();
    let sums = new SumsTable();
    let most = 0;
    for (let i = 0; i < 100_000; i++) {
      set(sums, (i * 7_919) % SLOT_COUNT, 1 + (i % 50));
      if (i % 16 === 0) sums.write(rows);
      if (i === 70_000) {
        sums.write(rows);
        sums = rows.read();
      }
      most = Math.max(most, rows.all.size);
    }
    sums.write(rows);
    expectSame(rows.read(), sums);
    expect(rows.of(Table.Sums)).toHaveLength(64);
    expect(most).toBeLessThan(64 + 520);
    for (let slot = 0; slot < SLOT_COUNT; slot++) set(sums, slot, 0);
    for (let i = 0; i < 40_000; i++) {
      set(sums, (i * 7_919) % SLOT_COUNT, 0);
      if (i % 16 === 0) sums.write(rows);
    }
    expect(rows.of(Table.Sums)).toEqual([]);
    expectSame(rows.read(), sums);
  });

  it('of one slot that is written over and over are one row', () => {
    const rows = new Rows();
    const sums = new SumsTable();
    for (let i = 0; i < 1_000; i++) {
      set(sums, 5, i);
      sums.write(rows);
    }
    expect(rows.all.size).toBe(1);
  });

  it('F38: a bit that flips is noticed, in a block and in the journal', () => {
    const rows = new Rows();
    const sums = new SumsTable();
    for (let i = 0; i < 33_000; i++) set(sums, (i * 7_919) % SLOT_COUNT, 1 + i);
    sums.write(rows);
    for (let i = 0; i < 33_000; i++) {
      set(sums, (i * 7_919) % SLOT_COUNT, 1 + i);
      if (i % 64 === 0) sums.write(rows);
    }
    sums.write(rows);
    for (const table of [Table.Sums, Table.SumsJournal]) {
      const { key, value } = rows.of(table)[0]!;
      expect(sumsFault(key, value)).toBeNull();
      for (let bit = 0; bit < value.length * 8; bit += 101) {
        const flipped = Buffer.from(value);
        flipped[bit >>> 3]! ^= 1 << (bit & 7);
        expect(sumsFault(key, flipped), `bit ${bit} of table ${table}`).not.toBeNull();
        rows.put(key, flipped);
        expect(() => rows.read()).toThrow(/checksum|format/);
      }
      rows.put(key, value);
    }
    const [first, second] = rows.of(Table.Sums);
    expect(sumsFault(first!.key, second!.value), 'a row in another place').not.toBeNull();
  });
});
