/** The watch over the balance, in simulated time, over a controller in memory and loads that the test sets. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  AUTO_PAUSE_MS,
  BalanceDriver,
  type ControllerProposed,
  eachSlot,
  isHeld,
  type Measured,
  SLOT_COUNT,
} from '../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../sim/fakes/clock.js';
import { carryOut, MemoryController, nodeOf } from './memory-controller.js';

/** Slots of s1 and of s2. */
const HOT = { 0: 40, 1: 20, 2: 10, 3: 1, 9000: 29 };
const EVEN = { 0: 50, 9000: 50 };

class World {
  readonly scheduler = new SimScheduler();
  readonly clock = new SimClock(this.scheduler);
  readonly controller: MemoryController;
  readonly driver: BalanceDriver;
  readonly events: string[] = [];
  readonly proposals: string[] = [];
  readonly away = new Set<string>();
  load: Readonly<Record<number, number>> = EVEN;
  silent: readonly number[] = [];
  leads = true;

  private constructor(controller: MemoryController) {
    this.controller = controller;
    this.driver = new BalanceDriver({
      clock: this.clock,
      loads: { measure: async () => this.#measured() },
      state: () => controller.machine,
      propose: async (command): Promise<ControllerProposed> => {
        this.proposals.push(command.kind);
        const result = controller.apply(command, this.clock.wall_ms());
        return { kind: 'applied', result, index: controller.index };
      },
      event: (_level, text) => this.events.push(text),
      healthy: (node) => !this.away.has(node),
      confirm: async () => this.leads,
      explain: () => 's1 was too hot',
    });
  }

  static async make(shards = 2): Promise<World> {
    const world = new World(await MemoryController.cluster(3, shards));
    world.driver.start();
    return world;
  }

  #measured(): Measured {
    const load = new Float64Array(SLOT_COUNT);
    for (const [slot, rate] of Object.entries(this.load)) load[Number(slot)] = rate;
    return { load, bytes: new Float64Array(SLOT_COUNT), silent: this.silent };
  }

  auto(on: boolean): void {
    this.controller.apply({ kind: 'balance_settings', auto: on });
  }

  run(seconds: number): Promise<void> {
    return this.scheduler.runFor(seconds * 1_000);
  }

  get plans(): number {
    return this.controller.machine.history().length;
  }
}

let world: World;
afterEach(() => world.driver.stop());

describe('the watch over the balance', () => {
  it('counts an overload only once it has lasted as long as the settings say', async () => {
    world = await World.make();
    await world.run(30);
    expect(world.driver.last).toMatchObject({ overloaded_ms: null, assessment: { worst: null } });
    world.load = HOT;
    await world.run(100);
    expect(isHeld(world.driver.last!)).toBe(false);
    await world.run(40);
    expect(isHeld(world.driver.last!)).toBe(true);
    world.load = EVEN;
    await world.run(10);
    world.load = HOT;
    await world.run(100);
    expect(isHeld(world.driver.last!)).toBe(false);
    world.controller.apply({ kind: 'balance_settings', hold_s: 20 });
    await world.run(10);
    expect(isHeld(world.driver.last!)).toBe(true);
  });

  it('only shows what should be done unless it is told to do it by itself', async () => {
    world = await World.make();
    world.load = HOT;
    await world.run(1_000);
    expect(world.driver.last!.assessment!.moves).toHaveLength(1);
    expect([world.plans, world.proposals]).toEqual([0, []]);
    world.auto(true);
    await world.run(10);
    expect(world.plans).toBe(1);
    expect(world.controller.latest).toMatchObject({ kind: 'balance', status: 'running', cause: 's1 was too hot' });
    expect([...eachSlot(world.controller.latest.moves[0]!.slots)]).toEqual([2, 3]);
    expect(world.events).toEqual(['shards are being balanced']);
  });

  it('balances once, and not again as long as the load stays as it is', async () => {
    world = await World.make();
    world.auto(true);
    world.load = HOT;
    await world.run(200);
    carryOut(world.controller);
    await world.run(3_600);
    expect([world.plans, world.proposals]).toEqual([1, ['balance']]);
    expect(world.driver.last).toMatchObject({ overloaded_ms: null, assessment: { worst: null } });
  });

  it('leaves ten minutes between two plans that it starts by itself, whoever started the last one', async () => {
    world = await World.make();
    world.auto(true);
    const moves = [{ from: 1, to: 2, slots: [[8000, 8000]] as const }];
    world.controller.apply({ kind: 'balance', moves, auto: false, cause: 'asked for' }, world.clock.wall_ms());
    const from_ms = world.clock.wall_ms();
    carryOut(world.controller);
    world.load = HOT;
    await world.run(AUTO_PAUSE_MS / 1_000 - 20);
    expect(isHeld(world.driver.last!)).toBe(true);
    expect(world.plans).toBe(1);
    await world.run(40);
    expect(world.plans).toBe(2);
    expect(world.controller.latest.created_ms - from_ms).toBeGreaterThanOrEqual(AUTO_PAUSE_MS);
  });

  it.each<[string, (world: World) => void, (world: World) => void]>([
    ['a node is away', (at) => at.away.add('n3'), (at) => at.away.clear()],
    [
      'a shard does not say what it carries',
      (at) => {
        at.silent = [2];
      },
      (at) => {
        at.silent = [];
      },
    ],
    [
      'this node may not lead any more',
      (at) => {
        at.leads = false;
      },
      (at) => {
        at.leads = true;
      },
    ],
    [
      'members change',
      (at) => {
        at.controller.apply({ kind: 'register_node', node: nodeOf('n4') });
        at.controller.apply({ kind: 'change_members', group: 1, add: ['n4'], remove: [], cause: 'a test' });
      },
      (at) => {
        const [change] = at.controller.machine.changes();
        at.controller.apply({ kind: 'members_changed', change: change!.id });
      },
    ],
    [
      'another plan runs',
      (at) => void at.controller.apply({ kind: 'move', slots: [[16_000, 16_000]], to: 1 }),
      (at) => carryOut(at.controller),
    ],
  ])('starts nothing while %s', async (_what, begin, end) => {
    world = await World.make();
    world.auto(true);
    world.load = HOT;
    begin(world);
    const before = world.plans;
    await world.run(600);
    expect(world.plans).toBe(before);
    end(world);
    await world.run(200);
    expect(world.controller.latest.kind).toBe('balance');
  });

  it('forgets when it stops, and does nothing more', async () => {
    world = await World.make();
    world.load = HOT;
    await world.run(115);
    world.driver.stop();
    expect(world.driver.last).toBeNull();
    expect(await world.driver.look(1_000)).toBeNull();
    world.auto(true);
    world.driver.start();
    await world.run(100);
    expect(world.plans).toBe(0);
    await world.run(60);
    expect(world.plans).toBe(1);
  });

  it('takes shards without slots for no reason to wait: nobody has to lead them', async () => {
    world = await World.make(3);
    world.controller.apply({ kind: 'move', slots: [[10_922, 16_383]], to: 2 });
    carryOut(world.controller);
    world.silent = [3];
    await world.run(20);
    expect(world.driver.last!.silent).toEqual([]);
  });
});
