import { describe, expect, it } from 'vitest';
import { ClusterClock } from '../../../src/kv/server/cluster-clock.js';
import { type Hello, HelloService } from '../../../src/kv/server/hello.js';
import { pack } from '../../../src/kv/server/json-rpc.js';
import type { CallResult, Handler, Rpc } from '../../../src/kv/server/rpc.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';

/** Two nodes, so far apart that a message takes `delay_ms`. */
function pair(delay_ms: number) {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  const handlers = new Map<string, Handler>();
  const stats = { asked: 0 };
  const start = (self: string, other: string): ClusterClock => {
    const rpc = {
      handle: (_method: number, handler: Handler) => handlers.set(self, handler),
      ask: (to: string, _method: number, body: Buffer): Promise<CallResult> => {
        stats.asked++;
        return new Promise((resolve) => {
          scheduler.after(delay_ms, () => {
            const handler = handlers.get(to);
            if (handler === undefined) resolve({ kind: 'lost' });
            else
              handler(self, body, (reply) =>
                scheduler.after(delay_ms, () => resolve({ kind: 'reply', body: Buffer.from(reply) })),
              );
          });
        });
      },
    } as unknown as Rpc;
    const clusterClock = new ClusterClock(clock, () => 1);
    const node = { id: self, http: '', peer: '', labels: {}, incarnation: self };
    new HelloService({
      clock,
      clusterClock,
      rpc,
      own: () => ({
        node,
        wall_ms: clock.wall_ms(),
        clusterId: null,
        epoch: 0,
        controllerLeader: null,
        controllers: [],
        joins: false,
      }),
      stranger: () => {},
      peers: () => [other],
      heard: () => {},
      failed: (error) => {
        throw error;
      },
    });
    return clusterClock;
  };
  return { scheduler, stats, start };
}

/** One that nobody answers. */
function lonely() {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  let take: Handler = () => {};
  const rpc = {
    handle: (_method: number, handler: Handler) => {
      take = handler;
    },
    ask: (): Promise<CallResult> => Promise.resolve({ kind: 'lost' }),
  } as unknown as Rpc;
  const word = (id: string): Hello => ({
    node: { id, http: '', peer: '', labels: {}, incarnation: id },
    wall_ms: clock.wall_ms(),
    clusterId: null,
    epoch: 0,
    controllerLeader: null,
    controllers: [],
    joins: false,
  });
  const hello = new HelloService({
    clock,
    clusterClock: new ClusterClock(clock, () => 1),
    rpc,
    own: () => word('n1'),
    stranger: () => {},
    peers: () => ['n2'],
    heard: () => {},
    failed: (error) => {
      throw error;
    },
  });
  return { scheduler, clock, hello, hear: () => take('n2', Buffer.from(pack(word('n2'))), () => {}) };
}

describe('how long a node has been down', () => {
  it('counts from when it is called so, and from nothing again once it is heard', async () => {
    const { scheduler, hello, hear } = lonely();
    await scheduler.runFor(500);
    hear();
    await scheduler.runFor(9_000);
    expect([hello.state('n2'), hello.downFor_ms('n2')]).toEqual(['suspect', null]);
    await scheduler.runFor(2_000);
    expect(hello.downFor_ms('n2')).toBeLessThanOrEqual(1_000);
    await scheduler.runFor(60_000);
    expect(hello.downFor_ms('n2')).toBeGreaterThan(58_000);
    expect(hello.downFor_ms('n2')).toBeLessThanOrEqual(61_000);
    hear();
    await scheduler.runFor(100);
    expect([hello.state('n2'), hello.downFor_ms('n2')]).toEqual(['healthy', null]);
    await scheduler.runFor(11_500);
    expect(hello.downFor_ms('n2')).toBeLessThan(2_000);
  });

  it.each([1_000, 15_000])('does not count while the one that watches has slept (heard %i ms before)', async (ms) => {
    const { scheduler, clock, hello, hear } = lonely();
    await scheduler.runFor(500);
    hear();
    await scheduler.runFor(ms);
    clock.pause();
    await scheduler.runFor(3_600_000);
    clock.resume();
    await scheduler.runFor(5_000);
    expect(hello.state('n2')).toBe('down');
    expect(hello.downFor_ms('n2')).toBeLessThan(13_000);
  });
});

describe('what nodes tell each other', () => {
  it('makes a node that was just started ask for the time at once, and the one that it spoke to as well', async () => {
    const { scheduler, start } = pair(5);
    const first = start('n1', 'n2');
    await scheduler.runFor(200);
    const second = start('n2', 'n1');
    await scheduler.runFor(50);
    expect([first.knows('n2'), second.knows('n1')]).toEqual([true, true]);
  });

  it('is no storm where answers take too long to count for the time', async () => {
    const { scheduler, stats, start } = pair(400);
    const clocks = [start('n1', 'n2'), start('n2', 'n1')];
    await scheduler.runFor(60_000);
    expect(clocks.map((clock) => clock.agreed)).toEqual([false, false]);
    expect(stats.asked).toBeLessThanOrEqual(3 * 60);
  });
});
