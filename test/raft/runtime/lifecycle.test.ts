/** Groups that come and go, hosts that close, disks and engines that are full or slow. */
import { describe, expect, it } from 'vitest';
import { GROUP, World, type WorldNode } from './world.js';

const MEMBERS = ['n1', 'n2', 'n3'].map((node, i) => ({ id: i + 1, node }));

describe('create and remove', () => {
  it('leave nothing of a removed group, neither now nor after a restart', async () => {
    const world = await World.ready('remove');
    await world.put(['a=1']);
    for (const node of world.nodes) await world.run(node.host.remove(GROUP));
    for (const node of world.nodes) {
      expect(node.host.knows(GROUP)).toBe(false);
      expect(await node.engines.list()).toEqual([]);
      node.crash();
      await world.run(node.start());
      expect(node.host.knows(GROUP)).toBe(false);
    }
    await world.create(world.nodes);
    await world.elected();
    await world.put(['b=1']);
    await world.end();
  });

  it('of the same group at once make one replica, or none', async () => {
    const world = new World('races');
    const n1 = world.nodes[0]!;
    await world.run(n1.start());
    const create = () => n1.host.create(GROUP, 1, MEMBERS, true);
    await world.run(Promise.all([create(), create(), n1.host.remove(GROUP), create()]));
    expect(n1.host.groups()).toEqual([GROUP]);
    expect(await n1.engines.list()).toHaveLength(1);
    await world.run(Promise.all([n1.host.remove(GROUP), create(), n1.host.remove(GROUP)]));
    expect(n1.host.groups()).toEqual([]);
    expect(await n1.engines.list()).toEqual([]);
    await world.end();
  });

  it('may be cut short by close at any step, and the node starts anew', async () => {
    for (let step = 0; step < 30; step++) {
      const world = new World(`cut ${step}`);
      const n1 = world.nodes[0]!;
      await world.run(n1.start());
      if (step % 2 === 1) await world.run(n1.host.create(GROUP, 1, MEMBERS, true));
      const work = step % 2 === 1 ? n1.host.remove(GROUP) : n1.host.create(GROUP, 1, MEMBERS, true);
      let left = step >> 1;
      await world.scheduler.runWhile(() => left-- > 0);
      await world.run(n1.stop());
      await world.run(work);
      await world.run(n1.start());
      expect(await n1.engines.list()).toHaveLength(n1.host.groups().length);
      await world.end();
    }
  });
});

describe('close', () => {
  it('answers everybody and leaves nothing open, whatever is in flight', async () => {
    for (let step = 0; step < 40; step++) {
      const world = await World.ready(`close ${step}`, { snapshotLogBytes: 500 });
      const pending = world.nodes.flatMap((node) =>
        Array.from({ length: 20 }, (_, i) => node.propose(`k${i}=${'x'.repeat(100)}`)),
      );
      const reads = world.nodes.map((node) => node.read((machine) => machine.count));
      let left = step * 2;
      await world.scheduler.runWhile(() => left-- > 0);
      const settled = world.nodes.map((node) => node.replica.settled());
      for (const node of world.nodes) await world.run(node.stop());
      expect(pending.every(({ outcome }) => outcome !== null)).toBe(true);
      expect(reads.every(({ value, refused }) => refused || value !== null)).toBe(true);
      await world.run(Promise.all(settled));
      for (const node of world.nodes) await world.run(node.start());
      await world.elected();
      await world.agreed();
      await world.end();
    }
  });

  it('F36 does not wait for space on a full disk', async () => {
    const world = await World.ready('full');
    const n1 = world.nodes[0]!;
    n1.disk.limitTo(n1.disk.usedBytes());
    const pending = Array.from({ length: 100 }, (_, i) => n1.propose(`k${i}=${'x'.repeat(1000)}`));
    await world.until(() => n1.life!.log.full);
    await world.run(n1.host.close(), 1000);
    expect(pending.every(({ outcome }) => outcome?.kind === 'unknown' || outcome?.kind === 'refused')).toBe(true);
  });

  it('lets those go who wait for the engine, also those who come later', async () => {
    const world = await World.ready('settled');
    const n1 = world.nodes[0]!;
    const replica = n1.replica;
    n1.engineDelay_ms = (operation) => (operation === 'write' ? 1000 : 0.2);
    const pending = n1.propose('a=1');
    await world.until(() => pending.outcome !== null);
    const early = replica.settled();
    await world.run(n1.stop());
    await world.run(Promise.all([early, replica.settled()]), 100);
    await world.end();
  });
});

describe('an engine that fails or is slow', () => {
  const FAT = 'x'.repeat(100_000);
  /** More than the applied state lets wait in memory. */
  const MANY = 400;

  it('F33 stops the node when a write fails', async () => {
    const world = await World.ready('write fails');
    const n2 = world.nodes[1]!;
    n2.engines.failWrites((await n2.engines.list())[0]!, new Error('EIO: i/o error'));
    await world.put(['a=1']);
    await world.until(() => n2.fatals.length > 0);
    expect(n2.fatals.map((error) => error.message)).toEqual(['EIO: i/o error']);
  });

  it('F42 makes a leader refuse proposals, and take them again when it is back', async () => {
    const world = await World.ready('slow leader', { maxUncommittedBytes: 500_000 });
    const n1 = world.nodes[0]!;
    const name = (await n1.engines.list())[0]!;
    n1.engines.stall(name);
    let overloaded = 0;
    for (let i = 0; i < MANY; i++) {
      const pending = n1.propose(`k${i}=${FAT}`);
      await world.scheduler.runFor(10);
      if (pending.outcome?.kind === 'refused') {
        expect(pending.outcome.reason).toBe('overloaded');
        overloaded++;
      }
    }
    expect(overloaded).toBeGreaterThan(100);
    n1.engines.resume(name);
    await world.agreed();
    await world.put(['after=1']);
    await world.end();
  });

  it('F42 slows the leader down when it is a majority`s, and nobody loses anything', async () => {
    const world = await World.ready('slow followers', { maxUncommittedBytes: 500_000 });
    const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
    const slow = [n2, n3];
    const names = await Promise.all(slow.map(async (node) => (await node.engines.list())[0]!));
    for (const [i, node] of slow.entries()) node.engines.stall(names[i]!);
    const pending: { outcome: { kind: string } | null }[] = [];
    for (let i = 0; i < MANY; i++) {
      pending.push(n1.propose(`k${i}=${FAT}`));
      await world.scheduler.runFor(10);
    }
    const refused = pending.filter(({ outcome }) => outcome?.kind === 'refused').length;
    expect(refused).toBeGreaterThan(100);
    for (const node of slow) {
      const { lastIndex, applied } = node.replica.status();
      expect((lastIndex - applied) * FAT.length).toBeLessThan(5_000_000);
    }
    for (const [i, node] of slow.entries()) node.engines.resume(names[i]!);
    await world.agreed();
    expect(n1.replica.isLeader).toBe(true);
    expect(n1.chain.count).toBe(pending.filter(({ outcome }) => outcome?.kind === 'applied').length);
    await world.end();
  });
});
