/** Marks, and the views of a replica's rows that they fix: what is on disk is held to what the state keeps, and told by name. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Finding, MarkedView, Pace, RecordListing, ViewReport } from '../../../src/kv/store/index.js';
import { idempotencyKey, placeOf, recordKey, slotIndexKey, Table } from '../../../src/kv/store/key-layout.js';
import { encodeRecord } from '../../../src/kv/store/record-codec.js';
import { SlotControl } from '../../../src/kv/store/slot-control.js';
import { SumsTable } from '../../../src/kv/store/sums-table.js';
import { MarkedView as View } from '../../../src/kv/store/view/marked-view.js';
import type { EngineOp, EngineSnapshot } from '../../../src/raft/index.js';
import { eachSlot, formatSlots, NO_SLOTS, type SlotRanges, slotOfKey } from '../../../src/shardctrl/index.js';
import { MemoryRows } from './memory-rows.js';
import { del, EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';
import { exportAll, importPages, keysIn, moveSlots } from './support/moves.js';
import { step, World } from './support/world.js';

const AT_ONCE: Pace = async () => true;
const FULL = { records: true, gone: NO_SLOTS };
const ENGINE = 'shard';
const slotOf = (key: string): number => slotOfKey(Buffer.from(key));
const row = (key: string): Buffer => recordKey(Buffer.from(key));

async function filled(): Promise<Machine> {
  const shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
  for (const key of ['a', 'b', 'c', 'd']) await shard.run(put(key, `value of ${key}`, { idempotency: token('t', 1) }));
  await shard.run(put('e', 'short', { ttl_ms: 60_000 }));
  await shard.run(del('d'));
  return shard;
}

async function mark(shard: Machine, name = 'run/s1'): Promise<MarkedView> {
  let taken: MarkedView | null = null;
  shard.machine.expectMark(name, (view) => {
    taken = view;
  });
  await shard.run({ kind: 'mark', token: name });
  if (taken === null) throw new Error('no view was taken');
  return taken;
}

async function reported(shard: Machine, request = FULL): Promise<ViewReport> {
  const view = await mark(shard);
  const report = await view.read(request, AT_ONCE);
  await view.close();
  if (report === null) throw new Error('the reading was ended');
  return report;
}

const tamper = (shard: Machine, ...ops: readonly EngineOp[]): Promise<void> => shard.engine.write(ops);

/** Flips a bit of the row's value. */
async function flip(shard: Machine, key: Buffer, at: number): Promise<void> {
  const value = Buffer.from(shard.engine.get(key)!);
  value[at < 0 ? value.length + at : at]! ^= 1;
  await tamper(shard, { key, value });
}

const told = ({ kind, slots, key, detail }: Finding): string =>
  `${kind} ${formatSlots(slots)} ${key === null ? '-' : Buffer.from(key)}: ${detail}`;

const listed = async (shard: Machine, slots: SlotRanges): Promise<RecordListing> => {
  const view = await mark(shard, 'list');
  const listing = await view.list(slots, AT_ONCE);
  await view.close();
  return listing!;
};

const slotsOfKeys = (...keys: readonly string[]): SlotRanges =>
  keys
    .map(slotOf)
    .sort((a, b) => a - b)
    .map((slot) => [slot, slot] as const);

describe('a mark', () => {
  it('changes nothing, not even the clock, whether anybody waits for it or not', async () => {
    const shard = await filled();
    const [before, rows] = [shard.machine.stateHash(), await shard.dump()];
    shard.now_ms += 10_000;
    expect(await shard.run({ kind: 'mark', token: 'x' })).toEqual({ kind: 'marked', index: shard.index });
    await (await mark(shard)).close();
    expect(shard.machine.stateHash()).toBe(before);
    expect(await shard.dump()).toEqual(rows);
    expect(shard.engines.openSnapshots(ENGINE)).toBe(0);
  });

  it('counts once for its token, and not at all for who has stopped waiting', async () => {
    const shard = await filled();
    const indexes: number[] = [];
    shard.machine.expectMark('x', (view) => {
      indexes.push(view!.index);
      void view!.close();
    });
    const stop = shard.machine.expectMark('y', () => indexes.push(-1));
    stop();
    for (const name of ['y', 'x', 'x']) await shard.run({ kind: 'mark', token: name });
    expect(indexes).toEqual([shard.index - 1]);
    expect(shard.engines.openSnapshots(ENGINE)).toBe(0);
  });

  it('is nothing to a machine that replays it', async () => {
    const shard = await filled();
    await (await mark(shard)).close();
    await shard.reopen();
    expect(await shard.run({ kind: 'mark', token: 'run/s1' })).toMatchObject({ kind: 'marked' });
    expect(shard.engines.openSnapshots(ENGINE)).toBe(0);
  });
});

describe('a view of sound rows', () => {
  it('has no findings, and records come to what the state keeps', async () => {
    const shard = await filled();
    const report = await reported(shard);
    expect([report.findings, report.findingCount, report.odd]).toEqual([[], 0, []]);
    expect(report).toMatchObject({ index: shard.index, stateHash: shard.machine.stateHash(), served: EVERYTHING });
    const { keys, idempotencyRecords } = shard.machine.sums(EVERYTHING);
    const sum = (field: 'keys' | 'idempotencyRecords'): number =>
      report.blocks!.reduce((total, block) => total + block[field], 0);
    expect([sum('keys'), sum('idempotencyRecords')]).toEqual([keys, idempotencyRecords]);
  });

  it('is of its index: what comes later is not in it', async () => {
    const shard = await filled();
    const view = await mark(shard);
    const before = shard.machine.sums(EVERYTHING);
    await shard.run(put('later', 'x'));
    await shard.run(del('a'));
    expect(view.expected).toEqual(before);
    const report = await view.read(FULL, AT_ONCE);
    expect(report!.findings).toEqual([]);
    expect(view.slotsOf(Math.floor(slotOf('later') / 256))[slotOf('later') % 256]!.keys).toBe(0);
    await view.close();
  });

  it('without reading records tells what the state keeps of them', async () => {
    const shard = await filled();
    const view = await mark(shard);
    const report = await view.read({ records: false, gone: NO_SLOTS }, AT_ONCE);
    expect(report!.findings).toEqual([]);
    expect(view.slotsOf(Math.floor(slotOf('a') / 256))[slotOf('a') % 256]!.keys).toBe(1);
    expect(view.bytesRead).toBe(0);
    await view.close();
  });

  it('whatever clients, time and moves have done', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const world = new World();
        await world.start();
        for (const one of steps) {
          if (one.kind === 'put' || one.kind === 'delete') await world.write(one);
          else if (one.kind === 'wait') world.now_ms += one.ms;
          else if (one.kind === 'move') await world.drive(one.at);
        }
        for (const shard of world.shards) expect((await reported(shard)).findings.map(told)).toEqual([]);
      }),
      { seed: 7, numRuns: 40 },
    );
  });

  it('ends where the pace does, and lets go when it is closed', async () => {
    const shard = await filled();
    const view = await mark(shard);
    expect(await view.read(FULL, async () => false)).toBeNull();
    expect(await view.list(EVERYTHING, async () => false)).toBeNull();
    expect(shard.engines.openSnapshots(ENGINE)).toBe(1);
    await view.close();
    expect(shard.engines.openSnapshots(ENGINE)).toBe(0);
  });

  it('tells the pace what it has read, a page at a time', async () => {
    const shard = await filled();
    for (let i = 0; i < 40; i++) await shard.run(put(`big${i}`, 'v'.repeat(50_000)));
    const view = await mark(shard);
    const pages: number[] = [];
    await view.read(FULL, async (bytes) => {
      pages.push(bytes);
      return true;
    });
    await view.close();
    expect(Math.max(...pages)).toBeLessThan(400_000);
    expect(pages.filter((bytes) => bytes > 200_000).length).toBeGreaterThan(5);
    expect(view.bytesRead).toBe(shard.machine.sums(EVERYTHING).bytes);
  });
});

describe('a view of rows that are not what was written (F38) names', () => {
  it('a value in which a bit has flipped, by its key; the sums still hold', async () => {
    const shard = await filled();
    await flip(shard, row('b'), -1);
    const { findings, odd } = await reported(shard);
    expect(findings.map(told)).toEqual([`rotten ${slotOf('b')} b: checksum of the value does not match`]);
    expect(odd).toEqual([]);
  });

  it('a record whose head has rotted, once', async () => {
    const shard = await filled();
    await flip(shard, row('b'), 20);
    const { findings } = await reported(shard);
    expect(findings.map(told)).toEqual([`rotten ${slotOf('b')} b: checksum of the record head does not match`]);
  });

  it('a record that is missing, and its key by the index', async () => {
    const shard = await filled();
    await tamper(shard, { key: row('b'), value: null });
    const { findings, odd } = await reported(shard);
    expect(findings.map(told)).toEqual([
      `records ${slotOf('b')} -: 1 key missing (0 on disk, 1 by the sums)`,
      `index ${slotOf('b')} -: 1 row of the index of keys too many`,
    ]);
    expect(odd).toEqual(slotsOfKeys('b'));
    const { records } = await listed(shard, odd);
    expect(records.filter(({ token }) => token === '')).toMatchObject([{ key: Buffer.from('b'), state: 'missing' }]);
  });

  it('what is the same in many slots once, with all of them', async () => {
    const shard = await filled();
    await tamper(shard, { key: row('b'), value: null }, { key: row('c'), value: null });
    const both = formatSlots(slotsOfKeys('b', 'c'));
    expect((await reported(shard)).findings.map(told)).toEqual([
      `records ${both} -: 1 key missing (0 on disk, 1 by the sums)`,
      `index ${both} -: 1 row of the index of keys too many`,
    ]);
  });

  it('a record that nobody has written, and its key', async () => {
    const shard = await filled();
    const fields = { slot: slotOf('ghost'), contentType: 'text/plain', revision: 3, version: 1, expires_ms: 0 };
    await tamper(shard, { key: row('ghost'), value: encodeRecord(Buffer.from('ghost'), fields, Buffer.from('boo')) });
    const { findings, odd } = await reported(shard);
    expect(findings.map(told)).toEqual([
      `records ${slotOf('ghost')} -: 1 key too many (1 on disk, 0 by the sums)`,
      `index ${slotOf('ghost')} -: 1 row of the index of keys missing`,
    ]);
    expect((await listed(shard, odd)).records).toMatchObject([
      { key: Buffer.from('ghost'), state: 'unlisted', revision: 3 },
    ]);
  });

  it('an older record in the place of the present one', async () => {
    const shard = await filled();
    const old = shard.engine.get(row('a'))!;
    await shard.run(put('a', 'value of A'));
    await tamper(shard, { key: row('a'), value: old });
    const { findings } = await reported(shard);
    expect(findings.map(told)).toEqual([`records ${slotOf('a')} -: as many records as the sums say, but not the same`]);
  });

  it('an idempotency record, a row of the index and a time of expiry that are missing', async () => {
    const shard = await filled();
    const place = placeOf(slotOf('a'), Buffer.from('a'), 't');
    const [expiry] = await shard.engine.range({ gte: Buffer.of(Table.KeyExpiry), lt: Buffer.of(Table.KeyExpiry + 1) });
    await tamper(
      shard,
      { key: idempotencyKey(place), value: null },
      { key: slotIndexKey(slotOf('b'), Buffer.from('b')), value: null },
      { key: expiry!.key, value: null },
    );
    const { findings } = await reported(shard);
    expect(findings.map(told).sort()).toEqual(
      [
        `records ${slotOf('a')} -: 1 idempotency record missing (0 on disk, 1 by the sums)`,
        `index ${slotOf('a')} -: 1 row of idempotency records that expire too many`,
        `index ${slotOf('b')} -: 1 row of the index of keys missing`,
        `index ${slotOf('e')} -: 1 row of keys that expire missing`,
      ].sort(),
    );
  });

  it('a sum that is stored wrong, though memory has it right; and one that memory has wrong', async () => {
    const shard = await filled();
    await tamper(shard, ...(await sumsWith(shard, slotOf('c'))));
    expect((await reported(shard)).findings.map(told)).toEqual([
      `state ${slotOf('c')} -: the stored sums say 2 keys, ${bytesOf(shard, 'c')} bytes, those in memory 1 key, ${bytesOf(shard, 'c')} bytes`,
    ]);
    await shard.reopen();
    expect((await reported(shard)).findings.map(told)).toEqual([
      `records ${slotOf('c')} -: 1 key missing (1 on disk, 2 by the sums)`,
    ]);
  });

  it('states of slots, and a revision, that are not stored as they are', async () => {
    const shard = await filled();
    const rows = await shard.engine.range({ gte: Buffer.of(Table.Meta), lt: Buffer.of(Table.Control + 1) });
    await shard.run({ kind: 'begin_export', move: 1, slots: [[300, 310]] });
    await shard.run(put('a', 'newer'));
    await tamper(shard, ...rows);
    const { findings } = await reported(shard);
    expect(findings.map(told)).toEqual([
      'state 300-310 -: where it stands in its moves is not stored as it is in memory',
      `state  -: revision ${shard.machine.revision - 1} and clock 1000000 are stored, ${shard.machine.revision} and 1000000 are in memory`,
    ]);
  });

  it('a row of the state that has rotted', async () => {
    const shard = await filled();
    await flip(shard, Buffer.of(Table.Control, 0), 8);
    const { findings } = await reported(shard);
    expect(findings.map(told)).toEqual(['rotten  -: checksum of the slot state does not match (block 0)']);
  });

  it('what it could not read, and says so instead of what it does not know', async () => {
    const shard = await filled();
    const view = await mark(shard);
    const broken = Object.assign(new Error('Corruption: bad block'), { code: 'ENGINE_DAMAGED' });
    const snapshot: EngineSnapshot = {
      range: async (range) => {
        if (range.gte[0] === Table.SlotIndex) throw broken;
        return [];
      },
      close: () => view.close(),
    };
    const meta = { revision: 0, clock_ms: 0, everOwned: false };
    const kept = { index: 1, sums: new SumsTable(), control: new SlotControl(), side: '', meta };
    const report = await new View(snapshot, kept).read(FULL, AT_ONCE);
    expect(report!.blocks).toBeNull();
    expect(report!.findings.map(told)).toEqual([
      'rotten  -: there is no meta row',
      'unreadable  -: Corruption: bad block: what comes after it was not read',
    ]);
    await view.close();
  });

  it('the first hundred, and how many there are', async () => {
    const shard = await filled();
    for (const key of keysIn(EVERYTHING, 150, 'x')) await shard.run(put(key, 'v'));
    for (const key of keysIn(EVERYTHING, 150, 'x')) await flip(shard, row(key), -1);
    const { findings, findingCount } = await reported(shard);
    expect([findings.length, findingCount]).toEqual([100, 150]);
  });
});

const bytesOf = (shard: Machine, key: string): number => shard.machine.sums(slotsOfKeys(key)).bytes;

/** Rows of sums as they would be if the slot had one key more. */
async function sumsWith(shard: Machine, slot: number): Promise<EngineOp[]> {
  const rows = await shard.engine.range({ gte: Buffer.of(Table.Sums), lt: Buffer.of(Table.SumsJournal + 1) });
  const sums = new SumsTable();
  sums.open(
    rows.filter(({ key }) => key[0] === Table.Sums),
    rows.filter(({ key }) => key[0] === Table.SumsJournal),
  );
  sums.keys[slot] = sums.keys[slot]! + 1;
  sums.changed(slot);
  const memory = new MemoryRows();
  sums.write(memory);
  return [...memory.all.values()];
}

describe('slots that have left', () => {
  const SLOTS: SlotRanges = [[0, 400]];

  async function moved(): Promise<{ readonly from: Machine; readonly to: Machine; readonly keys: readonly string[] }> {
    const [from, to] = [await Machine.create(), await Machine.create()];
    await from.run({ kind: 'init', slots: EVERYTHING });
    const keys = keysIn(SLOTS, 5);
    for (const key of keys) await from.run(put(key, 'v', { idempotency: token('t', 1) }));
    await moveSlots(from, to, 1, SLOTS);
    return { from, to, keys };
  }

  it('have left nothing behind', async () => {
    const { from } = await moved();
    for (const records of [true, false]) {
      expect((await reported(from, { records, gone: SLOTS })).findings.map(told)).toEqual([]);
    }
  });

  it('are named where they have, whether records are read or not', async () => {
    const { from, keys } = await moved();
    const key = keys[0]!;
    const fields = { slot: slotOf(key), contentType: 'text/plain', revision: 3, version: 1, expires_ms: 0 };
    await tamper(
      from,
      { key: row(key), value: encodeRecord(Buffer.from(key), fields, Buffer.from('v')) },
      { key: slotIndexKey(slotOf(key), Buffer.from(key)), value: Buffer.alloc(0) },
    );
    for (const records of [true, false]) {
      const { findings, odd } = await reported(from, { records, gone: SLOTS });
      expect(findings.map(told)).toContain(`remains ${slotOf(key)} -: records on disk: 1`);
      expect(odd).toEqual(slotsOfKeys(key));
    }
  });

  it('and were on their way back by a move that was aborted later are not named while they are purged, but for what nobody counts', async () => {
    const { from, to, keys } = await moved();
    await to.run({ kind: 'begin_export', move: 2, slots: SLOTS });
    await importPages(from, 2, SLOTS, await exportAll(to, SLOTS));
    await from.run({ kind: 'abort_import', move: 2, slots: SLOTS });
    expect(from.machine.purged(SLOTS)).toBe(false);
    for (const records of [true, false]) {
      const { findings, odd } = await reported(from, { records, gone: SLOTS });
      expect([findings.map(told), odd]).toEqual([[], NO_SLOTS]);
    }
    const slot = slotOf(keys[0]!);
    const uncounted = keysIn([[slot, slot]], 2, 'more-')[1]!;
    await tamper(from, { key: slotIndexKey(slot, Buffer.from(uncounted)), value: Buffer.alloc(0) });
    const { findings } = await reported(from, { records: false, gone: SLOTS });
    expect(findings.map(told)).toContain(
      `remains ${slot} -: records on disk: 3, the sums count 1 key, the sums count 1 idempotency record`,
    );
  });

  it('are named however many others an aborted import has left behind', async () => {
    const [owner, cancelled] = [await Machine.create(), await Machine.create()];
    const many: SlotRanges = [[0, 2_999]];
    await owner.run({ kind: 'init', slots: EVERYTHING });
    const keys = keysIn(many, 2_000);
    expect(new Set(keys.map(slotOf)).size).toBeGreaterThan(1_000);
    for (const key of keys) await owner.run(put(key, 'v'));
    await owner.run({ kind: 'begin_export', move: 1, slots: many });
    await importPages(cancelled, 1, many, await exportAll(owner, many, 100_000));
    await cancelled.run({ kind: 'abort_import', move: 1, slots: many });
    const key = keysIn([[3_000, 4_000]], 1)[0]!;
    await tamper(cancelled, { key: slotIndexKey(slotOf(key), Buffer.from(key)), value: Buffer.alloc(0) });
    const { findings } = await reported(cancelled, { records: false, gone: EVERYTHING });
    expect(findings.map(told)).toEqual([`remains ${slotOf(key)} -: records on disk: 1`]);
  });

  it('are named where the state still has them', async () => {
    const shard = await filled();
    const { findings } = await reported(shard, { records: false, gone: slotsOfKeys('a') });
    expect(findings.map(told)).toEqual([
      `remains ${slotOf('a')} -: records on disk: 2, it is in state own, the sums count 1 key, the sums count 1 idempotency record`,
    ]);
  });
});

describe('a listing', () => {
  it('has the records of its slots, in order, and no others', async () => {
    const shard = await filled();
    const { records, complete } = await listed(shard, slotsOfKeys('a', 'b'));
    expect(complete).toBe(true);
    expect(records.map(({ key, token: name, state }) => [String(Buffer.from(key)), name, state])).toEqual(
      expect.arrayContaining([
        ['a', '', 'present'],
        ['b', '', 'present'],
        ['a', 't', 'present'],
        ['b', 't', 'present'],
      ]),
    );
    expect(records).toHaveLength(4);
  });

  it('is bounded, and says that there is more', async () => {
    const shard = await filled();
    const key = (i: number): string => `{tag}${'k'.repeat(900)}${i}`;
    for (let i = 0; i < 400; i++) await shard.run(put(key(i), 'v'));
    const { records, complete } = await listed(shard, slotsOfKeys(key(0)));
    expect(complete).toBe(false);
    expect(records.length).toBeGreaterThan(200);
    expect(records.length).toBeLessThan(400);
    expect([...eachSlot(slotsOfKeys(key(0)))]).toEqual([slotOf('tag')]);
  });
});
