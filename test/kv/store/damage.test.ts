import { crc32c } from '@node-rs/crc32';
import { describe, expect, it } from 'vitest';
import { DamagedState, KvStateMachine } from '../../../src/kv/store/index.js';
import type { ViewableRows } from '../../../src/raft/index.js';
import { del, EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';

/** These compute, they do not wait; a busy machine may take its time. */
const BUSY = { timeout: 120_000 };

const NOT_ROWS: ViewableRows = {
  get: () => undefined,
  peek: () => undefined,
  put: () => {},
  delete: () => {},
  view: () => {},
};

async function filled(): Promise<Machine> {
  const shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
  await shard.run(put('a', 'the value', { contentType: 'x/y', idempotency: token('t', 1) }));
  await shard.run({ kind: 'begin_export', move: 1, slots: [[0, 16_383]] });
  await shard.run(put('a', 'the other', { contentType: 'x/y', ttl_ms: 5_000 }));
  await shard.run({ kind: 'freeze', move: 1, round: 1, slots: EVERYTHING });
  await shard.run({ kind: 'thaw', move: 1, round: 1, slots: EVERYTHING });
  return shard;
}

/** Every (`every`-th) bit of the first row whose key begins with this byte, flipped, one after another. */
async function* flips(shard: Machine, table: number, every = 1): AsyncGenerator<string> {
  const [row] = await shard.engine.range({ gte: Buffer.from([table]), lt: Buffer.from([table + 1]), limit: 1 });
  if (row === undefined) throw new Error(`no row in table ${table}`);
  for (let bit = 0; bit < row.value.length * 8; bit += every) {
    const value = Buffer.from(row.value);
    value[bit >>> 3]! ^= 1 << (bit & 7);
    await shard.engine.write([{ key: row.key, value }]);
    yield `bit ${bit} of table ${table}`;
  }
  await shard.engine.write([row]);
}

describe('F38: a bit flips in a row at rest', () => {
  it('of a record: a read says corrupt, never a wrong value', async () => {
    const shard = await filled();
    const key = Buffer.from('a');
    for await (const flip of flips(shard, 0x10)) expect(shard.machine.lookup(key).kind, flip).toBe('corrupt');
    expect(shard.machine.lookup(key)).toMatchObject({ kind: 'found', record: { contentType: 'x/y', revision: 2 } });
  });

  it('of a record: a list and an export reject, a write finds damage in all but the value', BUSY, async () => {
    const shard = await filled();
    const request = { start: Buffer.alloc(0), end: null, limit: 9, maxBytes: 999, keysOnly: false };
    for await (const flip of flips(shard, 0x10)) {
      await expect(shard.machine.listPage(request), flip).rejects.toThrow(DamagedState);
      await expect(shard.machine.exportRecords(EVERYTHING, null, null, 999), flip).rejects.toThrow(DamagedState);
      const bit = Number(/\d+/.exec(flip)![0]);
      // Replacing a record needs its head only; damage in the old value goes with the old value.
      if (bit < 45 * 8) expect(() => shard.apply(put('a', 'x')), flip).toThrow(DamagedState);
    }
  });

  it('of a record that came under another key: it is no record of that key', async () => {
    const shard = await filled();
    await shard.run(put('b', 'the value of b'));
    const rows = await shard.engine.range({ gte: Buffer.from([0x10]), lt: Buffer.from([0x11]) });
    await shard.engine.write([{ key: rows[0]!.key, value: rows[1]!.value }]);
    expect(shard.machine.lookup(Buffer.from('a'))).toMatchObject({ kind: 'corrupt' });
    expect(() => shard.apply(del('a'))).toThrow(DamagedState);
  });

  it('of an idempotency record: the retry is not answered at all', async () => {
    const shard = await filled();
    for await (const flip of flips(shard, 0x12)) {
      expect(() => shard.apply(put('a', 'the value', { idempotency: token('t', 1) })), flip).toThrow(DamagedState);
    }
  });

  it('of what is read when the shard opens: it does not open', BUSY, async () => {
    const shard = await filled();
    for (const table of [0x01, 0x02, 0x04, 0x05, 0x15]) {
      for await (const flip of flips(shard, table, 11)) {
        await expect(new KvStateMachine().open(shard.engine, NOT_ROWS), flip).rejects.toThrow(/checksum|format/);
      }
    }
    await new KvStateMachine().open(shard.engine, NOT_ROWS);
  });
});

describe('F35: a row that is streamed to another replica', () => {
  it('has no fault as long as it is what was written', async () => {
    const shard = await filled();
    for (const { key, value } of await shard.engine.range({ gte: Buffer.from([0x01]), lt: Buffer.from([0xff]) })) {
      expect([key, shard.machine.rowFault(key, value)]).toEqual([key, null]);
    }
  });

  it.each([0x01, 0x02, 0x04, 0x05, 0x10, 0x12, 0x15])(
    'is found out if a bit of it has flipped: table %i',
    async (table) => {
      const shard = await filled();
      for await (const flip of flips(shard, table)) {
        const [row] = await shard.engine.range({ gte: Buffer.from([table]), lt: Buffer.from([table + 1]), limit: 1 });
        expect(shard.machine.rowFault(row!.key, row!.value), flip).not.toBeNull();
      }
    },
  );
});

describe('opening', () => {
  it('refuses another layout by name, and rows without a meta row', async () => {
    const shard = await filled();
    const row = Buffer.from(shard.engine.get(Buffer.from([0x01]))!);
    row[5] = 3;
    row.writeUInt32LE(crc32c(row.subarray(5)), 1);
    await shard.engine.write([{ key: Buffer.from([0x01]), value: row }]);
    await expect(new KvStateMachine().open(shard.engine, NOT_ROWS)).rejects.toThrow(
      "the shard's data has layout 3, this build knows 2",
    );
    await shard.engine.write([{ key: Buffer.from([0x01]), value: null }]);
    await expect(new KvStateMachine().open(shard.engine, NOT_ROWS)).rejects.toThrow('no meta row');
  });
});
