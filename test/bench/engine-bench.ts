/**
 * What the LevelDB engine costs, by hand: `node --import tsx test/bench/engine-bench.ts [seconds a case]`.
 *
 * `loop` is the time in which the event loop was busy: the part that other work of a node waits for. The rest is
 * LevelDB's, on other threads.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLevelEngines } from '../../src/kv/store/engine/index.js';
import type { EngineOp, StateEngine } from '../../src/raft/index.js';

const BATCH_OPS = 64;
const VALUE_BYTES = 100;
const KEYS = 200_000;
const case_ms = Number(process.argv[2] ?? '5') * 1000;

let state = 1;
function below(limit: number): number {
  state = (state * 48_271) % 2_147_483_647;
  return state % limit;
}

const keyOf = (n: number): Buffer => Buffer.from(`user/key/${String(n).padStart(10, '0')}`);

function randomBatch(): EngineOp[] {
  return Array.from({ length: BATCH_OPS }, () => {
    const value = Buffer.allocUnsafe(VALUE_BYTES);
    for (let i = 0; i < VALUE_BYTES; i += 4) value.writeUInt32LE(below(2_147_483_647), i);
    return { key: keyOf(below(KEYS)), value };
  });
}

/** `step` does `unit` operations a call. */
async function measure(
  title: string,
  unit: number,
  step: (round: number) => Promise<unknown> | undefined,
): Promise<void> {
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  const begin_ms = performance.now();
  let rounds = 0;
  while (performance.now() - begin_ms < case_ms) {
    for (let i = 0; i < 50; i++) await step(rounds++);
  }
  const took_ms = performance.now() - begin_ms;
  const busy_ms = performance.eventLoopUtilization(loop).active;
  const { user, system } = process.cpuUsage(cpu);
  const operations = rounds * unit;
  const per = (us: number): string => (us / operations).toFixed(2).padStart(7);
  console.log(
    `${title.padEnd(34)} ${((operations / took_ms) * 1000).toFixed(0).padStart(9)}/s   loop ${per(busy_ms * 1000)} µs   CPU ${per(user + system)} µs   each`,
  );
}

async function measureReads(engine: StateEngine): Promise<void> {
  await measure('getSync, present', 1000, () => {
    for (let i = 0; i < 1000; i++) engine.get(keyOf(below(KEYS)));
    return undefined;
  });
  await measure('getSync, absent', 1000, () => {
    for (let i = 0; i < 1000; i++) engine.get(keyOf(KEYS + below(KEYS)));
    return undefined;
  });
  await measure('getMany of 64, a key', BATCH_OPS, () =>
    engine.getMany(Array.from({ length: BATCH_OPS }, () => keyOf(below(KEYS)))),
  );
  await measure('range of 1000, a row', 1000, () =>
    engine.range({ gte: keyOf(below(KEYS - 1000)), lt: keyOf(KEYS), limit: 1000 }),
  );
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-bench-'));
  const engines = await openLevelEngines({ directory });
  const engine = await engines.open('bench');
  const batches = Array.from({ length: 1000 }, randomBatch);
  await measure(`write of ${BATCH_OPS} x ${VALUE_BYTES} bytes, an op`, BATCH_OPS, (n) =>
    engine.write(batches[n % 1000]!),
  );
  await measure('  the same, 4 writes in flight', 4 * BATCH_OPS, (n) =>
    Promise.all([0, 1, 2, 3].map((i) => engine.write(batches[(4 * n + i) % 1000]!))),
  );
  await measure('write of 1 op', 1, (n) => engine.write([batches[n % 1000]![n % BATCH_OPS]!]));
  const flush_ms = performance.now();
  await engine.flush();
  console.log(`flush ${(performance.now() - flush_ms).toFixed(1)} ms`);
  await measureReads(engine);
  const size = await engine.sizeBytes();
  await engine.close();
  const open_ms = performance.now();
  await (await engines.open('bench')).close();
  console.log(
    `open, check, close: ${(performance.now() - open_ms).toFixed(0)} ms for ${(size / 2 ** 20).toFixed(1)} MiB`,
  );
  console.log(`resident ${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB`);
  rmSync(directory, { recursive: true });
}

await main();
