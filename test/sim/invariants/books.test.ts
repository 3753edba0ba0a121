/** The audit of the controller's books, itself audited: quiet where shards have done what the books say, and not otherwise. */
import { describe, expect, it } from 'vitest';
import type { KvCommand, KvResult } from '../../../src/kv/store/index.js';
import { EntryKind, index, term } from '../../../src/raft/index.js';
import {
  type BatchReceipt,
  type ControllerCommand,
  ControllerStateMachine,
  DRIVER_ENDED,
  encodeControllerCommand,
  type FreezeReceipt,
  figuresOf,
  type ShardMap,
  type SlotRanges,
  subtractSlots,
  unionSlots,
} from '../../../src/shardctrl/index.js';
import { MemoryController } from '../../shardctrl/memory-controller.js';
import { Books, SHOWN_ONLY_PAUSE_MS } from './books.js';
import { NOWHERE, type Place } from './guards-table.js';

const SLOTS: SlotRanges = [[0, 9]];
const DIGEST = 'ab'.repeat(16);
const FROZEN: FreezeReceipt = {
  keys: 3,
  bytes: 30,
  idempotencyRecords: 1,
  digest: DIGEST,
  revision: 12,
  clock_ms: 900,
  index: 40,
};
const RECEIPT: BatchReceipt = {
  keys: 3,
  bytes: 30,
  idempotencyRecords: 1,
  sourceDigest: DIGEST,
  destinationDigest: DIGEST,
  freezeIndex: 40,
  installIndex: 50,
  revision: 12,
  freeze_clock_ms: 900,
  pause_ms: 20,
};

class World {
  readonly wrong: string[] = [];
  now_ms = 0;
  place: Place = NOWHERE;
  blank = true;
  unsettled: (group: number) => string | null = () => null;
  move = 0;
  readonly books: Books = new Books({
    now_ms: () => this.now_ms,
    placeOf: () => this.place,
    isBlank: () => this.blank,
    failed: (what) => this.wrong.push(what),
    clocksDiffer: () => false,
    unsettled: (group) => this.unsettled(group),
  });
  readonly controller: MemoryController;

  constructor(controller: MemoryController) {
    this.controller = controller;
  }

  apply(...commands: ControllerCommand[]): void {
    for (const command of commands) this.controller.apply(command);
  }

  /** A batch of the running plan begins. */
  start(slots: SlotRanges = SLOTS, planMove = 'm1'): void {
    const { id: plan } = this.controller.latest;
    const result = this.controller.apply({ kind: 'start_batch', plan, planMove, slots });
    if (result.kind !== 'batch_started') throw new Error(JSON.stringify(result));
    this.move = result.move;
  }

  shard(command: Record<string, unknown>, answer: KvResult): void {
    const wrong = this.books.applied({ move: this.move, slots: SLOTS, ...command } as unknown as KvCommand, answer);
    expect(wrong).toBeNull();
  }

  freeze(round = 1): void {
    this.shard({ kind: 'freeze', round }, { kind: 'frozen', receipt: FROZEN });
  }

  install(): void {
    const sums = { keys: 3, bytes: 30, digest: DIGEST, idempotencyRecords: 1 };
    this.shard({ kind: 'install', round: 1, digest: DIGEST }, { kind: 'installed', index: 50, sums });
  }

  publish(receipt: Partial<BatchReceipt> = {}): void {
    this.apply({ kind: 'publish', move: this.move, receipt: { ...RECEIPT, ...receipt } });
  }

  done(pause_ms = 20): void {
    this.apply({ kind: 'batch_done', move: this.move, pause_ms });
  }

  /** The latest plan, as far as its slots go: each move is one batch, for which nothing goes wrong. */
  carryOut(): void {
    for (const { id, slots } of this.controller.latest.moves) {
      this.start(slots, id);
      this.freeze();
      this.install();
      this.publish();
      this.done();
    }
  }

  finish(): void {
    const { id: plan, retiring } = this.controller.latest;
    for (const shard of retiring) this.apply({ kind: 'shard_retired', shard });
    this.apply({ kind: 'plan_finished', plan, warnings: [] });
  }

  /** From now on it shows these failures of every move, one after the other. */
  count(...failures: readonly number[]): void {
    const { machine } = this.controller;
    const told = [...failures];
    const plan = machine.plan.bind(machine);
    machine.plan = (id) => {
      const found = plan(id);
      const now = told.shift();
      return found === null || now === undefined
        ? found
        : { ...found, moves: found.moves.map((one) => ({ ...one, failures: now })) };
    };
  }

  /** From now on it shows another map than it has. */
  lie(change: (map: ShardMap) => ShardMap): void {
    const map = change(this.controller.map);
    this.controller.machine.map = () => map;
  }
}

async function audited(play: (world: World) => void, nodes = 3): Promise<string[]> {
  const world = new World(await MemoryController.cluster(nodes, 2, 3));
  await world.books.during(async () => play(world));
  return world.wrong;
}

const move: ControllerCommand = { kind: 'move', slots: SLOTS, to: 2 };
const finished: ControllerCommand = { kind: 'plan_finished', plan: 'p1', warnings: [] };

describe('the books of the controller', () => {
  it('are true where shards have done what they say', async () => {
    const wrong = await audited((world) => {
      world.apply(move);
      world.start();
      world.freeze();
      world.now_ms = 20;
      world.install();
      world.publish();
      world.done();
      world.apply(finished);
    });
    expect(wrong).toEqual([]);
  });

  it('are false where members have changed before a majority of those who stay knows it for good', async () => {
    for (const known of [true, false]) {
      const wrong = await audited((world) => {
        const members = world.controller.map.shards[0]!.members;
        const seen = members.map(({ replica }) => replica);
        world.apply({
          kind: 'change_members',
          group: 1,
          add: [],
          remove: [members[2]!.node],
          cause: 'asked for',
          seen,
        });
        const [change] = world.controller.machine.changes();
        world.unsettled = (group) => (known ? null : `s${group} is not settled`);
        world.apply({ kind: 'members_changed', change: change!.id, taken: false });
        // It is over: said again, it changes nothing.
        world.apply({ kind: 'members_changed', change: change!.id, taken: false });
      });
      expect(wrong).toEqual(known ? [] : [expect.stringContaining('s1 is not settled')]);
    }
    // Who comes takes nobody away.
    const grown = await audited((world) => {
      world.unsettled = (group) => `s${group} is not settled`;
      const seen = world.controller.map.shards[0]!.members.map(({ replica }) => replica);
      world.apply({ kind: 'change_members', group: 1, add: ['n4'], remove: [], cause: 'asked for', seen });
      const [change] = world.controller.machine.changes();
      world.apply({ kind: 'members_changed', change: change!.id, taken: false });
      expect(world.controller.map.shards[0]!.members).toHaveLength(4);
    }, 4);
    expect(grown).toEqual([]);
  });

  it('are kept by who applies a command, not by one who could not for rotten rows', async () => {
    const wrong = await audited((world) => {
      const next = index(world.controller.index + 1);
      const data = encodeControllerCommand(move, 1_000);
      // It was never opened, so it cannot even read what there is.
      const unable = new ControllerStateMachine();
      expect(() => unable.apply({ term: term(1), index: next, kind: EntryKind.Command, data })).toThrow();
      world.apply(move);
      world.start();
    });
    expect(wrong).toEqual([]);
  });

  it('are false where a receipt is not what the shards said, or nobody has installed', async () => {
    for (const lie of [{ keys: 4 }, { installIndex: 49 }, { revision: 11 }, { freeze_clock_ms: 0 }]) {
      const wrong = await audited((world) => {
        world.apply(move);
        world.start();
        world.freeze();
        world.install();
        world.publish(lie);
      });
      expect(wrong).toEqual([expect.stringMatching(/publish .* the receipt of move \d+ says/)]);
    }
    const early = await audited((world) => {
      world.apply(move);
      world.start();
      world.freeze();
      world.publish();
    });
    expect(early).toEqual([expect.stringContaining('nobody has installed')]);
  });

  it('are false where an abort, or an undone export, is not known', async () => {
    const undo = (...steps: [string, KvResult][]): Promise<string[]> =>
      audited((world) => {
        world.apply(move);
        world.start();
        world.apply({ kind: 'cancel_batch', move: world.move, reason: 'r' });
        for (const [kind, answer] of steps) world.shard({ kind }, answer);
        world.apply({ kind: 'batch_aborted', move: world.move, pause_ms: null });
      });
    expect(await undo(['abort_import', { kind: 'aborted' }], ['unfreeze', { kind: 'ok' }])).toEqual([]);
    expect(await undo(['abort_import', { kind: 'aborted' }])).toEqual([
      expect.stringContaining('does not serve again'),
    ]);
    expect(await undo(['unfreeze', { kind: 'ok' }])).toEqual([expect.stringContaining('not recorded the abort')]);
  });

  it('F62: are false where an attempt that failed is not counted, or one that only lost its driver is', async () => {
    const fail = (reason: string, ...counted: [number, number]): Promise<string[]> =>
      audited((world) => {
        world.apply(move);
        world.start();
        world.apply({ kind: 'cancel_batch', move: world.move, reason });
        for (const kind of ['abort_import', 'unfreeze']) {
          world.shard({ kind }, { kind: kind === 'unfreeze' ? 'ok' : 'aborted' });
        }
        world.count(...counted);
        world.apply({ kind: 'batch_aborted', move: world.move, pause_ms: null });
      });
    expect(await fail('r', 2, 3)).toEqual([]);
    expect(await fail(DRIVER_ENDED, 2, 2)).toEqual([]);
    expect(await fail('r', 2, 2)).toEqual([
      expect.stringContaining('3 attempts have failed, last because r; counted are 2'),
    ]);
    expect(await fail(DRIVER_ENDED, 2, 3)).toEqual([expect.stringContaining('counted are 3')]);
  });

  it('are false where the source is not rid of what it gave, or slots were frozen longer than they say', async () => {
    const end = (change: (world: World) => void): Promise<string[]> =>
      audited((world) => {
        world.apply(move);
        world.start();
        world.freeze();
        world.now_ms = 500;
        world.install();
        world.publish();
        change(world);
      });
    expect(await end((world) => world.done(480))).toEqual([]);
    expect(await end((world) => world.done(400))).toEqual([
      expect.stringMatching(/a pause of 400 ms; .* frozen for 500/),
    ]);
    const left = await end((world) => {
      world.place = { ...NOWHERE, state: 'purging', move: world.move };
      world.done(500);
    });
    expect(left).toEqual([expect.stringContaining('s1 is not rid of slot 0')]);
  });

  it('count rounds that were thawed, and leave out what another driver has begun', async () => {
    const play = (change: (world: World) => void): Promise<string[]> =>
      audited((world) => {
        world.apply(move);
        world.start();
        world.freeze(1);
        world.now_ms = 300;
        world.shard({ kind: 'thaw', round: 1 }, { kind: 'thawed' });
        change(world);
        world.freeze(2);
        world.now_ms = 310;
        world.install();
        world.publish();
        world.done(10);
      });
    expect(await play(() => {})).toEqual([expect.stringContaining('frozen for 300 ms')]);
    expect(await play((world) => world.books.newDriver())).toEqual([]);
  });

  it('are false where a shard is retired that is not blank', async () => {
    const retire = (blank: boolean): Promise<string[]> =>
      audited((world) => {
        world.apply({ kind: 'reshard', shards: 1 });
        world.start([[8_192, 16_383]]);
        world.freeze();
        world.install();
        world.publish();
        world.done();
        world.blank = blank;
        world.apply({ kind: 'shard_retired', shard: 2 }, finished);
      });
    expect(await retire(true)).toEqual([]);
    expect(await retire(false)).toEqual([expect.stringContaining('s2 has not purged everything')]);
  });
});

describe('the end of a plan', () => {
  const RESHARD = { kind: 'reshard', shards: 2 } as const;
  const STATS = Array.from({ length: 100 }, (_, slot) => ({ slot, keys: 1, bytes: 10 * (slot + 1) }));
  /** Gives the slots of one shard to the other, or some of them. */
  const given =
    (from: number, to: number, slots: SlotRanges) =>
    (map: ShardMap): ShardMap => {
      const change = (shard: ShardMap['shards'][number]): SlotRanges => {
        if (shard.id === from) return subtractSlots(shard.slots, slots);
        return shard.id === to ? unionSlots(shard.slots, slots) : shard.slots;
      };
      return { ...map, shards: map.shards.map((shard) => ({ ...shard, slots: change(shard) })) };
    };

  it.each<[string, ControllerCommand]>([
    ['with weights', { ...RESHARD, weights: [[2, 3.7]] }],
    ['with a shard more, and without another', { ...RESHARD, shards: 3, excludeShards: [1] }],
    ['by bytes', { ...RESHARD, by: 'bytes', figures: figuresOf(1, STATS, []) }],
    [
      'by keys, by weight, onto a shard more',
      { ...RESHARD, shards: 3, by: 'keys', weights: [[3, 2]], figures: figuresOf(1, STATS, []) },
    ],
    ['by keys, where there are none', { ...RESHARD, shards: 1, by: 'keys', figures: figuresOf(1, [], []) }],
    ['that balances', { kind: 'balance', moves: [{ from: 1, to: 2, slots: SLOTS }], auto: false, cause: 'c' }],
  ])('is in order: a plan %s', async (_, command) => {
    const wrong = await audited((world) => {
      world.apply(command);
      expect(world.controller.latest.moves.length).toBeGreaterThan(0);
      world.carryOut();
      world.finish();
      expect(world.controller.latest.status).toBe('done');
    });
    expect(wrong).toEqual([]);
  });

  it('is in order of a plan that was cancelled half-way', async () => {
    const wrong = await audited((world) => {
      world.apply({ ...RESHARD, weights: [[2, 3]] });
      world.start([[8_000, 8_009]]);
      world.freeze();
      world.install();
      world.publish();
      world.done();
      world.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
      world.finish();
      expect(world.controller.latest.status).toBe('cancelled');
    });
    expect(wrong).toEqual([]);
  });

  it('is not what was asked for where slots are elsewhere, or shares not by weight', async () => {
    const play = (command: ControllerCommand, change: (map: ShardMap) => ShardMap): Promise<string[]> =>
      audited((world) => {
        world.apply(command);
        world.carryOut();
        world.lie(change);
        world.finish();
      });
    const weighed: ControllerCommand = { ...RESHARD, weights: [[2, 3]] };
    // The same number of slots comes back, so that shares are right: but nobody has moved them.
    const exchanged = (map: ShardMap): ShardMap => given(1, 2, [[0, 4]])(given(2, 1, [[16_000, 16_004]])(map));
    expect(await play(weighed, exchanged)).toEqual([expect.stringMatching(/plan_finished .* slot 0 is with s2/)]);
    expect(await play(move, given(2, 1, [[3, 3]]))).toEqual([expect.stringContaining('slot 3 is with s1')]);
    const even = (map: ShardMap): ShardMap => ({
      ...map,
      shards: map.shards.map((shard) => ({ ...shard, weight: 1 })),
    });
    expect(await play(weighed, even)).toEqual([expect.stringContaining('s1 had 8192 and has 4096')]);
  });

  it('is looked at where there was nothing to do, too', async () => {
    const idle = await audited((world) => world.apply(RESHARD));
    expect(idle).toEqual([]);
    const wrong = await audited((world) => {
      // As even as it can be by this map, which is not the one that it goes by.
      world.lie(given(1, 2, [[0, 99]]));
      world.apply(RESHARD);
    });
    expect(wrong).toEqual([expect.stringContaining('s1 had 8092 and has 8092, its share is 8192.000')]);
  });
});

describe('the beginning of a plan', () => {
  it('is none of a dry run', async () => {
    const shown = { max_pause_ms: SHOWN_ONLY_PAUSE_MS };
    for (const command of [
      { kind: 'reshard', shards: 3, ...shown },
      { ...move, ...shown },
    ] as ControllerCommand[]) {
      const wrong = await audited((world) => world.apply(command));
      expect(wrong).toEqual([expect.stringContaining('plan p1 was only to be shown')]);
    }
  });

  it('comes by itself only where that is allowed', async () => {
    const balance: ControllerCommand = {
      kind: 'balance',
      moves: [{ from: 1, to: 2, slots: SLOTS }],
      auto: true,
      cause: 'c',
    };
    const play = (change: (world: World) => void): Promise<string[]> =>
      audited((world) => {
        world.apply({ kind: 'balance_settings', auto: true });
        change(world);
        world.apply(balance);
        expect(world.controller.latest.kind).toBe('balance');
      });
    expect(await play(() => {})).toEqual([]);
    const forbidden = await play(({ controller: { machine } }) => {
      const { balance: settings, ...others } = machine.settings();
      machine.settings = () => ({ ...others, balance: { ...settings, auto: false } });
    });
    expect(forbidden).toEqual([expect.stringContaining('balances by itself, which nobody has allowed')]);
  });

  it('sees to the weights that were asked for', async () => {
    const wrong = await audited((world) => {
      world.controller.apply({ kind: 'reshard', shards: 2, weights: [[1, 2]] });
      const map = world.controller.map;
      world.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
      world.finish();
      world.lie(() => map);
      world.apply({ kind: 'reshard', shards: 2, weights: [[1, 5]] });
    });
    expect(wrong).toEqual([expect.stringContaining('s1 has weight 2, not 5')]);
  });
});
