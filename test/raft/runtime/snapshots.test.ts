/** Log compaction and the way back for replicas that have missed too much: state streams, and the switch to them. */
import { describe, expect, it } from 'vitest';
import { Channel, type EngineRange, type RaftSettings } from '../../../src/raft/index.js';
import { LogReserve } from '../../../src/raft/runtime/log-reserve.js';
import type { SnapshotFrame } from '../../../src/raft/runtime/snapshot-codec.js';
import { chainOf, registerKey } from './chain-machine.js';
import { GROUP, World, type WorldNode } from './world.js';

const BIG = 'x'.repeat(10_000);
const TINY = { snapshotLogBytes: 20_000 };

/** `count` registers of 10 kB. */
const fat = (count: number, name = 'k'): string[] => Array.from({ length: count }, (_, i) => `${name}${i}=${i}${BIG}`);

/** n3 is away for so long that only a snapshot brings it back. */
async function withLaggard(
  seed: string,
  commands: readonly string[],
  settings: Partial<RaftSettings> = {},
): Promise<{ world: World; n3: WorldNode }> {
  const world = await World.ready(seed, { ...TINY, ...settings });
  const n3 = world.nodes[2]!;
  await world.put(['before=1']);
  await world.agreed();
  n3.crash();
  await world.put(commands);
  await world.until(() => world.leader!.replica.status().firstIndex > 10);
  return { world, n3 };
}

const framesOf = (node: WorldNode): SnapshotFrame[] => {
  const frames: SnapshotFrame[] = [];
  node.onSnapshotFrame = (frame) => {
    frames.push(frame);
    return true;
  };
  return frames;
};

describe('a replica that needs a snapshot', () => {
  it('gets one, switches to it, removes the old engine, and goes on from the log', async () => {
    const commands = fat(30);
    const { world, n3 } = await withLaggard('laggard', commands);
    await world.run(n3.start());
    const engine = (await n3.engines.list())[0];
    await world.agreed();
    expect(n3.chain.chain).toBe(chainOf(['before=1', ...commands]));
    expect(n3.events.some((event) => event.includes('restored from a snapshot'))).toBe(true);
    await world.put(['after=1']);
    await world.agreed();
    expect(n3.chain.register('after')).toBe('1');
    await world.scheduler.runFor(1000);
    const engines = await n3.engines.list();
    expect(engines).toHaveLength(1);
    expect(engines[0]).not.toBe(engine);
    await world.end();
  });

  it('never gets what has rotted: the leader that finds it stops, and a sound one streams (F35)', async () => {
    const commands = fat(30);
    const { world, n3 } = await withLaggard('rot', commands);
    for (const node of world.nodes) {
      node.machine = { registerFault: (value) => (/^\d+x*$/.test(value.toString('latin1')) ? null : 'rotten') };
    }
    // Machines take what they are told when they are made.
    for (const node of world.nodes.slice(0, 2)) {
      node.crash('kill');
      await world.run(node.start());
    }
    await world.until(() => world.leader !== null);
    const rotten = world.leader!;
    const name = (await rotten.engines.list())[0]!;
    const flipped = rotten.engines.flipBit(name, world.random, (key) => key.equals(registerKey('k7')));
    expect(flipped).not.toBeNull();
    await world.run(n3.start());
    await world.until(() => rotten.host.damaged(GROUP) !== undefined);
    expect(rotten.host.damaged(GROUP)?.reason).toMatch(/rotten/);
    await world.until(() => world.leader !== null && n3.replica.applied === world.leader.replica.applied);
    for (const command of commands) {
      const [register, value] = command.split('=');
      expect(n3.chain.register(register!)).toBe(value);
    }
    expect(rotten.fatals).toEqual([]);
    await world.end();
  });

  it('gets it from another leader, where the first cannot read its own rows (F35)', async () => {
    const { world, n3 } = await withLaggard('unreadable', fat(30));
    const rotten = world.leader!;
    const name = (await rotten.engines.list())[0]!;
    // In the midst of the registers: nobody asks for them, so only the stream can find it.
    expect(rotten.engines.spoil(name, { next: () => 0.5 })).not.toBeNull();
    await world.run(n3.start());
    await world.until(() => rotten.host.damaged(GROUP) !== undefined);
    expect(rotten.host.damaged(GROUP)?.reason).toMatch(/cannot be decoded/);
    await world.until(() => world.leader !== null && n3.replica.applied === world.leader.replica.applied);
    expect(world.leader).not.toBe(rotten);
    for (let i = 0; i < 30; i++) expect(n3.chain.register(`k${i}`)).toBe(`${i}${BIG}`);
    expect(rotten.fatals).toEqual([]);
    await world.end();
  });

  it('has its leader`s node end, where the disk does not give the rows (F33)', async () => {
    const { world, n3 } = await withLaggard('no rows', fat(30));
    const leader = world.leader!;
    const { engine } = leader.replica;
    const snapshot = engine.snapshot.bind(engine);
    engine.snapshot = () => {
      const taken = snapshot();
      const range = taken.range.bind(taken);
      const ofState = (asked: EngineRange): boolean => asked.limit !== undefined;
      return {
        close: () => taken.close(),
        range: async (asked) => {
          if (ofState(asked)) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
          return range(asked);
        },
      };
    };
    await world.run(n3.start());
    await world.until(() => leader.fatals.length > 0);
    expect(leader.fatals.map((error) => error.message)).toEqual(['EIO: i/o error, read']);
    expect(leader.replica.isLeader).toBe(false);
    leader.fatals.length = 0;
    await world.end();
  });

  it('gets it at the speed of the line: no frame is sent twice where none is lost', async () => {
    const { world, n3 } = await withLaggard('speed', fat(400));
    const sent = framesOf(world.leader!);
    const from_ms = world.scheduler.now_ms;
    n3.engineDelay_ms = (operation) => (operation === 'write' ? 20 : 0.2);
    await world.run(n3.start());
    await world.until(() => n3.replica.applied === world.leader!.replica.applied);
    const rows = sent.filter((frame) => frame.kind === 'rows');
    expect(rows.length).toBeGreaterThan(10);
    expect(new Set(rows.map((frame) => frame.seq)).size).toBe(rows.length);
    // 16 pages of 20 ms each, the connection, and the election timeout that the leader gives a lost follower.
    expect(world.scheduler.now_ms - from_ms).toBeLessThan(2500);
    await world.end();
  });

  it('F45 gets it over a line that loses, repeats and reorders frames', async () => {
    for (let seed = 0; seed < 5; seed++) {
      const { world, n3 } = await withLaggard(`bad line ${seed}`, fat(150));
      world.network.setFaults({
        loss: 0.1,
        duplicate: 0.2,
        reorder: 0.2,
        reorder_ms: 2000,
        unordered: [Channel.Raft, Channel.Snapshot],
      });
      await world.run(n3.start());
      await world.until(() => n3.replica.applied >= world.leader!.replica.status().firstIndex - 1, 300_000);
      world.network.setFaults({ loss: 0, duplicate: 0, reorder: 0 });
      await world.agreed();
      expect(n3.chain.chain).toBe(chainOf(['before=1', ...fat(150)]));
      await world.scheduler.runFor(1000);
      expect(await n3.engines.list()).toHaveLength(1);
      await world.end();
    }
  });

  it('gets another one when the sender dies midway', async () => {
    const { world, n3 } = await withLaggard('sender dies', fat(200));
    const sender = world.leader!;
    const sent = framesOf(sender);
    n3.engineDelay_ms = () => 30;
    await world.run(n3.start());
    await world.until(() => sent.length > 4);
    sender.crash('kill');
    await world.until(() => n3.chain.count === 201);
    await world.run(sender.start());
    await world.agreed();
    await world.scheduler.runFor(1000);
    expect(await n3.engines.list()).toHaveLength(1);
    await world.end();
  });

  it('does not keep for ever what a sender has left half done that is heard no more', async () => {
    const { world, n3 } = await withLaggard('half done', fat(200));
    let heard = true;
    for (const node of world.nodes) node.onSnapshotFrame = () => heard;
    n3.engineDelay_ms = () => 30;
    await world.run(n3.start());
    await world.until(() => n3.replica.snapshotIncoming);
    heard = false;
    // Its leader tries again and again, and is not heard.
    await world.scheduler.runFor(25_000);
    expect(n3.replica.snapshotIncoming).toBe(false);
    expect(await n3.engines.list()).toHaveLength(1);
    heard = true;
    await world.until(() => n3.chain.count === 201);
    await world.agreed();
    await world.scheduler.runFor(1000);
    expect(await n3.engines.list()).toHaveLength(1);
    await world.end();
  });

  it('keeps nothing of what a leader has sent that leads no more', async () => {
    const { world, n3 } = await withLaggard('deposed sender', fat(200));
    let heard = true;
    for (const node of world.nodes) node.onSnapshotFrame = () => heard;
    n3.engineDelay_ms = () => 30;
    await world.run(n3.start());
    await world.until(() => n3.replica.snapshotIncoming);
    const sender = world.leader!;
    const heir = world.nodes.find((node) => node !== sender && node !== n3)!;
    heard = false;
    expect(sender.replica.transferLeader(heir.id)).toMatchObject({ ok: true });
    await world.until(() => n3.replica.term === heir.replica.term && heir.replica.leads);
    await world.scheduler.runFor(1_000);
    // Far sooner than it would be for silence.
    expect(n3.replica.snapshotIncoming).toBe(false);
    expect(await n3.engines.list()).toHaveLength(1);
    expect(n3.events.some((event) => event.includes('its sender leads no more'))).toBe(true);
    heard = true;
    await world.until(() => n3.chain.count === 201);
    await world.agreed();
    await world.end();
  });

  it('F42 costs its leader no more than the window, however big the state is', async () => {
    const { world, n3 } = await withLaggard('window', fat(400));
    const sent = framesOf(world.leader!);
    const acked = framesOf(n3);
    n3.engineDelay_ms = () => 50;
    let most = 0;
    await world.run(n3.start());
    await world.until(() => {
      const top = Math.max(-1, ...sent.map((frame) => frame.seq));
      const done = Math.max(-1, ...acked.filter(({ kind }) => kind === 'ack').map((frame) => frame.seq));
      most = Math.max(most, top - done);
      return n3.chain.count === 401;
    });
    expect(sent.length).toBeGreaterThan(10);
    expect(most).toBeGreaterThan(1);
    // The window, and what the newest acknowledgements on their way have already let go.
    expect(most).toBeLessThanOrEqual(8);
    await world.end();
  });

  it('F8 gets through two snapshots in quick succession while writes go on', async () => {
    const { world, n3 } = await withLaggard('quick', fat(50));
    const leader = world.leader!;
    const seen: boolean[] = [];
    n3.engineDelay_ms = () => 15;
    await world.run(n3.start());
    for (let i = 0; i < 400; i++) {
      leader.propose(`more${i}=${BIG}`);
      await world.scheduler.runFor(10);
      seen.push(n3.replica.snapshotIncoming);
    }
    n3.engineDelay_ms = () => 0.2;
    await world.agreed();
    expect(seen.includes(true)).toBe(true);
    expect(n3.chain.count).toBe(451);
    await world.end();
  });

  it('has, when it has switched, exactly the state of the snapshot`s index', async () => {
    const { world, n3 } = await withLaggard('exact', fat(50));
    const leader = world.leader!;
    leader.engineDelay_ms = () => 3;
    await world.run(n3.start());
    let before = n3.replica.machine;
    let switches = 0;
    for (let i = 0; i < 300; i++) {
      leader.propose(`w${i}=${i}`);
      const until_ms = world.scheduler.now_ms + 5;
      await world.scheduler.runWhile(() => {
        const now = n3.replica.machine;
        if (now !== before) {
          before = now;
          switches++;
          expect(n3.chain.chain).toBe(leader.chain.chains.get(n3.chain.index));
        }
        return true;
      }, until_ms);
    }
    expect(switches).toBeGreaterThan(0);
    await world.agreed();
    await world.end();
  });

  it('F7 F38 does not switch to a state that cannot be opened, and says so', async () => {
    const { world, n3 } = await withLaggard('unopenable', fat(30));
    let opened = 0;
    n3.machine = {
      beforeOpen: () => {
        if (++opened === 2) throw Object.assign(new Error('a row is not what was written'), { code: 'DAMAGED_STATE' });
      },
    };
    await world.run(n3.start());
    await world.agreed();
    expect(n3.events).toContain("error a received snapshot can't be opened: a row is not what was written");
    expect(n3.replica.damage).toBeNull();
    await world.scheduler.runFor(1000);
    expect(await n3.engines.list()).toHaveLength(1);
    await world.end();
  });
});

/** Log entries that a node's replica keeps in memory, with what the core counts for each. */
const logBytesOf = (node: WorldNode): number => {
  const { replica } = node;
  const entries = replica.entriesFrom(replica.status().firstIndex, Number.POSITIVE_INFINITY);
  return entries.reduce((sum, entry) => sum + entry.data.length + 32, 0);
};

/**
 * n3, to which a page takes 200 ms, needs a state of 1 MB, and 250 kB are written each second. Returns what ends the writes. With a
 * limit of 20 kB all that is written during a stream would be compacted again and again.
 */
async function withSteadyWrites(seed: string, settings: Partial<RaftSettings> = {}) {
  const { world, n3 } = await withLaggard(seed, fat(100), settings);
  n3.engineDelay_ms = (operation) => (operation === 'write' ? 200 : 0.2);
  await world.run(n3.start());
  let writes = 0;
  let refused = 0;
  let on = true;
  const write = (): void => {
    const { leader } = world;
    if (!on || leader === null) return;
    leader.replica.propose(Buffer.from(`b${writes++ % 50}=${BIG.slice(0, 2000)}`), {
      applied: () => undefined,
      refused: () => refused++,
      unknown: () => undefined,
    });
    leader.life!.clock.after(8, write);
  };
  write();
  const stop = (): void => {
    on = false;
    expect(writes).toBeGreaterThan(100);
    expect(refused).toBe(0);
  };
  return { world, n3, stop };
}

const restoredBy = (node: WorldNode): number =>
  node.events.filter((event) => event.includes('restored from a snapshot')).length;

describe('a replica that needs a snapshot while writes go on', () => {
  it('needs one, not one after the other, and then keeps up', async () => {
    const { world, n3, stop } = await withSteadyWrites('steady');
    const abreast = (): boolean => n3.replica.applied >= world.leader!.replica.applied - 20;
    await world.until(() => restoredBy(n3) > 0 && abreast(), 10_000);
    n3.engineDelay_ms = () => 0.2;
    await world.scheduler.runFor(5_000);
    expect(abreast()).toBe(true);
    expect(restoredBy(n3)).toBe(1);
    // What was kept for it is let go.
    expect(logBytesOf(world.leader!)).toBeLessThan(3 * TINY.snapshotLogBytes);
    stop();
    await world.agreed();
    await world.end();
  });

  it('F42 has no more kept for it than its node`s bound, writes go on beyond it, and it is back when they end', async () => {
    const catchUpLogBytes = 60_000;
    const { world, stop } = await withSteadyWrites('beyond the reserve', { catchUpLogBytes });
    const leader = world.leader!;
    let most = 0;
    for (let i = 0; i < 1_000; i++) {
      await world.scheduler.runFor(10);
      most = Math.max(most, logBytesOf(leader));
    }
    expect(leader.events.some((event) => event.startsWith('warn no more log is kept'))).toBe(true);
    expect(most).toBeGreaterThan(catchUpLogBytes);
    // And what comes in while rows gather and the engine is flushed.
    expect(most).toBeLessThan(2 * TINY.snapshotLogBytes + catchUpLogBytes + 40_000);
    stop();
    await world.agreed();
    await world.end();
  });

  it('costs nothing any more once it is away for good', async () => {
    const { world, n3, stop } = await withSteadyWrites('away for good');
    await world.until(() => logBytesOf(world.leader!) > 5 * TINY.snapshotLogBytes);
    n3.crash();
    await world.scheduler.runFor(2_000);
    expect(logBytesOf(world.leader!)).toBeLessThan(3 * TINY.snapshotLogBytes);
    stop();
    await world.agreed();
    await world.end();
  });
});

describe('the reserve for logs of a node', () => {
  it('is one for all its groups, and what one gives back another may take', () => {
    const reserve = new LogReserve(100);
    const [a, b] = [{}, {}];
    expect([reserve.take(a, 60), reserve.take(b, 50), reserve.take(b, 40)]).toEqual([true, false, true]);
    expect([reserve.take(a, 61), reserve.take(a, 10), reserve.take(b, 90)]).toEqual([false, true, true]);
    reserve.release(b);
    reserve.release(b);
    expect([reserve.take(a, 101), reserve.take(a, 100)]).toEqual([false, true]);
  });
});

describe('F7 a crash of the receiver', () => {
  it('at any step between the old state and the new leaves one of them, whole', async () => {
    let switched = 0;
    let old = 0;
    for (let step = 0; step < 60; step++) {
      const kind = step % 2 === 0 ? 'power-cut' : 'kill';
      const { world, n3 } = await withLaggard(`receiver ${step}`, fat(40));
      const end = framesOf(world.leader!);
      await world.run(n3.start());
      // The interesting part: from the last frame to the removal of the old engine.
      await world.until(() => end.some((frame) => frame.kind === 'end'));
      let left = step;
      await world.scheduler.runWhile(() => left-- > 0);
      n3.crash(kind);
      await world.run(n3.start());
      expect(n3.host.damaged(GROUP)).toBeUndefined();
      expect(await n3.engines.list()).toHaveLength(1);
      // The old state may lack its last write, which the log has.
      if (n3.chain.count <= 1) old++;
      else switched++;
      const all = ['before=1', ...fat(40)];
      expect(n3.chain.chain).toBe(chainOf(all.slice(0, n3.chain.count)));
      await world.agreed();
      expect(n3.chain.chain).toBe(chainOf(all));
      await world.end();
    }
    expect(old).toBeGreaterThan(0);
    expect(switched).toBeGreaterThan(0);
  });
});

describe('compaction', () => {
  it('bounds the log in memory, and a restart still finds everything', async () => {
    const world = await World.ready('compaction', TINY);
    const commands = fat(100);
    await world.put(commands);
    await world.agreed();
    for (const node of world.nodes) {
      const { firstIndex, lastIndex } = node.replica.status();
      expect(lastIndex - firstIndex).toBeLessThan(10);
    }
    for (const node of world.nodes) node.crash();
    for (const node of world.nodes) await world.run(node.start());
    await world.elected();
    await world.agreed();
    for (const node of world.nodes) expect(node.chain.chain).toBe(chainOf(commands));
    await world.end();
  });
});

describe('a host that is closed, or a group that is removed, while a snapshot comes in', () => {
  it('leaves no engine open, at any step', async () => {
    for (let step = 0; step < 40; step++) {
      const { world, n3 } = await withLaggard(`close ${step}`, fat(40));
      const end = framesOf(world.leader!);
      await world.run(n3.start());
      await world.until(() => n3.replica.snapshotIncoming);
      if (step % 2 === 0) await world.until(() => end.some((frame) => frame.kind === 'end'));
      let left = step;
      await world.scheduler.runWhile(() => left-- > 0);
      if (step % 3 === 0) {
        await world.run(n3.host.remove(GROUP));
        expect(await n3.engines.list()).toEqual([]);
      }
      await world.run(n3.stop());
      await world.run(n3.start());
      if (step % 3 === 0) expect(n3.host.knows(GROUP)).toBe(false);
      else await world.agreed();
      await world.end();
    }
  });
});
