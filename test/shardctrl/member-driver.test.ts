import { describe, expect, it } from 'vitest';
import { type DriverSettings, nextMemberStep } from '../../src/shardctrl/index.js';
import type { Fate } from './driver-world.js';
import { LEADER_ENDS } from './leader-ends.js';
import { type MemberCall, MemberWorld } from './member-world.js';

const SETTINGS: Partial<DriverSettings> = {
  repairEvery_ms: 200,
  memberPoll_ms: 100,
  call_timeout_ms: 400,
  newcomerPatience_ms: 1_000,
  spreadEvery_ms: 1_000,
  backOffLast_ms: 400,
  newcomerBackOff_ms: 5_000,
  catchUpPatience_ms: 4_000,
};
const LIMIT_MS = 1_000;
/** What is sent late has arrived by then. */
const LATE_MS = 6_000;

const replace = (group: number, out: string, into: string) =>
  ({ kind: 'change_members', group, add: [into], remove: [out], cause: 'asked for by an operator' }) as const;

/** How often a replica was to be made on the node. */
const triesOn = (world: MemberWorld, node: string): number =>
  world.story.filter((what) => what.includes('"kind":"change_members"') && what.includes(`"add":["${node}"]`)).length;

const isNamed = (world: MemberWorld, node: string): boolean =>
  [...world.groups.keys()].some((group) => world.nodesOf(group).includes(node));

const hasLeft = (world: MemberWorld, node: string): boolean => world.controller.map.gone.includes(node);

/** A node stays away, and its replicas may be rebuilt. */
function lose(world: MemberWorld, node: string): void {
  world.apply({ kind: 'change_settings', rebuildAfter_ms: LIMIT_MS });
  world.goDown(node);
}

/** Once something is rebuilt. */
function onRebuild(world: MemberWorld, act: () => void): void {
  let done = false;
  world.controller.machine.onChange(() => {
    if (done || !world.controller.machine.changes().some(({ rebuild }) => rebuild === true)) return;
    done = true;
    world.scheduler.after(60, act);
  });
}

async function untilSettled(world: MemberWorld): Promise<void> {
  // Nothing is due by itself any more either.
  for (let quiet_ms = 0; quiet_ms < 1_000; quiet_ms += 100) {
    await world.scheduler.runFor(100);
    if (world.isSettled()) continue;
    await world.until(() => world.isSettled(), 'groups do not come to rest');
    quiet_ms = 0;
  }
}

describe('the driver of members', () => {
  it('rebuilds on another node what a node held that stays away, two at a time, once that is allowed', async () => {
    const world = await MemberWorld.make(3, 4, 1, SETTINGS);
    world.elect();
    world.goDown('n3');
    await world.scheduler.runFor(20_000);
    expect(world.controller.machine.changes()).toEqual([]);
    expect(isNamed(world, 'n3')).toBe(true);
    let most = 0;
    world.controller.machine.onChange(() => {
      most = Math.max(most, world.controller.machine.changes().length);
    });
    world.apply({ kind: 'change_settings', rebuildAfter_ms: LIMIT_MS });
    await world.until(() => !isNamed(world, 'n3') && world.isSettled(), 'n3 is not replaced');
    expect(most).toBe(2);
    for (const group of world.groups.keys()) expect(world.nodesOf(group)).toEqual(['n1', 'n2', 'n4']);
    world.comeBack('n3');
    await untilSettled(world);
    // Its own are gone, and it gets others: twelve replicas on four nodes.
    world.expectTidy();
    expect([1, 2, 3, 4].filter((group) => world.nodesOf(group).includes('n3')).length).toBe(3);
  });

  it('does not rebuild what comes back in time, nor where it is forbidden again', async () => {
    const world = await MemberWorld.make(3, 2, 1, SETTINGS);
    world.elect();
    world.apply({ kind: 'change_settings', rebuildAfter_ms: 60_000 });
    await untilSettled(world);
    const all = (): string[][] => [...world.groups.keys()].map((group) => world.nodesOf(group));
    const [before, node] = [all(), world.nodesOf(1)[2]!];
    for (let i = 0; i < 3; i++) {
      world.goDown(node);
      await world.scheduler.runFor(50_000);
      world.comeBack(node);
      await world.scheduler.runFor(5_000);
    }
    world.goDown(node);
    await world.scheduler.runFor(59_000);
    world.apply({ kind: 'change_settings', rebuildAfter_ms: null });
    await world.scheduler.runFor(60_000);
    expect(all()).toEqual(before);
  });

  it('takes another node where the one that was to replace the lost one goes, too', async () => {
    const world = await MemberWorld.make(3, 1, 3, SETTINGS);
    world.elect();
    // With six nodes the controller has five members.
    await untilSettled(world);
    const [lost] = world.nodesOf(1) as [string];
    const spare = ['n4', 'n5', 'n6'].filter((node) => !world.nodesOf(1).includes(node));
    lose(world, lost);
    await world.until(
      () => world.controller.machine.changes().some(({ group }) => group === 1),
      's1 is not being rebuilt',
    );
    const [change] = world.controller.machine.changes().filter(({ group }) => group === 1);
    const first = change!.target.find(({ node }) => spare.includes(node))!.node;
    world.goDown(first);
    await world.until(() => !world.nodesOf(1).includes(lost) && world.isSettled(), 's1 is not rebuilt elsewhere');
    expect(world.nodesOf(1)).not.toContain(first);
    world.comeBack(first);
    await untilSettled(world);
    expect(world.holds(first, 1)).toBe(world.nodesOf(1).includes(first));
  });

  it('goes elsewhere where a node answers and makes no replica that works, and tries that one again after a while', async () => {
    const world = await MemberWorld.make(3, 1, 2, { ...SETTINGS, newcomerBackOff_ms: 60_000 });
    // It carries the least, and always will.
    world.broken.add('n4');
    world.elect();
    lose(world, 'n3');
    await world.until(() => !isNamed(world, 'n3') && world.isSettled(), 'n3 is not replaced', 30_000);
    expect(world.nodesOf(1)).toEqual(['n1', 'n2', 'n5']);
    await world.scheduler.runFor(20_000);
    // Once for the controller, and once for the shard where both were under way at a time.
    expect(triesOn(world, 'n4')).toBeLessThanOrEqual(2);
    world.broken.clear();
    await world.until(() => world.nodesOf(0).includes('n4') && world.isSettled(), 'n4 is not tried again');
    expect(world.holds('n4', 0)).toBe(true);
  });

  it('empties a drained node although the node that has room makes no replica that works', async () => {
    const world = await MemberWorld.make(3, 2, 2, SETTINGS);
    world.broken.add('n4');
    world.elect();
    world.apply({ kind: 'drain_node', node: 'n3' });
    await world.until(() => hasLeft(world, 'n3'), 'n3 is not drained', 30_000);
    for (const group of [1, 2]) expect(world.nodesOf(group)).toEqual(['n1', 'n2', 'n5']);
  });

  it('lets go of who has left only when the group has settled, however long that takes (F18)', async () => {
    const world = await MemberWorld.make(3, 1, 1, SETTINGS);
    world.elect();
    await untilSettled(world);
    const [gone] = world.nodesOf(1) as [string];
    world.settled = (group) => group !== 1;
    world.apply({ kind: 'drain_node', node: gone });
    await world.until(() => !world.groups.get(1)!.conf.voters.some(({ node }) => node === gone), `${gone} stays`);
    await world.scheduler.runFor(120_000);
    expect(isNamed(world, gone)).toBe(true);
    world.settled = () => true;
    await world.until(() => !isNamed(world, gone), `${gone} is never let go`);
    await untilSettled(world);
  });

  it('does not spread replicas again and again to a node that makes none that work', async () => {
    const world = await MemberWorld.make(3, 4, 1, { ...SETTINGS, newcomerBackOff_ms: 60_000 });
    world.broken.add('n4');
    world.elect();
    await world.scheduler.runFor(50_000);
    expect(triesOn(world, 'n4')).toBe(1);
    world.broken.clear();
    await world.until(
      () => [1, 2, 3, 4].filter((id) => world.nodesOf(id).includes('n4')).length === 3,
      'n4 has no share',
    );
    await untilSettled(world);
    world.expectTidy();
  });

  const FULL = { match: 100, behind: 0, frames: 0 };
  const isGivenUp = (world: MemberWorld): boolean => world.story.some((what) => what.includes('is given up'));

  it.each([
    ['gets nothing', () => ({ match: 0, behind: 100, frames: 0 })],
    [
      'gets the beginnings of snapshots only',
      (age_ms: number) => ({ match: 0, behind: 100, frames: Math.floor((age_ms % 700) / 50) }),
    ],
  ])('goes elsewhere where a newcomer is there and %s', async (_, progress) => {
    const world = await MemberWorld.make(3, 2, 2, { ...SETTINGS, newcomerBackOff_ms: 60_000 });
    world.filled = (node, age_ms) => (node === 'n4' ? progress(age_ms) : FULL);
    world.elect();
    world.apply({ kind: 'drain_node', node: 'n3' });
    await world.until(() => hasLeft(world, 'n3'), 'n3 is not drained', 40_000);
    expect(isGivenUp(world)).toBe(true);
    for (const group of [1, 2]) expect(world.nodesOf(group)).toEqual(['n1', 'n2', 'n5']);
  });

  it('does not give up a snapshot that takes long, also where it has to begin again once', async () => {
    const world = await MemberWorld.make(3, 1, 1, SETTINGS);
    world.filled = (node, age_ms) => {
      if (node !== 'n4' || age_ms > 60_000) return FULL;
      return { match: 0, behind: age_ms, frames: Math.floor((age_ms % 30_000) / 1_000) };
    };
    world.elect();
    world.apply(replace(1, 'n1', 'n4'));
    await world.until(() => world.nodesOf(1).includes('n4'), 'n4 is no member', 90_000);
    expect(isGivenUp(world)).toBe(false);
  });

  it('does what else is due beside a newcomer that comes no closer, and nothing more there', async () => {
    const world = await MemberWorld.make(3, 2, 2, SETTINGS);
    world.elect();
    await untilSettled(world);
    const out = world.nodesOf(1)[0]!;
    const into = ['n5', 'n4', 'n3', 'n2'].find((node) => !world.nodesOf(1).includes(node))!;
    const before = triesOn(world, into);
    // The others write as fast as it can take it.
    world.filled = (node, age_ms) => (node === into ? { match: age_ms, behind: 100, frames: 0 } : FULL);
    expect(world.apply(replace(1, out, into)).kind).toBe('change_started');
    const drained = world.nodesOf(2).find((node) => node !== into)!;
    world.apply({ kind: 'drain_node', node: drained });
    await world.until(() => !world.nodesOf(2).includes(drained), `${drained} keeps s2`, 30_000);
    expect(world.controller.machine.changes().map(({ group }) => group)).toContain(1);
    expect(isGivenUp(world)).toBe(false);
    expect(triesOn(world, into)).toBe(before + 1);
  });

  it('leaves a group alone that has lost its majority, and rebuilds the others', async () => {
    const world = await MemberWorld.make(4, 2, 2, SETTINGS);
    world.elect();
    await untilSettled(world);
    const remove = world.nodesOf(1).slice(0, 1);
    world.apply({ kind: 'change_members', group: 1, add: [], remove, replicas: 2, cause: 'asked for' });
    await untilSettled(world);
    const pair = world.nodesOf(1) as [string, string];
    // Whoever that is: of the controller's five it is one.
    const lost = world.nodesOf(0).includes(pair[0]) ? pair[0] : pair[1];
    expect(world.nodesOf(0)).toContain(lost);
    lose(world, lost);
    await world.until(() => !world.nodesOf(0).includes(lost) && world.isSettled(), 'the controller is not rebuilt');
    await world.scheduler.runFor(30_000);
    expect(world.nodesOf(1)).toEqual(pair);
    expect(world.controller.machine.changes()).toEqual([]);
  });

  it('goes forward where the group had taken a change that was being given up', async () => {
    const world = await MemberWorld.make(3, 1, 1, SETTINGS);
    world.elect();
    world.apply(replace(1, 'n3', 'n4'));
    // What the driver sees of it is a newcomer that does not answer, and orders that get lost.
    world.hidden.add('n4');
    const taken = () => {
      const [change] = world.controller.machine.changes();
      const step = nextMemberStep({ target: change!.abandoned! }, world.membershipOf(1), new Set());
      expect(world.order(1, step)).toEqual({ kind: 'begun' });
    };
    world.fate = (call): Fate => {
      const filled = call.what === 'step change' && world.groups.get(1)!.conf.learners.length > 0;
      if (call.what === 'propose give_up_members') world.scheduler.after(5, taken);
      return filled ? { request: 'lost' } : {};
    };
    await untilSettled(world);
    expect(world.nodesOf(1)).toEqual(['n1', 'n2', 'n4']);
    world.expectTidy();
  });
});

interface Play {
  readonly name: string;
  /** Beside three nodes with two shards: nodes that are empty. */
  readonly more: number;
  readonly begin: (world: MemberWorld) => void;
  readonly fate?: (call: MemberCall, world: MemberWorld) => Fate;
  readonly over: (world: MemberWorld) => boolean;
}

const plays: readonly Play[] = [
  {
    name: 'a node is drained that leads all its groups',
    more: 1,
    begin: (world) => world.apply({ kind: 'drain_node', node: 'n1' }),
    over: (world) => hasLeft(world, 'n1'),
  },
  {
    name: 'a node stays away, and what it held is rebuilt',
    more: 1,
    begin: (world) => lose(world, 'n3'),
    over: (world) => !isNamed(world, 'n3'),
  },
  {
    name: 'a node comes back while what it held is rebuilt',
    more: 1,
    begin: (world) => {
      lose(world, 'n3');
      onRebuild(world, () => world.comeBack('n3'));
    },
    over: (world) => isNamed(world, 'n4') && world.isUp('n3'),
  },
  {
    name: 'the place of a lost replica is lost, too',
    more: 1,
    begin: (world) => {
      lose(world, 'n3');
      onRebuild(world, () => {
        world.goDown('n4');
        world.scheduler.after(2_000, () => world.comeBack('n4'));
      });
    },
    over: (world) => !isNamed(world, 'n3'),
  },
  {
    name: 'a newcomer does not come, and its change is given up',
    more: 1,
    begin: (world) => {
      world.goDown('n4');
      world.apply(replace(1, 'n1', 'n4'));
    },
    over: (world) => world.controller.machine.changes().length === 0,
  },
  {
    name: 'a newcomer is drained as soon as it is asked for',
    more: 1,
    begin: (world) => void world.apply(replace(1, 'n1', 'n4')),
    fate: (call, world) => {
      if (call.what.startsWith('step')) world.apply({ kind: 'drain_node', node: 'n4' });
      return {};
    },
    over: (world) => hasLeft(world, 'n4'),
  },
];

async function stage(play: Play): Promise<MemberWorld> {
  const world = await MemberWorld.make(3, 2, play.more, SETTINGS);
  world.fate = (call) => play.fate?.(call, world) ?? {};
  world.elect();
  play.begin(world);
  return world;
}

async function untilOver(world: MemberWorld, { name, over }: Play): Promise<void> {
  await world.until(() => world.isSettled() && over(world), `it does not end: ${name}`);
  await world.scheduler.runFor(LATE_MS);
  await untilSettled(world);
  world.expectTidy();
}

/** How the leader goes. Its successor is there 200 ms later. */
const ends: Record<string, (world: MemberWorld) => Fate> = {
  ...LEADER_ENDS,
  'makes way while the call is under way': () => ({ request: 'lost', again_ms: 700 }),
};

describe('F24 F57: the leader of the controller goes at each call of the driver of members', () => {
  for (const play of plays) {
    for (const [how, go] of Object.entries(ends)) {
      it(`${play.name}: it ${how}`, async () => {
        const rehearsal = await stage(play);
        await rehearsal.until(() => rehearsal.isSettled() && play.over(rehearsal), 'the rehearsal does not end');
        const calls = rehearsal.calls.length;
        expect(calls).toBeGreaterThan(5);
        for (let fatal = 1; fatal <= calls; fatal++) {
          const world = await stage(play);
          const { fate } = world;
          world.fate = (call) => {
            const usual = fate(call);
            if (call.number !== fatal || call.office !== world.leader) return usual;
            world.scheduler.after(200, () => world.elect());
            return go(world);
          };
          try {
            await untilOver(world, play);
          } catch (error) {
            throw new Error(`at call ${fatal}, ${world.calls[fatal - 1]}: ${String(error)}`);
          }
        }
      });
    }
  }
});

describe('F45: under all faults at once', () => {
  it.each([1, 2, 3, 4, 5, 6])('members come to rest, as the map says (seed %i)', async (seed) => {
    const world = await MemberWorld.make(3, 3, 2, SETTINGS);
    const random = world.random.fork(seed);
    let calm = false;
    world.fate = (): Fate => {
      if (calm) return {};
      return {
        request: random.chance(0.05) ? 'lost' : 'arrives',
        answer: random.chance(0.05) ? 'lost' : 'arrives',
        ...(random.chance(0.1) ? { again_ms: random.between(1, 8_000) } : {}),
      };
    };
    world.elect();
    world.apply({ kind: 'change_settings', rebuildAfter_ms: LIMIT_MS });
    for (let turn = 0; turn < 6; turn++) {
      const node = random.pick(['n1', 'n2', 'n3', 'n4', 'n5']);
      world.goDown(node);
      for (let fault = 0; fault < 4; fault++) {
        await world.scheduler.runFor(random.between(50, 1_500));
        if (random.chance(0.4)) {
          if (random.chance(0.5)) world.crash();
          else world.cutOff();
          await world.scheduler.runFor(random.between(0, 300));
          world.elect();
        }
        const group = random.int(1, 3);
        const others = ['n1', 'n2', 'n3', 'n4', 'n5'].filter((id) => !world.nodesOf(group).includes(id));
        if (random.chance(0.5)) world.apply(replace(group, random.pick(world.nodesOf(group)), random.pick(others)));
      }
      world.comeBack(node);
    }
    calm = true;
    await world.scheduler.runFor(10_000);
    await untilSettled(world);
    world.expectTidy();
  });
});
