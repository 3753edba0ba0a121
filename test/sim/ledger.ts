/**
 * How much of the final code has been simulated: one line a run in `ledger.jsonl`, with the hash of `src/` that it ran. Only
 * lines of the present hash count for anything.
 *
 *   line := {"src", "test", "date", "seconds", "from", "seeds", "failed": [seed…], "simulated_s", "cpu_s"}
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const LEDGER = join(import.meta.dirname, 'ledger.jsonl');
const ROOT = join(import.meta.dirname, '..', '..');

export interface LedgerLine {
  /** Hash of `src/`, and of the simulator that ran it. */
  readonly src: string;
  readonly test: string;
  readonly date: string;
  /** Simulated seconds of faults for each seed. */
  readonly seconds: number;
  /** The first seed; the others follow it. */
  readonly from: number;
  readonly seeds: number;
  readonly failed: readonly number[];
  readonly simulated_s: number;
  readonly cpu_s: number;
}

/** Of all TypeScript below `folder`, by path and content; the first twelve hexadecimal digits. */
export function hashOf(folder: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.ts$/.test(name),
  );
  for (const name of files.sort()) {
    hash.update(`${name}\0`);
    hash.update(readFileSync(join(ROOT, folder, name)));
  }
  return hash.digest('hex').slice(0, 12);
}

export const currentHashes = (): Pick<LedgerLine, 'src' | 'test'> => ({ src: hashOf('src'), test: hashOf('test/sim') });

export function enter(line: LedgerLine): void {
  appendFileSync(LEDGER, `${JSON.stringify(line)}\n`);
}

export interface LedgerTotal {
  readonly seeds: number;
  readonly simulated_s: number;
  readonly failed: readonly number[];
}

/** Of `src/` as it is now. A seed that several runs have played counts once. */
export function totalOf(text: string, src: string): LedgerTotal {
  const seeds = new Set<number>();
  const failed = new Set<number>();
  let simulated_s = 0;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const entry = JSON.parse(line) as LedgerLine;
    if (entry.src !== src) continue;
    for (let i = 0; i < entry.seeds; i++) seeds.add(entry.from + i);
    for (const seed of entry.failed) failed.add(seed);
    simulated_s += entry.simulated_s;
  }
  return { seeds: seeds.size, simulated_s, failed: [...failed] };
}

export const ledgerText = (): string => (existsSync(LEDGER) ? readFileSync(LEDGER, 'utf8') : '');
