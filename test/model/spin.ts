/**
 * One variant of the model through spin, gcc and the checker that comes out of them, in a directory of its own that is
 * gone afterwards.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding, Variant } from './variants.js';

export const MODEL: string = join(import.meta.dirname, 'move.pml');

export interface Outcome {
  /** `unfinished`: not within the limits. `quiet` only after all states have been seen. */
  readonly found: Finding;
  readonly states: number;
  readonly seconds: number;
  /** The steps of the bad run, where there is one and it was asked for, or not expected. */
  readonly run: readonly string[];
}

export interface Limits {
  readonly time_ms: number;
  readonly memory_mib: number;
}

/** Programs that are needed and not there. */
export function missingTools(): string[] {
  return ['spin', 'gcc'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);
}

/** By number, the names of the assertions of the model. */
export function violations(model: string): ReadonlyMap<number, string> {
  const found = model.matchAll(/^#define ([A-Z_]+) +(1\d\d) +\/\*/gm);
  return new Map([...found].map(([, name, number]) => [Number(number), name!]));
}

export function check(variant: Variant, limits: Limits, withRun: boolean): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-model-'));
  const begun_ms = Date.now();
  try {
    copyFileSync(MODEL, join(folder, 'move.pml'));
    const flags = Object.entries(variant.defines).map(([name, value]) => `-D${name}=${value}`);
    run(folder, 'spin', ['-a', ...flags, 'move.pml'], limits.time_ms);
    run(folder, 'gcc', [...compileFlags(variant, limits), '-o', 'pan', 'pan.c'], limits.time_ms);
    const text = explore(folder, variant, limits);
    const { found, states } = read(text, violations(readFileSync(MODEL, 'utf8')));
    const bad = found !== 'quiet' && found !== 'unfinished';
    const steps = bad && (withRun || found !== variant.expected) ? replay(folder, flags, limits.time_ms) : [];
    return { found, states, seconds: (Date.now() - begun_ms) / 1000, run: steps };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Where few states are seen, most of the time would go into optimising the checker. */
function compileFlags(variant: Variant, limits: Limits): string[] {
  const search = { dfs: ['-DSAFETY'], bfs: ['-DSAFETY', '-DBFS'], cycles: ['-DNP', '-DNOFAIR'] }[variant.search];
  return [variant.small ? '-O0' : '-O2', ...search, '-DCOLLAPSE', '-DVECTORSZ=512', `-DMEMLIM=${limits.memory_mib}`];
}

function run(folder: string, tool: string, args: readonly string[], timeout_ms: number): string {
  const { status, stdout, stderr, error } = spawnSync(tool, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: timeout_ms,
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${tool} ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`}`);
  return stdout;
}

/** What the checker prints; it ends with an error code of its own only on misuse. */
function explore(folder: string, variant: Variant, limits: Limits): string {
  const room = variant.small ? ['-m100000', '-w20'] : ['-m2000000', '-w24'];
  const args = [...room, ...(variant.search === 'cycles' ? ['-l'] : [])];
  const { stdout, error } = spawnSync('./pan', args, { cwd: folder, encoding: 'utf8', timeout: limits.time_ms });
  if (error !== undefined && !('code' in error && error.code === 'ETIMEDOUT')) throw error;
  return stdout;
}

export function read(text: string, names: ReadonlyMap<number, string>): { found: Finding; states: number } {
  const states = Number(/(\d+) states, stored/.exec(text)?.[1] ?? 0);
  const errors = /errors: (\d+)/.exec(text)?.[1];
  if (errors === undefined || (errors === '0' && /Search not completed|search depth too small/.test(text)))
    return { found: 'unfinished', states };
  if (errors === '0') return { found: 'quiet', states };
  if (/non-progress cycle/.test(text)) return { found: 'cycle', states };
  const number = /assertion violated .*\((1\d\d)==0\)/.exec(text)?.[1];
  const name = names.get(Number(number));
  if (name === undefined) throw new Error(`an error of a kind that nobody knows:\n${text.slice(0, 500)}`);
  return { found: name, states };
}

/** Only what the model says aloud. */
function replay(folder: string, flags: readonly string[], timeout_ms: number): string[] {
  const text = run(folder, 'spin', ['-t', ...flags, 'move.pml'], timeout_ms);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(ctl|[01]|client): |^(driver|shard leader) crashes/.test(line));
}
