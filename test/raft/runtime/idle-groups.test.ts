import { describe, expect, it } from 'vitest';
import { World } from './world.js';

const GROUPS = Array.from({ length: 100 }, (_, i) => i + 1);
const MEMBERS = ['n1', 'n2', 'n3'].map((node, i) => ({ id: i + 1, node }));
const SECONDS = 10;
/** Of one core. Real nodes have sockets as well: what is measured here is what groups cost. */
const CPU_SHARE_MAX = 0.05;

describe('F46 a hundred idle groups on three nodes', () => {
  it('share their frames, write nothing, and cost next to no CPU', async () => {
    const world = new World('idle');
    for (const node of world.nodes) await world.run(node.start());
    for (const group of GROUPS) {
      const create = world.nodes.map(({ host }, i) => host.create(group, i + 1, MEMBERS, group % 3 === i));
      await world.run(Promise.all(create));
    }
    const led = (group: number): boolean => world.nodes.some(({ host }) => host.get(group)?.leads === true);
    await world.until(() => GROUPS.every(led));
    await world.scheduler.runFor(2_000);

    const delivered = world.network.stats.delivered;
    const written = world.nodes.map(({ appends }) => appends.length);
    const cpu = process.cpuUsage();
    await world.scheduler.runFor(SECONDS * 1_000);
    const used = process.cpuUsage(cpu);
    expect(world.nodes.map(({ appends }) => appends.length)).toEqual(written);
    // To each of two peers from each of three nodes, at each tick: one frame of heartbeats, one of answers.
    const ticks = (SECONDS * 1_000) / (world.settings.heartbeat_ms / 2);
    expect(world.network.stats.delivered - delivered).toBeLessThanOrEqual(6 * 2 * (ticks + 1));
    const share = (used.user + used.system) / 1_000_000 / (SECONDS * world.nodes.length);
    expect(share).toBeLessThan(CPU_SHARE_MAX);
    await world.end();
  });
});
