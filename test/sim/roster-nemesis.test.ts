import { describe, expect, it } from 'vitest';
import { MemoryController } from '../shardctrl/memory-controller.js';
import { SimScheduler } from './fakes/clock.js';
import { SimRandom } from './fakes/random.js';
import { RosterNemesis } from './roster-nemesis.js';
import type { DiskHarm, SimNode } from './sim-node.js';
import { Trace } from './trace.js';

interface Asked {
  readonly drained: Set<string>;
  readonly changes: { readonly add: readonly string[]; readonly remove: readonly string[] }[];
}

/** Nodes n1 to n4, of which the first three host a shard; n1's disk is as it is said to be. */
async function roster(
  harm: boolean,
  disk: DiskHarm = 'none',
  change: (controller: MemoryController) => void = () => {},
) {
  const controller = await MemoryController.cluster(4, 1);
  change(controller);
  const asked: Asked = { drained: new Set(), changes: [] };
  const unavailable = { ok: false, error: { code: 'unavailable', detail: 'd' } };
  const admin = {
    removeNode: async (id: string) => {
      asked.drained.add(id);
      return unavailable;
    },
    changeMembers: async (_: string, request: Asked['changes'][number]) => {
      asked.changes.push(request);
      return unavailable;
    },
    changeSettings: async () => unavailable,
  };
  const clock = { run: (what: () => void) => what(), pause: () => {}, resume: () => {} };
  const node = (id: string): SimNode =>
    ({
      id,
      started: true,
      paused: false,
      harm: id === 'n1' ? disk : 'none',
      clock,
      node: { admin, maps: { map: controller.map } },
    }) as unknown as SimNode;
  const nodes = ['n1', 'n2', 'n3', 'n4', 'n9'].map(node);
  const scheduler = new SimScheduler();
  const nemesis = new RosterNemesis({
    scheduler,
    nodes,
    random: new SimRandom(5),
    trace: new Trace(scheduler, false),
    harm,
    revive: () => {},
    failed: (what) => {
      throw new Error(what);
    },
  });
  return { asked, nemesis, mayLose: (id: string) => nemesis.mayLose(nodes.find((one) => one.id === id)!) };
}

describe('members that change while a disk may be lost', () => {
  it('leave each shard three of them, and drain the node only that has lost its disk', async () => {
    const { asked, nemesis } = await roster(true, 'wiped');
    for (let i = 0; i < 300; i++) nemesis.begin();
    expect([...asked.drained]).toEqual(['n1']);
    expect(asked.changes.length).toBeGreaterThan(50);
    expect(asked.changes.filter(({ add, remove }) => remove.length > add.length)).toEqual([]);
    // What is lost takes nothing over.
    expect(asked.changes.flatMap(({ add }) => add)).not.toContain('n1');
  });

  it('drain nobody as long as all disks are there', async () => {
    const { asked, nemesis } = await roster(true);
    for (let i = 0; i < 300; i++) nemesis.begin();
    expect(asked.drained.size).toBe(0);
  });

  it('spare the disks of all while a node is drained, and of nodes that are not in the cluster', async () => {
    const { mayLose } = await roster(true);
    expect(mayLose('n2')).toBe(true);
    expect(mayLose('n9')).toBe(false);
    const draining = await roster(true, 'none', (controller) => controller.apply({ kind: 'drain_node', node: 'n4' }));
    expect(draining.mayLose('n2')).toBe(false);
  });

  it('spare them where a shard has two members, and where nothing is to be lost', async () => {
    const two = await roster(true, 'none', (controller) => {
      controller.apply({ kind: 'reshard', shards: 2, replicas: 2 });
    });
    expect(two.mayLose('n1')).toBe(false);
    expect((await roster(false)).mayLose('n1')).toBe(false);
  });
});
