import { describe, expect, it } from 'vitest';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import type { ReplicaView } from './invariants/invariant.js';
import type { SimNode } from './sim-node.js';
import { Stillborn } from './stillborn.js';
import { Trace } from './trace.js';

const view = (node: string, group = 1): ReplicaView => ({ node, group }) as ReplicaView;

function world() {
  const scheduler = new SimScheduler();
  const log: string[] = [];
  const nodes = ['n1', 'n2', 'n3'].map((id) => {
    const clock = { pause: () => log.push(`${id} pauses`), resume: () => log.push(`${id} resumes`) };
    return { id, clock } as unknown as SimNode;
  });
  const stillborn = new Stillborn({
    scheduler,
    nodes,
    random: new SimRandom(1),
    trace: new Trace(scheduler, false),
    leaders: () => [view('n1')],
    network: {
      heal: () => log.push('heals'),
      isolate: (node, all) => {
        const others = all.flatMap(({ id }) => (id === node ? [] : [id]));
        log.push(`splits ${node} from ${others}`);
      },
    },
  });
  return { scheduler, log, stillborn };
}

describe('an election of which nobody hears', () => {
  it('cuts the candidate off and has the leader go on in the same moment, and heals later', async () => {
    const { scheduler, log, stillborn } = world();
    stillborn.begin();
    for (const other of [view('n2', 2), view('n1')]) stillborn.campaigns(other);
    expect(log).toEqual(['n1 pauses']);
    stillborn.campaigns(view('n3'));
    expect(log.splice(0)).toEqual(['n1 pauses', 'heals', 'splits n3 from n1,n2', 'n1 resumes']);
    stillborn.campaigns(view('n2'));
    await scheduler.runFor(10_000);
    expect(log).toEqual(['heals']);
  });

  it('does not keep a leader silent for ever', async () => {
    const { scheduler, log, stillborn } = world();
    stillborn.begin();
    stillborn.begin();
    await scheduler.runFor(10_000);
    expect(log).toEqual(['n1 pauses', 'n1 resumes']);
  });
});
