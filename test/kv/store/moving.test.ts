import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvResult, PageRecord } from '../../../src/kv/store/index.js';
import { type SlotRanges, SlotState, slotOfKey, slotsOf } from '../../../src/shardctrl/index.js';
import { del, EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';
import { exportAll, exportSince, freeze, importPages, install, keysIn, moveSlots, purge } from './support/moves.js';

/** These compute, they do not wait; a busy machine may take its time. */
const BUSY = { timeout: 120_000 };

const SLOTS: SlotRanges = [
  [0, 4_000],
  [9_000, 9_100],
];
const KEYS = keysIn(SLOTS, 20, 'moved-');
const OUTSIDE = keysIn([[5_000, 8_000]], 5, 'other-');

async function source(): Promise<Machine> {
  const shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
  for (const [i, key] of KEYS.entries()) {
    await shard.run(put(key, `value of ${key}`, { ttl_ms: i % 3 === 0 ? 60_000 : 0, idempotency: token(`t${i}`, i) }));
  }
  for (const key of OUTSIDE) await shard.run(put(key, 'stays'));
  return shard;
}

const look = (shard: Machine, key: string) => shard.machine.lookup(Buffer.from(key));

describe('a move', () => {
  it('takes values, revisions, versions, expiries and idempotency records along; nothing stays (F61, F64)', async () => {
    const [from, to] = [await source(), await Machine.create()];
    const before = KEYS.map((key) => look(from, key));
    const sums = from.machine.sums(SLOTS);
    expect(await moveSlots(from, to, 7, SLOTS)).toMatchObject({ kind: 'installed', sums });
    expect(KEYS.map((key) => look(to, key))).toEqual(before);
    expect(KEYS.map((key) => look(from, key).kind)).toEqual(KEYS.map(() => 'not_serving'));
    expect(await to.run(put(KEYS[0]!, 'x', { idempotency: token('t0', 0) }))).toMatchObject({
      revision: 1,
      created: true,
    });
    expect(await to.run(put(KEYS[0]!, 'x', { idempotency: token('t0', 1) }))).toEqual({ kind: 'conflict' });
    expect(from.machine.purged(SLOTS)).toBe(true);
    const left = (await from.dump()).filter((row) => row.includes(Buffer.from('moved-').toString('hex')));
    expect(left).toEqual([]);
    expect(from.machine.totals().keys).toBe(OUTSIDE.length);
    expect(from.machine.servedSlots()).toEqual([
      [4_001, 8_999],
      [9_101, 16_383],
    ]);
    expect(to.machine.servedSlots()).toEqual(SLOTS);
  });

  it('raises the counter and the clock: no revision repeats, nothing lives longer', async () => {
    const [from, to] = [await source(), await Machine.create()];
    await from.run(put(KEYS[0]!, 'x'));
    await from.run(del(KEYS[0]!));
    from.now_ms += 5_000;
    await from.run(put(OUTSIDE[0]!, 'y'));
    const { revision, clock_ms } = from.machine;
    to.now_ms = 1;
    await moveSlots(from, to, 7, SLOTS);
    expect(to.machine.clock_ms).toBe(clock_ms);
    expect(await to.run(put(KEYS[0]!, 'again'))).toEqual({
      kind: 'stored',
      created: true,
      revision: revision + 1,
      version: 1,
    });
  });

  it('gives a repeated Freeze and a repeated Install their first answers, also when the shard has gone on', async () => {
    const [from, to] = [await source(), await Machine.create()];
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    const receipt = await freeze(from, 7, SLOTS);
    from.now_ms += 50;
    await from.run(put(OUTSIDE[0]!, 'more'));
    await from.reopen();
    expect(await freeze(from, 7, SLOTS)).toEqual(receipt);
    await importPages(to, 7, SLOTS, await exportAll(from, SLOTS));
    const first = await install(to, 7, SLOTS, receipt);
    to.now_ms += 50;
    await to.run(put(KEYS[0]!, 'more'));
    await to.reopen();
    expect(await install(to, 7, SLOTS, receipt)).toEqual(first);
  });

  it('refuses reads and writes of frozen slots, and serves the others (F63)', async () => {
    const from = await source();
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    expect(await from.run(put(KEYS[0]!, 'still'))).toMatchObject({ kind: 'stored' });
    await freeze(from, 7, SLOTS);
    const slot = slotOfKey(Buffer.from(KEYS[0]!));
    const refusal = { kind: 'not_serving', slot, state: SlotState.Frozen, move: 7 };
    expect(await from.run(put(KEYS[0]!, 'no'))).toEqual(refusal);
    expect(look(from, KEYS[0]!)).toEqual(refusal);
    expect(await from.run(put(OUTSIDE[0]!, 'yes'))).toMatchObject({ kind: 'stored' });
  });

  it('F52: a write that was proposed before the freeze and applied after it is refused', async () => {
    const from = await source();
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    from.apply({ kind: 'freeze', move: 7, round: 1, slots: SLOTS });
    expect(from.apply(put(KEYS[0]!, 'late'))).toMatchObject({ kind: 'not_serving' });
    await from.endRound();
  });

  it('expires nothing in frozen and importing slots; it goes where it is served (F64)', async () => {
    const [from, to] = [await source(), await Machine.create()];
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    const receipt = await freeze(from, 7, SLOTS);
    await importPages(to, 7, SLOTS, await exportAll(from, SLOTS));
    const later_ms = from.now_ms + 700_000;
    for (const shard of [from, to]) {
      shard.now_ms = later_ms;
      expect((await shard.machine.dueKeys(later_ms, 100))?.keys ?? []).toEqual([]);
      const expire = { kind: 'expire' as const, keys: [{ key: Buffer.from(KEYS[0]!), revision: 1 }], idempotency: [] };
      expect(await shard.run(expire)).toEqual({ kind: 'expired', keys: 0 });
    }
    expect(await install(to, 7, SLOTS, receipt)).toMatchObject({ kind: 'installed' });
    const due = await to.machine.dueKeys(later_ms, 100);
    expect(due?.keys.length).toBe(7);
    expect(due?.idempotency.length).toBe(20);
    expect(await to.run(due!)).toEqual({ kind: 'expired', keys: 27 });
    expect(look(to, KEYS[0]!)).toEqual({ kind: 'missing' });
    expect(look(to, KEYS[1]!).kind).toBe('found');
  });

  it('answers mismatch while a record is missing, and installs once it is there', async () => {
    const [from, to] = [await source(), await Machine.create()];
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    const receipt = await freeze(from, 7, SLOTS);
    const records = (await exportAll(from, SLOTS)).flat();
    await importPages(to, 7, SLOTS, [records.slice(1)]);
    expect(await install(to, 7, SLOTS, receipt)).toMatchObject({ kind: 'mismatch', sums: { keys: 19 } });
    expect(to.machine.stateOf(0)).toBe(SlotState.Importing);
    await importPages(to, 7, SLOTS, [records]);
    expect(await install(to, 7, SLOTS, receipt)).toMatchObject({ kind: 'installed' });
  });

  it('catches up with what changed while it was thawed, removals included', async () => {
    const [from, to] = [await source(), await Machine.create()];
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    await freeze(from, 7, SLOTS, 1);
    await importPages(to, 7, SLOTS, await exportAll(from, SLOTS));
    expect(await to.run({ kind: 'bar', move: 7, round: 1, slots: SLOTS })).toEqual({ kind: 'ok' });
    await from.run({ kind: 'thaw', move: 7, round: 1, slots: SLOTS });
    await from.run(del(KEYS[1]!));
    await from.run(put(KEYS[2]!, 'newer', { idempotency: token('new', 1) }));
    // Noted as well, for a drain that sends only what has changed.
    const noted = (await from.dump()).filter((row) => row.startsWith('15'));
    expect(noted.length).toBe(3);
    from.now_ms += 600_000;
    const due = (await from.machine.dueKeys(from.now_ms, 15))!;
    expect([due.keys.length, due.idempotency.length]).toEqual([7, 8]);
    await from.run(due);
    await from.reopen();
    const receipt = await freeze(from, 7, SLOTS, 2);
    const pages = await exportAll(from, SLOTS);
    await importPages(to, 7, SLOTS, pages.reverse());
    await to.reopen();
    await importPages(to, 7, SLOTS, pages);
    expect(await install(to, 7, SLOTS, receipt, 2)).toMatchObject({ kind: 'installed' });
    expect(look(to, KEYS[1]!)).toEqual({ kind: 'missing' });
    await from.run({ kind: 'delete', move: 7, slots: SLOTS });
    await purge(from, 7, SLOTS);
    for (const shard of [from, to]) {
      expect((await shard.dump()).filter((row) => row.startsWith('15') || row.startsWith('16'))).toEqual([]);
    }
  });

  it('F60: A to B to A brings nothing old back, and late commands of the first move change nothing', async () => {
    const [a, b] = [await source(), await Machine.create()];
    await a.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    const receipt = await freeze(a, 7, SLOTS);
    const oldPages = await exportAll(a, SLOTS);
    await importPages(b, 7, SLOTS, oldPages);
    await install(b, 7, SLOTS, receipt);
    await a.run({ kind: 'delete', move: 7, slots: SLOTS });
    const purged = (await a.machine.purgePass(7, SLOTS).next(100))!;
    await purge(a, 7, SLOTS);
    await b.run(del(KEYS[1]!));
    await b.run(put(KEYS[2]!, 'newer'));
    await moveSlots(b, a, 8, SLOTS);
    const [hashA, hashB] = [a.machine.stateHash(), b.machine.stateHash()];
    const late: KvResult[] = [];
    late.push(await a.run({ kind: 'delete', move: 7, slots: SLOTS }));
    late.push(await a.run({ kind: 'unfreeze', move: 7, slots: SLOTS }));
    late.push(await a.run({ kind: 'freeze', move: 7, round: 2, slots: SLOTS }));
    late.push(await a.run(purged));
    late.push(await b.run({ kind: 'page', move: 7, slots: SLOTS, records: oldPages.flat() }));
    late.push(await install(b, 7, SLOTS, receipt));
    late.push(await b.run({ kind: 'abort_import', move: 7, slots: SLOTS }));
    expect(late.map(({ kind }) => kind)).toEqual(['ok', 'ended', 'stale', 'purged', 'stale', 'stale', 'ended']);
    expect([a.machine.stateHash(), b.machine.stateHash()]).toEqual([hashA, hashB]);
    expect(look(a, KEYS[1]!)).toEqual({ kind: 'missing' });
    expect(a.machine.totals().keys).toBe(KEYS.length - 1 + OUTSIDE.length);
  });
});

describe('a copy', () => {
  it('takes as many pages as its bytes need, however many ranges its slots make', async () => {
    const from = await source();
    const slots = slotsOf(KEYS.map((key) => slotOfKey(Buffer.from(key))));
    expect(slots.length).toBeGreaterThan(10);
    await from.run({ kind: 'begin_export', move: 7, slots });
    const whole = await from.machine.exportRecords(slots, null, null, 1_000_000);
    expect([whole.records.length, whole.next]).toEqual([2 * KEYS.length, null]);
    const pages = await exportSince(from, slots, null, 300);
    expect(pages.flat()).toEqual(whole.records);
    // A page ends with the record that reaches its size.
    for (const page of pages.slice(0, -1)) {
      const bytes = page.map(({ length }) => length);
      expect(bytes.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(300);
      expect(bytes.slice(0, -1).reduce((a, b) => a + b)).toBeLessThan(300);
    }
  });
});

describe('the first owner of all slots', () => {
  it('is a shard that has never owned any; a repetition is ok, anything else is not', async () => {
    const half: SlotRanges = [[0, 8_000]];
    const shard = await Machine.create();
    expect(await shard.run({ kind: 'init', slots: half })).toEqual({ kind: 'ok' });
    expect(await shard.run({ kind: 'init', slots: half })).toEqual({ kind: 'ok' });
    expect(await shard.run({ kind: 'init', slots: EVERYTHING })).toEqual({ kind: 'stale' });
    await shard.reopen();
    expect(await shard.run({ kind: 'init', slots: EVERYTHING })).toEqual({ kind: 'stale' });
    expect(shard.machine.servedSlots()).toEqual(half);
    await shard.run({ kind: 'begin_export', move: 7, slots: half });
    expect(await shard.run({ kind: 'init', slots: half })).toEqual({ kind: 'stale' });
    await shard.run({ kind: 'unfreeze', move: 7, slots: half });
    expect(await shard.run({ kind: 'init', slots: half })).toEqual({ kind: 'stale' });
  });

  it('is no shard that got its slots by a move, or has seen one', async () => {
    const [from, to, aborted] = [await source(), await Machine.create(), await Machine.create()];
    await moveSlots(from, to, 7, SLOTS);
    expect(await to.run({ kind: 'init', slots: [[5_000, 6_000]] })).toEqual({ kind: 'stale' });
    await aborted.run({ kind: 'abort_import', move: 7, slots: SLOTS });
    expect(await aborted.run({ kind: 'init', slots: SLOTS })).toEqual({ kind: 'stale' });
    expect(await aborted.run({ kind: 'init', slots: [[5_000, 6_000]] })).toEqual({ kind: 'ok' });
  });
});

describe('receipts of moves', () => {
  it('go when a later move has taken all of their slots, and not before', async () => {
    const [from, to] = [await source(), await Machine.create()];
    const receiptsOf = async (shard: Machine): Promise<number[]> =>
      (await shard.dump()).filter((row) => row.startsWith('04')).map((row) => Number.parseInt(row.slice(2, 18), 16));
    await moveSlots(from, to, 7, SLOTS);
    expect([await receiptsOf(from), await receiptsOf(to)]).toEqual([[7], [7]]);
    await to.run({ kind: 'begin_export', move: 8, slots: [SLOTS[0]!] });
    expect(await receiptsOf(to)).toEqual([7]);
    await to.run({ kind: 'begin_export', move: 9, slots: [SLOTS[1]!] });
    expect(await receiptsOf(to)).toEqual([]);
  });
});

describe('a cancelled move', () => {
  it('F55: purges what an aborted import left before the next one opens', async () => {
    const [from, to] = [await source(), await Machine.create()];
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    await freeze(from, 7, SLOTS);
    const pages = await exportAll(from, SLOTS);
    await importPages(to, 7, SLOTS, pages);
    expect(await to.run({ kind: 'abort_import', move: 7, slots: SLOTS })).toEqual({ kind: 'aborted' });
    expect(await from.run({ kind: 'unfreeze', move: 7, slots: SLOTS })).toEqual({ kind: 'ok' });
    expect(to.machine.purged(SLOTS)).toBe(false);
    expect(to.machine.slotsWithLeftovers().length).toBeGreaterThan(0);
    expect(await to.run({ kind: 'page', move: 8, slots: SLOTS, records: [] })).toEqual({ kind: 'busy' });
    await purge(to, 7, SLOTS);
    expect(to.machine.purged(SLOTS)).toBe(true);
    expect((await to.dump()).filter((row) => /^1[0-6]/.test(row))).toEqual([]);
    expect(await moveSlots(from, to, 8, SLOTS)).toMatchObject({ kind: 'installed' });
  });

  it('F57: a late page and a late Install after the abort are refused, whether or not the import had begun', async () => {
    for (const begun of [true, false]) {
      const [from, to] = [await source(), await Machine.create()];
      await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
      const receipt = await freeze(from, 7, SLOTS);
      const pages = await exportAll(from, SLOTS);
      if (begun) await importPages(to, 7, SLOTS, pages.slice(1));
      await to.run({ kind: 'abort_import', move: 7, slots: SLOTS });
      await from.run({ kind: 'unfreeze', move: 7, slots: SLOTS });
      expect(await to.run({ kind: 'page', move: 7, slots: SLOTS, records: pages[0]! })).toEqual({ kind: 'aborted' });
      expect(await install(to, 7, SLOTS, receipt)).toEqual({ kind: 'aborted' });
      expect(to.machine.servedSlots()).toEqual([]);
      expect(await from.run({ kind: 'begin_export', move: 7, slots: SLOTS })).toEqual({ kind: 'undone' });
      expect(await from.run(put(KEYS[0]!, 'goes on'))).toMatchObject({ kind: 'stored' });
    }
  });
});

describe('pages', () => {
  it('make the same slots in any order and however often they come', BUSY, async () => {
    const from = await source();
    const first = (await exportAll(from, SLOTS)).flat();
    await from.run(del(KEYS[3]!));
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    await from.run(put(KEYS[4]!, 'newer'));
    await from.run(del(KEYS[5]!));
    await freeze(from, 7, SLOTS);
    const now = (await exportAll(from, SLOTS)).flat();
    // Of what was seen before the export only what is still there, or was noted, may be mixed in.
    const stale = first.filter((record) => !Buffer.from(record).includes(KEYS[3]!));
    const { digest } = from.machine.sums(SLOTS);
    const all: PageRecord[] = [...stale, ...now];
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(all, { minLength: 0 }),
        fc.shuffledSubarray(all, { minLength: all.length }),
        fc.integer({ min: 1, max: 9 }),
        async (some, every, pageLength) => {
          const to = await Machine.create();
          const records = [...some, ...every];
          for (let at = 0; at < records.length; at += pageLength) {
            to.apply({ kind: 'page', move: 7, slots: SLOTS, records: records.slice(at, at + pageLength) });
          }
          expect(to.machine.sums(SLOTS).digest).toBe(digest);
          expect(to.machine.sums(SLOTS)).toEqual(from.machine.sums(SLOTS));
        },
      ),
      { seed: 7, numRuns: 60 },
    );
  });

  it('of an idempotency key that was used again lose to the newer ones, in either order', async () => {
    const from = await source();
    await from.run({ kind: 'begin_export', move: 7, slots: SLOTS });
    const first = (await exportAll(from, SLOTS)).flat();
    from.now_ms += 600_000;
    await from.run(put(KEYS[0]!, 'again', { idempotency: token('t0', 99) }));
    const receipt = await freeze(from, 7, SLOTS);
    const now = (await exportAll(from, SLOTS)).flat();
    for (const pages of [
      [first, now],
      [now, first],
    ]) {
      const to = await Machine.create();
      await importPages(to, 7, SLOTS, pages);
      expect(await install(to, 7, SLOTS, receipt)).toMatchObject({ kind: 'installed' });
      to.now_ms = from.now_ms;
      expect(await to.run(put(KEYS[0]!, 'again', { idempotency: token('t0', 99) }))).toMatchObject({ kind: 'stored' });
      expect(await to.run(put(KEYS[0]!, 'else', { idempotency: token('t0', 0) }))).toEqual({ kind: 'conflict' });
    }
  });

  it('are refused whole when one record was damaged on the way or is of another slot', async () => {
    const [from, to] = [await source(), await Machine.create()];
    const records = (await exportAll(from, SLOTS)).flat();
    const [foreign] = (await exportAll(from, [[5_000, 8_000]])).flat();
    const hash = to.machine.stateHash();
    for (let bit = 0; bit < records[0]!.length * 8; bit += 3) {
      const damaged = Buffer.from(records[0]!);
      damaged[bit >>> 3]! ^= 1 << (bit & 7);
      const result = await to.run({ kind: 'page', move: 7, slots: SLOTS, records: [records[1]!, damaged] });
      expect(result.kind).toBe('malformed');
    }
    const result = await to.run({ kind: 'page', move: 7, slots: SLOTS, records: [records[1]!, foreign!] });
    expect(result).toMatchObject({ kind: 'malformed' });
    expect(to.machine.sums(SLOTS).keys).toBe(0);
    expect(hash.split('-')[0]).toBe(to.machine.stateHash().split('-')[0]);
  });
});
