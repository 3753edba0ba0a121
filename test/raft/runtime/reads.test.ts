/** Linearizable reads through the ReadIndex barrier: on leaders, on followers, across everything that takes leaders away. */
import { describe, expect, it } from 'vitest';
import { World, type WorldNode } from './world.js';

const register = (node: WorldNode, name: string) => node.read((machine) => machine.register(name));

describe('a read', () => {
  it('sees everything that was acknowledged before it was asked for, on every replica', async () => {
    const world = await World.ready('reads');
    for (let i = 0; i < 20; i++) {
      await world.put([`x=${i}`]);
      const reads = world.nodes.map((node) => register(node, 'x'));
      await world.until(() => reads.every(({ value }) => value !== null));
      expect(reads.map(({ value }) => value)).toEqual([`${i}`, `${i}`, `${i}`]);
    }
    await world.end();
  });

  it('is served where an answer takes longer than several heartbeats', async () => {
    const world = await World.ready('slow line', { heartbeat_ms: 20, election_timeout_ms: 2000 });
    await world.put(['x=1']);
    world.network.setFaults({ delayMin_ms: 60, delayMax_ms: 70 });
    const reads = world.nodes.map((node) => register(node, 'x'));
    await world.until(() => reads.every(({ value }) => value === '1'), 2000);
    await world.end();
  });

  it('that finds its row unreadable ends the replica; it and all that were asked with it are refused (F38)', async () => {
    const world = await World.ready('unreadable');
    const n1 = world.nodes[0]!;
    await world.put(['x=1']);
    const before = register(n1, 'x');
    const unreadable = n1.read(() => {
      throw Object.assign(new Error('a block cannot be decoded'), { code: 'ENGINE_DAMAGED' });
    });
    const behind = [register(n1, 'x'), register(n1, 'x')];
    await world.until(() => n1.replica.damage !== null);
    expect(n1.replica.damage).toBe('a block cannot be decoded');
    expect(before).toEqual({ value: '1', refused: false });
    for (const read of [unreadable, ...behind]) expect(read).toEqual({ value: null, refused: true });
    await world.put(['x=2']);
    await world.end();
  });

  it('that reports its row as damaged has its answer; all that were asked with it are refused (F38)', async () => {
    const world = await World.ready('reported');
    const n1 = world.nodes[0]!;
    await world.put(['x=1']);
    const reporting = n1.read(() => {
      n1.replica.reportDamage(new Error('not what was written'));
      return 'reported';
    });
    const behind = [register(n1, 'x'), register(n1, 'x')];
    await world.until(() => n1.replica.damage !== null);
    expect(reporting).toEqual({ value: 'reported', refused: false });
    for (const read of behind) expect(read).toEqual({ value: null, refused: true });
    await world.end();
  });

  it('is asked again until it is answered, over a line that loses half of everything', async () => {
    const world = await World.ready('loss');
    await world.put(['x=1']);
    world.network.setFaults({ loss: 0.5 });
    const reads = world.nodes.flatMap((node) => [register(node, 'x'), register(node, 'x')]);
    await world.until(() => reads.every(({ value }) => value === '1'));
    await world.end();
  });

  it('F10 is not served by a deposed leader, but by what it learns of its successor', async () => {
    const world = await World.ready('deposed');
    const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
    await world.put(['x=1']);
    world.network.split(['n1'], ['n2', 'n3']);
    const early = register(n1, 'x');
    await world.until(() => n2.replica.leads || n3.replica.leads);
    const leader = n2.replica.leads ? n2 : n3;
    const pending = leader.propose('x=2');
    await world.until(() => pending.outcome !== null);
    const late = register(n1, 'x');
    await world.scheduler.runFor(3000);
    expect([early, late]).toEqual([
      { value: null, refused: false },
      { value: null, refused: false },
    ]);
    world.network.heal();
    await world.until(() => early.value !== null && late.value !== null);
    expect([early.value, late.value]).toEqual(['2', '2']);
    await world.end();
  });

  it('F12 is not stale after a pause of the leader, wherever in its round the pause came', async () => {
    for (let step = 0; step < 25; step++) {
      const world = await World.ready(`pause ${step}`);
      const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
      await world.put(['x=1']);
      const during = register(n1, 'x');
      let left = step;
      await world.scheduler.runWhile(() => left-- > 0);
      n1.life!.clock.pause();
      await world.until(() => n2.replica.leads || n3.replica.leads);
      const pending = (n2.replica.leads ? n2 : n3).propose('x=2');
      await world.until(() => pending.outcome !== null);
      n1.life!.clock.resume();
      const after = register(n1, 'x');
      await world.until(() => during.value !== null && after.value !== null);
      expect(after.value).toBe('2');
      expect(['1', '2']).toContain(during.value);
      await world.end();
    }
  });

  it('never runs on a state below its index, also while a snapshot takes the state`s place', async () => {
    const world = await World.ready('switch', { snapshotLogBytes: 5_000 });
    const n3 = world.nodes[2]!;
    await world.put(['x=0']);
    n3.crash();
    await world.put(Array.from({ length: 20 }, (_, i) => `x=${i}${' '.repeat(1000)}`));
    n3.engineDelay_ms = () => 2;
    await world.run(n3.start());
    let acknowledged = 19;
    let served = 0;
    for (let i = 20; i < 200; i++) {
      const pending = world.leader!.propose(`x=${i}`);
      const atLeast = acknowledged;
      n3.replica.read({
        ready: () => {
          served++;
          expect(Number.parseInt(n3.chain.register('x') ?? '-1', 10)).toBeGreaterThanOrEqual(atLeast);
        },
        refused: () => expect.unreachable(),
      });
      await world.scheduler.runFor(2);
      if (pending.outcome?.kind === 'applied') acknowledged = i;
    }
    await world.until(() => served === 180);
    expect(n3.events.some((event) => event.includes('restored from a snapshot'))).toBe(true);
    await world.end();
  });

  it('F42 is refused where too many wait already, and all are answered when the replica stops', async () => {
    const world = await World.ready('many');
    const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
    world.network.split(['n1'], ['n2'], ['n3']);
    let refused = 0;
    const waiter = { ready: () => expect.unreachable(), refused: () => refused++ };
    for (let i = 0; i < 70_000; i++) n1.replica.read(waiter);
    expect(refused).toBe(70_000 - 65_536);
    await world.scheduler.runFor(2000);
    await world.run(n1.stop());
    expect(refused).toBe(70_000);
    expect(n2.fatals.concat(n3.fatals)).toEqual([]);
    await world.end();
  });
});
