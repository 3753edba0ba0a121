/** The simulator's own world: if these lie, every seed lies. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Channel, type PeerAddress } from '../../../src/raft/index.js';
import { SimClock, SimScheduler } from './clock.js';
import { SimDisk } from './disk.js';
import { type NetworkFaults, SimNetwork, type SimTransport } from './network.js';
import { ProcessGone } from './process-gone.js';
import { SimRandom } from './random.js';

describe('SimScheduler', () => {
  it('runs events by time and, within a time, in the order they were asked for', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(20), fc.boolean())), async (plan) => {
        const scheduler = new SimScheduler();
        const ran: number[] = [];
        const timers = plan.map(([at], i) => scheduler.at(at, () => ran.push(i)));
        plan.forEach(([, cancel], i) => {
          if (cancel) timers[i]!.cancel();
        });
        await scheduler.runUntil(100);
        const want = plan
          .map(([at, cancel], i) => ({ at, cancel, i }))
          .filter((one) => !one.cancel)
          .sort((a, b) => a.at - b.at || a.i - b.i);
        expect(ran).toEqual(want.map((one) => one.i));
        expect(scheduler.now_ms).toBe(100);
      }),
      { seed: 20240917 },
    );
  });

  it('lets all promises of an event run to their end before the next event', async () => {
    const scheduler = new SimScheduler();
    const log: string[] = [];
    const work = async (name: string): Promise<void> => {
      for (let i = 0; i < 50; i++) {
        if (i % 10 === 0) await new Promise<void>((resolve) => process.nextTick(resolve));
        await null;
      }
      log.push(`${name} done`);
    };
    for (let i = 0; i < 100; i++) {
      scheduler.at(1, () => {
        log.push(`${i} starts`);
        void work(`${i}`);
      });
    }
    await scheduler.runUntil(1);
    expect(log).toEqual(Array.from({ length: 100 }, (_, i) => [`${i} starts`, `${i} done`]).flat());
  });

  it('stops at a condition exactly, and goes on from there', async () => {
    const scheduler = new SimScheduler();
    let count = 0;
    for (let i = 1; i <= 100; i++) scheduler.at(i, () => count++);
    for (const target of [1, 2, 50]) {
      expect(await scheduler.runWhile(() => count < target)).toBe(true);
      expect([count, scheduler.now_ms]).toEqual([target, target]);
    }
    expect(await scheduler.runWhile(() => count < 1000, 70)).toBe(false);
    expect([count, scheduler.now_ms]).toEqual([70, 70]);
    expect(await scheduler.runWhile(() => count < 1000)).toBe(false);
    expect(count).toBe(100);
  });

  it('rejects with what an event throws and can go on', async () => {
    const scheduler = new SimScheduler();
    let later = false;
    scheduler.at(1, () => {
      throw new Error('broken invariant');
    });
    scheduler.at(2, () => {
      later = true;
    });
    await expect(scheduler.runUntil(5)).rejects.toThrow('broken invariant');
    expect(later).toBe(false);
    await scheduler.runUntil(5);
    expect(later).toBe(true);
  });
});

describe('SimClock', () => {
  it('holds what happens to a paused process, in order, while time goes on', async () => {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler);
    const ran: string[] = [];
    clock.after(10, () => ran.push('timer 10'));
    clock.after(20, () => ran.push('timer 20'));
    const cancelled = clock.after(15, () => ran.push('cancelled'));
    clock.pause();
    scheduler.at(12, () => clock.run(() => ran.push('delivery 12')));
    await scheduler.runUntil(100);
    expect(ran).toEqual([]);
    expect(clock.monotonic_ms()).toBe(100);
    cancelled.cancel();
    clock.resume();
    clock.soon(() => ran.push('soon'));
    await scheduler.runUntil(100);
    expect(ran).toEqual(['timer 10', 'delivery 12', 'timer 20', 'soon']);
  });

  it('runs fast or slow, jumps, and never goes back on the monotonic side', async () => {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler, { wall_ms: 1000, rate: 2 });
    let fired_at = 0;
    clock.after(100, () => {
      fired_at = scheduler.now_ms;
    });
    await scheduler.runUntil(60);
    expect([fired_at, clock.monotonic_ms(), clock.wall_ms()]).toEqual([50, 120, 1120]);
    clock.setRate(0.5);
    await scheduler.runUntil(80);
    expect([clock.monotonic_ms(), clock.wall_ms()]).toEqual([130, 1130]);
    clock.jumpWall(-500);
    expect([clock.monotonic_ms(), clock.wall_ms()]).toEqual([130, 630]);
  });

  it('runs nothing of a process that has died', async () => {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler);
    let ran = 0;
    clock.after(1, () => ran++);
    clock.soon(() => ran++);
    clock.stop();
    await scheduler.runUntil(10);
    expect(ran).toBe(0);
  });
});

describe('a process that dies amid a step', () => {
  /** How far a process gets that does five things, one after the other, in no time: three in one step, two in the next. */
  async function reached(end: (scheduler: SimScheduler, clock: SimClock) => void): Promise<string> {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler);
    let done = '';
    const does = (what: string): void => {
      if (!clock.stopped) done += what;
    };
    const answer = async (): Promise<void> => {
      does('d');
      await null;
      does('e');
    };
    const hear = async (): Promise<void> => {
      does('a');
      await null;
      does('b');
      await null;
      does('c');
      clock.soon(() => void answer());
    };
    clock.after(5, () => void hear());
    end(scheduler, clock);
    await scheduler.runFor(100);
    return done;
  }

  it('gets to where no crash at a time ever finds it, and no further', async () => {
    const crashes = new Set<string>();
    for (let at_ms = 0.25; at_ms <= 10; at_ms += 0.5)
      crashes.add(await reached((scheduler, clock) => void scheduler.at(at_ms, () => clock.stop())));
    expect(crashes).toEqual(new Set(['', 'abcde']));
    const interruptions: string[] = [];
    for (const after of [0, 1])
      for (const continuations of [null, 0, 1, 2])
        interruptions.push(
          await reached((_, clock) => clock.interrupt({ after, continuations, die: () => clock.stop() })),
        );
    expect(interruptions).toEqual(['', 'a', 'ab', 'abc', 'abc', 'abcd', 'abcde', 'abcde']);
  });

  it('lives on where that is taken back', async () => {
    const spared = await reached((_, clock) => {
      clock.interrupt({ after: 0, continuations: 0, die: () => clock.stop() });
      clock.interrupt(null);
    });
    expect(spared).toBe('abcde');
  });
});

describe('a process that dies amid what it asks of its disk', () => {
  const BYTES = Buffer.from('x');

  /** Makes a file, writes two bytes to it, syncs all, makes another one. */
  function filesAfter(after: number, fromNextFile: boolean): string[] {
    const disk = new SimDisk({ random: new SimRandom(1) });
    const view = disk.view();
    const log = view.create('log');
    disk.interrupt({ after, fromNextFile, die: () => disk.kill() });
    const work = (): void => {
      log.write([BYTES, BYTES], 0);
      log.sync();
      view.create('next').write([BYTES], 0);
    };
    expect(work).toThrow(ProcessGone);
    // Whoever handles the error is dead, too.
    expect(() => log.write([BYTES], 0)).toThrow(ProcessGone);
    expect(() => view.remove('log')).toThrow(ProcessGone);
    return disk.list().map((name) => `${name} ${disk.contents(name).length}`);
  }

  it('leaves what it had done by then, be it amid one write of several pieces', () => {
    expect([0, 1, 2, 3, 4].map((after) => filesAfter(after, false))).toEqual([
      ['log 0'],
      ['log 1'],
      ['log 2'],
      ['log 2'],
      ['log 2', 'next 0'],
    ]);
  });

  it('can be made to wait for a file that comes or goes', () => {
    expect([0, 1].map((after) => filesAfter(after, true))).toEqual([['log 2'], ['log 2', 'next 0']]);
  });
});

describe('SimRandom', () => {
  it('gives the same for the same seed, and streams that do not disturb each other', () => {
    const draw = (random: SimRandom): number[] => Array.from({ length: 5 }, () => random.next());
    expect(draw(new SimRandom(1))).toEqual(draw(new SimRandom(1)));
    expect(draw(new SimRandom(1))).not.toEqual(draw(new SimRandom(2)));
    const used = new SimRandom(1);
    draw(used);
    expect(draw(used.fork('disk'))).toEqual(draw(new SimRandom(1).fork('disk')));
    expect(draw(used.fork('disk'))).not.toEqual(draw(used.fork('net')));
  });

  it('is uniform enough over its range', () => {
    const random = new SimRandom('uniform');
    const buckets = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) buckets[Math.floor(random.next() * 16)]!++;
    for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(150);
    const ints = new Set(Array.from({ length: 200 }, () => random.int(3, 5)));
    expect([...ints].sort()).toEqual([3, 4, 5]);
    expect(random.shuffle([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
  });
});

/** Three connected nodes and a log of all they see. */
class Trio {
  readonly scheduler = new SimScheduler();
  readonly network: SimNetwork;
  readonly clocks = new Map<string, SimClock>();
  readonly nodes = new Map<string, SimTransport>();
  readonly log: string[] = [];
  readonly names = ['n1', 'n2', 'n3'];

  constructor(seed: number) {
    this.network = new SimNetwork(this.scheduler, new SimRandom(seed));
    for (const name of this.names) this.open(name);
  }

  open(self: string): void {
    const clock = new SimClock(this.scheduler);
    const incarnation = `${self}-i`;
    const node = this.network.open({ self, address: self, incarnation, clusterId: () => 'c', clock });
    for (const channel of Object.values(Channel)) {
      node.onFrame(channel, (from, frame) => this.log.push(`${from}>${self}/${channel}/${frame.toString()}`));
    }
    node.onPeer((peer, event) => this.log.push(`${self}: ${peer} ${event.kind}`));
    node.setPeers(new Map(this.names.map((n): [string, PeerAddress] => [n, { address: n, incarnation: `${n}-i` }])));
    this.clocks.set(self, clock);
    this.nodes.set(self, node);
  }

  static async up(seed: number, faults: Partial<NetworkFaults> = {}): Promise<Trio> {
    const trio = new Trio(seed);
    await trio.scheduler.runFor(2000);
    expect(trio.log.filter((line) => line.endsWith('up')).length).toBe(6);
    trio.log.length = 0;
    trio.network.setFaults(faults);
    return trio;
  }

  send(from: string, to: string, text: string, channel: Channel = Channel.Raft): boolean {
    return this.nodes.get(from)!.send(to, channel, Buffer.from(text));
  }

  /** Sends one frame each way between all and says which arrived. */
  async reach(): Promise<string[]> {
    this.log.length = 0;
    for (const a of this.names) for (const b of this.names) if (a !== b) this.send(a, b, 'x');
    await this.scheduler.runFor(100);
    return this.log
      .filter((line) => line.includes('/'))
      .map((line) => line.split('/')[0]!)
      .sort();
  }
}

describe('SimNetwork', () => {
  it('replays exactly under the same seed, and differs under another', async () => {
    const run = async (seed: number): Promise<string[]> => {
      const trio = await Trio.up(seed, { loss: 0.1, duplicate: 0.1, reorder: 0.2, reset: 0.01, delayMax_ms: 20 });
      for (let i = 0; i < 300; i++) {
        trio.send(trio.names[i % 3]!, trio.names[(i + 1) % 3]!, `${i}`, (i % 3) as Channel);
        await trio.scheduler.runFor(5);
      }
      await trio.scheduler.runFor(10_000);
      return trio.log;
    };
    const first = await run(1);
    expect(first.length).toBeGreaterThan(200);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  it('F45 loses, repeats and reorders Raft frames by seconds, but keeps the order of the others', async () => {
    const trio = await Trio.up(3, { loss: 0.2, duplicate: 0.2, reorder: 0.2, reorder_ms: 5000 });
    for (let i = 0; i < 300; i++) {
      trio.send('n1', 'n2', `${i}`, Channel.Raft);
      trio.send('n1', 'n2', `${i}`, Channel.Rpc);
      await trio.scheduler.runFor(10);
    }
    await trio.scheduler.runFor(10_000);
    const of = (channel: Channel): number[] =>
      trio.log.filter((line) => line.split('/')[1] === `${channel}`).map((line) => Number(line.split('/')[2]));
    const raft = of(Channel.Raft);
    const rpc = of(Channel.Rpc);
    const sorted = (list: number[]): number[] => [...list].sort((a, b) => a - b);
    expect(raft).not.toEqual(sorted(raft));
    expect(new Set(raft).size).toBeLessThan(raft.length);
    expect(new Set(raft).size).toBeLessThan(300);
    expect(rpc).toEqual(sorted(rpc));
    expect(new Set(rpc).size).toBe(rpc.length);
    expect(rpc.length).toBeLessThan(300);
  });

  it('blocks one way, both ways, and around a bridge, until healed', async () => {
    const trio = await Trio.up(4);
    const all = ['n1>n2', 'n1>n3', 'n2>n1', 'n2>n3', 'n3>n1', 'n3>n2'];
    expect(await trio.reach()).toEqual(all);
    trio.network.partition('n1', 'n2', true);
    expect(await trio.reach()).toEqual(all.filter((way) => way !== 'n1>n2'));
    trio.network.heal();
    await trio.scheduler.runFor(100);
    trio.network.bridge('n2', ['n1', 'n2'], ['n2', 'n3']);
    expect(await trio.reach()).toEqual(['n1>n2', 'n2>n1', 'n2>n3', 'n3>n2']);
    trio.network.heal();
    await trio.scheduler.runFor(100);
    expect(await trio.reach()).toEqual(all);
  });

  it('delivers late and in order what a short partition held back', async () => {
    const trio = await Trio.up(5);
    trio.network.partition('n1', 'n2');
    for (let i = 0; i < 20; i++) trio.send('n1', 'n2', `${i}`);
    await trio.scheduler.runFor(3000);
    expect(trio.log).toEqual([]);
    trio.network.heal();
    for (let i = 20; i < 40; i++) trio.send('n1', 'n2', `${i}`);
    await trio.scheduler.runFor(100);
    expect(trio.log).toEqual(Array.from({ length: 40 }, (_, i) => `n1>n2/0/${i}`));
  });

  it('gives a connection behind a long partition up, and is back after it', async () => {
    const trio = await Trio.up(6);
    trio.network.partition('n1', 'n2');
    expect(trio.send('n1', 'n2', 'x')).toBe(true);
    await trio.scheduler.runFor(11_000);
    expect(trio.log).toEqual(['n1: n2 lost']);
    expect(trio.send('n1', 'n2', 'y')).toBe(false);
    trio.network.heal();
    await trio.scheduler.runFor(5000);
    expect(trio.log).toContain('n1: n2 up');
    expect(trio.send('n1', 'n2', 'z')).toBe(true);
  });

  it('lets nodes discover each other as it lets them dial: late, not through a partition, and the same each time', async () => {
    const run = async (seed: number): Promise<string[]> => {
      const trio = await Trio.up(seed, { delayMin_ms: 10, delayMax_ms: 100 });
      const heard: string[] = [];
      const ask = async (to: string): Promise<void> => {
        const from_ms = trio.scheduler.now_ms;
        const found = trio.nodes.get('n1')!.discover(to);
        void found.then((who) => heard.push(`${who?.node ?? 'nobody'} ${trio.scheduler.now_ms - from_ms}`));
        await trio.scheduler.runFor(4_000);
      };
      await ask('n2');
      await ask('never opened');
      // Neither the question nor the answer gets through.
      for (const [a, b] of [
        ['n1', 'n2'],
        ['n2', 'n1'],
      ] as const) {
        trio.network.partition(a, b, true);
        await ask('n2');
        trio.network.heal();
      }
      trio.network.crash('n2', 'host');
      await ask('n2');
      return heard;
    };
    const heard = await run(10);
    expect(heard.map((line) => line.split(' ')[0])).toEqual(['n2', 'nobody', 'nobody', 'nobody', 'nobody']);
    expect(Number(heard[0]!.split(' ')[1])).toBeGreaterThan(10);
    expect(heard.slice(2)).toEqual(['nobody 3000', 'nobody 3000', 'nobody 3000']);
    expect(await run(10)).toEqual(heard);
    expect(await run(11)).not.toEqual(heard);
  });

  it('tells a process that has died nothing of what it asked', async () => {
    const trio = await Trio.up(11);
    let heard = 0;
    void trio.nodes
      .get('n1')!
      .discover('n2')
      .then(() => heard++);
    trio.network.crash('n1');
    await trio.scheduler.runFor(5_000);
    expect(heard).toBe(0);
  });

  it('breaks one connection with all that is on its way, and lets it come back when it may', async () => {
    const trio = await Trio.up(9);
    trio.send('n1', 'n2', 'lost');
    trio.send('n2', 'n1', 'other way');
    trio.network.sever('n1', 'n2', 500);
    expect(trio.log).toEqual(['n1: n2 lost']);
    expect(trio.send('n1', 'n2', 'no way')).toBe(false);
    await trio.scheduler.runFor(490);
    expect(trio.log).toEqual(['n1: n2 lost', 'n2>n1/0/other way']);
    await trio.scheduler.runFor(100);
    expect(trio.log.at(-1)).toBe('n1: n2 up');
    expect(await trio.reach()).toContain('n1>n2');
  });

  it('says `lost` and `gone` within milliseconds of a crash, and `up` after the restart', async () => {
    const trio = await Trio.up(7);
    trio.network.crash('n2');
    await trio.scheduler.runFor(10);
    expect(trio.log.sort()).toEqual(['n1: n2 gone', 'n1: n2 lost', 'n3: n2 gone', 'n3: n2 lost']);
    trio.log.length = 0;
    trio.open('n2');
    await trio.scheduler.runFor(2000);
    expect(trio.log.sort()).toEqual(['n1: n2 up', 'n2: n1 up', 'n2: n3 up', 'n3: n2 up']);
  });

  it('says nothing of a host that dies until its silence is noticed', async () => {
    const trio = await Trio.up(8);
    trio.network.crash('n2', 'host');
    for (let i = 0; i < 50; i++) {
      trio.send('n1', 'n2', 'heartbeat');
      await trio.scheduler.runFor(100);
    }
    expect(trio.log).toEqual([]);
    await trio.scheduler.runFor(20_000);
    expect(trio.log).toEqual(['n1: n2 lost']);
    trio.network.restart('n2');
    await trio.scheduler.runFor(5000);
    expect(trio.log.sort()).toEqual(['n1: n2 gone', 'n1: n2 lost']);
  });

  it('breaks one connection where it is told to, and has it back at once', async () => {
    const trio = await Trio.up(12);
    await trio.scheduler.runFor(2_000);
    trio.network.hangUp('n1', 'n2');
    await trio.scheduler.runFor(100);
    expect(trio.log).toEqual(['n1: n2 lost', 'n1: n2 up']);
  });

  it('delivers what became of frames that tear, and others as they are', async () => {
    const tear = (frame: Uint8Array): Uint8Array | null => (frame.length > 1 ? frame.subarray(1) : null);
    const trio = await Trio.up(13, { torn: 1, tear });
    for (const [text, channel] of [
      ['whole', Channel.Raft],
      ['torn', Channel.Rpc],
      ['1', Channel.Rpc],
    ] as const) {
      trio.send('n1', 'n2', text, channel);
      await trio.scheduler.runFor(100);
    }
    expect(trio.log.map((line) => line.split('/')[2])).toEqual(['whole', 'orn', '1']);
  });

  it('holds what is sent to a paused process until it resumes', async () => {
    const trio = await Trio.up(9);
    trio.clocks.get('n2')!.pause();
    trio.send('n1', 'n2', 'a');
    await trio.scheduler.runFor(3000);
    trio.send('n1', 'n2', 'b');
    await trio.scheduler.runFor(3000);
    expect(trio.log).toEqual([]);
    trio.clocks.get('n2')!.resume();
    await trio.scheduler.runFor(100);
    expect(trio.log).toEqual(['n1>n2/0/a', 'n1>n2/0/b']);
  });

  it('delivers nothing to a process that came back from frames for the one before', async () => {
    const trio = await Trio.up(10, { delayMin_ms: 50, delayMax_ms: 60 });
    trio.send('n1', 'n2', 'for the old one');
    trio.network.crash('n2');
    trio.open('n2');
    await trio.scheduler.runFor(3000);
    expect(trio.log.filter((line) => line.includes('/'))).toEqual([]);
  });
});
