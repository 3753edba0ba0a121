/** Replicas whose files are not what was written: they stop, say why, and hold nobody else up. */
import { describe, expect, it } from 'vitest';
import {
  index,
  type LogStorage,
  type RecoveredGroup,
  ReplicaHost,
  type Transport,
  term,
} from '../../../src/raft/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { SimEngines } from '../../sim/fakes/sim-engine.js';
import { ChainMachine, chainOf, registerKey } from './chain-machine.js';
import { GROUP, SETTINGS, World, type WorldNode } from './world.js';

const damagedState = (): Error =>
  Object.assign(new Error('a record is not what was written'), { code: 'DAMAGED_STATE' });

async function withDamaged(seed: string): Promise<{ world: World; n2: WorldNode }> {
  const world = await World.ready(seed);
  const n2 = world.nodes[1]!;
  n2.crash();
  n2.machine = {
    beforeApply: (text) => {
      if (text === 'boom=1') throw damagedState();
    },
  };
  await world.run(n2.start());
  await world.put(['a=1', 'boom=1']);
  await world.until(() => n2.replica.damage !== null);
  return { world, n2 };
}

describe('F38 a replica whose state machine finds damage', () => {
  it('stops, says why, and the others go on', async () => {
    const { world, n2 } = await withDamaged('others');
    expect(n2.host.damaged(GROUP)).toEqual({ group: GROUP, id: 2, reason: 'a record is not what was written' });
    await world.put(['b=1', 'c=1']);
    expect(n2.propose('d=1').outcome).toEqual({ kind: 'refused', reason: 'not_leader' });
    expect(n2.read(() => 0).refused).toBe(true);
    expect(n2.replica.leaderNode).toBeNull();
    expect(n2.replica.staleness_ms()).toBe(Number.POSITIVE_INFINITY);
    await world.end();
  });

  it('neither votes nor acknowledges', async () => {
    const { world, n2 } = await withDamaged('silent');
    const term = n2.replica.term;
    world.nodes[0]!.crash('kill');
    const n3 = world.nodes[2]!;
    await world.scheduler.runFor(10_000);
    expect(n3.replica.isLeader).toBe(false);
    expect(n2.replica.term).toBe(term);
    await world.run(world.nodes[0]!.start());
    await world.put(['b=1']);
    await world.end();
  });

  it('answers those who wait at it when it led', async () => {
    const world = await World.ready('leader');
    const [n1] = world.nodes as [WorldNode];
    n1.crash();
    n1.machine = {
      beforeApply: (text) => {
        if (text === 'boom=1') throw damagedState();
      },
    };
    await world.run(n1.start());
    (await world.elected()).replica.transferLeader('n1');
    await world.until(() => n1.replica.leads);
    const waiting = [n1.propose('a=1'), n1.propose('boom=1'), n1.propose('b=1')];
    const read = n1.read(() => 0);
    await world.until(() => n1.replica.damage !== null);
    expect(waiting.map(({ outcome }) => outcome?.kind)).toEqual(['unknown', 'unknown', 'unknown']);
    expect(read.refused || read.value === 0).toBe(true);
    await world.elected();
    const [, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
    for (const node of [n2, n3]) expect(node.chain.chain).toBe(chainOf(['a=1', 'boom=1', 'b=1']));
    await world.end();
  });

  it('F31 never writes the rows of the round that was broken off', async () => {
    const world = await World.ready('broken off');
    const n2 = world.nodes[1]!;
    await world.put(['a=1']);
    await world.agreed();
    n2.crash('kill');
    n2.machine = {
      beforeApply: (text) => {
        if (text === 'boom=1') throw damagedState();
      },
    };
    await world.run(n2.start());
    await world.agreed();
    await world.scheduler.runFor(100);
    n2.engineDelay_ms = (operation) => (operation === 'write' ? 500 : 0.2);
    // One round is being written, one waits for it, one breaks off.
    for (const [i, text] of ['b=1', 'c=1'].entries()) {
      await world.put([text]);
      await world.until(() => n2.chain.count === i + 2);
      // Somebody waits for it, so it goes on its way at once.
      void n2.replica.settled();
    }
    await world.put(['boom=1']);
    await world.until(() => n2.replica.damage !== null);
    await world.scheduler.runFor(3000);
    n2.crash('kill');
    let checked = 0;
    n2.engineDelay_ms = () => 0.2;
    n2.machine = {
      beforeOpen: (engine) => {
        checked++;
        expect(engine.get(registerKey('b'))).toBeDefined();
        expect(engine.get(registerKey('boom'))).toBeUndefined();
      },
    };
    await world.run(n2.start());
    expect(checked).toBe(1);
    await world.agreed();
    await world.end();
  });
});

describe('a replica whose engine finds in writing that its files are damaged (F34)', () => {
  const damage = (): Error => Object.assign(new Error('a table cannot be decoded'), { code: 'ENGINE_DAMAGED' });

  it.each([{ state: 'its own' }, { state: 'one that it was sent' }])(
    'stops, its node does not: $state',
    async ({ state }) => {
      const world = await World.ready(`writes ${state}`, { snapshotLogBytes: 20_000 });
      const n2 = world.nodes[1]!;
      if (state !== 'its own') n2.crash();
      await world.put(Array.from({ length: 60 }, (_, i) => `k${i}=${'x'.repeat(1000)}`));
      if (state !== 'its own') await world.run(n2.start());
      await world.agreed();
      expect(n2.events.some((event) => event.includes('restored from a snapshot'))).toBe(state !== 'its own');
      await world.until(() => !n2.replica.snapshotIncoming);
      await world.run(n2.replica.settled());
      const engines = await n2.engines.list();
      n2.engines.failWrites(engines.at(-1)!, damage());
      await world.put(['b=1']);
      await world.until(() => n2.replica.damage !== null);
      expect(n2.host.damaged(GROUP)?.reason).toBe('a table cannot be decoded');
      await world.put(['c=1']);
      await world.end();
    },
  );

  it('stops when a flush says so', async () => {
    const world = await World.ready('flush', { snapshotLogBytes: 20_000 });
    const n2 = world.nodes[1]!;
    n2.replica.engine.flush = () => Promise.reject(damage());
    await world.put(Array.from({ length: 30 }, (_, i) => `k${i}=${'x'.repeat(1000)}`));
    await world.until(() => n2.replica.damage !== null);
    await world.put(['c=1']);
    await world.end();
  });
});

describe('opening a replica', () => {
  it('whose engine is damaged: it does not take part, the others go on', async () => {
    const world = await World.ready('engine');
    const n2 = world.nodes[1]!;
    await world.put(['a=1']);
    n2.crash();
    n2.engines.damage((await n2.engines.list())[0]!, 'a table fails its checksum');
    await world.run(n2.start());
    expect(n2.host.get(GROUP)).toBeUndefined();
    expect(n2.host.damaged(GROUP)?.reason).toContain('a table fails its checksum');
    expect(n2.host.knows(GROUP)).toBe(true);
    const list = await n2.engines.list();
    await world.run(n2.host.create(GROUP, 2, [{ id: 2, node: 'n2' }], true));
    expect(await n2.engines.list()).toEqual(list);
    const pending = world.leader!.propose('b=1');
    await world.until(() => pending.outcome?.kind === 'applied');
    await world.run(n2.host.remove(GROUP));
    expect(n2.host.knows(GROUP)).toBe(false);
    expect(await n2.engines.list()).toEqual([]);
    n2.crash('kill');
    await world.run(n2.start());
    expect(n2.host.knows(GROUP)).toBe(false);
    for (const node of world.nodes) expect(node.fatals).toEqual([]);
  });

  it('whose state is beyond its log: one of them is not what was written', async () => {
    const world = await World.ready('beyond');
    const n2 = world.nodes[1]!;
    await world.put(['a=1']);
    await world.agreed();
    const early = n2.disk.list().map((name) => ({ name, bytes: n2.disk.contents(name) }));
    await world.put(['b=1', 'c=1', 'd=1']);
    await world.agreed();
    await world.scheduler.runFor(100);
    n2.crash('kill');
    for (const name of n2.disk.list()) n2.disk.remove(name);
    for (const { name, bytes } of early) n2.disk.put(name, bytes);
    await world.run(n2.start());
    expect(n2.host.damaged(GROUP)?.reason).toMatch(/the state is at index \d+, but the log holds/);
    expect(n2.host.get(GROUP)).toBeUndefined();
    n2.crash('kill');
  });

  it('for another reason than damage stops the node, and leaves nothing open', async () => {
    const world = await World.ready('emfile');
    const n2 = world.nodes[1]!;
    n2.crash();
    n2.machine = {
      beforeOpen: () => {
        throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      },
    };
    await expect(world.run(n2.start())).rejects.toThrow('too many open files');
    n2.machine = {};
    const { transport, clock } = n2.life!;
    await transport.close();
    clock.stop();
    n2.disk.kill();
    await world.run(n2.start());
    await world.agreed();
    await world.end();
  });

  it('F35 of a group whose log is damaged keeps all its engines', async () => {
    const engines = new SimEngines();
    for (const name of ['g7-1', 'g7-2', 'g8-3', 'g8-4']) await (await engines.open(name)).close();
    const conf = { voters: [{ id: 1, node: 'n1' }], outgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const base = { index: index(0), term: term(0) };
    const group = (id: number, engine: string, damaged: string | null): [number, RecoveredGroup] => [
      id,
      {
        group: id,
        hardState: { term: term(0), vote: 0, commit: index(0) },
        snapshot: { ...base, conf, engine },
        compacted: base,
        entries: [],
        damaged,
      },
    ];
    const log = {
      full: false,
      recovered: () => new Map([group(7, 'g7-1', 'a segment fails its checksum'), group(8, 'g8-3', null)]),
    } as unknown as LogStorage;
    const transport = { self: 'n1', onFrame: () => undefined, onPeer: () => undefined } as unknown as Transport;
    const host = await ReplicaHost.open({
      clock: new SimClock(new SimScheduler()),
      random: new SimRandom('kept'),
      log,
      transport,
      engines,
      settings: SETTINGS,
      newMachine: () => new ChainMachine(),
      changed: () => undefined,
      fatal: () => expect.unreachable(),
      event: () => undefined,
    });
    expect(host.damaged(7)?.reason).toBe('a segment fails its checksum');
    expect(await engines.list()).toEqual(['g7-1', 'g7-2', 'g8-3']);
    await host.close();
  });
});

describe('one replica`s failing', () => {
  it('neither stops the turn of the others nor the node', async () => {
    const world = new World('neighbours');
    const other = GROUP + 1;
    for (const node of world.nodes) await world.run(node.start());
    await world.create(world.nodes);
    const members = world.nodes.map((node, i) => ({ id: i + 1, node: node.id }));
    const made = world.nodes.map((node, i) => node.host.create(other, i + 1, members, i === 0));
    await world.run(Promise.all(made));
    const [n1, n2] = world.nodes as [WorldNode, WorldNode];
    await world.until(() => n1.replica.leads && n1.host.get(other)!.leads);
    // A commit index beyond all that was ever acknowledged: what a log says that has lost entries.
    const { id, term: now } = n1.replica;
    n2.replica.step('n1', {
      type: 7,
      from: id,
      to: n2.replica.id,
      term: term(now),
      index: index(0),
      logTerm: term(0),
      commit: index(1000),
      entries: [],
      reject: false,
      hint: index(0),
      context: 0,
      snapshot: null,
    });
    expect(n2.host.damaged(GROUP)?.reason).toMatch(/invariant/);
    let applied = 0;
    n1.host.get(other)!.propose(Buffer.from('a=1'), {
      applied: () => applied++,
      refused: () => expect.unreachable(),
      unknown: () => expect.unreachable(),
    });
    await world.until(() => applied === 1 && n2.host.get(other)!.applied === n1.host.get(other)!.applied);
    await world.end();
  });
});
