import { describe, expect, it } from 'vitest';
import { Doubt } from './doubt.js';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import { Trace } from './trace.js';

const leader = (node: string, term: number, group = 1): ReplicaView =>
  ({ node, group, replica: { term } }) as unknown as ReplicaView;

/** In the stream of this seed some reads come when it is cut off already. */
const CUT_OFF = ['reads of s1 at n1', 'heals', 'splits n1 from n2,n3', 'reads of s1 at n1'];

function world() {
  const scheduler = new SimScheduler();
  const log: string[] = [];
  const doubt = new Doubt({
    scheduler,
    nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, node: null })),
    random: new SimRandom(1),
    trace: new Trace(scheduler, false),
    leaders: () => [leader('n9', 1, 0), leader('n1', 3)],
    network: {
      heal: () => log.push('heals'),
      isolate: (node, all) => {
        const others = all.flatMap(({ id }) => (id === node ? [] : [id]));
        log.push(`splits ${node} from ${others}`);
      },
    },
    readAt: (node, shard) => {
      const read = `reads of s${shard} at ${node}`;
      if (log.at(-1) !== read) log.push(read);
    },
    renewElsewhere: async (node, shard) => void log.push(`writes of s${shard} not at ${node}`),
  });
  return { scheduler, log, doubt };
}

describe('a deposed leader', () => {
  it('is read from when its successor has acknowledged a write, and let in again', async () => {
    const { scheduler, log, doubt } = world();
    doubt.begin();
    await scheduler.runFor(100);
    expect(log.splice(0)).toEqual(CUT_OFF);
    for (const other of [leader('n2', 3), leader('n2', 4, 2)]) doubt.committed(other);
    expect(log).toEqual([]);
    doubt.committed(leader('n2', 4));
    await scheduler.runFor(100);
    expect(log.splice(0)).toEqual(['writes of s1 not at n1', 'reads of s1 at n1', 'heals']);
    await scheduler.runFor(10_000);
    expect(log).toEqual([]);
  });

  it('is let in again where nobody succeeds it', async () => {
    const { scheduler, log, doubt } = world();
    doubt.begin();
    await scheduler.runFor(10_000);
    expect(log).toEqual([...CUT_OFF, 'heals']);
  });
});
