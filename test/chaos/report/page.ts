/** The one page at the end of a run, for a terminal of 100 columns. */
import type { ShardAvailability } from '../watch/availability.js';
import type { RunRecord } from './run-record.js';
import { summarize } from './summary.js';
import { VERDICT_WORDS, verdictOf } from './verdict.js';

const STRIP = 60;
const LINES_MAX = 8;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const percent = (share: number): string => `${(share * 100).toFixed(1)}%`;

export function renderPage(record: RunRecord, files: readonly string[]): string {
  const { operations, shards, nemeses } = summarize(record);
  const total = operations.reduce((sum, { answered, failed, unknown }) => sum + answered + failed + unknown, 0);
  return [
    '',
    VERDICT_WORDS[verdictOf(record)],
    `${record.cluster}; ${record.machine}; ${seconds(record.run_ms)}`,
    `again: ${record.command}`,
    ...section('what is wrong', [
      ...record.findings.map(({ workload, message }) => `${workload}: ${message}`),
      ...record.journal.crashes.map(({ text }) => text),
      ...record.journal.stalls.map(({ text }) => text),
    ]),
    ...section('not done here', record.skipped),
    '',
    `operations: ${total}`,
    ...table(
      ['workload', 'answered', 'failed', 'unknown', 'slowest'],
      operations.map((each) => [
        each.name,
        String(each.answered),
        String(each.failed),
        String(each.unknown),
        seconds(each.slowest_ms),
      ]),
    ),
    '',
    'service by shard (█ served all along, ▄ in part, _ not at all, · no such shard)',
    ...table(
      ['shard', 'of the time', 'longest gap', `${seconds(record.run_ms)} from left to right`],
      shards.map((each) => [each.shard, percent(each.share), seconds(each.longestGap_ms), stripOf(each)]),
    ),
    '',
    `faults (all shards must be served within ${seconds(record.limit_ms)} of the heal)`,
    ...table(
      ['nemesis', 'times', 'longest without service', 'from heal to service'],
      nemeses.map((each) => [
        each.nemesis,
        String(each.times),
        each.longestGapShard === '' ? '-' : `${seconds(each.longestGap_ms)} (${each.longestGapShard})`,
        recovery(each.slowestRecovery_ms),
      ]),
    ),
    '',
    ...files,
    '',
  ].join('\n');
}

function recovery(slowest_ms: number | null | undefined): string {
  if (slowest_ms === undefined) return 'ends by itself';
  return slowest_ms === null ? 'NOT IN TIME' : seconds(slowest_ms);
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length > LINES_MAX ? [`  … ${lines.length - LINES_MAX} more in the timeline`] : [];
  return ['', `${title}:`, ...lines.slice(0, LINES_MAX).map((line) => `  ${line.replaceAll('\n', '\n    ')}`), ...more];
}

/** Seconds pressed into the width of a terminal. */
export function stripOf({ seconds: all }: Pick<ShardAvailability, 'seconds'>, width = STRIP): string {
  const cells = Math.min(width, all.length);
  return Array.from({ length: cells }, (_, i) => {
    const part = all.slice(Math.floor((i * all.length) / cells), Math.floor(((i + 1) * all.length) / cells));
    const probed = part.filter((each) => each !== null);
    if (probed.length === 0) return '·';
    const served = probed.filter((each) => each).length;
    return served === probed.length ? '█' : served === 0 ? '_' : '▄';
  }).join('');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return ['  none'];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows].map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd());
}
