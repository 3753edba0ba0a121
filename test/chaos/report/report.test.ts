/** The page, the timeline and the verdict, from records of runs that never were. */
import { describe, expect, it } from 'vitest';
import { told } from '../../checker/told-history.js';
import { EXIT } from '../exit-codes.js';
import type { FaultSpan } from '../journal.js';
import { availabilityOf, gapsOf, longestGapOf } from '../watch/availability.js';
import type { Sample } from '../watch/service-probe.js';
import { renderHtml } from './html.js';
import { renderPage, stripOf } from './page.js';
import type { RunRecord } from './run-record.js';
import { countBySecond, runsOf } from './timeline.js';
import { verdictOf } from './verdict.js';

const sample = (shard: string, sent_ms: number, ok: boolean, took_ms = 10): Sample => ({
  shard,
  sent_ms,
  done_ms: sent_ms + took_ms,
  ok,
});
/** s1 is served all along, s2 not from 2 s to 5 s. */
const SAMPLES = Array.from({ length: 40 }, (_, i) => i * 250).flatMap((at) => [
  sample('s1', at, true),
  sample('s2', at, at < 2_000 || at >= 5_000),
]);
const KILL: FaultSpan = {
  nemesis: 'kill:one',
  what: 'kill -9 n1 <&>',
  lane: 'faults',
  began_ms: 1_900,
  healed_ms: 4_000,
  recovered_ms: 1_010,
  ended: '',
};
const GROW: FaultSpan = {
  nemesis: 'reshard',
  what: 'grow from 2 to 3 shards',
  lane: 'reshards',
  began_ms: 500,
  healed_ms: 1_500,
  recovered_ms: null,
  ended: 'done',
};
const DRAIN: FaultSpan = {
  nemesis: 'members:drain',
  what: 'n1 drained',
  lane: 'members',
  began_ms: 6_000,
  healed_ms: 8_000,
  recovered_ms: null,
  ended: 'has left',
};

const RECORD: RunRecord = {
  command: 'npm run chaos -- --time 10s --nemesis kill --seed 7',
  cluster: '3 nodes, 2 shards at first',
  machine: '2 cores, load 1.0 at the end',
  run_ms: 10_000,
  limit_ms: 10_000,
  journal: {
    faults: [KILL, GROW, DRAIN],
    leaders: [
      { at_ms: 0, group: 's1', leader: 'n1', term: 1 },
      { at_ms: 3_000, group: 's1', leader: 'n2', term: 2 },
    ],
    epochs: [{ at_ms: 700, epoch: 4, shards: ['s1', 's2'] }],
    notes: [{ at_ms: 100, text: 'something worth a note' }],
    crashes: [],
    stalls: [],
  },
  samples: SAMPLES,
  workloads: [{ name: 'register', operations: told('a: [put k v → stored 1] [get k → v 1] [put k w → ?'), extra: 0 }],
  findings: [],
  skipped: ['clock: libfaketime is not installed'],
  interrupted: false,
};
const FINDING = { workload: 'register', message: 'key k is not linearizable' };
const CRASH = { at_ms: 1, text: 'n2 ended (exit code 1)' };
const STALL = { at_ms: 2, text: 's2 not served within 10 s' };

describe('availability', () => {
  it('counts seconds in which a shard was served, and the longest time between two answers', () => {
    const [s1, s2] = availabilityOf(SAMPLES, 10_000);
    expect(s1).toMatchObject({ shard: 's1', share: 1, longestGap_ms: 250 });
    expect(s2).toMatchObject({ shard: 's2', share: 0.7, longestGap_ms: 3_250 });
    expect(s2!.seconds).toEqual([true, true, false, false, false, true, true, true, true, true]);
  });

  it('knows no gap before a shard exists or after it is gone, but one that never ends', () => {
    const late = [sample('s3', 5_000, true), sample('s3', 5_200, true)];
    expect(availabilityOf(late, 10_000)[0]).toMatchObject({ share: 1, longestGap_ms: 200 });
    expect(availabilityOf(late, 10_000)[0]!.seconds.slice(0, 6)).toEqual([null, null, null, null, null, true]);
    const dead = [sample('s3', 1_000, true), sample('s3', 1_200, false), sample('s3', 9_000, false, 900)];
    expect(gapsOf(dead).at(-1)).toEqual({ shard: 's3', from_ms: 1_010, to_ms: 9_900 });
  });

  it('gives a fault the longest gap that touches it', () => {
    const gaps = gapsOf(SAMPLES);
    expect(longestGapOf(KILL, gaps, 10_000)).toEqual({ shard: 's2', from_ms: 1_760, to_ms: 5_010 });
    expect(longestGapOf(GROW, gaps, 10_000)?.to_ms).toBeLessThan(2_000);
  });
});

describe('the verdict', () => {
  it('has an exit code for each end, the worst first', () => {
    const of = (more: Partial<RunRecord>, journal: Partial<RunRecord['journal']> = {}): number =>
      EXIT[verdictOf({ ...RECORD, ...more, journal: { ...RECORD.journal, ...journal } })];
    expect(of({})).toBe(0);
    expect(of({ findings: [FINDING] }, { crashes: [CRASH], stalls: [STALL] })).toBe(1);
    expect(of({}, { crashes: [CRASH], stalls: [STALL] })).toBe(4);
    expect(of({}, { stalls: [STALL] })).toBe(3);
    expect(of({ interrupted: true })).toBe(130);
    expect(of({ interrupted: true, findings: [FINDING] })).toBe(1);
  });
});

describe('the page', () => {
  it('tells verdict, operations, service by shard, faults and recovery', () => {
    const page = renderPage(RECORD, ['timeline: out/timeline.html']);
    expect(page).toContain('OK: no promise broken');
    expect(page).toContain('again: npm run chaos -- --time 10s --nemesis kill --seed 7');
    expect(page).toContain('operations: 3');
    expect(page).toMatch(/register +2 +0 +1 +0\.0 s/);
    expect(page).toMatch(/s2 +70\.0% +3\.3 s +██___█████/);
    expect(page).toMatch(/kill:one +1 +3\.3 s \(s2\) +1\.0 s/);
    expect(page).toMatch(/reshard +1 +0\.3 s \(s1\) +ends by itself/);
    expect(page).toMatch(/members:drain +1 +0\.3 s \(s1\) +ends by itself/);
    expect(page).toContain('clock: libfaketime is not installed');
    expect(page).toContain('timeline: out/timeline.html');
  });

  it('says what is wrong, shortened', () => {
    const page = renderPage({ ...RECORD, findings: new Array(20).fill(FINDING) }, []);
    expect(page).toContain('VIOLATION: the store broke a promise');
    expect(page).toContain('register: key k is not linearizable');
    expect(page).toContain('… 12 more in the timeline');
    const late = { ...KILL, recovered_ms: null };
    expect(renderPage({ ...RECORD, journal: { ...RECORD.journal, faults: [late] } }, [])).toContain('NOT IN TIME');
  });

  it('presses long runs into a strip', () => {
    expect(stripOf({ seconds: [true, true, true, false, false, false, null, null] }, 4)).toBe('█▄_·');
    expect(stripOf({ seconds: [true, false] }, 4)).toBe('█_');
  });
});

describe('the timeline', () => {
  const html = renderHtml(RECORD);

  it('stands alone: no script, nothing loaded, and a policy that forbids both', () => {
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    expect(html).not.toMatch(/<script|\bsrc=|\bhref=|url\(|@import|https?:/i);
  });

  it('shows faults, service, leaders, epochs and operations', () => {
    expect(html).toContain('kill -9 n1 &lt;&amp;&gt;: 1.9 s to 4.0 s; all served 1.0 s after the heal');
    expect(html).toContain('longest without service 3.3 s (s2)');
    expect(html).toContain('n1 drained: 6.0 s to 8.0 s; has left');
    expect(html).toContain('s2 not served: 2 s to 5 s');
    expect(html).toContain('s1: n2 in term 2 from 3.0 s');
    expect(html).toContain('epoch 4 at 0.7 s: s1, s2');
    expect(html).toContain('second 0: 2 answered, 0 failed, 1 unknown');
    expect(html).toContain('something worth a note');
  });

  it('lets no text of a cluster become markup', () => {
    const evil = { workload: 'register', message: '<img src=x onerror=alert(1)>' };
    expect(renderHtml({ ...RECORD, findings: [evil] })).toContain('&lt;img src=x onerror=alert(1)&gt;');
    expect(renderHtml({ ...RECORD, findings: [evil] })).not.toContain('<img');
  });

  it('survives a run of nothing', () => {
    const nothing: RunRecord = {
      ...RECORD,
      samples: [],
      workloads: [],
      journal: { faults: [], leaders: [], epochs: [], notes: [], crashes: [], stalls: [] },
    };
    expect(renderHtml(nothing)).toContain('</svg>');
    expect(renderPage(nothing, [])).toContain('operations: 0');
  });

  it('joins equal neighbours, and counts by second', () => {
    expect(runsOf([1, 1, 2])).toEqual([
      [0, 2, 1],
      [2, 3, 2],
    ]);
    expect(countBySecond(told('a: [get k → missing]'), 1_000)).toEqual([
      { answered: 1, failed: 0, unknown: 0, slowest_ms: 17 },
    ]);
  });
});
