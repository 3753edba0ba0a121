import { describe, expect, it } from 'vitest';
import type { PlanView, ReshardRequest } from '../../src/kv/server/api.js';
import type { Answer } from '../../src/kv/server/index.js';
import { MemoryController } from '../shardctrl/memory-controller.js';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import { SHOWN_ONLY_PAUSE_MS } from './invariants/books.js';
import { OpenCalls } from './open-calls.js';
import { PlanOptions } from './plan-options.js';
import type { SimNode } from './sim-node.js';
import { Trace } from './trace.js';

const RUNNING: Answer<PlanView> = { ok: true, value: { id: 'p1', state: 'running', created: '', moves: [] } };
const refusal = (code: 'conflict' | 'internal'): Answer<PlanView> => ({ ok: false, error: { code, detail: 'd' } });

/** What is asked in a hundred goes of a cluster that answers in this way. */
async function asked(answer: (request: ReshardRequest) => Answer<PlanView>, slowDisks = false) {
  const { map } = await MemoryController.cluster(4, 3);
  const scheduler = new SimScheduler();
  const requests: ReshardRequest[] = [];
  const failures: string[] = [];
  const admin = {
    reshard: async (request: ReshardRequest) => {
      requests.push(request);
      return answer(request);
    },
  };
  const clock = { run: (what: () => void) => what() };
  const node = { id: 'n1', clock, node: { admin, maps: { map } } } as unknown as SimNode;
  const options = new PlanOptions({
    calls: new OpenCalls(scheduler),
    scheduler,
    nodes: [node],
    random: new SimRandom(3),
    trace: new Trace(scheduler, false),
    pauses_ms: [null, 40],
    slowDisks,
    failed: (what) => failures.push(what),
  });
  for (let i = 0; i < 100; i++) options.begin();
  await scheduler.runFor(60_000);
  return { requests, failures };
}

const isShown = ({ max_pause_ms }: ReshardRequest): boolean => max_pause_ms === SHOWN_ONLY_PAUSE_MS;

describe('plans with all that can be asked for', () => {
  it('are asked for in all ways, and rates only where they do not last beyond the calm', async () => {
    const { requests } = await asked(() => RUNNING);
    const begun = requests.filter(({ dry_run }) => !dry_run);
    const keys = new Set(begun.flatMap((request) => Object.keys(request)));
    for (const key of ['by', 'weights', 'exclude_shards', 'exclude_nodes', 'max_rate_bytes', 'max_pause_ms'])
      expect(keys).toContain(key);
    expect(new Set(begun.map(({ by }) => by))).toEqual(new Set(['slots', 'bytes', 'keys']));
    const slow = await asked(() => RUNNING, true);
    expect(slow.requests.some((request) => 'max_rate_bytes' in request)).toBe(false);
  });

  it('are told apart by their pause from those that are only to be shown', async () => {
    const { requests } = await asked(() => RUNNING);
    expect(requests.filter(isShown).length).toBeGreaterThan(10);
    expect(requests.every((request) => isShown(request) === request.dry_run)).toBe(true);
  });

  it('fail a run where a dry run begins something, or an answer was not to be expected', async () => {
    const { failures } = await asked(({ dry_run }) => (dry_run ? RUNNING : refusal('internal')));
    expect(failures.some((what) => /^a dry run of .*: it is running$/.test(what))).toBe(true);
    expect(failures.some((what) => /was refused with internal: d$/.test(what))).toBe(true);
  });

  it('are asked for again while another one runs, but not for ever', async () => {
    const { requests, failures } = await asked(() => refusal('conflict'));
    // A dry run has nothing to wait for.
    expect(failures.filter((what) => !/"dry_run":true.* was refused with conflict/.test(what))).toEqual([]);
    expect(failures.length).toBeGreaterThan(10);
    const begun = requests.filter(({ dry_run }) => !dry_run);
    const times = begun.filter((request) => request === begun[0]).length;
    expect(times).toBeGreaterThan(10);
    expect(times).toBeLessThan(100);
  });
});
