/** Rows that are visible at once, written later, and always of exactly one index. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConfState, type EngineSnapshot, index, type StateEngine, term } from '../../../src/raft/index.js';
import { type AppliedMeta, AppliedState } from '../../../src/raft/runtime/applied-state.js';
import { RowCache } from '../../../src/raft/runtime/row-cache.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { SimEngines } from '../../sim/fakes/sim-engine.js';

const CONF: ConfState = {
  voters: [{ id: 1, node: 'n1' }],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const START: AppliedMeta = { index: index(0), term: term(0), conf: CONF };
const KEYS = ['a', 'b', 'c', 'd', 'e'];
const key = (name: string): Buffer => Buffer.concat([Buffer.of(1), Buffer.from(name)]);

type Model = ReadonlyMap<string, string>;

class Bench {
  readonly scheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly engines: SimEngines;
  readonly failures: Error[] = [];
  /** Small: rows are pushed out all the time. */
  readonly cache = new RowCache(600);

  constructor(seed: number) {
    this.random = new SimRandom(seed);
    const clock = new SimClock(this.scheduler);
    this.engines = new SimEngines({ clock, delay_ms: () => this.random.between(0, 5) });
  }

  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise.finally(() => {
      settled = true;
    });
    await this.scheduler.runWhile(() => !settled);
    return promise;
  }

  async open(): Promise<{ engine: StateEngine; state: AppliedState }> {
    const engine = await this.run(this.engines.open('g1-1'));
    const meta = AppliedState.readMeta(engine) ?? START;
    return { engine, state: new AppliedState(engine, meta, (error) => this.failures.push(error), this.cache.scope()) };
  }
}

function expectRows(state: AppliedState, model: Model): void {
  for (const name of KEYS) {
    expect(state.peek(key(name))?.toString()).toBe(model.get(name));
    expect(state.get(key(name))?.toString()).toBe(model.get(name));
  }
}

describe('AppliedState', () => {
  it('F31 shows its own writes at once, and after a power cut is the state of a prefix, whole', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const bench = new Bench(seed);
        const { random } = bench;
        let history: Model[] = [new Map()];
        let { state } = await bench.open();
        for (let step = 0; step < 60; step++) {
          const model = new Map(history.at(-1));
          for (let op = random.int(0, 4); op > 0; op--) {
            const name = random.pick(KEYS);
            if (random.chance(0.3)) {
              state.delete(key(name));
              model.delete(name);
            } else {
              const value = `${step}-${op}`;
              state.put(key(name), Buffer.from(value));
              model.set(name, value);
            }
          }
          history.push(model);
          state.endRound({ index: index(history.length - 1), term: term(1), conf: CONF });
          expectRows(state, model);
          if (random.chance(0.1)) await bench.run(state.engine.flush());
          if (random.chance(0.5)) await bench.scheduler.runFor(random.between(0, 8));
          expectRows(state, model);
          if (!random.chance(0.1)) continue;
          bench.engines.crash(random, random.pick(['power-cut', 'kill']));
          ({ state } = await bench.open());
          history = history.slice(0, state.written.index + 1);
          expectRows(state, history.at(-1)!);
        }
        expect(bench.failures).toEqual([]);
      }),
      { seed: 31, numRuns: 60 },
    );
  });

  it('gives views of exactly the round that asked for them, whatever comes before and after', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const bench = new Bench(seed);
        const { random } = bench;
        const { state } = await bench.open();
        const model = new Map<string, string>();
        const due: { readonly at: number; readonly rows: Model }[] = [];
        const taken: { readonly at: number; readonly snapshot: EngineSnapshot }[] = [];
        for (let at = 1; at <= 60; at++) {
          for (let op = random.int(0, 3); op > 0; op--) {
            const name = random.pick(KEYS);
            state.put(key(name), Buffer.from(`${at}-${op}`));
            model.set(name, `${at}-${op}`);
          }
          for (let views = random.pick([0, 0, 0, 1, 2]); views > 0; views--) {
            state.view((snapshot) => taken.push({ at, snapshot: snapshot! }));
            due.push({ at, rows: new Map(model) });
          }
          expect(state.viewed).toBe(due.at(-1)?.at === at);
          state.endRound({ index: index(at), term: term(1), conf: CONF });
          expect(state.viewed).toBe(false);
          expectRows(state, model);
          if (random.chance(0.4)) await bench.scheduler.runFor(random.between(0, 8));
        }
        await bench.run(state.settled(index(60)));
        expect(taken.map(({ at }) => at)).toEqual(due.map(({ at }) => at));
        for (const [i, { snapshot }] of taken.entries()) {
          const rows = await bench.run(snapshot.range({ gte: Buffer.of(1), lt: Buffer.of(2) }));
          const found = new Map(rows.map((row) => [row.key.toString('latin1', 1), row.value.toString()]));
          expect(found).toEqual(due[i]!.rows);
          expect((await bench.run(AppliedState.readMetaOf(snapshot)))!.index).toBe(due[i]!.at);
          await snapshot.close();
        }
      }),
      { seed: 8, numRuns: 60 },
    );
  });

  it('tells who waits for a view that there will be none', async () => {
    const bench = new Bench(6);
    const { state } = await bench.open();
    const told: unknown[] = [];
    const round = (i: number): void => {
      state.put(key('a'), Buffer.from(String(i)));
      state.view((snapshot) => told.push(snapshot));
      state.endRound({ index: index(i), term: term(1), conf: CONF });
    };
    round(1);
    round(2);
    // This one is broken off.
    state.view((snapshot) => told.push(snapshot));
    state.freeze();
    await bench.scheduler.runFor(100);
    expect(told).toEqual([null, null, null]);
    expect(bench.engines.openSnapshots('g1-1')).toBe(0);
  });

  it('settles when everything up to the index can be read through the engine', async () => {
    const bench = new Bench(1);
    const { engine, state } = await bench.open();
    const settled: number[] = [];
    for (let i = 1; i <= 20; i++) {
      state.put(key('a'), Buffer.from(`${i}`));
      state.endRound({ index: index(i), term: term(1), conf: CONF });
      void state.settled(index(i)).then(() => {
        expect(Number(engine.get(key('a'))!.toString())).toBeGreaterThanOrEqual(i);
        settled.push(i);
      });
      await bench.scheduler.runFor(1);
    }
    await bench.run(state.settled(index(20)));
    expect(settled).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(state.written.index).toBe(20);
  });

  it('is saturated while too much waits, and says when it has drained', async () => {
    const bench = new Bench(2);
    const { state } = await bench.open();
    const round = (i: number): void => {
      state.put(key(`big${i}`), Buffer.alloc(4 * 1024 * 1024));
      state.endRound({ index: index(i), term: term(1), conf: CONF });
    };
    let i = 0;
    while (!state.saturated) round(++i);
    expect(i).toBeLessThan(8);
    let drained = false;
    state.onDrained(() => {
      drained = true;
    });
    await bench.scheduler.runWhile(() => !drained);
    expect(drained).toBe(true);
    expect(state.saturated).toBe(false);
  });

  it('reports a failed write, but nothing once it is closed', async () => {
    const bench = new Bench(3);
    const { state } = await bench.open();
    bench.engines.failWrites('g1-1', new Error('EIO'));
    state.put(key('a'), Buffer.from('1'));
    state.endRound({ index: index(1), term: term(1), conf: CONF });
    await bench.scheduler.runFor(100);
    expect(bench.failures.map(({ message }) => message)).toEqual(['EIO']);
    const other = new Bench(4);
    const second = await other.open();
    other.engines.failWrites('g1-1', new Error('EIO'));
    second.state.put(key('a'), Buffer.from('1'));
    second.state.endRound({ index: index(1), term: term(1), conf: CONF });
    await other.run(second.state.close());
    expect(other.failures).toEqual([]);
  });

  it('refuses rows that a snapshot would not carry', async () => {
    const bench = new Bench(5);
    const { state } = await bench.open();
    for (const bad of [Buffer.of(0x00, 1), Buffer.of(0xff), Buffer.alloc(0)]) {
      expect(() => state.put(bad, Buffer.from('x'))).toThrow(/invariant/);
    }
  });
});
