/**
 * Logs cut, flipped and torn at every byte: what comes back is what was written, an exact prefix where the end is
 * missing, or a damaged group. Never wrong entries, never a silent loss of what was synced.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { index, term } from '../../../src/raft/index.js';
import type { LogFiles } from '../../../src/raft/log/index.js';
import { NodeLogFiles } from '../../../src/raft/log/node-log-files.js';
import { SEGMENT_HEADER_BYTES } from '../../../src/raft/log/record-codec.js';
import { scanSegment } from '../../../src/raft/log/segment-scan.js';
import { entry, hard, snapshotAt } from '../../contract/log-storage.contract.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { DrivenLog, damagedOf, differences, groupText, type LogImage, type LogOp } from './log-model.js';

const ONE_SEGMENT = { segmentBytes: 1024 * 1024, zeroAheadBytes: 256 };

const create = (group: number): LogOp => ({
  kind: 'write',
  write: { group, hardState: hard(1, group, 0), snapshot: snapshotAt(0, 0, `g${group}`), entries: [] },
});
const append = (group: number, from: number, count: number, ofTerm: number): LogOp => ({
  kind: 'write',
  write: {
    group,
    hardState: null,
    snapshot: null,
    entries: Array.from({ length: count }, (_, i) => entry(from + i, ofTerm)),
  },
});
const compact = (group: number, to: number): LogOp => ({ kind: 'compact', group, to: index(to), toTerm: term(1) });

const HISTORY: readonly (readonly LogOp[])[] = [
  [create(0)],
  [create(1)],
  [append(0, 1, 3, 1), append(1, 1, 1, 1)],
  [append(1, 2, 2, 1)],
  [append(0, 2, 2, 2), { kind: 'write', write: { group: 1, hardState: hard(4, 1, 2), snapshot: null, entries: [] } }],
  [compact(0, 1), append(0, 4, 1, 2)],
  [{ kind: 'write', write: { group: 1, hardState: null, snapshot: snapshotAt(8, 3), entries: [entry(9, 4)] } }],
  [append(0, 5, 2, 2)],
];

type Files = ReadonlyMap<string, Buffer>;

/** A disk that holds `files`. */
type Place = (files: Files) => LogFiles;

const inMemory: Place = (files) => {
  const disk = new SimDisk({ random: new SimRandom('corruption') });
  for (const [name, bytes] of files) disk.put(name, bytes);
  return disk;
};

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'quorate-log-damage-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

const onRealFiles: Place = (files) => {
  const directory = mkdtempSync(join(scratch, 'log-'));
  for (const [name, bytes] of files) writeFileSync(join(directory, name), bytes);
  return new NodeLogFiles(directory);
};

/** Every byte in memory; real files, whose syncs take time, at every 61st. */
const PLACES: readonly (readonly [string, Place, number])[] = [
  ['in memory', inMemory, 1],
  ['on real files', onRealFiles, 61],
];

interface Written {
  readonly files: Files;
  /** After each batch; the first one is the empty log. */
  readonly images: readonly LogImage[];
  /** Where the log ended after each batch. */
  readonly ends: readonly number[];
  /** Names of segments, oldest first. */
  readonly segments: readonly string[];
}

/** `how` closed: with the mark that all is synced. crashed: right after the last sync. */
function written(how: 'closed' | 'crashed', options = ONE_SEGMENT): Written {
  const disk = new SimDisk({ random: new SimRandom('corruption') });
  const driven = new DrivenLog(disk, options);
  const ends = [driven.log.stats().bytes];
  for (const ops of HISTORY) {
    driven.durably(...ops);
    ends.push(driven.log.stats().bytes);
  }
  if (how === 'closed') driven.log.close();
  const segments = disk.list().sort();
  return { files: new Map(segments.map((name) => [name, disk.contents(name)])), images: driven.images, ends, segments };
}

function reopened(place: Place, log: Written, segment: string, bytes: Buffer): LogImage {
  const files = place(new Map(log.files).set(segment, bytes));
  const first = new DrivenLog(files, ONE_SEGMENT);
  first.log.close();
  // What was decided once is decided for good.
  const second = new DrivenLog(files, ONE_SEGMENT);
  second.log.close();
  expect(damagedOf(second.found)).toEqual(damagedOf(first.found));
  expect(differences(second.found, first.found)).toEqual([]);
  return first.found;
}

const contents = (log: Written, segment: string): Buffer => log.files.get(segment)!;

const flipped = (bytes: Buffer, at: number, bit: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = copy[at]! ^ (1 << bit);
  return copy;
};

/** Up to the first batch that states something to have been synced. */
const openingBytes = (bytes: Buffer, segment: number): number =>
  scanSegment(bytes, segment, null, 0, 'a segment')
    .items.filter((item) => item.kind === 'batch')
    .find((batch) => batch.header.synced > 0)!.header.offset;

describe.each(PLACES)('a log of one segment, %s', { timeout: 120_000 }, (_name, place, step) => {
  it('F34: cut at any byte, it holds exactly the batches that are whole', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    const bytes = contents(log, segment);
    for (let at = 0; at < bytes.length; at += step) {
      const whole = Math.max(0, log.ends.filter((end) => end <= at).length - 1);
      const found = reopened(place, log, segment, bytes.subarray(0, at));
      expect(damagedOf(found), `cut at ${at}`).toEqual([]);
      expect(differences(found, log.images[whole]!), `cut at ${at}`).toEqual([]);
    }
  });

  it('F34 F38: with any byte flipped, a group is whole or damaged', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    const bytes = contents(log, segment);
    const start = log.ends[0]!;
    const damaged = new Set<number>();
    for (let at = 0; at < log.ends.at(-1)!; at += step) {
      const found = reopened(place, log, segment, flipped(bytes, at, at % 8));
      expect(differences(found, log.images.at(-1)!), `flipped at ${at}`).toEqual([]);
      if (at < start) expect(damagedOf(found), `flipped at ${at}`).toEqual([]);
      if (at >= log.ends.at(-2)!) expect(damagedOf(found), `flipped at ${at}`).not.toEqual([]);
      for (const group of damagedOf(found)) damaged.add(group);
    }
    expect([...damaged].sort()).toEqual([0, 1]);
  });

  it('F34: with any byte flipped after a crash, only the last batch can pass for a torn tail', () => {
    const log = written('crashed');
    const segment = log.segments[0]!;
    const bytes = contents(log, segment);
    const lastBatch = log.ends.at(-2)!;
    for (let at = 0; at < log.ends.at(-1)!; at += step) {
      const found = reopened(place, log, segment, flipped(bytes, at, (at * 5) % 8));
      const image = log.images.at(at < lastBatch ? -1 : -2)!;
      expect(differences(found, image), `flipped at ${at}`).toEqual([]);
      if (at >= lastBatch) expect(damagedOf(found), `flipped at ${at}`).toEqual([]);
    }
  });

  it('F31 F34: torn anywhere in the last batch, it holds the batches before', () => {
    const log = written('crashed');
    const segment = log.segments[0]!;
    const bytes = contents(log, segment);
    for (let at = log.ends.at(-2)!; at < log.ends.at(-1)! - 8; at += Math.min(step, 11)) {
      const torn = Buffer.from(bytes);
      torn.fill(0xff, at, at + 8);
      const found = reopened(place, log, segment, torn);
      expect(damagedOf(found), `torn at ${at}`).toEqual([]);
      expect(differences(found, log.images.at(-2)!), `torn at ${at}`).toEqual([]);
    }
  });
});

describe.each(PLACES)('a log of several segments, %s', { timeout: 120_000 }, (_name, place, step) => {
  const SMALL = { segmentBytes: 2400, zeroAheadBytes: 0 };

  it('F34 F38: with any byte of any segment flipped, a group is whole or damaged', () => {
    const log = written('closed', SMALL);
    expect(log.segments.length).toBeGreaterThan(1);
    for (const segment of log.segments) {
      const bytes = contents(log, segment);
      for (let at = 0; at < bytes.length; at += step) {
        const found = reopened(place, log, segment, flipped(bytes, at, at % 8));
        expect(differences(found, log.images.at(-1)!), `${segment} flipped at ${at}`).toEqual([]);
      }
    }
  });

  it('F34: an old segment that is cut anywhere is corruption, not a torn tail', () => {
    const log = written('closed', SMALL);
    const segment = log.segments[0]!;
    const bytes = contents(log, segment);
    for (let at = 0; at < bytes.length; at += step) {
      const found = reopened(place, log, segment, bytes.subarray(0, at));
      expect(differences(found, log.images.at(-1)!), `cut at ${at}`).toEqual([]);
    }
  });
});

describe('what corruption means', () => {
  const SMALL = { segmentBytes: 2400, zeroAheadBytes: 0 };

  it('F34: a group that is provably untouched is left alone', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    // Group 1 alone wrote the seventh batch; group 0's next record follows on its last one.
    const found = reopened(inMemory, log, segment, flipped(contents(log, segment), log.ends[6]! + 60, 3));
    expect(found.get(0)?.damaged).toBeNull();
    expect(found.get(1)?.damaged).toMatch(/corrupt/);
  });

  it('F34: a loss does not matter where everything has been said anew since', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    // Group 1's entries of the fourth batch; its hard state and a snapshot came later.
    const found = reopened(inMemory, log, segment, flipped(contents(log, segment), log.ends[3]! + 60, 3));
    expect(damagedOf(found)).toEqual([]);
    expect(differences(found, log.images.at(-1)!)).toEqual([]);
  });

  it('F34: a group whose every record is lost is named all the same', () => {
    const disk = new SimDisk({ random: new SimRandom('lost') });
    const driven = new DrivenLog(disk, ONE_SEGMENT);
    driven.durably(create(3));
    const before = driven.log.stats().bytes;
    driven.durably(create(77));
    driven.durably(append(3, 1, 1, 1));
    driven.log.close();
    disk.flipBit(disk.list()[0]!, before + 70, 1);
    const found = new DrivenLog(disk, ONE_SEGMENT).found;
    expect(damagedOf(found)).toEqual([77]);
  });

  it('F34: a damaged group can be removed and nothing else', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    const disk = inMemory(new Map(log.files).set(segment, flipped(contents(log, segment), log.ends[6]! + 60, 3)));
    const driven = new DrivenLog(disk, ONE_SEGMENT);
    expect(() => driven.write([append(1, 10, 1, 4)])).toThrow(/damaged/);
    driven.durably({ kind: 'remove', group: 1 });
    driven.durably(create(1));
    driven.log.close();
    const found = new DrivenLog(disk, ONE_SEGMENT).found;
    expect(damagedOf(found)).toEqual([]);
    expect(found.get(1)?.hardState).toEqual(hard(1, 1, 0));
  });

  describe.each([
    ['in memory', inMemory],
    ['on real files', onRealFiles],
  ] as const)('F25 F34: a verdict of damage outlives a power cut, %s', (_name, place) => {
    /** Three quiet groups whose last batch has rotted, up to when all that the verdict has left dead is gone. */
    function damagedAndTidied(): LogFiles {
      const disk = new SimDisk({ random: new SimRandom('verdict') });
      const driven = new DrivenLog(disk, ONE_SEGMENT);
      for (const group of [0, 1, 2]) driven.durably(create(group));
      driven.durably(append(0, 1, 2, 1), append(1, 1, 2, 1), append(2, 1, 2, 1));
      driven.log.close();
      const [segment] = disk.list();
      const bytes = disk.contents(segment!);
      const files = place(new Map([[segment!, flipped(bytes, bytes.lastIndexOf('2/1'), 1)]]));
      const { log } = new DrivenLog(files, ONE_SEGMENT);
      log.sync();
      while (log.maintain(4096)) log.sync();
      log.abandon();
      expect(files.list()).toEqual(['0000000002.wal']);
      return files;
    }

    const found = (files: LogFiles): LogImage => {
      const { log, found } = new DrivenLog(files, ONE_SEGMENT);
      log.close();
      return found;
    };

    it('when old segments went and nothing was written since', () => {
      const files = damagedAndTidied();
      if (files instanceof SimDisk) files.crash();
      expect(damagedOf(found(files))).toEqual([0, 1, 2]);
      expect(damagedOf(found(files))).toEqual([0, 1, 2]);
    });

    it.each(['is cut off', 'has rotted'])('or refuses to begin anew where everything behind the header %s', (how) => {
      const files = damagedAndTidied();
      const segment = files.open('0000000002.wal');
      const behind = segment.sizeBytes() - SEGMENT_HEADER_BYTES;
      if (how === 'is cut off') segment.truncate(SEGMENT_HEADER_BYTES);
      else segment.write([Buffer.alloc(behind, 0xa5)], SEGMENT_HEADER_BYTES);
      const left = segment.read(0, segment.sizeBytes());
      segment.close();
      for (let i = 0; i < 2; i++) expect(() => found(files)).toThrow(/nothing can be read of 0000000002.wal/);
      const after = files.open('0000000002.wal');
      expect(after.read(0, after.sizeBytes())).toEqual(left);
      after.close();
    });

    it.each(['nothing', 'its first copy', 'its last copy'])(
      'when the segment holds its opening only, %s broken',
      (broken) => {
        // As a log was left that did not state behind the opening that this is synced.
        const files = damagedAndTidied();
        const segment = files.open('0000000002.wal');
        const opening = openingBytes(segment.read(0, segment.sizeBytes()), 2);
        const copy = (opening - SEGMENT_HEADER_BYTES) / 2;
        segment.truncate(opening);
        const at = SEGMENT_HEADER_BYTES + 60 + (broken === 'its last copy' ? copy : 0);
        if (broken !== 'nothing') segment.write([Buffer.from([segment.read(at, 1)[0]! ^ 4])], at);
        segment.close();
        expect(damagedOf(found(files))).toEqual([0, 1, 2]);
        expect(damagedOf(found(files))).toEqual([0, 1, 2]);
      },
    );
  });

  it('F34: a segment that was never used goes only where the one before it is there', () => {
    const log = written('closed', SMALL);
    const last = log.segments.at(-1)!;
    const bytes = contents(log, last);
    const files = new Map(log.files).set(last, bytes.subarray(0, openingBytes(bytes, log.segments.length)));
    const whole = new DrivenLog(inMemory(files), SMALL).found;
    expect(damagedOf(whole)).toEqual([]);
    files.delete(log.segments.at(-2)!);
    const found = new DrivenLog(inMemory(files), SMALL).found;
    expect([...found.keys()].sort()).toEqual([0, 1]);
    for (const [group, state] of found) {
      if (state.damaged === null) expect(groupText(state), `group ${group}`).toEqual(groupText(whole.get(group)!));
    }
    expect(damagedOf(found)).not.toEqual([]);
  });

  it('F34: a first segment that is far too long for an unused one, and of which nothing can be read, is no new log', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    const rotten = Buffer.alloc(16 * 1024, 0xa5);
    contents(log, segment).copy(rotten, 0, 0, SEGMENT_HEADER_BYTES);
    expect(() => reopened(inMemory, log, segment, rotten)).toThrow(/nothing can be read of 0000000001.wal/);
  });

  it('F34: it takes both copies of an opening to lose an idle group', () => {
    const log = written('closed', SMALL);
    const last = log.segments.at(-1)!;
    for (let at = 1024; at < 1024 + 64; at++) {
      const found = reopened(inMemory, log, last, flipped(contents(log, last), at, 1));
      expect(damagedOf(found), `flipped at ${at}`).toEqual([]);
    }
  });

  it('F34: a whole batch behind a broken one proves nothing', () => {
    const disk = new SimDisk({ random: new SimRandom('order') });
    const driven = new DrivenLog(disk, ONE_SEGMENT);
    driven.durably(create(1));
    const image = driven.image;
    const start = driven.log.stats().bytes;
    driven.write([append(1, 1, 2, 1)]);
    const between = driven.log.stats().bytes;
    driven.write([append(1, 3, 2, 1)]);
    // Of the two batches that were not synced, the second one reached the disk and the first one did not.
    const segment = disk.list()[0]!;
    const bytes = disk.contents(segment);
    bytes.fill(0, start, between);
    disk.kill();
    disk.put(segment, bytes);
    const second = new DrivenLog(disk, ONE_SEGMENT);
    expect(damagedOf(second.found)).toEqual([]);
    expect(differences(second.found, image)).toEqual([]);
    // A batch of the same length as the lost one: behind it, the old one must not come back to life.
    second.durably(append(1, 1, 2, 9));
    expect(second.log.stats().bytes).toBe(between);
    disk.kill();
    const third = new DrivenLog(disk, ONE_SEGMENT);
    expect(differences(third.found, second.image)).toEqual([]);
  });

  it('refuses a format that it does not know, by name', () => {
    const log = written('closed');
    const segment = log.segments[0]!;
    const bytes = Buffer.from(contents(log, segment));
    for (const copy of [0, 512]) {
      bytes.writeUInt32LE(9, copy + 8);
      bytes.writeUInt32LE(crc32c(bytes.subarray(copy, copy + 508)), copy + 508);
    }
    const files = inMemory(new Map([[segment, bytes]]));
    expect(() => new DrivenLog(files, ONE_SEGMENT)).toThrow(
      /0000000001.wal has log format 9; this build reads format 1/,
    );
  });
});
