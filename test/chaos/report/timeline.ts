/**
 * The picture of a run: faults, service by shard, leaders, epochs and operations on one axis of time, as one SVG. What lies
 * under the pointer explains itself by its title; there is no script.
 */
import type { Operation } from '../../checker/history.js';
import type { FaultSpan } from '../journal.js';
import type { RunRecord } from './run-record.js';
import type { Summary } from './summary.js';
import { label, line, rect } from './svg.js';

const LEFT = 120;
const WIDTH = 1_080;
const ROW = 18;
const GAP = 26;
const OPERATIONS_HEIGHT = 80;

type X = (at_ms: number) => number;
interface Band {
  readonly svg: readonly string[];
  readonly height: number;
}
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export function renderTimeline(record: RunRecord, summary: Summary): string {
  const x: X = (at_ms) => LEFT + (Math.min(at_ms, record.run_ms) / record.run_ms) * WIDTH;
  const bands = [faultBand, serviceBand, leaderBand, epochBand, operationBand];
  let y = 30;
  const svg: string[] = [];
  for (const band of bands) {
    const drawn = band(record, summary, x, y);
    svg.push(...drawn.svg);
    y += drawn.height + GAP;
  }
  const grid = axis(record.run_ms, x, y);
  return `<svg viewBox="0 0 ${LEFT + WIDTH + 20} ${y}" role="img" aria-label="timeline">${[...grid, ...svg].join('\n')}</svg>`;
}

function axis(run_ms: number, x: X, bottom: number): string[] {
  const steps_s = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];
  const step_s = steps_s.find((step) => run_ms / 1000 / step <= 16) ?? 7_200;
  const marks: string[] = [];
  for (let at_s = 0; at_s * 1000 <= run_ms; at_s += step_s) {
    marks.push(
      line(x(at_s * 1000), 16, x(at_s * 1000), bottom, 'grid'),
      label(x(at_s * 1000) + 2, 12, `${at_s} s`, 'tick'),
    );
  }
  return marks;
}

/** One row for each family of nemeses: harm, then what it took until all shards served again. */
function faultBand({ journal, run_ms }: RunRecord, summary: Summary, x: X, top: number): Band {
  const rows = [...new Set(journal.faults.map(({ nemesis }) => nemesis))].sort();
  const gaps = new Map(summary.faults.map(({ fault, gap }) => [fault, gap]));
  const svg = [label(0, top + 10, 'faults', 'head')];
  svg.push(...rows.map((row, i) => label(0, top + (i + 1) * ROW + 12, row)));
  for (const fault of journal.faults) {
    const y = top + (rows.indexOf(fault.nemesis) + 1) * ROW;
    const healed_ms = fault.healed_ms ?? run_ms;
    const gap = gaps.get(fault) ?? null;
    const without = gap === null ? '' : `; longest without service ${seconds(gap.to_ms - gap.from_ms)} (${gap.shard})`;
    const title = `${fault.what}: ${seconds(fault.began_ms)} to ${seconds(healed_ms)}${ending(fault)}${without}`;
    svg.push(
      rect({ x: x(fault.began_ms), y, width: x(healed_ms) - x(fault.began_ms), height: ROW - 4 }, fault.lane, title),
    );
    const recovered_ms = healed_ms + (fault.recovered_ms ?? 0);
    if (recovered_ms > healed_ms)
      svg.push(
        rect({ x: x(healed_ms), y: y + 4, width: x(recovered_ms) - x(healed_ms), height: ROW - 12 }, 'recovery', title),
      );
  }
  return { svg, height: (rows.length + 1) * ROW };
}

function ending({ lane, ended, recovered_ms }: FaultSpan): string {
  if (lane !== 'faults') return ended === '' ? '; not over' : `; ${ended}`;
  return recovered_ms === null ? '; not served again in time' : `; all served ${seconds(recovered_ms)} after the heal`;
}

function serviceBand(_record: RunRecord, { shards }: Summary, x: X, top: number): Band {
  const svg = [label(0, top + 10, 'service', 'head')];
  shards.forEach(({ shard, share, seconds: cells }, i) => {
    const y = top + (i + 1) * ROW;
    svg.push(label(0, y + 12, `${shard}  ${(share * 100).toFixed(1)}%`));
    for (const [from, to, served] of runsOf(cells)) {
      if (served === null) continue;
      const box = { x: x(from * 1000), y, width: x(to * 1000) - x(from * 1000), height: ROW - 4 };
      svg.push(
        rect(box, served ? 'served' : 'unserved', `${shard} ${served ? 'served' : 'not served'}: ${from} s to ${to} s`),
      );
    }
  });
  return { svg, height: (shards.length + 1) * ROW };
}

/** Equal neighbours as one: `[from, to, value]`. */
export function runsOf<T>(cells: readonly T[]): [number, number, T][] {
  const runs: [number, number, T][] = [];
  cells.forEach((value, i) => {
    const last = runs.at(-1);
    if (last !== undefined && last[2] === value) last[1] = i + 1;
    else runs.push([i, i + 1, value]);
  });
  return runs;
}

function leaderBand({ journal, run_ms }: RunRecord, _summary: Summary, x: X, top: number): Band {
  const groups = [...new Set(journal.leaders.map(({ group }) => group))].sort();
  const nodes = [...new Set(journal.leaders.flatMap(({ leader }) => (leader === null ? [] : [leader])))].sort();
  const svg = [label(0, top + 10, 'leaders', 'head')];
  nodes.forEach((node, i) => {
    svg.push(
      rect({ x: LEFT + i * 60, y: top + 2, width: 10, height: 10 }, `node${i % 9}`),
      label(LEFT + i * 60 + 14, top + 11, node),
    );
  });
  groups.forEach((group, i) => {
    const y = top + (i + 1) * ROW;
    const own = journal.leaders.filter((each) => each.group === group);
    svg.push(label(0, y + 12, group));
    own.forEach(({ at_ms, leader, term }, n) => {
      if (leader === null) return;
      const end_ms = own[n + 1]?.at_ms ?? run_ms;
      const box = { x: x(at_ms), y, width: x(end_ms) - x(at_ms), height: ROW - 4 };
      svg.push(
        rect(box, `node${nodes.indexOf(leader) % 9}`, `${group}: ${leader} in term ${term} from ${seconds(at_ms)}`),
      );
    });
  });
  return { svg, height: (groups.length + 1) * ROW };
}

function epochBand({ journal }: RunRecord, _summary: Summary, x: X, top: number): Band {
  const svg = [label(0, top + 12, 'epochs', 'head')];
  let free = 0;
  for (const { at_ms, epoch, shards } of journal.epochs) {
    svg.push(
      line(
        x(at_ms),
        top,
        x(at_ms),
        top + ROW - 2,
        'epoch',
        `epoch ${epoch} at ${seconds(at_ms)}: ${shards.join(', ')}`,
      ),
    );
    if (x(at_ms) < free) continue;
    svg.push(label(x(at_ms) + 3, top + 12, String(epoch)));
    free = x(at_ms) + 34;
  }
  return { svg, height: ROW };
}

/** By second: answered, failed, unknown, one upon the other; below, the slowest answer of each second. */
function operationBand({ workloads, run_ms }: RunRecord, _summary: Summary, x: X, top: number): Band {
  const counts = countBySecond(
    workloads.flatMap(({ operations }) => operations),
    run_ms,
  );
  const most = Math.max(1, ...counts.map(({ answered, failed, unknown }) => answered + failed + unknown));
  const slowest_ms = Math.max(1, ...counts.map((each) => each.slowest_ms));
  const svg = [label(0, top + 10, 'operations', 'head'), label(0, top + 26, `up to ${most} in a second`)];
  const bottom = top + OPERATIONS_HEIGHT;
  svg.push(label(0, bottom + 24, 'slowest answer'), label(0, bottom + 38, `up to ${seconds(slowest_ms)}`));
  counts.forEach((each, second) => {
    const [left, width] = [x(second * 1000), x((second + 1) * 1000) - x(second * 1000) - 0.3];
    const title = `second ${second}: ${each.answered} answered, ${each.failed} failed, ${each.unknown} unknown; slowest ${seconds(each.slowest_ms)}`;
    let y = bottom;
    for (const kind of ['answered', 'failed', 'unknown'] as const) {
      const height = (each[kind] / most) * OPERATIONS_HEIGHT;
      if (height === 0) continue;
      y -= height;
      svg.push(rect({ x: left, y, width, height }, kind, title));
    }
    const height = (each.slowest_ms / slowest_ms) * 34;
    if (height > 0) svg.push(rect({ x: left, y: bottom + 44 - height, width, height }, 'slowest', title));
  });
  return { svg, height: OPERATIONS_HEIGHT + 44 };
}

interface SecondCounts {
  answered: number;
  failed: number;
  unknown: number;
  slowest_ms: number;
}

/** Answered ones in the second of their answer, others in that of their call. */
export function countBySecond(operations: readonly Operation[], run_ms: number): SecondCounts[] {
  const counts = Array.from({ length: Math.ceil(run_ms / 1000) }, () => ({
    answered: 0,
    failed: 0,
    unknown: 0,
    slowest_ms: 0,
  }));
  for (const { outcome, call, return: end } of operations) {
    const second = counts[Math.floor((end ?? call) / 1000)];
    if (second === undefined) continue;
    if (outcome.kind === 'failed') second.failed++;
    else if (outcome.kind === 'unknown') second.unknown++;
    else second.answered++;
    if (end !== null) second.slowest_ms = Math.max(second.slowest_ms, end - call);
  }
  return counts;
}
