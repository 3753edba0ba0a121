/** What every StateEngines owes the runtime, whoever implements it. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EngineOp, EngineRow, EngineSnapshot, StateEngine, StateEngines } from '../../src/raft/index.js';

export interface StateEnginesHarness {
  readonly engines: StateEngines;
  /** The same files, opened by a process that follows an orderly end of the last. Its engines have been closed. */
  restart(): Promise<StateEngines>;
  /** Rot under an open engine: some rows that have been flushed, one beside the other, can't be read any more. */
  spoil(name: string): Promise<void>;
  cleanup(): Promise<void>;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const put = (key: string, value: string): EngineOp => ({ key: bytes(key), value: bytes(value) });
const del = (key: string): EngineOp => ({ key: bytes(key), value: null });
const ALL = { gte: bytes(''), lt: bytes('\xff\xff\xff\xff\xff') };
const texts = (rows: EngineRow[]): [string, string][] =>
  rows.map((r) => [r.key.toString('latin1'), r.value.toString('latin1')]);
const keysOf = (rows: EngineRow[]): string[] => rows.map((r) => r.key.toString('latin1'));
const numbered = (i: number): string => `k${String(i).padStart(6, '0')}`;

export function stateEngineContract(title: string, open: () => Promise<StateEnginesHarness>): void {
  describe(`state engine contract: ${title}`, () => {
    let harness: StateEnginesHarness;
    let engines: StateEngines;
    let engine: StateEngine;

    beforeEach(async () => {
      harness = await open();
      engines = harness.engines;
      engine = await engines.open('shard-1');
    });

    afterEach(async () => {
      await engine.close();
      await harness.cleanup();
    });

    describe('reads and writes', () => {
      it('gets what a resolved write has put, and nothing after a delete', async () => {
        expect(engine.get(bytes('a'))).toBeUndefined();
        await engine.write([put('a', '1'), put('b', '')]);
        expect(engine.get(bytes('a'))).toEqual(bytes('1'));
        expect(engine.get(bytes('b'))).toEqual(Buffer.alloc(0));
        await engine.write([del('a'), del('never there')]);
        expect(engine.get(bytes('a'))).toBeUndefined();
      });

      it('takes any bytes as key and value, as Buffer or Uint8Array', async () => {
        const key = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
        await engine.write([{ key, value: Uint8Array.of(0, 255, 0) }]);
        expect(engine.get(key)).toEqual(Buffer.of(0, 255, 0));
        expect(engine.get(Buffer.from(key))).toEqual(Buffer.of(0, 255, 0));
        const [row] = await engine.range({ gte: Buffer.of(255), lt: Buffer.of(255, 255) });
        expect(row).toEqual({ key: Buffer.from(key), value: Buffer.of(0, 255, 0) });
        expect(Buffer.isBuffer(row!.key) && Buffer.isBuffer(row!.value)).toBe(true);
      });

      it('reads many at once, in the order of the keys asked for', async () => {
        await engine.write([put('a', '1'), put('c', '3')]);
        expect(await engine.getMany([bytes('c'), bytes('b'), bytes('a')])).toEqual([bytes('3'), undefined, bytes('1')]);
        expect(await engine.getMany([])).toEqual([]);
      });

      it('lets the last operation on a key win within a batch', async () => {
        await engine.write([put('a', '1'), del('a'), put('a', '2'), put('b', '1'), del('b')]);
        expect(texts(await engine.range(ALL))).toEqual([['a', '2']]);
      });

      it('does not keep hold of the buffers it was given or has handed out', async () => {
        const key = bytes('a');
        const value = bytes('1');
        const first = engine.write([{ key, value }]);
        const second = engine.write([{ key: key.fill('b'), value: value.fill('2') }]);
        key.fill('x');
        value.fill('x');
        await Promise.all([first, second]);
        engine.get(bytes('a'))!.fill('y');
        (await engine.range(ALL))[0]!.value.fill('y');
        expect(texts(await engine.range(ALL))).toEqual([
          ['a', '1'],
          ['b', '2'],
        ]);
      });

      it('accepts an empty batch', async () => {
        await engine.write([]);
        await engine.write([put('a', '1')]);
        await engine.write([]);
        expect(engine.get(bytes('a'))).toEqual(bytes('1'));
      });

      it('lets writes take effect in the order of calls', async () => {
        const order: number[] = [];
        const writes = Array.from({ length: 300 }, (_, i) =>
          engine.write([put('last', String(i)), put(numbered(i), String(i))]).then(() => {
            order.push(i);
            expect(Number(engine.get(bytes('last'))?.toString())).toBeGreaterThanOrEqual(i);
          }),
        );
        await Promise.all(writes);
        expect(order).toEqual([...order].sort((a, b) => a - b));
        expect(engine.get(bytes('last'))).toEqual(bytes('299'));
        expect((await engine.range({ gte: bytes('k'), lt: bytes('l') })).length).toBe(300);
      });

      it('never shows a part of a batch (F31)', async () => {
        const writing = (async () => {
          for (let i = 0; i < 100; i++) {
            await engine.write(Array.from({ length: 50 }, (_, k) => put(numbered(k), String(i))));
          }
        })();
        let ended = false;
        void writing.then(() => {
          ended = true;
        });
        do {
          const rows = await engine.range(ALL);
          expect(rows.length === 0 || rows.length === 50).toBe(true);
          expect(new Set(rows.map((row) => row.value.toString())).size).toBeLessThanOrEqual(1);
        } while (!ended);
        await writing;
      });
    });

    describe('ranges', () => {
      beforeEach(() => engine.write(['b', 'a', 'd', 'c', 'ca'].map((key) => put(key, `v-${key}`))));

      it('are in byte order, from gte on, up to but without lt', async () => {
        expect(keysOf(await engine.range(ALL))).toEqual(['a', 'b', 'c', 'ca', 'd']);
        expect(keysOf(await engine.range({ gte: bytes('b'), lt: bytes('d') }))).toEqual(['b', 'c', 'ca']);
        expect(keysOf(await engine.range({ gte: bytes('bb'), lt: bytes('cb') }))).toEqual(['c', 'ca']);
        expect(keysOf(await engine.range({ gte: bytes('c'), lt: bytes('c') }))).toEqual([]);
        expect(keysOf(await engine.range({ gte: bytes('d'), lt: bytes('a') }))).toEqual([]);
      });

      it('stop at the limit of rows', async () => {
        expect(keysOf(await engine.range({ ...ALL, limit: 2 }))).toEqual(['a', 'b']);
        expect(keysOf(await engine.range({ ...ALL, limit: 0 }))).toEqual([]);
        expect(keysOf(await engine.range({ ...ALL, limit: 99 }))).toHaveLength(5);
      });

      it('stop after the row that reaches the limit of bytes', async () => {
        // Rows of "x" and "v-x": 4 bytes each; "ca" has 6.
        const upTo = async (maxBytes: number): Promise<string[]> => keysOf(await engine.range({ ...ALL, maxBytes }));
        expect(await upTo(0)).toEqual(['a']);
        expect(await upTo(1)).toEqual(['a']);
        expect(await upTo(4)).toEqual(['a']);
        expect(await upTo(5)).toEqual(['a', 'b']);
        expect(await upTo(12)).toEqual(['a', 'b', 'c']);
        expect(await upTo(13)).toEqual(['a', 'b', 'c', 'ca']);
        expect(await upTo(1000)).toHaveLength(5);
      });

      it('read thousands of rows, in pages or in one go', async () => {
        const count = 5000;
        const ops = Array.from({ length: count }, (_, i) => put(numbered((i * 7919) % count), 'v'.repeat(200)));
        await engine.write(ops);
        const expected = Array.from({ length: count }, (_, i) => numbered(i));
        const range = { gte: bytes('k'), lt: bytes('l') };
        expect(keysOf(await engine.range(range))).toEqual(expected);
        const paged: string[] = [];
        let gte = range.gte;
        for (;;) {
          const page = await engine.range({ ...range, gte, limit: 700, maxBytes: 100_000 });
          if (page.length === 0) break;
          paged.push(...keysOf(page));
          gte = Buffer.concat([page.at(-1)!.key, Buffer.of(0)]);
        }
        expect(paged).toEqual(expected);
      });

      it('agree with a sorted map, whatever was written', async () => {
        const key = fc.uint8Array({ maxLength: 3, max: 5 }).map((b) => Buffer.from(b));
        const op = fc.record({ key, value: fc.option(key, { freq: 4 }) });
        const range = fc.record({
          gte: key,
          lt: key,
          limit: fc.integer({ min: 1, max: 20 }),
          maxBytes: fc.integer({ min: 1, max: 40 }),
        });
        await engine.write(keysOf(await engine.range(ALL)).map(del));
        const model = new Map<string, Buffer>();
        await fc.assert(
          fc.asyncProperty(fc.array(op, { maxLength: 30, size: 'max' }), range, async (ops, asked) => {
            await engine.write(ops);
            for (const { key: k, value } of ops) {
              if (value === null) model.delete(k.toString('hex'));
              else model.set(k.toString('hex'), value);
            }
            const expected: [string, Buffer][] = [];
            let sum = 0;
            for (const [hex, value] of [...model].sort(([a], [b]) => (a < b ? -1 : 1))) {
              if (hex < asked.gte.toString('hex') || hex >= asked.lt.toString('hex')) continue;
              if (expected.length >= asked.limit || sum >= asked.maxBytes) break;
              expected.push([hex, value]);
              sum += hex.length / 2 + value.length;
            }
            const found = await engine.range(asked);
            expect(found.map((row) => [row.key.toString('hex'), row.value])).toEqual(expected);
          }),
          { seed: 31, numRuns: 200 },
        );
      });
    });

    describe('snapshots', () => {
      it('see what had been written before, whatever is written later', async () => {
        await engine.write([put('a', '1'), put('b', '1')]);
        const snapshot = engine.snapshot();
        await engine.write([put('a', '2'), del('b'), put('c', '2')]);
        const later = engine.snapshot();
        await engine.write([put('a', '3')]);
        await engine.flush();
        expect(texts(await snapshot.range(ALL))).toEqual([
          ['a', '1'],
          ['b', '1'],
        ]);
        expect(texts(await later.range(ALL))).toEqual([
          ['a', '2'],
          ['c', '2'],
        ]);
        expect(texts(await later.range({ gte: bytes('a'), lt: bytes('z'), limit: 1 }))).toEqual([['a', '2']]);
        await snapshot.close();
        await later.close();
      });

      it('do not see a write in flight, nor do pages of one snapshot ever disagree', async () => {
        const rows = (round: number): EngineOp[] =>
          Array.from({ length: 100 }, (_, k) => put(numbered(k), String(round)));
        await engine.write(rows(0));
        for (let round = 1; round < 50; round++) {
          const writing = engine.write(rows(round));
          const snapshot = engine.snapshot();
          const first = await snapshot.range({ ...ALL, limit: 10 });
          await writing;
          const second = await snapshot.range({ gte: bytes(numbered(10)), lt: bytes('l') });
          const seen = new Set([...first, ...second].map((row) => row.value.toString()));
          expect([...seen]).toEqual([String(round - 1)]);
          await snapshot.close();
        }
      });

      it('can be closed twice, and not read afterwards', async () => {
        const snapshot = engine.snapshot();
        await snapshot.close();
        await snapshot.close();
        await expect(snapshot.range(ALL)).rejects.toThrow(/closed/);
      });
    });

    describe('rows that cannot be read (F34, F35)', () => {
      const COUNT = 5000;
      const range = { gte: bytes('k'), lt: bytes('l') };
      const damage = { code: 'ENGINE_DAMAGED' };
      const textOf = (key: string): string => `${key} `.repeat(30);
      let snapshot: EngineSnapshot;

      beforeEach(async () => {
        const keys = Array.from({ length: COUNT }, (_, i) => numbered(i));
        await engine.write(keys.map((key) => put(key, textOf(key))));
        await engine.flush();
        snapshot = engine.snapshot();
        await harness.spoil('shard-1');
      });

      afterEach(() => snapshot.close());

      it('are told of by `get` and `getMany`, the others are what they were', async () => {
        const unreadable: string[] = [];
        for (let i = 0; i < COUNT; i++) {
          const key = numbered(i);
          try {
            expect(engine.get(bytes(key))?.toString()).toBe(textOf(key));
          } catch (error) {
            expect(error).toMatchObject(damage);
            unreadable.push(key);
          }
        }
        expect(unreadable.length).toBeGreaterThan(0);
        await expect(engine.getMany([bytes(numbered(0)), bytes(unreadable[0]!)])).rejects.toMatchObject(damage);
        expect(await engine.getMany([bytes(numbered(0))])).toEqual([bytes(textOf(numbered(0)))]);
      });

      it.each([
        { pages: 'of all rows', size: {} },
        { pages: 'of a hundred rows', size: { limit: 100 } },
        { pages: 'of one row', size: { limit: 1 } },
        { pages: 'of 20 kB', size: { maxBytes: 20_000 } },
        { pages: 'as a snapshot is streamed', size: { maxBytes: 256 * 1024, limit: 4096 } },
      ])('are never left out of pages $pages', async ({ size }) => {
        for (const reader of [engine, snapshot]) {
          const seen: string[] = [];
          const readAll = async (): Promise<void> => {
            for (let gte = range.gte; ; ) {
              const page = await reader.range({ ...range, ...size, gte });
              if (page.length === 0) return;
              seen.push(...keysOf(page));
              gte = Buffer.concat([page.at(-1)!.key, Buffer.of(0)]);
            }
          };
          await expect(readAll()).rejects.toMatchObject(damage);
          expect(seen).toEqual(seen.map((_, i) => numbered(i)));
        }
      });

      it('do not stand in the way of pages that end before them or begin behind them', async () => {
        expect(await snapshot.range({ ...range, limit: 100 })).toHaveLength(100);
        expect(await snapshot.range({ ...range, gte: bytes(numbered(COUNT - 100)) })).toHaveLength(100);
        expect(await engine.range({ ...range, gte: bytes(numbered(COUNT - 100)), limit: 50 })).toHaveLength(50);
      });
    });

    describe('keeping', () => {
      it('finds everything again after a restart, flushed or not', async () => {
        await engine.write([put('a', '1'), put('gone', '1')]);
        await engine.flush();
        await engine.write([put('b', '2'), del('gone')]);
        await engine.close();
        engines = await harness.restart();
        engine = await engines.open('shard-1');
        expect(texts(await engine.range(ALL))).toEqual([
          ['a', '1'],
          ['b', '2'],
        ]);
      });

      it('waits for its writes when it is closed, and refuses later ones', async () => {
        const writes = Array.from({ length: 20 }, (_, i) => engine.write([put(numbered(i), '1')]));
        await engine.close();
        await Promise.all(writes);
        await expect(engine.write([put('z', '1')])).rejects.toThrow();
        expect(() => engine.get(bytes('a'))).toThrow();
        await engine.close();
        engines = await harness.restart();
        engine = await engines.open('shard-1');
        expect(await engine.range(ALL)).toHaveLength(20);
      });

      it('flushes with and without something to flush, also several times at once', async () => {
        await engine.flush();
        await engine.write([put('a', '1')]);
        await Promise.all([engine.flush(), engine.flush(), engine.flush()]);
        await engine.flush();
        expect(engine.get(bytes('a'))).toEqual(bytes('1'));
      });

      it('reclaims deleted ranges and leaves the others alone', async () => {
        await engine.write(Array.from({ length: 500 }, (_, i) => put(numbered(i), 'v'.repeat(100))));
        await engine.write(Array.from({ length: 400 }, (_, i) => del(numbered(i))));
        await engine.reclaim(bytes(numbered(0)), bytes(numbered(400)));
        expect(await engine.range(ALL)).toHaveLength(100);
        expect(await engine.sizeBytes()).toBeGreaterThan(0);
      });
    });

    describe('many engines', () => {
      it('do not see each other, are listed in order, and are gone when removed', async () => {
        const other = await engines.open('a-2');
        await engine.write([put('a', 'one')]);
        await other.write([put('a', 'two')]);
        expect(engine.get(bytes('a'))).toEqual(bytes('one'));
        expect(other.get(bytes('a'))).toEqual(bytes('two'));
        expect(await engines.list()).toEqual(['a-2', 'shard-1']);
        await expect(engines.remove('a-2')).rejects.toThrow(/open/);
        await other.close();
        await engines.remove('a-2');
        await engines.remove('a-2');
        await engines.remove('never-there');
        expect(await engines.list()).toEqual(['shard-1']);
        const anew = await engines.open('a-2');
        expect(await anew.range(ALL)).toEqual([]);
        await anew.close();
      });

      it('refuse a second open, and names that could leave the directory', async () => {
        await expect(engines.open('shard-1')).rejects.toThrow(/open already/);
        for (const name of ['', '..', 'a/b', 'A', '.trash-1', 'a b']) {
          await expect(engines.open(name)).rejects.toThrow(/invalid engine name/);
        }
        await engine.write([put('a', '1')]);
        expect(engine.get(bytes('a'))).toEqual(bytes('1'));
      });
    });
  });
}
