/** The audit of the controller's books, itself audited: quiet where shards have done what the books say, and not otherwise. */
import { describe, expect, it } from 'vitest';
import type { KvCommand, KvResult } from '../../../src/kv/store/index.js';
import type { BatchReceipt, ControllerCommand, FreezeReceipt, SlotRanges } from '../../../src/shardctrl/index.js';
import { MemoryController } from '../../shardctrl/memory-controller.js';
import { Books } from './books.js';
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
  move = 0;
  readonly books: Books = new Books({
    now_ms: () => this.now_ms,
    placeOf: () => this.place,
    isBlank: () => this.blank,
    failed: (what) => this.wrong.push(what),
    clocksDiffer: () => false,
  });
  readonly controller: MemoryController;

  constructor(controller: MemoryController) {
    this.controller = controller;
  }

  apply(...commands: ControllerCommand[]): void {
    for (const command of commands) this.controller.apply(command);
  }

  /** A batch of the running plan begins. */
  start(slots: SlotRanges = SLOTS): void {
    const result = this.controller.apply({ kind: 'start_batch', plan: 'p1', planMove: 'm1', slots });
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
}

async function audited(play: (world: World) => void): Promise<string[]> {
  const world = new World(await MemoryController.cluster(3, 2));
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
