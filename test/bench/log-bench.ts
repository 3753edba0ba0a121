/**
 * Appends a second of the write-ahead log: `node --import tsx test/bench/log-bench.ts [directory] [seconds]`.
 * Run after `npm run build`: the worker is the built one.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Entry, EntryKind, index, type LogStorage, openLogStorage, term } from '../../src/raft/index.js';

const conf = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false };
const workerUrl = new URL('../../dist/raft/log/log-worker.js', import.meta.url);

interface Result {
  readonly appenders: number;
  readonly groups: number;
  readonly perSecond: number;
  readonly syncsPerSecond: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly cpuMicrosPerAppend: number;
}

async function append(log: LogStorage, group: number, next: number[], data: Uint8Array): Promise<void> {
  const entry: Entry = { term: term(1), index: index(next[group]!++), kind: EntryKind.Command, data };
  await log.append({ group, hardState: null, snapshot: null, entries: [entry] });
  if (entry.index % 1000 === 0) log.compact(group, index(entry.index - 500), term(1));
}

/** Each appender has one append in flight; appenders are spread over the groups. */
async function measure(
  log: LogStorage,
  appenders: number,
  groups: number,
  seconds: number,
  next: number[],
): Promise<Result> {
  const data = Buffer.alloc(200, 7);
  const waits: number[] = [];
  const before = { syncs: log.stats().syncs, cpu: process.cpuUsage() };
  const start = performance.now();
  const end = start + seconds * 1000;
  const run = async (group: number): Promise<void> => {
    for (let now = performance.now(); now < end; ) {
      await append(log, group, next, data);
      const then = performance.now();
      waits.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: appenders }, (_, i) => run(i % groups)));
  const elapsed_s = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(before.cpu);
  waits.sort((a, b) => a - b);
  return {
    appenders,
    groups,
    perSecond: Math.round(waits.length / elapsed_s),
    syncsPerSecond: Math.round((log.stats().syncs - before.syncs) / elapsed_s),
    p50_ms: Number(waits[waits.length >> 1]!.toFixed(3)),
    p99_ms: Number(waits[Math.floor(waits.length * 0.99)]!.toFixed(3)),
    cpuMicrosPerAppend: Number(((cpu.user + cpu.system) / waits.length).toFixed(1)),
  };
}

const parent = process.argv[2] ?? tmpdir();
const seconds = Number(process.argv[3] ?? 4);
await mkdir(parent, { recursive: true });
for (const zeroAheadBytes of [1024, 256, 64, 0].map((kib) => kib * 1024)) {
  const directory = await mkdtemp(join(parent, 'log-bench-'));
  const log = await openLogStorage({ directory, workerUrl, zeroAheadBytes });
  const next = Array.from({ length: 16 }, () => 1);
  await Promise.all(
    next.map((_, group) => {
      const snapshot = { index: index(0), term: term(0), conf, engine: 'bench' };
      return log.append({ group, hardState: null, snapshot, entries: [] });
    }),
  );
  console.log(`zeros ahead of the tail: ${zeroAheadBytes} bytes`);
  await measure(log, 64, 16, 0.5, next);
  const results: Result[] = [];
  for (const [appenders, groups] of [
    [1, 1],
    [64, 1],
    [64, 16],
    [512, 16],
  ] as const) {
    results.push(await measure(log, appenders, groups, seconds, next));
  }
  console.table(results);
  await log.close();
  await rm(directory, { recursive: true });
}
