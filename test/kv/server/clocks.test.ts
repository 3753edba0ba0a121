import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterClock } from '../../../src/kv/server/cluster-clock.js';
import { StampClock } from '../../../src/kv/server/stamp-clock.js';
import { encodeCommand } from '../../../src/kv/store/index.js';
import { SIM_EPOCH_ms, SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { put, SimCluster } from './sim-cluster.js';

const HOUR_MS = 3_600_000;

function world(options: { readonly peers: number; readonly wrongBy_ms?: number }) {
  const scheduler = new SimScheduler();
  const clock = new SimClock(scheduler);
  clock.jumpWall(options.wrongBy_ms ?? 0);
  const cluster = new ClusterClock(clock, () => options.peers);
  const error_ms = (): number => cluster.now_ms() - (SIM_EPOCH_ms + scheduler.now_ms);
  return { scheduler, clock, cluster, error_ms, right_ms: () => SIM_EPOCH_ms + scheduler.now_ms };
}

/** What decision 8 says, word for word. */
function byTheBook(own: number, others: readonly number[]): number {
  const sorted = [own, ...others].sort((a, b) => a - b);
  const median = sorted[(sorted.length - 1) >> 1]!;
  return Math.min(Math.max(own, median - 500), median + 500);
}

describe('the time of the cluster', () => {
  it.each([
    ['an hour ahead', HOUR_MS, 500],
    ['an hour behind', -HOUR_MS, -500],
    ['a little wrong', 200, 200],
  ])('a node whose clock is %s stays within 500 ms of the other two (F13)', (_, wrongBy_ms, expected_ms) => {
    const { cluster, error_ms, right_ms } = world({ peers: 2, wrongBy_ms });
    cluster.heard('n2', right_ms(), 0);
    cluster.heard('n3', right_ms(), 0);
    expect(error_ms()).toBe(expected_ms);
  });

  it.each([HOUR_MS, -HOUR_MS])('one wrong clock of three (%i ms) does not move the other two', (wrongBy_ms) => {
    const { cluster, error_ms, right_ms } = world({ peers: 2 });
    cluster.heard('n2', right_ms() + wrongBy_ms, 0);
    cluster.heard('n3', right_ms() + 3, 0);
    expect(Math.abs(error_ms())).toBeLessThanOrEqual(3);
  });

  it('is the wall clock kept within 500 ms of the lower median, whatever the nodes say', () => {
    const offset = fc.integer({ min: -2_000, max: 2_000 });
    fc.assert(
      fc.property(offset, fc.array(offset, { maxLength: 6 }), (own, others) => {
        const { cluster, error_ms, right_ms } = world({ peers: 6, wrongBy_ms: own });
        others.forEach((other, i) => {
          cluster.heard(`n${i}`, right_ms() + other, 0);
        });
        expect(error_ms()).toBe(byTheBook(own, others));
      }),
      { seed: 8, numRuns: 500 },
    );
  });

  it('takes an answer for the time in the middle of its round trip, and one that took long for none', async () => {
    const { scheduler, cluster, error_ms, right_ms } = world({ peers: 2, wrongBy_ms: -2_000 });
    for (const [node, roundTrip_ms] of [
      ['n2', 80],
      ['n3', 120],
    ] as const) {
      const read_ms = right_ms() + roundTrip_ms / 2;
      await scheduler.runFor(roundTrip_ms);
      cluster.heard(node, read_ms, roundTrip_ms);
    }
    expect([cluster.agreed, error_ms()]).toEqual([true, -500]);
    for (const node of ['n2', 'n3']) cluster.heard(node, right_ms() - 5_000, 5_000);
    expect(error_ms()).toBe(-500);
  });

  it('forgets what a node said half a minute ago', async () => {
    const { scheduler, cluster, error_ms, right_ms } = world({ peers: 2, wrongBy_ms: HOUR_MS });
    cluster.heard('n2', right_ms(), 0);
    cluster.heard('n3', right_ms(), 0);
    expect([cluster.agreed, error_ms()]).toEqual([true, 500]);
    await scheduler.runFor(30_000);
    expect([cluster.agreed, error_ms()]).toEqual([false, HOUR_MS]);
  });
});

describe('after a sleep of the machine, in which its monotonic clock stood still', () => {
  const MINUTES_MS = 15 * 60_000;
  const awake = async () => {
    const all = world({ peers: 2 });
    all.cluster.heard('n2', all.right_ms(), 0);
    all.cluster.heard('n3', all.right_ms(), 0);
    await all.scheduler.runFor(700);
    return all;
  };

  it('the time is not known until the others have been asked anew', async () => {
    const { scheduler, clock, cluster } = await awake();
    const know = (): boolean[] => [cluster.agreed, cluster.agreedAmong(['n1', 'n2', 'n3']), cluster.knows('n2')];
    expect(know()).toEqual([true, true, true]);
    clock.jumpWall(MINUTES_MS);
    expect(know()).toEqual([false, false, false]);
    await scheduler.runFor(50);
    // Asked before the sleep, and on its way or not looked at for that long.
    cluster.heard('n2', clock.wall_ms() - MINUTES_MS, 60);
    expect(know()).toEqual([false, false, false]);
    cluster.heard('n2', clock.wall_ms(), 20);
    expect(know()).toEqual([true, true, true]);
    expect(Math.abs(cluster.now_ms() - clock.wall_ms())).toBeLessThanOrEqual(500);
  });

  it('also where the first thing that happens is the answer to a question of before', async () => {
    const { clock, cluster } = await awake();
    const read_ms = clock.wall_ms();
    clock.jumpWall(MINUTES_MS);
    cluster.heard('n2', read_ms, 5);
    expect([cluster.knows('n2'), cluster.agreed]).toEqual([false, false]);
  });

  it('the first of many that is asked anew rules alone: all others are behind by the sleep', async () => {
    const { scheduler, clock, cluster, right_ms } = world({ peers: 4 });
    for (const node of ['n2', 'n3', 'n4', 'n5']) cluster.heard(node, right_ms(), 0);
    await scheduler.runFor(700);
    clock.jumpWall(MINUTES_MS);
    cluster.watch();
    await scheduler.runFor(50);
    cluster.heard('n2', clock.wall_ms(), 20);
    expect(cluster.agreedAmong(['n1', 'n2', 'n3'])).toBe(true);
    expect(Math.abs(cluster.now_ms() - clock.wall_ms())).toBeLessThanOrEqual(500);
  });

  it('a wall clock that was only set does not rule meanwhile: what the others said still bounds it', async () => {
    const { clock, cluster, error_ms } = await awake();
    clock.jumpWall(HOUR_MS);
    expect([cluster.agreed, error_ms()]).toEqual([false, 500]);
  });

  it('clocks that drift apart slowly have not parted', async () => {
    const { scheduler, clock, cluster, right_ms } = await awake();
    for (let i = 0; i < 20; i++) {
      clock.jumpWall(200);
      await scheduler.runFor(1_000);
      cluster.watch();
    }
    expect([cluster.agreed, right_ms() < clock.wall_ms()]).toEqual([true, true]);
  });
});

describe('what waits until the time is known', () => {
  const plain = encodeCommand(put('k', 'v') as never, 0);
  const brief = encodeCommand(put('k', 'v', { ttl_ms: 500 }) as never, 0);
  const idempotent = encodeCommand(put('k', 'v', { token: 'once' }) as never, 0);
  const held = (stamps: StampClock, applied_ms: number): boolean[] =>
    [plain, brief, idempotent].map((write) => stamps.holds(write, applied_ms));

  it.each([
    ['a minute or less behind', 60_000, [false, true, false]],
    ['further behind', 60_001, [false, true, true]],
    ['ahead', -HOUR_MS, [false, true, false]],
  ])('where stamps are %s: writes without ttl, with one, with an idempotency key', (_, behind_ms, expected) => {
    const { cluster, clock, right_ms } = world({ peers: 2 });
    const stamps = new StampClock(cluster, () => ['n1', 'n2', 'n3']);
    expect(held(stamps, right_ms() - behind_ms)).toEqual(expected);
    cluster.heard('n2', clock.wall_ms(), 0);
    expect(held(stamps, right_ms() - behind_ms)).toEqual([false, false, false]);
  });

  it('no idempotency key waits at a new shard, nor at a leader that has led for long and now hears nobody', async () => {
    const { scheduler, cluster, clock } = world({ peers: 2 });
    const stamps = new StampClock(cluster, () => ['n1', 'n2', 'n3']);
    expect(held(stamps, 0)).toEqual([false, true, false]);
    const applied_ms = stamps.next(0);
    await scheduler.runFor(HOUR_MS);
    expect(held(stamps, applied_ms)).toEqual([false, true, false]);
    clock.jumpWall(HOUR_MS);
    expect(held(stamps, applied_ms)).toEqual([false, true, true]);
  });
});

describe('stamps', () => {
  it('never go back, and never fall below what the shard has applied', () => {
    const step = fc.record({
      wall: fc.integer({ min: -5_000, max: 5_000 }),
      applied: fc.integer({ min: -900, max: 900 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
        const { clock, cluster, right_ms } = world({ peers: 0 });
        const stamps = new StampClock(cluster, () => []);
        let last = 0;
        for (const { wall, applied } of steps) {
          clock.jumpWall(wall);
          const applied_ms = right_ms() + applied;
          const stamp = stamps.next(applied_ms);
          expect(stamp).toBeGreaterThanOrEqual(Math.max(last, applied_ms));
          last = stamp;
        }
      }),
      { seed: 8, numRuns: 200 },
    );
  });

  it('of a new leader that has heard nobody go on from the last applied one, whatever its wall clock says', async () => {
    const { scheduler, cluster, right_ms } = world({ peers: 2, wrongBy_ms: HOUR_MS });
    const stamps = new StampClock(cluster, () => []);
    const applied_ms = right_ms();
    expect(stamps.next(applied_ms)).toBe(applied_ms);
    for (let i = 0; i < 1_000; i++) {
      await scheduler.runFor(0.7);
      stamps.next(applied_ms);
    }
    expect(Math.abs(stamps.next(applied_ms) - right_ms())).toBeLessThanOrEqual(1);
    cluster.heard('n2', right_ms(), 0);
    cluster.heard('n3', right_ms(), 0);
    expect(stamps.next(applied_ms) - right_ms()).toBe(500);
  });

  it('go on at half the pace when most clocks are set back, until the time of the cluster has caught up (F13)', async () => {
    const { scheduler, clock, cluster, right_ms } = world({ peers: 2 });
    const say = (wrongBy_ms: number): void => {
      for (const id of ['n2', 'n3']) cluster.heard(id, right_ms() + wrongBy_ms, 0);
    };
    const stamps = new StampClock(cluster, () => []);
    say(0);
    const before_ms = stamps.next(0);
    clock.jumpWall(-HOUR_MS);
    say(-10_000);
    // In steps of less than a millisecond: none may be lost.
    for (let i = 0; i < 10_000; i++) {
      await scheduler.runFor(0.5);
      stamps.next(0);
    }
    expect(stamps.next(0) - before_ms).toBe(2_500);
    await scheduler.runFor(14_000);
    expect(stamps.next(0) - before_ms).toBe(9_500);
    await scheduler.runFor(5_000);
    expect(stamps.next(0)).toBe(cluster.now_ms());
  });

  it('of a shard that has none yet are the time of the cluster', () => {
    const { cluster, right_ms } = world({ peers: 2 });
    expect(new StampClock(cluster, () => []).next(0)).toBe(right_ms());
  });
});

describe('expiry with one wrong clock of three', () => {
  it.each([
    ['ahead', HOUR_MS],
    ['behind', -HOUR_MS],
  ])('an hour %s, also where its node leads: no key goes early, none stays (F13)', async (_, wrongBy_ms) => {
    const cluster = new SimCluster({ nodes: 3, shards: 3 });
    cluster.machine('n2').wallOffset_ms = wrongBy_ms;
    for (const id of cluster.machines.keys()) await cluster.start(id);
    await cluster.untilHealthy();
    const led = [1, 2, 3].find((shard) => cluster.leaderOf(shard) === 'n2');
    expect(led).toBeDefined();
    const keys = Array.from({ length: 9 }, (_unused, i) => `k${i}`);
    for (const key of keys) await cluster.put('n1', key, 'v', { ttl_ms: 10_000 });
    await cluster.scheduler.runFor(8_500);
    for (const key of keys) expect([key, await cluster.value('n3', key)]).toEqual([key, 'v']);
    await cluster.scheduler.runFor(3_000);
    for (const key of keys) expect([key, await cluster.value('n3', key)]).toEqual([key, null]);
  });

  it('a key in a quiet group is gone from the store within a second of its time', async () => {
    const cluster = await SimCluster.healthy({ nodes: 3, shards: 1 });
    await cluster.execute('n1', put('k', 'v', { ttl_ms: 5_000 }));
    await cluster.scheduler.runFor(4_900);
    expect(cluster.shard(1).totals().keys).toBe(1);
    await cluster.scheduler.runFor(1_100);
    for (const node of cluster.nodes) {
      expect((node.host.get(1)!.machine as ReturnType<SimCluster['shard']>).totals().keys).toBe(0);
    }
  });
});
