/**
 * `npm run sim:mutants`: is the simulator any good? Each patch in mutants/ takes one safeguard out of a copy of the product;
 * seeds run on the copy until one finds something. The first line of a patch says what it takes out and within how many
 * seeds it must be found: a mutant that survives its budget is a hole in the simulator.
 *
 *   npm run sim:mutants                                  all, each within its budget
 *   npm run sim:mutants -- vote-not-persisted            only these
 *   npm run sim:mutants -- --seeds 300 --jobs 2          at most 300 seeds each, whatever the budgets say
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '60' },
  },
});
const root = join(import.meta.dirname, '..', '..');
const patches = join(import.meta.dirname, 'mutants');
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json'];

interface Verdict {
  /** null: survived. */
  readonly seed: number | null;
  readonly seeds: number;
  readonly violation: string;
}

/** As in `# F1, 60 seeds: the vote is not persisted`. */
function budgetOf(name: string): string {
  const [head = ''] = readFileSync(join(patches, `${name}.patch`), 'utf8').split('\n');
  const budget = /^# .*\b(\d+) seeds: /.exec(head)?.[1];
  if (budget === undefined) throw new Error(`${name}.patch does not begin with its budget, as in "# F1, 60 seeds: …"`);
  return budget;
}

/** A copy of the repository with the patch in it. */
function mutated(name: string): string {
  const copy = mkdtempSync(join(tmpdir(), `quorate-${name}-`));
  const needed = (path: string): boolean => !path.startsWith(join(root, 'test/mutation'));
  for (const part of COPIED) cpSync(join(root, part), join(copy, part), { recursive: true, filter: needed });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const applied = spawnSync('patch', ['-p1', '--fuzz=0', '-i', join(patches, `${name}.patch`)], {
    cwd: copy,
    encoding: 'utf8',
  });
  if (applied.status !== 0)
    throw new Error(`${name}.patch does not apply (${applied.error?.message ?? applied.stdout}): renew it`);
  return copy;
}

/** Runs seeds on the copy until one fails. */
function hunt(copy: string, seeds: string): Promise<Verdict> {
  const { from, jobs, seconds } = flags;
  const limits = ['--seeds', seeds, '--from', from, '--jobs', jobs, '--seconds', seconds];
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/sim/main.ts', '--first', '--fresh', ...limits], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const ran = /^(\d+) seeds, /m.exec(output);
      const found = /^seed (\d+): (.*)$/m.exec(output);
      if (ran === null || (code !== 0) !== (found !== null))
        return reject(new Error(`the simulator ended with ${code}:\n${output}`));
      resolve({ seed: found === null ? null : Number(found[1]), seeds: Number(ran[1]), violation: found?.[2] ?? '' });
    });
  });
}

const all = readdirSync(patches).map((file) => file.replace(/\.patch$/, ''));
const names = positionals.length > 0 ? positionals : all.sort();
let survivors = 0;
let broken = 0;
for (const name of names) {
  let copy: string | null = null;
  try {
    copy = mutated(name);
    const { seed, seeds, violation } = await hunt(copy, flags.seeds ?? budgetOf(name));
    if (seed === null) survivors++;
    console.log(
      seed === null ? `${name}: SURVIVED ${seeds} seeds` : `${name}: seed ${seed} (of ${seeds} run): ${violation}`,
    );
  } catch (error) {
    // The others tell something all the same.
    broken++;
    console.log(`${name}: BROKEN: ${(error as Error).message}`);
  } finally {
    if (copy !== null) rmSync(copy, { recursive: true, force: true });
  }
}
console.log(
  `mutants: ${names.length - survivors - broken} caught, ${survivors} survived${broken > 0 ? `, ${broken} broken` : ''}`,
);
process.exitCode = survivors + broken === 0 ? 0 : 1;
