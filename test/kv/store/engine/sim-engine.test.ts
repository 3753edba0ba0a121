import { describe, expect, it } from 'vitest';
import type { Clock, Random, StateEngine } from '../../../../src/raft/index.js';
import { SimEngines } from '../../../sim/fakes/sim-engine.js';
import { batchesIn, batchOf, Lehmer } from './level-image.js';

const randomOf = (seed: number): Random => {
  const lehmer = new Lehmer(seed);
  return { next: () => lehmer.below(1_000_000) / 1_000_000 };
};

/** Time goes on only when told to. */
class ManualClock implements Clock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];

  monotonic_ms = (): number => this.#now;
  wall_ms = (): number => this.#now;

  after(delay_ms: number, run: () => void): { cancel(): void } {
    const timer = { at: this.#now + delay_ms, run };
    this.#timers.push(timer);
    return { cancel: () => this.#drop(timer) };
  }

  #drop(timer: object): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }

  soon(run: () => void): void {
    this.after(0, run);
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#drop(next);
      this.#now = next.at;
      next.run();
      // Let what waits for the result run before the next event, however many steps it takes.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = end;
  }
}

const writeBatches = async (engine: StateEngine, from: number, to: number): Promise<void> => {
  for (let n = from; n <= to; n++) await engine.write(batchOf(n));
};

describe('engines of the simulator', () => {
  it('lose a random suffix of whole batches in a power cut, never one that was flushed (F31, F32)', async () => {
    const survivors = new Set<number>();
    for (let seed = 1; seed <= 200; seed++) {
      const engines = new SimEngines();
      const engine = await engines.open('e');
      await writeBatches(engine, 1, 10);
      await engine.flush();
      await writeBatches(engine, 11, 20);
      void engine.write(batchOf(21));
      engines.crash(randomOf(seed));
      const survived = await batchesIn(await engines.open('e'));
      expect(survived).toBeGreaterThanOrEqual(10);
      survivors.add(survived);
    }
    // Every outcome that is possible does occur.
    expect([...survivors].sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
  });

  it('lose nothing that was written when only the process is killed, but may still lose it later', async () => {
    const engines = new SimEngines();
    await writeBatches(await engines.open('e'), 1, 10);
    engines.crash(randomOf(1), 'kill');
    expect(await batchesIn(await engines.open('e'))).toBe(10);
    expect(engines.unflushedBatches('e')).toBe(10);
    engines.crash({ next: () => 0 });
    expect(await batchesIn(await engines.open('e'))).toBe(0);
  });

  it('do the same under the same seed', async () => {
    const run = async (): Promise<string> => {
      const engines = new SimEngines();
      const engine = await engines.open('e');
      await writeBatches(engine, 1, 30);
      const random = randomOf(77);
      const flipped = engines.flipBit('e', random)?.toString();
      engines.crash(random);
      const rows = await (await engines.open('e')).range({ gte: Buffer.alloc(0), lt: Buffer.of(255) });
      return `${flipped} ${rows.map((row) => row.key.toString() + row.value.toString('hex')).join()}`;
    };
    expect(await run()).toBe(await run());
  });

  it('leave a crashed handle dead: nothing it began ever completes, nothing new begins', async () => {
    const clock = new ManualClock();
    const engines = new SimEngines({ clock, delay_ms: () => 5 });
    const opening = engines.open('e');
    await clock.pass(5);
    const engine = await opening;
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    for (const promise of [
      engine.write(batchOf(1)),
      engine.flush(),
      engine.range({ gte: Buffer.of(0), lt: Buffer.of(1) }),
    ]) {
      void promise.then(settle, settle);
    }
    engines.crash({ next: () => 0 });
    await clock.pass(1000);
    expect(settled).toBe(false);
    expect(() => engine.get(Buffer.from('n'))).toThrow(/crashed/);
    await expect(engine.write(batchOf(2))).rejects.toThrow(/crashed/);
    const reopening = engines.open('e');
    await clock.pass(5);
    expect(await batchesIn(await drive(clock, reopening))).toBe(0);
  });

  /** `batchesIn` reads a range, which takes time too: here the clock simply runs. */
  async function drive(clock: ManualClock, opening: Promise<StateEngine>): Promise<StateEngine> {
    const engine = await opening;
    return {
      get: (key) => engine.get(key),
      range: async (range) => {
        const reading = engine.range(range);
        await clock.pass(5);
        return reading;
      },
    } as StateEngine;
  }

  it('cover with a flush what was written before its call, not during it', async () => {
    const clock = new ManualClock();
    const engines = new SimEngines({ clock, delay_ms: (operation) => (operation === 'flush' ? 100 : 1) });
    const opening = engines.open('e');
    await clock.pass(1);
    const engine = await opening;
    void engine.write(batchOf(1));
    await clock.pass(1);
    const flushing = engine.flush();
    void engine.write(batchOf(2));
    await clock.pass(50);
    expect(engines.unflushedBatches('e')).toBe(2);
    await clock.pass(50);
    await flushing;
    expect(engines.unflushedBatches('e')).toBe(1);
  });

  it('make the oldest batches durable by themselves when many bytes have gathered', async () => {
    const engines = new SimEngines({ unflushedBytesMax: 1000 });
    const engine = await engines.open('e');
    await writeBatches(engine, 1, 100);
    expect(engines.unflushedBatches('e')).toBeLessThan(20);
    engines.crash({ next: () => 0 });
    expect(await batchesIn(await engines.open('e'))).toBeGreaterThan(80);
  });

  it('flip one bit of one value (F38)', async () => {
    const engines = new SimEngines();
    const engine = await engines.open('e');
    await engine.write([
      { key: Buffer.from('a'), value: Buffer.alloc(8) },
      { key: Buffer.from('b'), value: Buffer.alloc(8) },
      { key: Buffer.from('empty'), value: Buffer.alloc(0) },
    ]);
    const snapshot = engine.snapshot();
    const key = engines.flipBit('e', randomOf(3), (candidate) => candidate[0] === 0x62);
    expect(key).toEqual(Buffer.from('b'));
    const ones = [...engine.get(Buffer.from('b'))!].reduce(
      (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
      0,
    );
    expect(ones).toBe(1);
    expect(engine.get(Buffer.from('a'))).toEqual(Buffer.alloc(8));
    expect(engines.flipBit('e', randomOf(3), () => false)).toBeNull();
    await snapshot.close();
  });

  it('hide no row that cannot be read any more, and do not open again', async () => {
    const engines = new SimEngines();
    const engine = await engines.open('e');
    const keyOf = (i: number): Buffer => Buffer.of(i);
    await engine.write(Array.from({ length: 100 }, (_, i) => ({ key: keyOf(i), value: Buffer.of(1) })));
    const snapshot = engine.snapshot();
    const first = engines.spoil('e', { next: () => 0.5 });
    expect(first).toEqual(keyOf(50));
    expect(engines.spoil('e', { next: () => 0.5 })).toBeNull();
    const damage = { code: 'ENGINE_DAMAGED' };
    const unreadable = Array.from({ length: 100 }, (_, i) => i).filter((i) => {
      try {
        return engine.get(keyOf(i)) === undefined;
      } catch (error) {
        expect(error).toMatchObject(damage);
        return true;
      }
    });
    expect(unreadable).toEqual(Array.from({ length: 16 }, (_, i) => 50 + i));
    for (const reader of [engine, snapshot]) {
      const limited = (from: number, limit: number) =>
        reader.range({ gte: keyOf(from), lt: keyOf(100), limit }).then((rows) => rows.length);
      expect(await limited(40, 10)).toBe(10);
      await expect(limited(40, 11)).rejects.toMatchObject(damage);
      await expect(limited(65, 1)).rejects.toMatchObject(damage);
      expect(await limited(66, 1000)).toBe(34);
    }
    await snapshot.close();
    await engine.close();
    await expect(engines.open('e')).rejects.toMatchObject(damage);
  });

  it('fail writes, stall and resume, and refuse to open when damaged', async () => {
    const engines = new SimEngines();
    const engine = await engines.open('e');
    await engine.write(batchOf(1));
    engines.stall('e');
    let written = false;
    const writing = engine.write(batchOf(2)).then(() => {
      written = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBe(false);
    expect(engine.get(Buffer.from('n'))?.toString()).toBe('1');
    engines.resume('e');
    await writing;
    const full = new Error('no space left');
    engines.failWrites('e', full);
    await expect(engine.write(batchOf(3))).rejects.toBe(full);
    await expect(engine.write(batchOf(4))).rejects.toBe(full);
    expect(await batchesIn(engine)).toBe(2);
    expect(engines.openSnapshots('e')).toBe(0);
    await engine.close();
    engines.damage('e', 'a table fails its CRC');
    await expect(engines.open('e')).rejects.toMatchObject({ code: 'ENGINE_DAMAGED' });
    await engines.remove('e');
    expect(await batchesIn(await engines.open('e'))).toBe(0);
  });
});
