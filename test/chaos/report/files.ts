/** What a run leaves behind in its directory: the timeline, the histories, and where something went wrong the nodes' logs. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeHistory } from '../../checker/history-lines.js';
import type { LocalCluster } from '../../e2e/local-cluster.js';
import type { NamedRun } from '../chaos-run.js';
import { renderHtml } from './html.js';
import type { RunRecord } from './run-record.js';

const jsonLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** Paths, with what they hold. */
export function writeFiles(out: string, record: RunRecord, runs: readonly NamedRun[]): readonly string[] {
  mkdirSync(out, { recursive: true });
  const timeline = join(out, 'timeline.html');
  writeFileSync(timeline, renderHtml(record));
  for (const { name, run } of runs) {
    writeFileSync(join(out, `history-${name}.jsonl`), writeHistory(run.history.operations()));
    const extra = run.extraLines?.();
    if (extra !== undefined) writeFileSync(join(out, `history-${name}-scans.jsonl`), jsonLines(extra));
  }
  const { faults, leaders, epochs, notes, crashes, stalls } = record.journal;
  writeFileSync(
    join(out, 'events.json'),
    `${JSON.stringify({ faults, leaders, epochs, notes, crashes, stalls }, null, 1)}\n`,
  );
  return [`timeline: ${timeline}`, `histories: ${join(out, 'history-*.jsonl')}`];
}

const LOG_OF_NODE = /^n\d+\.log$/;

const logsIn = (directory: string): readonly string[] =>
  existsSync(directory) ? readdirSync(directory).filter((name) => LOG_OF_NODE.test(name)) : [];

/** Of nodes that have left, too. */
export function keepLogs(out: string, cluster: LocalCluster): void {
  mkdirSync(out, { recursive: true });
  for (const name of logsIn(cluster.dir)) {
    if (statSync(join(cluster.dir, name)).size > 0) copyFileSync(join(cluster.dir, name), join(out, name));
  }
}

/** Of an earlier run in the same directory: nothing of it may be taken for this one's. */
export function removeEarlier(out: string, workloads: readonly string[]): void {
  const names = [
    'timeline.html',
    'events.json',
    ...workloads.flatMap((name) => [`history-${name}.jsonl`, `history-${name}-scans.jsonl`]),
    ...logsIn(out),
  ];
  for (const name of names) rmSync(join(out, name), { force: true });
}
