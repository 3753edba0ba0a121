/** What every LogStorage owes its callers: the worker-backed one, the one in process, the simulator's. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ConfState,
  type Entry,
  EntryKind,
  type GroupId,
  type HardState,
  index,
  type LogStorage,
  type RecoveredGroup,
  type SnapshotRecord,
  term,
} from '../../src/raft/index.js';

export interface LogFixture {
  open(): Promise<LogStorage>;
  /** Ends the log the hard way: what was not acknowledged may be gone. */
  crash(log: LogStorage): Promise<void>;
  dispose(): Promise<void>;
}

export const confOf = (...ids: number[]): ConfState => ({
  voters: ids.map((id) => ({ id, node: `n${id}` })),
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

export const entry = (
  at: number,
  ofTerm: number,
  text = `${at}/${ofTerm}`,
  kind: EntryKind = EntryKind.Command,
): Entry => ({
  index: index(at),
  term: term(ofTerm),
  kind,
  data: Buffer.from(text),
});

export const hard = (ofTerm: number, vote: number, commit: number): HardState => ({
  term: term(ofTerm),
  vote,
  commit: index(commit),
});

export const snapshotAt = (at: number, ofTerm: number, engine = `e${at}`): SnapshotRecord => ({
  index: index(at),
  term: term(ofTerm),
  conf: confOf(1, 2, 3),
  engine,
});

/** Comparable with `toEqual`: data as text. */
export function plain(group: RecoveredGroup | undefined) {
  if (group === undefined) return undefined;
  const entries = group.entries.map((e) => `${e.index}:${e.term}:${e.kind}:${Buffer.from(e.data).toString('latin1')}`);
  return { ...group, compacted: { ...group.compacted }, entries };
}

const plainEntries = (...entries: Entry[]) =>
  entries.map((e) => `${e.index}:${e.term}:${e.kind}:${Buffer.from(e.data).toString('latin1')}`);

export function describeLogStorage(name: string, newFixture: () => Promise<LogFixture>): void {
  describe(`LogStorage contract: ${name}`, () => {
    let fixture: LogFixture;
    let log: LogStorage;

    beforeEach(async () => {
      fixture = await newFixture();
      log = await fixture.open();
    });

    afterEach(async () => {
      await log.close();
      await fixture.dispose();
    });

    const create = (group: GroupId) => log.append({ group, hardState: null, snapshot: snapshotAt(0, 0), entries: [] });
    const append = (group: GroupId, ...entries: Entry[]) =>
      log.append({ group, hardState: null, snapshot: null, entries });

    async function reopen(how: 'close' | 'crash' = 'crash'): Promise<ReadonlyMap<GroupId, RecoveredGroup>> {
      if (how === 'close') await log.close();
      else await fixture.crash(log);
      log = await fixture.open();
      return log.recovered();
    }

    it('is empty at first', () => {
      expect(log.recovered().size).toBe(0);
      expect(log.full).toBe(false);
    });

    it.each(['close', 'crash'] as const)('F25: knows whether there ever was a log, after a %s', async (how) => {
      expect(log.fresh).toBe(true);
      await reopen(how);
      expect(log.fresh).toBe(false);
      await create(3);
      await log.remove(3);
      await reopen(how);
      expect([log.fresh, log.recovered().size]).toEqual([false, 0]);
    });

    it.each(['close', 'crash'] as const)('F32: brings back what was acknowledged, after a %s', async (how) => {
      await log.append({ group: 7, hardState: hard(1, 2, 0), snapshot: snapshotAt(0, 0, 'first'), entries: [] });
      await log.append({ group: 7, hardState: hard(3, 1, 2), snapshot: null, entries: [entry(1, 1), entry(2, 3)] });
      await append(7, entry(3, 3, '', EntryKind.Noop), entry(4, 3, 'conf', EntryKind.ConfChange));
      const groups = await reopen(how);
      expect([...groups.keys()]).toEqual([7]);
      expect(plain(groups.get(7))).toEqual({
        group: 7,
        hardState: hard(3, 1, 2),
        snapshot: snapshotAt(0, 0, 'first'),
        compacted: { index: 0, term: 0 },
        entries: plainEntries(
          entry(1, 1),
          entry(2, 3),
          entry(3, 3, '', EntryKind.Noop),
          entry(4, 3, 'conf', EntryKind.ConfChange),
        ),
        damaged: null,
      });
    });

    it('keeps groups apart', async () => {
      await Promise.all([0, 1, 2, 500].map(create));
      await Promise.all([
        append(0, entry(1, 1, 'zero')),
        append(500, entry(1, 9, 'five hundred'), entry(2, 9)),
        log.append({ group: 2, hardState: hard(4, 3, 0), snapshot: null, entries: [] }),
      ]);
      const groups = await reopen();
      expect([...groups.keys()].sort((a, b) => a - b)).toEqual([0, 1, 2, 500]);
      expect(plain(groups.get(0))?.entries).toEqual(plainEntries(entry(1, 1, 'zero')));
      expect(plain(groups.get(500))?.entries).toEqual(plainEntries(entry(1, 9, 'five hundred'), entry(2, 9)));
      expect(groups.get(1)?.entries).toEqual([]);
      expect(groups.get(2)?.hardState).toEqual(hard(4, 3, 0));
    });

    it('F9: an append replaces what the group has at and after its first index', async () => {
      await create(1);
      void append(1, entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1));
      void append(1, entry(3, 2, 'new'));
      await append(1, entry(4, 2), entry(5, 2));
      const groups = await reopen();
      expect(plain(groups.get(1))?.entries).toEqual(
        plainEntries(entry(1, 1), entry(2, 1), entry(3, 2, 'new'), entry(4, 2), entry(5, 2)),
      );
    });

    it('F7: a snapshot replaces the log in one step, whether its index lies inside or behind it', async () => {
      await create(1);
      await create(2);
      await append(1, entry(1, 1), entry(2, 1), entry(3, 1));
      await append(2, entry(1, 1), entry(2, 1), entry(3, 1));
      await log.append({ group: 1, hardState: hard(5, 0, 9), snapshot: snapshotAt(9, 4), entries: [entry(10, 5)] });
      await log.append({ group: 2, hardState: null, snapshot: snapshotAt(2, 2), entries: [] });
      const groups = await reopen();
      expect(plain(groups.get(1))).toEqual({
        group: 1,
        hardState: hard(5, 0, 9),
        snapshot: snapshotAt(9, 4),
        compacted: { index: 9, term: 4 },
        entries: plainEntries(entry(10, 5)),
        damaged: null,
      });
      expect(plain(groups.get(2))).toMatchObject({ compacted: { index: 2, term: 2 }, entries: [], damaged: null });
    });

    it('compacts lazily, never more than it was told', async () => {
      await create(1);
      await append(1, ...[1, 2, 3, 4, 5].map((i) => entry(i, 1)));
      log.compact(1, index(3), term(1));
      const groups = await reopen('close');
      const found = groups.get(1);
      expect(found?.compacted).toEqual({ index: 3, term: 1 });
      expect(plain(found)?.entries).toEqual(plainEntries(entry(4, 1), entry(5, 1)));
    });

    it('forgets a removed group, and takes it back when it is created anew', async () => {
      await create(1);
      await create(2);
      await append(1, entry(1, 1), entry(2, 1));
      await log.remove(1);
      let groups = await reopen();
      expect([...groups.keys()]).toEqual([2]);
      await log.append({ group: 1, hardState: hard(8, 0, 0), snapshot: snapshotAt(40, 7), entries: [entry(41, 8)] });
      groups = await reopen();
      expect(plain(groups.get(1))).toMatchObject({ compacted: { index: 40, term: 7 }, damaged: null });
      expect(plain(groups.get(1))?.entries).toEqual(plainEntries(entry(41, 8)));
    });

    it('gives writes of one turn one promise, and counts syncs by the batch', async () => {
      await create(1);
      const before = log.stats().syncs;
      const promises = Array.from({ length: 100 }, (_, i) => append(1, entry(i + 1, 1)));
      expect(new Set(promises).size).toBe(1);
      await Promise.all(promises);
      expect(log.stats().syncs - before).toBeLessThanOrEqual(2);
      expect((await reopen()).get(1)?.entries.length).toBe(100);
    });

    it('resolves in the order of calls', async () => {
      await create(1);
      const order: number[] = [];
      const all: Promise<unknown>[] = [];
      for (let i = 1; i <= 50; i++) {
        all.push(append(1, entry(i, 1)).then(() => order.push(i)));
        if (i % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(all);
      expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    });

    it('keeps entries of every size, empty ones and ones bigger than any buffer', async () => {
      await create(1);
      const sizes = [0, 1, 7, 8, 9, 4095, 70_000, 3_000_000, 9_000_000];
      const written = sizes.map((size, i) => entry(i + 1, 2, 'x'.repeat(size)));
      for (const one of written) void append(1, one);
      await append(1, entry(sizes.length + 1, 2, 'end'));
      const found = (await reopen()).get(1)!.entries;
      expect(found.map((e) => e.data.length)).toEqual([...sizes, 3]);
      expect(found.slice(0, -1).every((e, i) => Buffer.from(written[i]!.data).equals(e.data))).toBe(true);
    });

    it('throws on what no correct caller asks for, and works on', async () => {
      await create(1);
      await append(1, entry(1, 1), entry(2, 1));
      expect(() => append(1, entry(4, 1))).toThrow(/invariant: entries of group 1 from 4; its log has 1 to 2/);
      expect(() => append(1, entry(3, 1), entry(5, 1))).toThrow(/not in order/);
      expect(() => append(2, entry(1, 1))).toThrow(/which the log does not have/);
      expect(() => log.compact(1, index(3), term(1))).toThrow(/its log ends at 2/);
      expect(() => log.remove(9)).toThrow(/which the log does not have/);
      await append(1, entry(3, 1));
      expect((await reopen()).get(1)?.entries.length).toBe(3);
    });

    it('finishes what was asked for before it closes, and refuses what comes later', async () => {
      await create(1);
      const pending = append(1, entry(1, 1));
      const closed = log.close();
      await expect(append(1, entry(2, 1))).rejects.toMatchObject({ name: 'LogClosed' });
      await closed;
      await pending;
      log = await fixture.open();
      expect(log.recovered().get(1)?.entries.length).toBe(1);
    });

    it('keeps the vote of an idle group through many segments, and its entries', async () => {
      await log.append({
        group: 9,
        hardState: hard(6, 3, 1),
        snapshot: snapshotAt(0, 0),
        entries: [entry(1, 6, 'idle')],
      });
      await create(1);
      for (let i = 1; i <= 120; i++) {
        await append(1, entry(i, 1, 'x'.repeat(2000)));
        log.compact(1, index(i), term(1));
      }
      const groups = await reopen();
      expect(plain(groups.get(9))).toMatchObject({ hardState: hard(6, 3, 1), damaged: null });
      expect(plain(groups.get(9))?.entries).toEqual(plainEntries(entry(1, 6, 'idle')));
      expect(groups.get(1)?.damaged).toBeNull();
    });
  });
}
