/** How old a replica says that its state is: never less than it is, and not much more where all is well. */
import { describe, expect, it } from 'vitest';
import { index, type Message, MessageType } from '../../../src/raft/core/index.js';
import { Channel } from '../../../src/raft/index.js';
import { Freshness } from '../../../src/raft/runtime/freshness.js';
import { Pulse } from '../../../src/raft/runtime/pulse.js';
import { Stamps } from '../../../src/raft/runtime/stamps.js';
import { decodeMessages, encodeMessages, type GroupMessage } from '../../../src/raft/transport/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { SETTINGS, World, type WorldNode } from './world.js';

const BIG = 'x'.repeat(10_000);
const HEARTBEAT_MS = SETTINGS.heartbeat_ms;
const BOUND_MS = 500;

/**
 * Lets time pass until `node` shows `value` of register `k`, and looks at every event: as long as it shows anything else, which
 * was overwritten long ago, it must not say that it is fresh.
 */
async function neverCallsOldFresh(world: World, node: WorldNode, value: string): Promise<void> {
  const lies: string[] = [];
  await world.until(() => {
    if (node.chain.register('k') === value) return true;
    const { role } = node.replica;
    const age_ms = node.replica.staleness_ms();
    if (age_ms < BOUND_MS) lies.push(`${role} says ${age_ms} ms`);
    return false;
  });
  expect(lies).toEqual([]);
  await world.until(() => node.replica.staleness_ms() < BOUND_MS);
}

/** Changes the Raft messages that a node sends. */
function tapMessages(node: WorldNode, change: (message: Message) => Message): void {
  const { transport } = node.life!;
  const send = transport.send.bind(transport);
  transport.send = (to, channel, frame) => {
    if (channel !== Channel.Raft) return send(to, channel, frame);
    const batch: GroupMessage[] = [];
    decodeMessages(Buffer.from(frame), (group, message) => batch.push({ group, message: change(message) }));
    return encodeMessages(batch).every((bytes) => send(to, channel, bytes));
  };
}

describe('a replica that comes back', () => {
  it('is as old as what it has applied, until it has what was committed when it heard of its leader', async () => {
    const world = await World.ready('away');
    const n3 = world.nodes[2]!;
    await world.put(['k=old']);
    await world.agreed();
    n3.crash();
    await world.put(['k=new']);
    await world.scheduler.runFor(60_000);
    await world.run(n3.start());
    await neverCallsOldFresh(world, n3, 'new');
    await world.end();
  });

  it('is old for as long as it waits for a snapshot', async () => {
    const world = await World.ready('away long', { snapshotLogBytes: 20_000 });
    const n3 = world.nodes[2]!;
    await world.put(['k=old']);
    await world.agreed();
    n3.crash();
    await world.put(Array.from({ length: 100 }, (_, i) => `a${i}=${BIG}`));
    await world.put(['k=new']);
    await world.scheduler.runFor(60_000);
    n3.engineDelay_ms = (operation) => (operation === 'write' ? 200 : 0.2);
    await world.run(n3.start());
    await neverCallsOldFresh(world, n3, 'new');
    expect(n3.events.some((event) => event.includes('restored from a snapshot'))).toBe(true);
    await world.end();
  });
});

describe('F12 a process that was paused, or whose machine slept', () => {
  it.each([
    ['leader', 'paused', 0],
    ['follower', 'paused', 2],
    ['leader', 'asleep', 0],
    ['follower', 'asleep', 2],
  ])('as %s, %s, does not take what lay in its sockets for news', async (_, how, place) => {
    const world = await World.ready(`${how} ${place}`);
    const paused = world.nodes[place]!;
    await world.put(['k=old']);
    await world.agreed();
    const { clock } = paused.life!;
    if (how === 'asleep') clock.suspend();
    else clock.pause();
    const others = world.nodes.filter((node) => node !== paused);
    await world.until(() => others.some((node) => node.replica.leads));
    await world.scheduler.runFor(3_000);
    const pending = others.find((node) => node.replica.leads)!.propose('k=new');
    await world.until(() => pending.outcome !== null);
    await world.scheduler.runFor(30_000);
    if (how === 'asleep') clock.wake();
    else clock.resume();
    await neverCallsOldFresh(world, paused, 'new');
    await world.end();
  });
});

describe('F12 a leader that was paused, and deposed meanwhile', () => {
  it('does not vouch for those who still follow it', async () => {
    const world = await World.ready('vouches', {}, 5);
    const [n1, n2, n3, n4, n5] = world.nodes as [WorldNode, WorldNode, WorldNode, WorldNode, WorldNode];
    await world.put(['k=old']);
    await world.agreed();
    world.network.split(['n1', 'n2'], ['n3', 'n4', 'n5']);
    n1.life!.clock.pause();
    const others = [n3, n4, n5];
    await world.until(() => others.some((node) => node.replica.leads));
    const pending = others.find((node) => node.replica.leads)!.propose('k=new');
    await world.until(() => pending.outcome !== null);
    await world.scheduler.runFor(30_000);
    expect(n2.replica.term).toBe(n1.replica.term);
    n1.life!.clock.resume();
    let heard = false;
    const until_ms = world.scheduler.now_ms + 5_000;
    await world.scheduler.runWhile(() => {
      heard ||= n2.replica.leaderAge_ms() < BOUND_MS;
      expect(n2.replica.staleness_ms()).toBeGreaterThan(30_000);
      return true;
    }, until_ms);
    expect(heard).toBe(true);
    world.network.heal();
    await neverCallsOldFresh(world, n2, 'new');
    await world.end();
  });
});

describe('a heartbeat that was long under way', () => {
  it('is as old as it is: what a line has held back, behind a partition or behind much else, is no news', async () => {
    const world = await World.ready('held back');
    const n3 = world.nodes[2]!;
    await world.put(['k=old']);
    await world.agreed();
    world.network.split(['n3'], ['n1', 'n2']);
    // Less than what a connection is given up after: all of it arrives in the end, heartbeats of before the write first.
    await world.scheduler.runFor(3 * HEARTBEAT_MS);
    await world.put(['k=new']);
    await world.scheduler.runFor(5_000);
    world.network.heal();
    await neverCallsOldFresh(world, n3, 'new');
    await world.end();
  });

  it('of which it is not known what it came after says nothing', () => {
    const stamps = new Stamps(new SimRandom(1));
    const [first, second] = [stamps.take(10), stamps.take(20)];
    expect([first, second].map((stamp) => stamps.sentAt_ms(stamp))).toEqual([10, 20]);
    expect([0, first - 1, second + 1].map((stamp) => stamps.sentAt_ms(stamp))).toEqual([null, null, null]);
    for (let i = 0; i < 1_023; i++) stamps.take(30 + i);
    expect([first, second].map((stamp) => stamps.sentAt_ms(stamp))).toEqual([null, 20]);
    // Another process on the same node knows nothing of them.
    const later = new Stamps(new SimRandom(2));
    later.take(5);
    expect(later.sentAt_ms(second)).toBeNull();
  });
});

describe('where all is well', () => {
  it('nobody is older than two heartbeats and a bit, whether there is something to do or not', async () => {
    const world = await World.ready('well');
    await world.put(['k=0']);
    await world.agreed();
    await world.scheduler.runFor(4 * HEARTBEAT_MS);
    const worst = new Map<string, number>();
    const watch = async (duration_ms: number): Promise<void> => {
      const end_ms = world.scheduler.now_ms + duration_ms;
      await world.scheduler.runWhile(() => {
        for (const { id, replica } of world.nodes) worst.set(id, Math.max(worst.get(id) ?? 0, replica.staleness_ms()));
        return true;
      }, end_ms);
    };
    await watch(2_000);
    for (let i = 0; i < 200; i++) {
      world.leader!.propose(`k=${i}`);
      await watch(5);
    }
    for (const age_ms of worst.values()) expect(age_ms).toBeLessThanOrEqual(2.2 * HEARTBEAT_MS);
    await world.end();
  });

  it.each([
    ['leader', 'forward', 0, 3_600_000],
    ['leader', 'back', 0, -3_600_000],
    ['follower', 'forward', 2, 3_600_000],
    ['follower', 'back', 2, -3_600_000],
  ])(
    'a wall clock of a %s that is set %s makes nobody seem old for more than four heartbeats',
    async (_, how, place, by_ms) => {
      const world = await World.ready(`set ${how} ${place}`);
      const set = world.nodes[place]!;
      const others = world.nodes.filter((node) => node !== set);
      await world.put(['k=1']);
      for (let i = 0; i < 20; i++) {
        await world.scheduler.runFor(20 * HEARTBEAT_MS + 7);
        const at_ms = world.scheduler.now_ms;
        set.life!.clock.jumpWall(by_ms);
        expect(set.replica.staleness_ms()).toBeGreaterThan(1_000_000);
        await world.scheduler.runWhile(
          () => {
            for (const { replica } of others) expect(replica.staleness_ms()).toBeLessThanOrEqual(4.2 * HEARTBEAT_MS);
            return true;
          },
          at_ms + 3 * HEARTBEAT_MS,
        );
        for (const { replica } of world.nodes) expect(replica.staleness_ms()).toBeLessThanOrEqual(4.2 * HEARTBEAT_MS);
      }
      expect(world.leader).toBe(world.nodes[0]);
      await world.end();
    },
  );

  it('a leader that does not tell what it has committed, of a version before this one, is still believed', async () => {
    const world = await World.ready('version before');
    const [n1, n2] = world.nodes as [WorldNode, WorldNode];
    tapMessages(n1, (message) => (message.type === MessageType.Heartbeat ? { ...message, index: index(0) } : message));
    await world.put(['k=1']);
    await world.agreed();
    await world.scheduler.runFor(2_000);
    for (let i = 0; i < 100; i++) {
      await world.scheduler.runFor(7);
      expect(n2.replica.staleness_ms()).toBeLessThanOrEqual(2 * HEARTBEAT_MS);
    }
    expect(n1.replica.leads).toBe(true);
    await world.end();
  });

  it('a new leader vouches for its followers from its first heartbeat on', async () => {
    for (let i = 0; i < 5; i++) {
      const world = await World.ready(`first heartbeat ${i}`);
      const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
      await world.put(['k=1']);
      const bounds: number[] = [];
      for (const node of [n2, n3]) {
        tapMessages(node, (message) => {
          if (message.type === MessageType.Heartbeat) bounds.push(message.index);
          return message;
        });
      }
      n1.crash();
      await world.until(() => n2.replica.leads || n3.replica.leads);
      // A read asks at once for a quorum's answer, by heartbeats.
      const read = world.leader!.read((chain) => chain.register('k'));
      await world.until(() => read.value === '1');
      expect(bounds.length).toBeGreaterThan(0);
      for (const bound of bounds) expect(bound).toBeLessThan(1_000);
      await world.end();
    }
  });

  it('a leader that is cut off grows old from the last answers of a quorum on', async () => {
    const world = await World.ready('cut off');
    const n1 = world.nodes[0]!;
    await world.put(['k=1']);
    await world.scheduler.runFor(1_000);
    world.network.split(['n1'], ['n2', 'n3']);
    await world.scheduler.runFor(300);
    expect(n1.replica.role).toBe('leader');
    expect(n1.replica.staleness_ms()).toBeGreaterThanOrEqual(300);
    expect(n1.replica.leaderAge_ms()).toBeGreaterThanOrEqual(300);
    await world.end();
  });
});

describe('a replica that nobody asks how old it is', () => {
  it('knows it all the same when those who lead it are gone, be it led or a leader that has followed since', async () => {
    const world = await World.ready('unasked');
    const [n1, n2, n3] = world.nodes as [WorldNode, WorldNode, WorldNode];
    const writeFor = async (heartbeats: number): Promise<void> => {
      for (let i = 0; i < heartbeats; i++) {
        world.leader?.propose(`k=${i}`);
        await world.scheduler.runFor(HEARTBEAT_MS);
      }
    };
    await writeFor(1_100);
    expect(n1.replica.leads).toBe(true);
    n1.replica.transferLeader('n2');
    await world.until(() => n2.replica.leads);
    await writeFor(1_100);
    n2.crash();
    for (const { replica } of [n1, n3]) expect(replica.staleness_ms()).toBeLessThanOrEqual(2 * HEARTBEAT_MS);
    await world.end();
  });
});

describe('what is known of the age of a state', () => {
  it('counts from the last word whose index is applied', () => {
    const freshness = new Freshness();
    expect(freshness.asOf_ms(100)).toBe(Number.NEGATIVE_INFINITY);
    freshness.note(5, 10, 0);
    freshness.note(7, 20, 0);
    freshness.note(9, 30, 0);
    expect([4, 5, 6, 8, 9].map((applied) => freshness.asOf_ms(applied))).toEqual([
      Number.NEGATIVE_INFINITY,
      10,
      10,
      20,
      30,
    ]);
    expect(freshness.asOf_ms(9)).toBe(30);
  });

  it('does not wait for what an earlier leader never got committed', () => {
    const freshness = new Freshness();
    freshness.note(12, 10, 0);
    freshness.note(8, 20, 0);
    expect(freshness.asOf_ms(8)).toBe(20);
  });

  it('keeps up with a state that keeps up, also where nobody asks', () => {
    const freshness = new Freshness();
    for (let i = 1; i <= 2_000; i++) freshness.note(i, i, i - 1);
    expect(freshness.asOf_ms(2_000)).toBe(2_000);
    // What the last leader wanted never comes, but what the next one wants is there.
    for (let i = 2_001; i <= 4_000; i++) freshness.note(i + 10, i, 2_000);
    freshness.note(2_000, 4_001, 2_000);
    expect(freshness.asOf_ms(2_000)).toBe(4_001);
  });

  it('F42 needs no more room for a state that never comes', () => {
    const freshness = new Freshness();
    for (let i = 1; i <= 100_000; i++) freshness.note(i, i, 0);
    // The first words are kept: the state has to come past them.
    expect(freshness.asOf_ms(1_000)).toBe(1_000);
    expect(freshness.asOf_ms(100_000)).toBe(1_024);
    freshness.note(100_001, 100_001, 100_000);
    expect(freshness.asOf_ms(100_001)).toBe(100_001);
  });
});

describe('the pulse of a node', () => {
  const setUp = () => {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler);
    const pulse = new Pulse(clock, 100);
    const tick = async (after_ms: number): Promise<number> => {
      await scheduler.runFor(after_ms);
      pulse.tick();
      return pulse.asOf_ms();
    };
    return { clock, pulse, tick };
  };

  it('dates what arrives after a late tick back to the tick before, until a heartbeat`s time has passed', async () => {
    const { tick } = setUp();
    const seen: number[] = [];
    for (const after_ms of [50, 50, 5_000, 50, 50, 50]) seen.push(await tick(after_ms));
    expect(seen).toEqual([50, 100, 100, 100, 5_200, 5_250]);
  });

  it('has a clock that goes on while the machine sleeps, and never goes back', async () => {
    const { clock, pulse, tick } = setUp();
    await tick(50);
    for (const [by_ms, now_ms] of [
      [600_000, 600_050],
      [900, 600_050],
      [-5_000, 605_050],
    ] as const) {
      clock.jumpWall(by_ms);
      expect(pulse.now_ms()).toBe(now_ms);
      expect(pulse.asOf_ms()).toBe(50);
    }
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) seen.push(await tick(50));
    expect(seen).toEqual([50, 50, 605_200, 605_250]);
  });

  it('does not stand still where every tick is late', async () => {
    const { tick } = setUp();
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) seen.push(await tick(150));
    expect(seen).toEqual([0, 0, 150, 300, 450]);
  });

  it('knows of earlier ticks, and nothing of those before it began', async () => {
    const { pulse, tick } = setUp();
    await tick(50);
    await tick(50);
    expect([0, 1, 2, 3].map((ago) => pulse.asOf_ms(ago))).toEqual([100, 50, 0, Number.NEGATIVE_INFINITY]);
    expect(pulse.asOf_ms(Number.POSITIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
  });
});
