import { describe, expect, it } from 'vitest';
import { DamagedState } from '../../../src/kv/store/index.js';
import { recordKey, slotIndexKey } from '../../../src/kv/store/key-layout.js';
import type { SlotRanges } from '../../../src/shardctrl/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';
import { exportAll, freeze, importPages, install, keysIn, moveSlots, purge } from './support/moves.js';

const SLOTS: SlotRanges = [
  [100, 1_100],
  [9_000, 9_000],
];
const KEYS = [...keysIn([SLOTS[0]!], 6, 'many-'), ...keysIn([SLOTS[1]!], 3, 'one-')];
const MOVE = 7;

/** Has given the slots away, with some keys and records that expire; nothing is purged yet. */
async function given(): Promise<{ from: Machine; to: Machine }> {
  const [from, to] = [await Machine.create(), await Machine.create()];
  await from.run({ kind: 'init', slots: EVERYTHING });
  for (const [i, key] of KEYS.entries())
    await from.run(put(key, `value ${i}`, { ttl_ms: i % 2 === 0 ? 60_000 : 0, idempotency: token(`t${i}`, i) }));
  await from.run({ kind: 'begin_export', move: MOVE, slots: SLOTS });
  const receipt = await freeze(from, MOVE, SLOTS);
  await importPages(to, MOVE, SLOTS, await exportAll(from, SLOTS));
  await install(to, MOVE, SLOTS, receipt);
  await from.run({ kind: 'delete', move: MOVE, slots: SLOTS });
  return { from, to };
}

/** Rows of records and all that belongs to them. */
const recordRows = async (shard: Machine): Promise<readonly string[]> =>
  (await shard.dump()).filter((row) => /^1[0-4]/.test(row));

describe('a purge', () => {
  it('takes all rows of its slots, a few at a time, and the sums say all along what is left', async () => {
    const { from } = await given();
    const pass = from.machine.purgePass(MOVE, SLOTS);
    for (let [keys, records] = [KEYS.length, KEYS.length]; ; ) {
      const { keys: left, idempotencyRecords } = from.machine.sums(SLOTS);
      expect([left, idempotencyRecords]).toEqual([keys, records]);
      const found = await pass.next(2);
      if (found === null) break;
      for (const part of found.parts) {
        keys -= part.keys.length;
        records -= part.idempotency.length;
      }
      await from.run(found);
    }
    await from.reopen();
    expect(await recordRows(from)).toEqual([]);
    expect(from.machine.purged(SLOTS)).toBe(true);
    expect(from.machine.sums(EVERYTHING)).toEqual(NOTHING);
  });

  it('that comes twice, or after another one, changes nothing', async () => {
    const { from } = await given();
    const [first, other] = [from.machine.purgePass(MOVE, SLOTS), from.machine.purgePass(MOVE, SLOTS)];
    const [some, more] = [(await first.next(4))!, (await other.next(5))!];
    await from.run(some);
    const [hash, rows] = [from.machine.stateHash(), await from.dump()];
    await from.run(some);
    await from.run({ ...more, parts: more.parts.filter(({ slot }) => some.parts.some((part) => part.slot === slot)) });
    expect([from.machine.stateHash(), await from.dump()]).toEqual([hash, rows]);
    await purge(from, MOVE, SLOTS);
    expect(await recordRows(from)).toEqual([]);
  });

  it('goes on past slots that somebody else has emptied and that are filled again', async () => {
    const { from, to } = await given();
    const pass = from.machine.purgePass(MOVE, SLOTS);
    await from.run((await pass.next(2))!);
    await purge(from, MOVE, SLOTS);
    await moveSlots(to, from, MOVE + 1, SLOTS);
    const sums = from.machine.sums(SLOTS);
    expect(await pass.next(100)).toBeNull();
    expect(from.machine.sums(SLOTS)).toEqual(sums);
  });

  it('F38: finds damage where a record is not what was written, or its slot has others than the sums say', async () => {
    const key = Buffer.from(KEYS[0]!);
    const index = slotIndexKey(slotOfKey(key), key);
    const harms: readonly (readonly [string, (row: Buffer) => { key: Buffer; value: Buffer | null }])[] = [
      [
        'head',
        (row) => ({
          key: recordKey(key),
          value: Buffer.concat([row.subarray(0, 20), Buffer.of(row[20]! ^ 1), row.subarray(21)]),
        }),
      ],
      ['names no record', () => ({ key: recordKey(key), value: null })],
      ['fewer records', () => ({ key: index, value: null })],
    ];
    for (const [what, harm] of harms) {
      const { from } = await given();
      const row = (await from.engine.getMany([recordKey(key)]))[0]!;
      await from.engine.write([harm(row)]);
      await expect(purge(from, MOVE, SLOTS), what).rejects.toThrow(DamagedState);
    }
    const { from } = await given();
    const stray = keysIn([[9_000, 9_000]], 4, 'one-').at(-1)!;
    const scribe = await Machine.create();
    await scribe.run({ kind: 'init', slots: EVERYTHING });
    await scribe.run(put(stray, 'nobody counts it'));
    const uncounted = (await scribe.engine.getMany([recordKey(Buffer.from(stray))]))[0]!;
    await from.engine.write([
      { key: recordKey(Buffer.from(stray)), value: uncounted },
      { key: slotIndexKey(9_000, Buffer.from(stray)), value: Buffer.alloc(0) },
    ]);
    // Before anything has gone of the slot, however many of its records go at once.
    for (const limit of [100, 2]) {
      await expect(purge(from, MOVE, [[9_000, 9_000]], limit)).rejects.toThrow('slot 9000 has 4 keys');
      expect(from.machine.sums([[9_000, 9_000]]).keys).toBe(3);
    }
  });
});

const NOTHING = { keys: 0, bytes: 0, digest: '0'.repeat(32), idempotencyRecords: 0 };
