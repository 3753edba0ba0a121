/** The look at rows at rest, itself looked at: quiet about what the store writes, and not about any row too many, too few, or wrong. */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  decodeKeyExpiry,
  encodeKeyExpiry,
  keyExpiryKey,
  recordKey,
  slotIndexKey,
  Table,
} from '../../../src/kv/store/key-layout.js';
import type { EngineRow } from '../../../src/raft/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { del, EVERYTHING, put, token } from '../../kv/store/support/commands.js';
import { Machine } from '../../kv/store/support/machine.js';
import { NOWHERE, type Place } from './guards-table.js';
import { faultAtRest } from './rows-at-rest.js';

const OWNED: Place = { ...NOWHERE, state: 'own' };
let shard: Machine;
let rows: EngineRow[];

const fault = (placeOf: (slot: number) => Place = () => OWNED): string | null =>
  faultAtRest(rows, shard.machine, placeOf);
const of = (table: number): EngineRow[] => rows.filter(({ key }) => key[0] === table);
const without = (lost: EngineRow): EngineRow[] => rows.filter((row) => row !== lost);

beforeEach(async () => {
  shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
  await shard.run(put('a', '1'));
  await shard.run(put('b', '2', { ttl_ms: 9_000 }));
  await shard.run(put('b', '3', { ttl_ms: 8_000, idempotency: token('once', 1) }));
  await shard.run(put('c', '4', { ttl_ms: 7_000 }));
  await shard.run(put('c', '5'));
  await shard.run(put('d', '6'));
  await shard.run(del('d', { idempotency: token('gone', 2) }));
  rows = await shard.engine.range({ gte: Buffer.from([1]), lt: Buffer.from([0xff]) });
});

describe('rows at rest', () => {
  it('are whole, also when the store is opened anew', async () => {
    expect(fault()).toBeNull();
    expect([of(Table.Record).length, of(Table.KeyExpiry).length, of(Table.Idempotency).length]).toEqual([3, 1, 2]);
    await shard.reopen();
    expect(fault()).toBeNull();
  });

  it.each([Table.Record, Table.SlotIndex, Table.KeyExpiry, Table.Idempotency, Table.IdempotencyExpiry])(
    'are not whole without a row of table %i',
    (table) => {
      for (const lost of of(table)) {
        const whole = rows;
        rows = without(lost);
        expect(fault()).not.toBeNull();
        rows = whole;
      }
    },
  );

  it('are not whole with an index row, or an expiry row, of no record', () => {
    const whole = rows;
    const d = Buffer.from('d');
    rows = [...whole, { key: slotIndexKey(slotOfKey(d), d), value: Buffer.alloc(0) }];
    expect(fault()).toMatch(/index row .* belongs to no record/);
    rows = [
      ...whole,
      { key: keyExpiryKey(1_009_000, Buffer.from('b')), value: encodeKeyExpiry(slotOfKey(Buffer.from('b')), 3) },
    ];
    expect(fault()).toMatch(/expiry row .* belongs to no record/);
  });

  it('are not whole where an expiry row speaks of another write', () => {
    const [expiry] = of(Table.KeyExpiry);
    const { slot, revision } = decodeKeyExpiry(expiry!.value)!;
    rows = [...without(expiry!), { key: expiry!.key, value: encodeKeyExpiry(slot, revision - 1) }];
    expect(fault()).toMatch(/there is no expiry row/);
  });

  it('are not whole where a record is not what was counted', async () => {
    const other = await Machine.create();
    await other.run({ kind: 'init', slots: EVERYTHING });
    await other.run(put('a', 'x'));
    const record = (
      await other.engine.range({ gte: recordKey(Buffer.from('a')), lt: recordKey(Buffer.from('b')) })
    )[0]!;
    rows = rows.map((row) => (row.key.equals(record.key) ? record : row));
    expect(fault()).toMatch(/sums of slot \d+ are .*; its records come to/);
  });

  it('are not whole where the table of guards has the slot elsewhere, or at another round', () => {
    const slot = slotOfKey(Buffer.from('a'));
    const at = (place: Partial<Place>) => fault((other) => (other === slot ? { ...OWNED, ...place } : OWNED));
    expect(at({ state: 'none' })).toMatch(/the row of slot \d+ says/);
    expect(at({ barredRound: 2 })).toMatch(/the row of slot \d+ says/);
  });

  it('are not whole with notes of a move that is over', async () => {
    await shard.run({ kind: 'begin_export', move: 7, slots: EVERYTHING });
    await shard.run(put('a', 'changed'));
    rows = await shard.engine.range({ gte: Buffer.from([1]), lt: Buffer.from([0xff]) });
    expect(fault(() => ({ ...OWNED, state: 'exporting', move: 7, floor: 7 }))).toMatch(
      /is left of a move|is not owned/,
    );
  });
});
