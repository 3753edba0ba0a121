import { describe, expect, it } from 'vitest';
import { Doubt } from './doubt.js';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import { Trace } from './trace.js';

const MEMBERS = ['n1', 'n2', 'n3'].map((node) => ({ node }));
const leader = (node: string, term: number, group = 1): ReplicaView =>
  ({ node, group, replica: { term, members: MEMBERS } }) as unknown as ReplicaView;

/** In the stream of this seed nothing is handed over. */
const CUT_OFF_BY_TIME = 2;

/** Before it are reads, so that it happens amid a round. */
const CUT_OFF = ['heals', 'splits n1 from n2,n3'];
const READS = 'reads some of s1 at n1';
const cutOffIn = (log: readonly string[]): string[] => log.filter((line) => CUT_OFF.includes(line));

function world(seed = CUT_OFF_BY_TIME) {
  const scheduler = new SimScheduler();
  const log: string[] = [];
  const doubt = new Doubt({
    scheduler,
    nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, node: null })),
    random: new SimRandom(seed),
    trace: new Trace(scheduler, false),
    leaders: () => [leader('n9', 1, 0), leader('n1', 3)],
    network: {
      heal: () => log.push('heals'),
      isolate: (node, all) => {
        const others = all.flatMap(({ id }) => (id === node ? [] : [id]));
        log.push(`splits ${node} from ${others}`);
      },
    },
    readAt: (node, shard, keys) => {
      const read = `reads ${keys ?? 'some'} of s${shard} at ${node}`;
      if (log.at(-1) !== read) log.push(read);
    },
    renewElsewhere: async (node, shard) => {
      log.push(`writes k of s${shard} not at ${node}`);
      return ['k'];
    },
    handOver: ({ node, group }, to) => log.push(`${node} hands s${group} over to ${to}`),
  });
  return { scheduler, log, doubt };
}

describe('a deposed leader', () => {
  it('is read from when its successor has acknowledged a write, and let in again', async () => {
    const { scheduler, log, doubt } = world();
    doubt.begin();
    await scheduler.runFor(100);
    expect(log[0]).toBe(READS);
    expect(cutOffIn(log.splice(0))).toEqual(CUT_OFF);
    for (const other of [leader('n2', 3), leader('n2', 4, 2)]) doubt.committed(other);
    expect(log).toEqual([]);
    doubt.committed(leader('n2', 4));
    await scheduler.runFor(100);
    const after = log.splice(0);
    expect(after.slice(0, 2)).toEqual(['writes k of s1 not at n1', 'reads k of s1 at n1']);
    expect(cutOffIn(after)).toEqual(['heals']);
    await scheduler.runFor(10_000);
    expect(log).toEqual([]);
  });

  it('is cut off, in half of all cases, as the one campaigns to whom it has handed over', async () => {
    const heirs: string[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const { scheduler, log, doubt } = world(seed);
      doubt.begin();
      await scheduler.runFor(100);
      const heir = / hands s1 over to (n\d)/.exec(log.join())?.[1];
      if (heir === undefined) continue;
      heirs.push(heir);
      expect(cutOffIn(log)).toEqual([]);
      doubt.campaigns(leader(heir, 4, 2));
      expect(cutOffIn(log)).toEqual([]);
      for (let i = 0; i < 2; i++) doubt.campaigns(leader(heir, 4));
      expect(cutOffIn(log)).toEqual(CUT_OFF);
    }
    expect(heirs.length).toBeGreaterThan(10);
    expect(heirs.length).toBeLessThan(30);
    expect(new Set(heirs)).toEqual(new Set(['n2', 'n3']));
  });

  it('is let in again where nobody succeeds it', async () => {
    const { scheduler, log, doubt } = world();
    doubt.begin();
    await scheduler.runFor(10_000);
    expect(cutOffIn(log)).toEqual([...CUT_OFF, 'heals']);
  });
});
