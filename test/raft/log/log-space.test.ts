/** What the log costs: bytes on disk, bytes read when it is opened, and what an idle group leaves behind. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { index, type LogStorage, openLogStorage, term } from '../../../src/raft/index.js';
import { entry, hard, snapshotAt } from '../../contract/log-storage.contract.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { SimLog } from '../../sim/fakes/sim-log.js';
import { DrivenLog, damagedOf, differences, type LogOp } from './log-model.js';
import { realTimeClock } from './real-time-clock.js';

const SEGMENT_BYTES = 8192;
const OPTIONS = { segmentBytes: SEGMENT_BYTES, zeroAheadBytes: 1024 };

const append = (group: number, at: number, bytes: number): LogOp => ({
  kind: 'write',
  write: { group, hardState: null, snapshot: null, entries: [entry(at, 1, 'x'.repeat(bytes))] },
});
const compact = (group: number, to: number): LogOp => ({ kind: 'compact', group, to: index(to), toTerm: term(1) });

function newLog(disk: SimDisk, options = OPTIONS): DrivenLog {
  const driven = new DrivenLog(disk, options);
  for (const group of [1, 2]) {
    driven.durably({
      kind: 'write',
      write: {
        group,
        hardState: hard(5, group, 1),
        snapshot: snapshotAt(0, 0),
        entries: [entry(1, 5, `first of ${group}`)],
      },
    });
  }
  return driven;
}

function maintained(driven: DrivenLog): void {
  while (driven.log.maintain(4096)) driven.sync();
  driven.sync();
}

/** Writes `count` entries to group 1 and keeps only the last few. */
function churn(driven: DrivenLog, from: number, count: number): void {
  for (let at = from; at < from + count; at++) {
    driven.durably(append(1, at, 500), compact(1, Math.max(1, at - 3)));
    maintained(driven);
  }
}

describe('the space a log takes', () => {
  it('keeps an idle group’s vote and entries, and the disk bounded, while another group writes for ever', () => {
    const disk = new SimDisk({ random: new SimRandom('space') });
    const driven = newLog(disk);
    let most = 0;
    for (let round = 0; round < 40; round++) {
      churn(driven, 2 + round * 50, 50);
      most = Math.max(most, disk.usedBytes());
    }
    expect(most).toBeLessThan(6 * SEGMENT_BYTES);
    disk.crash();
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(damagedOf(found)).toEqual([]);
    expect(differences(found, driven.image)).toEqual([]);
    expect(found.get(2)?.hardState).toEqual(hard(5, 2, 1));
    expect(found.get(2)?.entries.length).toBe(1);
  });

  it('is opened with reads in proportion to what is live, not to what was ever written', () => {
    const disk = new SimDisk({ random: new SimRandom('reopen') });
    const driven = newLog(disk);
    churn(driven, 2, 2000);
    driven.log.close();
    disk.kill();
    disk.bytesRead = 0;
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(differences(found, driven.image)).toEqual([]);
    expect(2000 * 500).toBeGreaterThan(100 * SEGMENT_BYTES);
    expect(disk.bytesRead).toBeLessThan(8 * SEGMENT_BYTES);
  });

  it('copies live entries of a big group too, until half of the log is live', () => {
    const disk = new SimDisk({ random: new SimRandom('copies') });
    const driven = newLog(disk);
    for (let at = 2; at < 100; at++) driven.durably(append(2, at, 400));
    churn(driven, 2, 1000);
    const live = 100 * 430 + 5 * 530;
    expect(disk.usedBytes()).toBeLessThan(2 * live + 5 * SEGMENT_BYTES);
    disk.crash();
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(differences(found, driven.image)).toEqual([]);
    expect(damagedOf(found)).toEqual([]);
    expect(found.get(2)?.entries.length).toBe(99);
  });

  it('F38: finds corruption of what it copies, before the original goes', () => {
    const disk = new SimDisk({ random: new SimRandom('copy-corrupt') });
    const driven = newLog(disk);
    const segment = disk.list()[0]!;
    const at = disk.contents(segment).indexOf('first of 2');
    disk.flipBit(segment, at, 2);
    expect(() => churn(driven, 2, 2000)).toThrow(/segment 1 of the log is corrupt at byte/);
    disk.kill();
    expect(damagedOf(new DrivenLog(disk, OPTIONS).found)).toEqual([2]);
  });
});

describe('a full disk', () => {
  it('F36: nothing is full as long as there are segments that nobody needs', () => {
    const disk = new SimDisk({ random: new SimRandom('full') });
    const driven = newLog(disk);
    for (let at = 2; at < 60; at++) driven.durably(append(1, at, 500));
    // One batch makes all of it useless, and no maintenance has come yet when the disk is full.
    driven.durably(compact(1, 59), compact(2, 1));
    disk.limitTo(disk.usedBytes());
    expect(driven.log.stats().segments).toBeGreaterThan(4);
    driven.durably(append(1, 60, 3 * SEGMENT_BYTES));
    expect(driven.log.stats().segments).toBeLessThanOrEqual(2);
    disk.crash();
    const found = new DrivenLog(disk, OPTIONS).found;
    expect(damagedOf(found)).toEqual([]);
    expect(differences(found, driven.image)).toEqual([]);
  });

  const FILLED = 59;
  const freeing = {
    'a compaction before it': [compact(1, FILLED), append(1, FILLED + 1, 3 * SEGMENT_BYTES)],
    'a compaction behind it': [append(1, FILLED + 1, 3 * SEGMENT_BYTES), compact(1, FILLED)],
    'a compaction of what it holds too': [
      append(1, FILLED + 1, 3 * SEGMENT_BYTES),
      compact(1, 7),
      compact(1, FILLED),
      compact(1, FILLED + 1),
    ],
    'a compaction of what a conflict leaves': [
      {
        kind: 'write',
        write: {
          group: 1,
          hardState: null,
          snapshot: null,
          entries: [entry(FILLED, 7, 'x'.repeat(3 * SEGMENT_BYTES))],
        },
      },
      compact(1, FILLED - 1),
    ],
    'the end of its own group': [append(1, FILLED + 1, 3 * SEGMENT_BYTES), { kind: 'remove', group: 1 }],
    'a snapshot of its own group': [
      append(1, FILLED + 1, 3 * SEGMENT_BYTES),
      { kind: 'write', write: { group: 1, hardState: hard(7, 1, 90), snapshot: snapshotAt(90, 7), entries: [] } },
    ],
    'the end of another group': [append(2, 2, 3 * SEGMENT_BYTES), { kind: 'remove', group: 1 }],
    'a snapshot of another group': [
      append(2, 2, 3 * SEGMENT_BYTES),
      { kind: 'write', write: { group: 1, hardState: hard(7, 1, 90), snapshot: snapshotAt(90, 7), entries: [] } },
    ],
    'a truncation of another group': [
      append(2, 2, 3 * SEGMENT_BYTES),
      { kind: 'write', write: { group: 1, hardState: null, snapshot: null, entries: [entry(2, 7, 'other')] } },
    ],
  } satisfies Record<string, LogOp[]>;

  const ROOMY = { segmentBytes: SEGMENT_BYTES, zeroAheadBytes: 4096 };
  function filled(): { disk: SimDisk; driven: DrivenLog } {
    const disk = new SimDisk({ random: new SimRandom('filled') });
    const driven = newLog(disk, ROOMY);
    for (let at = 2; at <= FILLED; at++) driven.durably(append(1, at, 500));
    expect(driven.log.stats().segments).toBeGreaterThan(4);
    disk.limitTo(disk.usedBytes());
    return { disk, driven };
  }

  function expectAllIsThere(disk: SimDisk, driven: DrivenLog): void {
    driven.sync();
    maintained(driven);
    expect(driven.log.stats().segments).toBeLessThanOrEqual(4);
    disk.crash();
    const { found } = new DrivenLog(disk, ROOMY);
    expect(damagedOf(found)).toEqual([]);
    expect(differences(found, driven.image)).toEqual([]);
  }

  describe.each(Object.entries(freeing))('F36: room for a write comes from %s', (_, ops: LogOp[]) => {
    it('in the same batch', () => {
      const { disk, driven } = filled();
      expect(driven.write(ops)).toBe('ok');
      expectAllIsThere(disk, driven);
    });

    it('one by one, as they come', () => {
      const { disk, driven } = filled();
      for (const op of ops) driven.write([op]);
      expect(driven.log.retry()).toBe('ok');
      expectAllIsThere(disk, driven);
    });

    it('though small writes came before that would have fitted', () => {
      const { disk, driven } = filled();
      driven.write(ops.slice(0, 1));
      for (let at = 1; at < 100; at++) {
        driven.write([
          { kind: 'write', write: { group: 2, hardState: hard(5 + at, 1, 1), snapshot: null, entries: [] } },
        ]);
      }
      for (const op of ops.slice(1)) driven.write([op]);
      expect(driven.log.retry()).toBe('ok');
      expectAllIsThere(disk, driven);
    });
  });

  it('F36: an idle group does not keep what stands around its entries, however many', () => {
    const disk = new SimDisk({ random: new SimRandom('pinned') });
    const driven = newLog(disk, ROOMY);
    driven.durably(append(2, 2, 5000));
    for (let at = 2; at < 60; at++) driven.durably(append(1, at, 500));
    disk.limitTo(disk.usedBytes() + SEGMENT_BYTES + 2048);
    driven.durably(compact(1, 59), append(1, 60, 3 * SEGMENT_BYTES));
    expect(driven.image.get(2)?.entries.length).toBe(2);
    expectAllIsThere(disk, driven);
  });

  it('F36: it opens no segment in vain, as its opening takes what others wait for', () => {
    const disk = new SimDisk({ random: new SimRandom('rolls') });
    const driven = newLog(disk, { segmentBytes: 8 * SEGMENT_BYTES, zeroAheadBytes: 4096 });
    for (let group = 3; group < 40; group++) {
      driven.durably({ kind: 'write', write: { group, hardState: null, snapshot: snapshotAt(0, 0), entries: [] } });
    }
    for (let at = 2; at < 300; at++) driven.durably(append(2, at, 1000));
    disk.limitTo(disk.usedBytes() + 16 * SEGMENT_BYTES);
    expect(driven.write([append(1, 2, 20 * SEGMENT_BYTES)])).toBe('full');
    const { segments } = driven.log.stats();
    for (let at = 2; at < 20; at++) {
      driven.write([compact(2, at)]);
      expect(driven.log.retry()).toBe('full');
    }
    expect(driven.log.stats().segments).toBeLessThanOrEqual(segments);
  });

  it('F36: it gives nothing up that is needed', () => {
    const disk = new SimDisk({ random: new SimRandom('needed') });
    const driven = newLog(disk);
    for (let at = 2; at < 60; at++) driven.durably(append(1, at, 500));
    const before = driven.image;
    disk.limitTo(disk.usedBytes());
    expect(driven.write([append(1, 60, 3 * SEGMENT_BYTES)])).toBe('full');
    expect(driven.log.retry()).toBe('full');
    disk.crash();
    disk.limitTo(Number.POSITIVE_INFINITY);
    expect(differences(new DrivenLog(disk, OPTIONS).found, before)).toEqual([]);
  });
});

describe('the space that a storage takes', () => {
  let directory: string;
  let log: LogStorage;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'quorate-log-space-'));
  });

  afterEach(async () => {
    await log.close();
    await rm(directory, { recursive: true });
  });

  const KIB = 1024;
  const GROUPS = 24;
  async function openTroubled(sync_ms: number, capacity_bytes: number): Promise<LogStorage> {
    await writeFile(join(directory, 'troubles.json'), JSON.stringify({ sync_ms, capacity_bytes }));
    const workerUrl = new URL('./troubled-worker.mjs', import.meta.url);
    return openLogStorage({ directory, segmentBytes: 64 * KIB, zeroAheadBytes: 16 * KIB, workerUrl });
  }
  const create = (group: number) => log.append({ group, hardState: null, snapshot: snapshotAt(0, 0), entries: [] });
  const write = (group: number, at: number, bytes: number) =>
    log.append({ group, hardState: null, snapshot: null, entries: [entry(at, 1, 'x'.repeat(bytes))] });

  /** Writers that do not go in step, so that the log is never without work; each keeps its last three entries. */
  async function busy(writesEach: number): Promise<number> {
    let most = 0;
    const random = new SimRandom('busy');
    await Promise.all(
      Array.from({ length: GROUPS }, async (_, group) => {
        await create(group);
        for (let at = 1; at <= writesEach; at++) {
          await write(group, at, 4 * KIB);
          if (at > 3) log.compact(group, index(at - 3), term(1));
          most = Math.max(most, log.stats().segments);
          await new Promise((resolve) => setTimeout(resolve, random.next() * 6));
        }
      }),
    );
    return most;
  }

  it('F36: production’s gives space back also while it is never idle', async () => {
    log = await openTroubled(3, 1024 * 1024 * KIB);
    const most = await busy(120);
    expect(most).toBeGreaterThan(1);
    // Of about 200 that were filled: 7 of them were live at a time.
    expect(most).toBeLessThan(40);
  });

  it('F36: production’s writes for ever on a disk that holds what is live and little more', async () => {
    log = await openTroubled(3, 4096 * KIB);
    await busy(120);
    expect(log.full).toBe(false);
  });

  it('F36: production’s comes back by itself from a disk full of what nobody needs', async () => {
    log = await openTroubled(20, 2048 * KIB);
    await create(1);
    let last = 0;
    for (let written = 0; written < 1600; written += 100) await write(1, ++last, 100 * KIB);
    const before = log.stats().segments;
    expect(before).toBeGreaterThan(5);
    log.compact(1, index(last), term(1));
    const small = write(1, last + 1, 10);
    // Lies in the ring when that has been synced, and needs the room of several segments.
    await new Promise((resolve) => setImmediate(resolve));
    const big = write(1, last + 2, 1000 * KIB);
    await Promise.all([small, big]);
    expect(log.full).toBe(false);
    await vi.waitFor(() => expect(log.stats().segments).toBeLessThan(3), 10_000);
  });

  it('F36: a compaction makes room also for what has long been waiting, however much has come meanwhile', async () => {
    log = await openTroubled(0, 2048 * KIB);
    await create(1);
    let last = 0;
    for (let written = 0; written < 1600; written += 100) await write(1, ++last, 100 * KIB);
    const compactable = last;
    const waiting = [write(1, ++last, 1000 * KIB)];
    await vi.waitFor(() => expect(log.full).toBe(true));
    // Of other groups, more than lies between the two threads at a time; the disk has no room for it before or after.
    const others = Array.from({ length: 6 }, (_, group) => group + 2);
    waiting.push(...others.map(create));
    waiting.push(...others.map((group) => write(group, 1, 1500 * KIB)));
    const outcome = Promise.allSettled(waiting);
    await new Promise((resolve) => setImmediate(resolve));
    log.compact(1, index(compactable), term(1));
    await vi.waitFor(() => expect(log.stats().segments).toBeLessThan(3), 10_000);
    await log.close();
    expect(new Set((await outcome).map(({ status }) => status))).toEqual(new Set(['rejected']));
  });

  it('is given back when it is opened, in the simulator’s as in production’s', async () => {
    const random = new SimRandom('opened');
    const disk = new SimDisk({ random });
    const driven = newLog(disk);
    for (let at = 2; at < 60; at++) driven.durably(append(1, at, 500));
    driven.durably(compact(1, 59), compact(2, 1));
    driven.log.close();
    expect(disk.list().length).toBeGreaterThan(4);
    disk.kill();
    log = new SimLog({ disk, clock: realTimeClock(), random });
    await vi.waitFor(() => expect(disk.list().length).toBe(1), 10_000);
  });
});
