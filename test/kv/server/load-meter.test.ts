import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HALF_LIFE_S, type KeyRate, LoadMeter } from '../../../src/kv/server/load-meter.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimRandom } from '../../sim/fakes/random.js';

const HOUR_S = 3_600;

const errorOf = ({ excess, deviation }: KeyRate): number => excess + 2 * deviation;

class World {
  readonly scheduler = new SimScheduler();
  readonly meter = new LoadMeter(new SimClock(this.scheduler), new SimRandom(7));

  /** `perSecond` reads and half as many writes of the key, evenly. */
  async ask(slot: number, perSecond: number, seconds: number, keyOf: (i: number) => string = () => 'k'): Promise<void> {
    for (let i = 0; i < perSecond * seconds; i++) {
      if (this.meter.read(slot)) this.meter.note(Buffer.from(keyOf(i)));
      if (i % 2 === 0 && this.meter.wrote(slot)) this.meter.note(Buffer.from(keyOf(i)));
      await this.scheduler.runFor(1_000 / perSecond);
    }
  }

  of(slot: number) {
    return this.meter.slots().find((rate) => rate.slot === slot) ?? { slot, reads: 0, writes: 0 };
  }
}

describe('requests a second of a slot', () => {
  it('are what is asked for steadily, reads and writes apart, from the first seconds on', async () => {
    const world = new World();
    for (const seconds of [5, 20, 120]) {
      await world.ask(9, 20, seconds);
      const { reads, writes } = world.of(9);
      expect(reads).toBeGreaterThan(19);
      expect(reads).toBeLessThan(21.5);
      expect(writes / reads).toBeCloseTo(0.5, 1);
    }
    expect(world.meter.slots().map(({ slot }) => slot)).toEqual([9]);
    expect(world.meter.sum([[0, 8]])).toEqual({ reads: 0, writes: 0 });
    expect(world.meter.sum([[5, 9]]).reads).toBeCloseTo(world.of(9).reads, 9);
  });

  it('halve with every half-life that nothing is asked for, and are gone in the end', async () => {
    const world = new World();
    await world.ask(3, 10, 600);
    const full = world.of(3).reads;
    for (let halves = 1; halves <= 5; halves++) {
      await world.scheduler.runFor(HALF_LIFE_S * 1_000);
      expect(world.of(3).reads).toBeCloseTo(full / 2 ** halves, 2);
    }
    await world.scheduler.runFor(30 * HALF_LIFE_S * 1_000);
    expect(world.meter.slots()).toEqual([]);
  });

  it('are right after days: what requests count for has been scaled back by then', async () => {
    const world = new World();
    await world.scheduler.runFor(50 * HOUR_S * 1_000);
    await world.ask(4, 10, 600);
    expect(world.of(4).reads).toBeGreaterThan(9.8);
    expect(world.of(4).reads).toBeLessThan(10.2);
    const [key] = world.meter.keys().keys;
    expect(key!.rate).toBeGreaterThan(15 - errorOf(key!));
  });

  it('are the same whenever what is older is scaled', async () => {
    const rates = async (pause_s: number) => {
      const world = new World();
      await world.scheduler.runFor(pause_s * 1_000);
      await world.ask(4, 5, 300);
      return world.of(4).reads;
    };
    // Amid the second run the hour is over.
    expect(await rates(HOUR_S - 100)).toBeCloseTo(await rates(HOUR_S / 2), 1);
  });
});

describe('the keys asked for most', () => {
  it('are found among many, each within what is said of its error', async () => {
    const world = new World();
    const random = new SimRandom(3);
    // Half of it is three keys, the rest one of thousands.
    const keyOf = (): string => (random.chance(0.5) ? `hot${random.int(0, 2)}` : `cold${random.int(0, 20_000)}`);
    await world.ask(1, 200, 60, keyOf);
    const { keys, floor } = world.meter.keys();
    const most = [...keys].sort((a, b) => b.rate - a.rate).slice(0, 3);
    expect(most.map(({ key }) => String(key)).sort()).toEqual(['hot0', 'hot1', 'hot2']);
    // 300 requests a second in all.
    for (const key of most) expect(Math.abs(key.rate - 50)).toBeLessThan(errorOf(key) + 3);
    expect(floor).toBeGreaterThan(0);
    expect(floor).toBeLessThan(10);
  });

  it('are not missed by clients that go round in a circle', async () => {
    const world = new World();
    await world.ask(1, 80, 60, (i) => `k${i % 8}`);
    const { keys } = world.meter.keys();
    expect(keys).toHaveLength(8);
    for (const key of keys) {
      // Every other one is written as well.
      const truth = Number(String(key.key).slice(1)) % 2 === 0 ? 20 : 10;
      expect(Math.abs(key.rate - truth)).toBeLessThan(errorOf(key) + 1);
    }
  });

  it('are bytes, whichever', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (key) => {
        const { meter } = new World();
        meter.note(key);
        expect(meter.keys().keys.map((rate) => rate.key)).toEqual([Buffer.from(key)]);
      }),
    );
  });
});
