import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineDamagedError, openLevelEngines } from '../../../../src/kv/store/engine/index.js';
import { checkTable } from '../../../../src/kv/store/engine/level-table-check.js';
import type { StateEngine } from '../../../../src/raft/index.js';
import {
  batchesIn,
  batchOf,
  EngineSandbox,
  type Image,
  Lehmer,
  logsOf,
  manifestOf,
  readImage,
  spoilBlock,
  tablesOf,
  withFile,
  withFlippedBit,
  withoutFile,
  writeImage,
} from './level-image.js';

async function writeBatches(engine: StateEngine, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await engine.write(batchOf(n));
}

const withoutLogs = (image: Image): Image =>
  logsOf(image).reduce((rest, name) => withFile(rest, name, Buffer.alloc(0)), image);

describe('LevelDB engines', () => {
  let sandbox: EngineSandbox;

  beforeEach(() => {
    sandbox = new EngineSandbox();
  });

  afterEach(() => sandbox.remove());

  /** 40 batches flushed in two tables, 10 more in the log. */
  async function flushedImage(): Promise<Image> {
    const engine = await sandbox.open();
    await writeBatches(engine, 1, 20);
    await engine.flush();
    await writeBatches(engine, 21, 40);
    await engine.flush();
    await writeBatches(engine, 41, 50);
    const image = readImage(sandbox.directory);
    await engine.close();
    expect(tablesOf(image)).toHaveLength(2);
    return image;
  }

  describe('reclaim', () => {
    const ROWS = 200;
    const all = (value: (i: number) => Buffer | null) =>
      Array.from({ length: ROWS }, (_, i) => ({ key: Buffer.from(`row ${i}`), value: value(i) }));

    it.each([
      { where: 'in memory', flushed: 0 },
      { where: 'in a table', flushed: ROWS },
      { where: 'partly in a table, partly in memory', flushed: ROWS / 2 },
    ])('gives back the bytes of what was deleted, when it was still $where (F61)', async ({ flushed }) => {
      const engine = await sandbox.open();
      const chance = new Lehmer(61);
      const rows = all(() => chance.bytes(5_000));
      const [first, second] = [rows.slice(0, flushed), rows.slice(flushed)];
      await engine.write(first);
      if (flushed > 0) await engine.flush();
      await engine.write(second);
      expect(await engine.sizeBytes()).toBeGreaterThan(ROWS * 5_000);
      await engine.write(all(() => null));
      await engine.reclaim(Buffer.of(0x00), Buffer.of(0xff));
      expect(await engine.sizeBytes()).toBeLessThan(10_000);
      await engine.close();
    });

    it('gives them back although a read goes on that still needs them (F61)', async () => {
      const engine = await sandbox.open();
      const chance = new Lehmer(62);
      await engine.write(all(() => chance.bytes(5_000)));
      await engine.flush();
      let reclaiming = true;
      const reads = Array.from({ length: 4 }, async () => {
        while (reclaiming) await engine.range({ gte: Buffer.of(0x00), lt: Buffer.of(0xff) });
      });
      await engine.write(all(() => null));
      await engine.reclaim(Buffer.of(0x00), Buffer.of(0xff));
      reclaiming = false;
      expect(await engine.sizeBytes()).toBeLessThan(10_000);
      await Promise.all(reads);
      await engine.close();
    });
  });

  describe('flush', () => {
    it('makes everything durable: no log is needed afterwards (F32)', async () => {
      const image = await flushedImage();
      expect(await sandbox.batchesAfterCrash(image)).toBe(50);
      expect(await sandbox.batchesAfterCrash(withoutLogs(image))).toBe(40);
    });

    it('covers what had been written before the call, while writes go on', async () => {
      const engine = await sandbox.open();
      await writeBatches(engine, 1, 300);
      const flushing = engine.flush();
      await writeBatches(engine, 301, 600);
      await flushing;
      const image = readImage(sandbox.directory);
      await engine.close();
      expect(await sandbox.batchesAfterCrash(withoutLogs(image))).toBeGreaterThanOrEqual(300);
    });

    it('is not needed for what a restart has replayed', async () => {
      await (await flushedAndClosed()).close();
      const engine = await sandbox.open();
      await engine.flush();
      const image = readImage(sandbox.directory);
      await engine.close();
      expect(await sandbox.batchesAfterCrash(withoutLogs(image))).toBe(20);
    });

    async function flushedAndClosed(): Promise<StateEngine> {
      const engine = await sandbox.open();
      await writeBatches(engine, 1, 20);
      return engine;
    }

    it('rejects when LevelDB could not write its table, and so does every later write (F33)', async () => {
      const engine = await sandbox.open();
      await writeBatches(engine, 1, 20);
      // Where LevelDB wants to create its next tables there are directories.
      for (let n = 1; n < 40; n++) mkdirSync(join(sandbox.directory, `${String(n).padStart(6, '0')}.ldb`));
      await expect(engine.flush()).rejects.toThrow(/could not write out/);
      const first = await engine.write(batchOf(21)).catch((error: Error) => error);
      expect(first).toBeInstanceOf(Error);
      await expect(engine.write(batchOf(22))).rejects.toBe(first);
      await expect(engine.flush()).rejects.toThrow();
      expect(await batchesIn(engine)).toBe(20);
      await engine.close();
    });
  });

  describe('damaged files', () => {
    const refuses = async (image: Image, reason: RegExp): Promise<void> => {
      writeImage(sandbox.directory, image);
      const opened = await sandbox.open().then(
        (engine) => engine.close().then(() => null),
        (error: Error) => error,
      );
      expect(opened).toBeInstanceOf(EngineDamagedError);
      expect(opened).toMatchObject({ code: 'ENGINE_DAMAGED', engine: 'e' });
      expect(opened?.message).toMatch(/^engine e is damaged: /);
      expect(opened?.message).toMatch(reason);
    };

    it('are refused by name: CURRENT and the MANIFEST', async () => {
      const image = await flushedImage();
      const manifest = manifestOf(image);
      await refuses(withoutFile(image, 'CURRENT'), /CURRENT: it is missing, but there is \d+\.ldb/);
      await refuses(withFile(image, 'CURRENT', Buffer.alloc(0)), /CURRENT: it names no MANIFEST/);
      await refuses(
        withFile(image, 'CURRENT', Buffer.from('MANIFEST-999999\n')),
        /names MANIFEST-999999, which is missing/,
      );
      await refuses(withoutFile(image, manifest), /which is missing/);
      await refuses(withFile(image, manifest, Buffer.alloc(0)), /its first edits are missing/);
      await refuses(withFlippedBit(image, manifest, 100), /MANIFEST-\d+: /);
      await refuses(withFile(image, manifest, Buffer.from('rubbish, not a record at all')), /MANIFEST-\d+: /);
    });

    it('are refused by name: tables that are missing, cut or have grown', async () => {
      const image = await flushedImage();
      const table = tablesOf(image)[0]!;
      const bytes = image.get(table)!;
      await refuses(withoutFile(image, table), /table \d+: it is missing/);
      await refuses(
        withFile(image, table, bytes.subarray(0, -1)),
        new RegExp(`${table}: it has ${bytes.length - 1} bytes`),
      );
      await refuses(withFile(image, table, Buffer.alloc(0)), /it has 0 bytes/);
      await refuses(withFile(image, table, Buffer.concat([bytes, Buffer.of(0)])), /the MANIFEST says/);
    });

    it('are refused wherever a bit of a table has flipped (F38)', async () => {
      const image = await flushedImage();
      const table = tablesOf(image)[0]!;
      const bytes = image.get(table)!;
      for (let bit = 3; bit < (bytes.length - 48) * 8; bit += 2003) {
        await refuses(withFlippedBit(image, table, bit), new RegExp(`${table}: `));
      }
    });

    it('are never believed wherever a bit of the MANIFEST has flipped', async () => {
      const image = await flushedImage();
      const manifest = manifestOf(image);
      const outcomes = { damaged: 0, prefix: 0 };
      for (let bit = 0; bit < image.get(manifest)!.length * 8; bit += 13) {
        const found = await sandbox
          .batchesAfterCrash(withFlippedBit(image, manifest, bit))
          .catch((error: Error) => error);
        if (typeof found === 'number') outcomes.prefix++;
        else {
          expect(found).toBeInstanceOf(EngineDamagedError);
          outcomes.damaged++;
        }
      }
      expect(outcomes.damaged).toBeGreaterThan(0);
    });

    it('do not include an end of the MANIFEST torn by a power cut', async () => {
      const engine = await sandbox.open();
      await writeBatches(engine, 1, 20);
      const before = readImage(sandbox.directory);
      await engine.flush();
      const after = readImage(sandbox.directory);
      await engine.close();
      const name = manifestOf(after);
      const [old, now] = [before.get(name)!, after.get(name)!];
      expect(now.length).toBeGreaterThan(old.length);
      // The table is synced before its edit, the log goes after it.
      const tornIn = tablesOf(after).reduce((image, table) => withFile(image, table, after.get(table)!), before);
      for (let end = old.length; end < now.length; end++) {
        const zeros = Buffer.concat([now.subarray(0, end), Buffer.alloc(now.length - end)]);
        for (const torn of [now.subarray(0, end), zeros]) {
          const found = await sandbox.batchesAfterCrash(withFile(tornIn, name, torn));
          expect(found, `torn at ${end}`).toBe(20);
        }
      }
    });

    it('are not what a creation leaves that was cut off', async () => {
      const engine = await sandbox.open();
      const image = readImage(sandbox.directory);
      await engine.close();
      expect(await sandbox.batchesAfterCrash(withoutFile(image, 'CURRENT'))).toBe(0);
      expect(await sandbox.batchesAfterCrash(new Map())).toBe(0);
    });

    it('keep other engines and later opens unharmed', async () => {
      await refuses(withoutFile(await flushedImage(), 'CURRENT'), /CURRENT/);
      const engines = await openLevelEngines({ directory: sandbox.root });
      await expect(engines.open('e')).rejects.toThrow(EngineDamagedError);
      await engines.remove('e');
      const engine = await engines.open('e');
      expect(await batchesIn(engine)).toBe(0);
      await engine.close();
    });
  });

  describe('rot in a table of an open engine (F34)', () => {
    const damage = { code: 'ENGINE_DAMAGED', engine: 'e' };
    const rows = (value: string) =>
      Array.from({ length: 2000 }, (_, i) => ({ key: Buffer.from(`row ${i}`), value: Buffer.from(value.repeat(30)) }));

    it('is told as damage also by what writes, once LevelDB has met it in merging tables', async () => {
      const engine = await sandbox.open();
      await engine.write(rows('one'));
      await engine.flush();
      spoilBlock(sandbox.directory);
      await engine.write(rows('two'));
      await expect(engine.reclaim(Buffer.of(0x00), Buffer.of(0xff))).rejects.toMatchObject(damage);
      await expect(engine.write(batchOf(1))).rejects.toMatchObject(damage);
      await expect(engine.flush()).rejects.toMatchObject(damage);
      await engine.close();
    });
  });

  describe('the check of a table', () => {
    it('accepts what LevelDB writes, compressed or not, and notices every flipped byte that matters', async () => {
      const engine = await sandbox.open();
      const random = new Lehmer(5);
      for (let i = 0; i < 300; i++) {
        const value = i % 2 === 0 ? Buffer.alloc(40, i) : random.bytes(30);
        await engine.write([{ key: Buffer.from(`a-rather-long-common-prefix-${i % 150}`), value }]);
      }
      await engine.flush();
      const image = readImage(sandbox.directory);
      await engine.close();
      const table = image.get(tablesOf(image)[0]!)!;
      checkTable(table);
      const unnoticed: number[] = [];
      for (let at = 0; at < table.length; at++) {
        table[at]! ^= 0x10;
        try {
          checkTable(table);
          unnoticed.push(at);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
        table[at]! ^= 0x10;
      }
      // Between the footer's two handles and its magic there is padding.
      const padding = { from: table.length - 48 + 4, to: table.length - 8 };
      expect(unnoticed.filter((at) => at < padding.from || at >= padding.to)).toEqual([]);
    });

    it('passes after many compactions, and can be left out', async () => {
      const engines = await openLevelEngines({ directory: sandbox.root, writeBufferBytes: 64 * 1024 });
      const engine = await engines.open('e');
      const random = new Lehmer(9);
      for (let round = 0; round < 120; round++) {
        await engine.write(
          Array.from({ length: 50 }, () => ({
            key: Buffer.from(String(random.below(5000))),
            value: random.bytes(400),
          })),
        );
      }
      const rows = (await engine.range({ gte: Buffer.alloc(0), lt: Buffer.of(255) })).length;
      await engine.close();
      const again = await engines.open('e');
      expect(await again.range({ gte: Buffer.alloc(0), lt: Buffer.of(255) })).toHaveLength(rows);
      await again.close();

      const image = readImage(sandbox.directory);
      const table = tablesOf(image)[0]!;
      writeImage(sandbox.directory, withFlippedBit(image, table, 80));
      await expect(engines.open('e')).rejects.toThrow(EngineDamagedError);
      const trusting = await openLevelEngines({ directory: sandbox.root, checkTables: false });
      await (await trusting.open('e')).close();
    });
  });

  it('reports which log was cut and why', async () => {
    const engine = await sandbox.open();
    await writeBatches(engine, 1, 10);
    const image = readImage(sandbox.directory);
    await engine.close();
    const log = logsOf(image)[0]!;
    writeImage(sandbox.directory, withFile(image, log, image.get(log)!.subarray(0, -3)));
    const told: unknown[] = [];
    const engines = await openLevelEngines({
      directory: sandbox.root,
      repaired: (name, repair) => told.push([name, repair]),
    });
    await (await engines.open('e')).close();
    await (await engines.open('e')).close();
    expect(told).toEqual([
      ['e', { cut: expect.objectContaining({ file: log, reason: 'the file ends within a record' }), removed: [] }],
    ]);
  });

  it('sweeps away what a removal left behind when it was cut off, and takes it for no engine', async () => {
    const trash = join(sandbox.root, '.trash-e-0');
    mkdirSync(trash);
    writeFileSync(join(trash, 'CURRENT'), 'MANIFEST-000001\n');
    writeFileSync(join(sandbox.root, 'a-file'), '');
    const engines = await openLevelEngines({ directory: sandbox.root });
    expect(await engines.list()).toEqual([]);
    expect(readdirSync(sandbox.root)).toEqual(['a-file']);
    const engine = await engines.open('e');
    await engine.close();
    await engines.remove('e');
    expect(readdirSync(sandbox.root)).toEqual(['a-file']);
  });

  it('does not take a failure to reach the files for damage', async () => {
    writeFileSync(join(sandbox.root, 'e'), 'a file where the directory should be');
    const error = await sandbox.open().then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(EngineDamagedError);
  });
});
