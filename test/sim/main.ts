/**
 * `npm run sim`: runs seeds and says which of them found something.
 *
 *   npm run sim -- --seed 7            one seed, with its timeline if it fails (--trace: always)
 *   npm run sim -- --seeds 1000        seeds 1 to 1000 (--from N), in --jobs N processes
 *   npm run sim -- --time 10m          seed after seed, for so long (s, m, h)
 *   npm run sim -- --seed 7 --shrink   which of its faults it takes, and for how long
 *   npm run sim -- --total             how much of the present code has been simulated (ledger.jsonl)
 *   --seconds N                        simulated seconds of faults for each seed (default 60)
 *   --only kill,loss                   only these of the faults that the seed draws
 *   --first                            stop at the first seed that finds something
 *   --ledger                           enter the run into ledger.jsonl
 *   --fresh                            without the seeds of seeds.txt, which run first otherwise
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Fault } from './faults.js';
import { currentHashes, enter, ledgerText, totalOf } from './ledger.js';
import { runJobs } from './pool.js';
import { shrink } from './shrink.js';
import { Simulation, type SimulationResult } from './simulation.js';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '60' },
    only: { type: 'string' },
    trace: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    time: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    ledger: { type: 'boolean', default: false },
    total: { type: 'boolean', default: false },
  },
});
const seconds = Number(flags.seconds);
const only = flags.only?.split(',') as Fault[] | undefined;

const runSeed = (seed: number, keepTrace: boolean): Promise<SimulationResult> =>
  new Simulation({ seed, seconds, keepTrace, ...(only === undefined ? {} : { only }) }).run();

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** When to begin no further seed, by `performance.now()`. */
function deadlineOf(time: string | undefined): number {
  if (time === undefined) return Number.POSITIVE_INFINITY;
  const parsed = /^(\d+)([smh])$/.exec(time);
  if (parsed === null) throw new Error(`--time ${time} is not a whole number with s, m or h, as in 10m`);
  return performance.now() + Number(parsed[1]) * UNIT_MS[parsed[2] as keyof typeof UNIT_MS];
}

/** Seeds that once found something, with a word on what. */
function knownSeeds(): number[] {
  const text = readFileSync(join(import.meta.dirname, 'seeds.txt'), 'utf8');
  return text.split('\n').flatMap((line) => (/^\d+/.test(line) ? [Number.parseInt(line, 10)] : []));
}

async function one(seed: number): Promise<number> {
  const result = await runSeed(seed, true);
  if (flags.trace || result.violation !== null) for (const line of result.trace) console.log(line);
  console.log(
    `seed ${seed}: ${(result.simulated_ms / 1000).toFixed(1)} s simulated in ${result.steps} steps, ${result.epochs} epochs, faults ${result.faults.join(' ')}`,
  );
  console.log(`operations: ${JSON.stringify(result.operations)}; trace ${result.digest}`);
  if (result.violation === null) return 0;
  console.log(`VIOLATION at ${result.violation}`);
  return 1;
}

async function shrinkOne(seed: number): Promise<number> {
  const { faults } = await runSeed(seed, false);
  const found = await shrink({ faults, seconds }, async (attempt) => {
    const { violation } = await new Simulation({
      seed,
      seconds: attempt.seconds,
      keepTrace: false,
      only: attempt.faults,
    }).run();
    console.log(`${violation === null ? 'quiet' : 'fails'}: ${attempt.seconds} s of ${attempt.faults.join(' ')}`);
    return violation;
  });
  if (found === null) {
    console.log(`seed ${seed} does not fail`);
    return 0;
  }
  console.log(`VIOLATION at ${found.violation}`);
  console.log(`  npm run sim -- --seed ${seed} --seconds ${found.seconds} --only ${found.faults.join(',')}`);
  return 1;
}

function total(): number {
  const { src } = currentHashes();
  const { seeds, simulated_s, failed } = totalOf(ledgerText(), src);
  console.log(
    `src ${src}: ${seeds} seeds, ${(simulated_s / 3600).toFixed(1)} simulated hours, ${failed.length} failed ${failed.join(' ')}`,
  );
  return failed.length === 0 ? 0 : 1;
}

/** `next` gives one seed after the other, and undefined at the end. */
async function many(next: () => number | undefined, from: number): Promise<number> {
  const started = performance.now();
  const hashes = currentHashes();
  const failed: Omit<SimulationResult, 'trace'>[] = [];
  let done = 0;
  let simulated_ms = 0;
  let cpu_ms = 0;
  let operations = 0;
  await runJobs(
    Number(flags.jobs),
    () => {
      const seed = flags.first && failed.length > 0 ? undefined : next();
      return seed === undefined ? undefined : { seed, seconds, only: only ?? null };
    },
    ({ result, cpu_ms: spent_ms }) => {
      done++;
      cpu_ms += spent_ms;
      simulated_ms += result.simulated_ms;
      operations += result.operations.ok;
      if (result.violation !== null) {
        failed.push(result);
        console.log(
          `seed ${result.seed}: ${result.violation.split('\n')[0]}\n  npm run sim -- --seed ${result.seed} --seconds ${seconds}`,
        );
      }
    },
  );
  const wall_s = (performance.now() - started) / 1000;
  console.log(
    `${done} seeds, ${(simulated_ms / 1000).toFixed(0)} simulated seconds in ${wall_s.toFixed(0)} s (${(simulated_ms / cpu_ms).toFixed(0)} per second of CPU), ${operations} operations`,
  );
  if (flags.ledger) {
    enter({
      ...hashes,
      date: new Date().toISOString().slice(0, 10),
      seconds,
      from,
      seeds: done,
      failed: failed.map(({ seed }) => seed),
      simulated_s: Math.round(simulated_ms / 1000),
      cpu_s: Math.round(cpu_ms / 1000),
    });
  }
  console.log(`sim: ${done - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

if (flags.total) process.exitCode = total();
else if (flags.seed !== undefined) {
  process.exitCode = await (flags.shrink ? shrinkOne(Number(flags.seed)) : one(Number(flags.seed)));
} else {
  // The ledger counts a range of seeds: those of seeds.txt are not a part of it.
  process.exitCode = await many(seedsToPlay(flags.fresh || flags.ledger ? [] : knownSeeds()), Number(flags.from));
}

/** Known ones first, then as many as were asked for, or as there is time for. */
function seedsToPlay(known: number[]): () => number | undefined {
  const deadline = deadlineOf(flags.time);
  const from = Number(flags.from);
  const count = Number(flags.seeds ?? (flags.time === undefined ? 100 : Number.POSITIVE_INFINITY));
  const played = new Set(known);
  let at = from;
  return () => {
    if (known.length > 0) return known.shift();
    while (played.has(at)) at++;
    return at < from + count && performance.now() < deadline ? at++ : undefined;
  };
}
