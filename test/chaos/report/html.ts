/**
 * The timeline file: one HTML page that opens from a disk and needs nothing else. Its content security policy forbids scripts and
 * loading anything at all, so that this is not merely meant.
 */

import type { RunRecord } from './run-record.js';
import type { FaultFigures } from './summary.js';
import { summarize } from './summary.js';
import { escaped } from './svg.js';
import { renderTimeline } from './timeline.js';
import { VERDICT_WORDS, verdictOf } from './verdict.js';

const STYLE = `
body { font: 14px/1.45 system-ui, sans-serif; margin: 24px; color: #1b1f24; background: #fff; max-width: 1260px }
h1 { font-size: 20px; margin: 0 0 4px } h2 { font-size: 15px; margin: 24px 0 6px } code, pre { font-size: 12px }
.ok { color: #16703a } .interrupted { color: #8a6100 } .violation, .crash, .noProgress { color: #b3261e }
svg { width: 100%; height: auto } text { font: 11px system-ui, sans-serif; fill: #1b1f24 } .head { font-weight: 600 } .tick { fill: #6b7280 }
.grid { stroke: #e3e6ea } .epoch { stroke: #4b5563; stroke-width: 1.5 }
.faults { fill: #c2410c } .reshards { fill: #2563eb } .members { fill: #7c3aed } .recovery { fill: #f5b971 }
.served { fill: #7cc79a } .unserved { fill: #d64545 }
.answered { fill: #7cc79a } .failed { fill: #e0a030 } .unknown { fill: #d64545 } .slowest { fill: #8b98a9 }
.node0 { fill: #4c78a8 } .node1 { fill: #f58518 } .node2 { fill: #54a24b } .node3 { fill: #b279a2 } .node4 { fill: #9d755d }
.node5 { fill: #e45756 } .node6 { fill: #72b7b2 } .node7 { fill: #eeca3b } .node8 { fill: #79706e }
table { border-collapse: collapse } td, th { text-align: left; padding: 2px 14px 2px 0; vertical-align: top } th { color: #6b7280; font-weight: 500 }
pre { white-space: pre-wrap; background: #f5f6f8; padding: 8px 10px; margin: 4px 0 }
@media (prefers-color-scheme: dark) {
  body { background: #14171b; color: #e6e8eb } text { fill: #e6e8eb } .grid { stroke: #2a2f36 } pre { background: #1d2127 }
  .ok { color: #5fc48a } .violation, .crash, .noProgress { color: #ff8a80 } .epoch { stroke: #aab2bd }
}`;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export function renderHtml(record: RunRecord): string {
  const summary = summarize(record);
  const verdict = verdictOf(record);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Chaos: ${escaped(verdict)}</title>
<style>${STYLE}</style>
<h1 class="${verdict}">${escaped(VERDICT_WORDS[verdict])}</h1>
<p>${escaped(record.cluster)}; ${escaped(record.machine)}; ${seconds(record.run_ms)}<br>again: <code>${escaped(record.command)}</code></p>
${renderTimeline(record, summary)}
${texts('What is wrong', [
  ...record.findings.map(({ workload, message }) => `${workload}: ${message}`),
  ...record.journal.crashes.map(({ at_ms, text }) => `${seconds(at_ms)}: ${text}`),
  ...record.journal.stalls.map(({ at_ms, text }) => `${seconds(at_ms)}: ${text}`),
])}
${texts('Not done here', record.skipped)}
${faultTable(summary.faults)}
${texts(
  'Notes',
  record.journal.notes.map(({ at_ms, text }) => `${seconds(at_ms)}: ${text}`),
)}
</html>
`;
}

function texts(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `<h2>${escaped(title)}</h2>\n${lines.map((text) => `<pre>${escaped(text)}</pre>`).join('\n')}`;
}

function faultTable(faults: readonly FaultFigures[]): string {
  if (faults.length === 0) return '';
  const rows = faults.map(({ fault, gap }) => {
    const recovered =
      fault.lane !== 'faults'
        ? fault.ended || 'not over'
        : fault.recovered_ms === null
          ? 'not in time'
          : seconds(fault.recovered_ms);
    const cells = [
      seconds(fault.began_ms),
      fault.healed_ms === null ? '' : seconds(fault.healed_ms),
      fault.nemesis,
      fault.what,
      gap === null ? '' : `${seconds(gap.to_ms - gap.from_ms)} (${gap.shard})`,
      recovered,
    ];
    return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  const head = ['began', 'healed', 'nemesis', 'what', 'longest without service', 'from heal to service'];
  return `<h2>Faults</h2><table><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr>${rows.join('\n')}</table>`;
}
