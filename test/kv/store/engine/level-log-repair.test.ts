import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repairLevelLogs } from '../../../../src/kv/store/engine/level-log-repair.js';
import { parseManifest } from '../../../../src/kv/store/engine/level-manifest.js';
import {
  batchOf,
  EngineSandbox,
  type Image,
  Lehmer,
  logsOf,
  manifestOf,
  readImage,
  readLiveImage,
  withFile,
  withFlippedBit,
  withoutFile,
  writeImage,
} from './level-image.js';

/** How many batches end at or before this offset. */
const wholeBefore = (ends: readonly number[], offset: number): number => ends.filter((end) => end <= offset).length;

describe('repair of LevelDB logs', () => {
  const sandbox = new EngineSandbox();
  /** A log of several blocks, with batches that cross from one block to the next. */
  let long: Image;
  let longLog: string;
  const longEnds: number[] = [];
  /** 20 batches in one block: records can be moved between files as they are. */
  let short: Image;
  let shortLog: string;
  const shortEnds: number[] = [];
  const laterLog = '000099.log';

  async function recordBatches(count: number, ends: number[]): Promise<Image> {
    writeImage(sandbox.directory, new Map());
    const engine = await sandbox.open();
    for (let n = 1; n <= count; n++) {
      await engine.write(batchOf(n));
      const image = readImage(sandbox.directory);
      ends.push(image.get(logsOf(image)[0]!)!.length);
    }
    const image = readImage(sandbox.directory);
    await engine.close();
    expect(logsOf(image)).toHaveLength(1);
    return image;
  }

  beforeAll(async () => {
    long = await recordBatches(400, longEnds);
    longLog = logsOf(long)[0]!;
    short = await recordBatches(20, shortEnds);
    shortLog = logsOf(short)[0]!;
  });

  afterAll(() => sandbox.remove());

  it('changes nothing when nothing is broken', async () => {
    expect(long.get(longLog)!.length).toBeGreaterThan(2 * 32_768);
    expect(await sandbox.batchesAfterCrash(long)).toBe(400);
  });

  it('cuts the log after its last whole batch, wherever the last 2 KiB end', async () => {
    const log = short.get(shortLog)!;
    const manifest = parseManifest('MANIFEST', short.get(manifestOf(short))!);
    writeImage(sandbox.directory, short);
    const file = join(sandbox.directory, shortLog);
    for (let end = log.length; end >= log.length - 2048; end--) {
      writeFileSync(file, log.subarray(0, end));
      const repair = await repairLevelLogs(sandbox.directory, [shortLog], manifest);
      const whole = Math.max(0, ...shortEnds.filter((batchEnd) => batchEnd <= end));
      expect(readFileSync(file).equals(log.subarray(0, whole)), `end at ${end}`).toBe(true);
      expect(repair.cut?.lost_bytes ?? 0).toBe(end - whole);
    }
  });

  it('opens to whole batches wherever the last 2 KiB end', async () => {
    const log = short.get(shortLog)!;
    for (let end = log.length; end >= log.length - 2048; end -= 7) {
      const image = withFile(short, shortLog, log.subarray(0, end));
      expect(await sandbox.batchesAfterCrash(image), `end at ${end}`).toBe(wholeBefore(shortEnds, end));
    }
  });

  it('opens to whole batches when the log is cut around the borders of its blocks', async () => {
    const log = long.get(longLog)!;
    for (const border of [32_768, 65_536]) {
      for (let cut = border - 12; cut <= border + 12; cut++) {
        const image = withFile(long, longLog, log.subarray(0, cut));
        expect(await sandbox.batchesAfterCrash(image), `cut at ${cut}`).toBe(wholeBefore(longEnds, cut));
      }
    }
  });

  it('opens to the batches before a flipped bit, wherever it is', async () => {
    const random = new Lehmer(7);
    const log = long.get(longLog)!;
    for (let i = 0; i < 150; i++) {
      const bit = random.below(log.length * 8);
      const before = wholeBefore(longEnds, bit >>> 3);
      // Padding at the end of a block is the only place where a bit means nothing.
      const inTrailer = log[bit >>> 3] === 0 && 32_768 - ((bit >>> 3) % 32_768) < 7;
      const found = await sandbox.batchesAfterCrash(withFlippedBit(long, longLog, bit));
      expect(found, `bit ${bit}`).toBe(inTrailer ? 400 : before);
    }
  });

  it('opens to the batches before a page that never reached the disk, though later pages did', async () => {
    const log = long.get(longLog)!;
    for (let page = 0; page < log.length; page += 4096) {
      const holed = Buffer.from(log).fill(0, page, Math.min(page + 4096, log.length));
      const found = await sandbox.batchesAfterCrash(withFile(long, longLog, holed));
      expect(found, `page at ${page}`).toBe(wholeBefore(longEnds, page));
    }
  });

  it('cuts a tail of zeros or rubbish', async () => {
    const log = short.get(shortLog)!;
    for (const tail of [Buffer.alloc(1), Buffer.alloc(5000), new Lehmer(3).bytes(3000), log.subarray(0, 500)]) {
      expect(await sandbox.batchesAfterCrash(withFile(short, shortLog, Buffer.concat([log, tail])))).toBe(20);
    }
  });

  it('does not trust a whole record whose number does not follow', async () => {
    const log = short.get(shortLog)!;
    const [from, to] = [shortEnds[9]!, shortEnds[10]!];
    const gap = Buffer.concat([log.subarray(0, from), log.subarray(to)]);
    expect(await sandbox.batchesAfterCrash(withFile(short, shortLog, gap))).toBe(10);
    const twice = Buffer.concat([log.subarray(0, to), log.subarray(from)]);
    expect(await sandbox.batchesAfterCrash(withFile(short, shortLog, twice))).toBe(11);
    const headless = log.subarray(shortEnds[0]!);
    expect(await sandbox.batchesAfterCrash(withFile(short, shortLog, headless))).toBe(0);
  });

  describe('with two live logs', () => {
    const split = (first: Buffer, second: Buffer): Image =>
      withFile(withFile(short, shortLog, first), laterLog, second);

    it('replays both when the second follows on the first', async () => {
      const log = short.get(shortLog)!;
      expect(
        await sandbox.batchesAfterCrash(split(log.subarray(0, shortEnds[11]!), log.subarray(shortEnds[11]!))),
      ).toBe(20);
    });

    it('removes the second when the first has lost its end, at whatever byte', async () => {
      const log = short.get(shortLog)!;
      const second = log.subarray(shortEnds[11]!);
      for (let cut = shortEnds[11]! - 1; cut >= 0; cut -= 7) {
        const found = await sandbox.batchesAfterCrash(split(log.subarray(0, cut), second));
        expect(found, `cut at ${cut}`).toBe(wholeBefore(shortEnds, cut));
      }
    });

    it('removes the second when the first has a flipped bit or is gone', async () => {
      const log = short.get(shortLog)!;
      const both = split(log.subarray(0, shortEnds[11]!), log.subarray(shortEnds[11]!));
      expect(await sandbox.batchesAfterCrash(withFlippedBit(both, shortLog, (shortEnds[4]! + 30) * 8))).toBe(5);
      expect(await sandbox.batchesAfterCrash(withoutFile(both, shortLog))).toBe(0);
      expect(readImage(sandbox.directory).has(laterLog)).toBe(false);
    });

    it('is needed: LevelDB alone replays the second and leaves a hole', async () => {
      const log = short.get(shortLog)!;
      writeImage(sandbox.directory, split(log.subarray(0, shortEnds[9]! - 1), log.subarray(shortEnds[11]!)));
      const level = new ClassicLevel<string, string>(sandbox.directory);
      await level.open();
      expect(level.getSync('n')).toBe('20');
      expect(level.getSync('shared-2')).toBe('2');
      await level.close();
    });
  });

  it('keeps a prefix, and what was flushed, through any loss of what was not (F31, F32)', async () => {
    const random = new Lehmer(20_261_120);
    for (let round = 0; round < 40; round++) {
      writeImage(sandbox.directory, new Map());
      const engine = await sandbox.open(64 * 1024);
      let flushed = 0;
      const total = 1 + random.below(1500);
      const writes: Promise<void>[] = [];
      let done = 0;
      for (let n = 1; n <= total; n++) {
        writes.push(engine.write(batchOf(n)).then(() => void done++));
        if (random.below(400) === 0) {
          await Promise.all(writes);
          const covered = done;
          await engine.flush();
          flushed = covered;
        }
      }
      if (random.below(2) === 0) await Promise.all(writes);
      const image = readLiveImage(sandbox.directory);
      await engine.close();
      const found = await sandbox.batchesAfterCrash(losePages(image, random));
      expect(found).toBeGreaterThanOrEqual(flushed);
      expect(found).toBeLessThanOrEqual(total);
    }
  });
});

/** Logs are never synced: each may be shorter, and any of its pages may never have been written. */
function losePages(image: Image, random: Lehmer): Image {
  const lost = new Map(image);
  for (const name of logsOf(image)) {
    const log = Buffer.from(image.get(name)!);
    if (random.below(2) === 0) {
      lost.set(name, log.subarray(0, random.below(log.length + 1)));
    } else {
      for (let page = 0; page < log.length; page += 4096) {
        if (random.below(12) === 0) log.fill(0, page, Math.min(page + 4096, log.length));
      }
      lost.set(name, log);
    }
  }
  return lost;
}
