/**
 * `npm run model`: checks move.pml within all bounds, and that dropping any of its guards gives a bad run.
 *
 *   npm run model -- --quick           small bounds and every dropped guard, about a minute
 *   npm run model -- thaw "without IN" only variants whose names contain one of these
 *   --list                             what there is
 *   --runs                             print the bad run of each dropped guard
 *   --if-present                       where spin or gcc is missing, say so and end well
 *   --limit N                          seconds for each variant (default 600)
 */
import { parseArgs } from 'node:util';
import { check, type Limits, missingTools } from './spin.js';
import { VARIANTS, type Variant } from './variants.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    runs: { type: 'boolean', default: false },
    'if-present': { type: 'boolean', default: false },
    limit: { type: 'string', default: '600' },
  },
});

const WIDTHS = [44, 12, 12, 12] as const;
const row = (cells: readonly string[]): string => cells.map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0)).join(' ');

function wanted(): readonly Variant[] {
  const among = flags.quick ? VARIANTS.filter((variant) => variant.quick) : VARIANTS;
  if (positionals.length === 0) return among;
  return among.filter((variant) => positionals.some((part) => variant.name.includes(part)));
}

function checkAll(variants: readonly Variant[], limits: Limits): number {
  console.log(row(['variant', 'expected', 'found', 'states', 'seconds']));
  let failed = 0;
  for (const variant of variants) {
    const { found, states, seconds, run } = check(variant, limits, flags.runs);
    const right = found === variant.expected;
    if (!right) failed++;
    const mark = right ? '' : '  <-- not as expected';
    console.log(row([variant.name, variant.expected, found, `${states}`, `${seconds.toFixed(1)}${mark}`]));
    if (run.length > 0) console.log(run.map((step) => `    ${step}`).join('\n'));
  }
  console.log(`model: ${variants.length - failed} passed, ${failed} failed`);
  return failed;
}

function main(): number {
  const variants = wanted();
  if (flags.list) {
    for (const { name, defines } of variants) console.log(`${name}: ${JSON.stringify(defines)}`);
    return 0;
  }
  const missing = missingTools();
  if (missing.length > 0) {
    console.error(`model: NOT CHECKED: ${missing.join(' and ')} missing; apt-get install -y spin gcc`);
    console.log(`model: 0 passed, 0 failed, ${variants.length} skipped`);
    return flags['if-present'] ? 0 : 2;
  }
  return checkAll(variants, { time_ms: Number(flags.limit) * 1000, memory_mib: 1_900 }) === 0 ? 0 : 1;
}

process.exitCode = main();
