/** What the controller keeps of a reshard beside its moves: figures, weights, exclusions, how it was ended; and older rows. */
import { crc32c } from '@node-rs/crc32';
import { describe, expect, it } from 'vitest';
import { RowKind } from '../../src/shardctrl/controller-rows.js';
import {
  type ControllerCommand,
  countSlots,
  figuresOf,
  type SlotFigures,
  unionSlots,
} from '../../src/shardctrl/index.js';
import { carryOut, expectWhole, MemoryController, MemoryRows, receiptOf } from './memory-controller.js';

/** A hundred slots of the first shard hold something. */
const figures = (epoch = 1): SlotFigures =>
  figuresOf(
    epoch,
    Array.from({ length: 100 }, (_, slot) => ({ slot, keys: 1, bytes: 50 })),
    [],
  );
const byBytes = (more: object = {}): ControllerCommand => ({
  kind: 'reshard',
  shards: 2,
  by: 'bytes',
  figures: figures(),
  ...more,
});
const weightsOf = (controller: MemoryController): number[] => controller.map.shards.map(({ weight }) => weight);

describe('a plan by what slots hold', () => {
  it('keeps the figures it goes by, over a restart and in a snapshot, until its details are forgotten', async () => {
    const controller = await MemoryController.cluster(3, 2);
    expect(controller.apply(byBytes())).toMatchObject({ kind: 'plan_started', done: false });
    expect(controller.latest).toMatchObject({ by: 'bytes', excludedShards: [], excludedNodes: [] });
    expect(countSlots(controller.latest.moves[0]!.slots)).toBe(50);
    expect(controller.latest.balance.map(({ bytes }) => bytes)).toEqual([
      [5_000, 2_500],
      [0, 2_500],
    ]);
    const other = await controller.reopened();
    for (const replica of [controller, other]) expect(replica.machine.figures('p1')).toEqual(figures());
    expect(other.latest).toEqual(controller.latest);
    carryOut(controller);
    for (let i = 0; i < 101; i++) {
      controller.apply({ kind: 'move', slots: [[0, 9]], to: 2 - (i % 2) });
      carryOut(controller);
    }
    expect(controller.machine.plan('p1')).toMatchObject({ forgotten: true, by: 'bytes' });
    expect(controller.machine.figures('p1')).toBeNull();
    expect([...controller.rows.byHex.keys()].some((key) => key.startsWith(RowKind.Figures.toString(16)))).toBe(false);
    expect(controller.machine.figures('p999')).toBeNull();
  });

  it('keeps none where it does not need any', async () => {
    const controller = await MemoryController.cluster(3, 2);
    controller.apply({ kind: 'reshard', shards: 3 });
    expect(controller.machine.figures('p1')).toBeNull();
    expect(controller.latest.by).toBe('slots');
  });

  it('is refused where owners have changed since they were asked: nothing is counted twice', async () => {
    const controller = await MemoryController.cluster(3, 2);
    controller.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    // One that runs is the nearer reason.
    expect(controller.apply(byBytes())).toMatchObject({ kind: 'conflict', detail: expect.stringContaining('p1') });
    carryOut(controller);
    expect(controller.apply(byBytes())).toMatchObject({
      kind: 'conflict',
      detail: 'slots have changed hands since it was asked what they hold: ask for the plan again',
    });
    const { epoch } = controller.map;
    expect(controller.apply(byBytes({ figures: figures(epoch + 1) }))).toMatchObject({ kind: 'conflict' });
    // A new epoch that changes no owner does not matter.
    controller.apply({ kind: 'prefer_leader', group: 1, node: 'n2', pinned: true });
    expect(controller.map.epoch).toBe(epoch + 1);
    expect(controller.apply(byBytes({ figures: figures(epoch) }))).toMatchObject({ kind: 'plan_started' });
  });

  it('is refused without figures, and with some that do not fit together', async () => {
    const controller = await MemoryController.cluster(3, 2);
    expect(controller.apply(byBytes({ figures: null }))).toMatchObject({ kind: 'plan_impossible' });
    const before = controller.machine.stateHash();
    for (const broken of [
      { ...figures(), keys: [1] },
      { ...figures(), bytes: [] },
      { ...figures(), keys: figures().keys.map(() => -1) },
      { ...figures(), slots: [[5, 4]] },
      { ...figures(), unknown: [[0, 99_999]] },
    ]) {
      expect(controller.apply(byBytes({ figures: broken }))).toMatchObject({ kind: 'malformed' });
    }
    expect(controller.machine.stateHash()).toBe(before);
  });

  it('comes out the same on every replica, and again from the same log', async () => {
    const [one, other] = [await MemoryController.cluster(4, 3), await MemoryController.cluster(4, 3)];
    const log: ControllerCommand[] = [
      byBytes({ shards: 4, weights: [[2, 3]], excludeShards: [3], excludeNodes: ['n4'] }),
      { kind: 'plan_control', plan: 'p1', action: 'cancel' },
      { kind: 'plan_finished', plan: 'p1', warnings: [] },
      // By then it is epoch 3: a shard was made, and a weight given.
      { kind: 'reshard', shards: 2, by: 'keys', figures: figures(3) },
    ];
    for (const command of log) {
      expect(other.apply(command)).toEqual(one.apply(command));
      expect(other.machine.stateHash()).toBe(one.machine.stateHash());
      expectWhole(one.map);
    }
    expect(one.machine.plan('p1')!.moves.flatMap(({ from, to }) => [from, to])).not.toContain(3);
  });
});

describe('weights', () => {
  it('are kept until they are changed, over a restart and through epochs', async () => {
    const controller = await MemoryController.cluster(3, 2);
    expect(weightsOf(controller)).toEqual([1, 1]);
    controller.apply({ kind: 'reshard', shards: 3, weights: [[1, 2]] });
    expect(weightsOf(controller)).toEqual([2, 1, 1]);
    carryOut(controller);
    expect(controller.map.shards.map(({ slots }) => countSlots(slots))).toEqual([8_192, 4_096, 4_096]);
    const again = await controller.reopened();
    expect(weightsOf(again)).toEqual([2, 1, 1]);
    expect(again.apply({ kind: 'reshard', shards: 3 })).toMatchObject({ done: true });
    controller.apply({ kind: 'reshard', shards: 3, weights: [[1, 1]] });
    carryOut(controller);
    expect(weightsOf(controller)).toEqual([1, 1, 1]);
    expect(controller.machine.mapAt(3)!.shards.map(({ weight }) => weight)).toEqual([2, 1, 1]);
    expect(controller.machine.mapAt(1)!.shards.map(({ weight }) => weight)).toEqual([1, 1]);
  });

  it('are taken where nothing has to move, and not where the plan is refused', async () => {
    const controller = await MemoryController.cluster(3, 1);
    expect(controller.apply({ kind: 'reshard', shards: 1, weights: [[1, 5]] })).toMatchObject({ done: true });
    expect(weightsOf(controller)).toEqual([5]);
    const { epoch } = controller.map;
    controller.apply({ kind: 'reshard', shards: 1, weights: [[1, 5]] });
    expect(controller.map.epoch).toBe(epoch);
    controller.apply({ kind: 'reshard', shards: 2, replicas: 7, weights: [[1, 9]] });
    expect(weightsOf(controller)).toEqual([5]);
    for (const weight of [0, -1, 1_000]) {
      const result = controller.apply({ kind: 'reshard', shards: 1, weights: [[1, weight]] });
      expect(result).toMatchObject({ kind: 'malformed' });
    }
  });
});

describe('a plan that is ended', () => {
  const growing = async (): Promise<MemoryController> => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'reshard', shards: 2 });
    return controller;
  };
  const start = (controller: MemoryController, first: number, last: number): number => {
    const started = controller.apply({ kind: 'start_batch', plan: 'p1', planMove: 'm1', slots: [[first, last]] });
    if (started.kind !== 'batch_started') throw new Error(JSON.stringify(started));
    return started.move;
  };

  it('remembers what went forward and what was undone because of it', async () => {
    const controller = await growing();
    const early = start(controller, 8_192, 8_199);
    const late = start(controller, 8_200, 8_209);
    const undone = start(controller, 8_210, 8_219);
    controller.apply({ kind: 'publish', move: early, receipt: receiptOf() });
    controller.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
    for (const move of [late, undone]) controller.apply({ kind: 'cancel_batch', move, reason: 'the plan ends' });
    controller.apply({ kind: 'publish', move: late, receipt: receiptOf() });
    controller.apply({ kind: 'batch_aborted', move: undone, pause_ms: null });
    const [move] = (await controller.reopened()).latest.moves;
    expect(move).toMatchObject({ moved: [[8_192, 8_209]], forward: [[8_200, 8_209]], undone: [[8_210, 8_219]] });
    expect(controller.latest.moves[0]).toEqual(move);
  });

  it('counts nothing that failed before', async () => {
    const controller = await growing();
    const failed = start(controller, 8_192, 8_199);
    controller.apply({ kind: 'cancel_batch', move: failed, reason: 'slow' });
    controller.apply({ kind: 'batch_aborted', move: failed, pause_ms: 4 });
    controller.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
    expect(controller.latest.moves[0]).toMatchObject({ moved: [], forward: [], undone: [] });
  });

  it('is done where all of it had been installed, and says that it was to be ended', async () => {
    const controller = await growing();
    const all = start(controller, 8_192, 16_383);
    controller.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
    controller.apply({ kind: 'publish', move: all, receipt: receiptOf() });
    controller.apply({ kind: 'batch_done', move: all, pause_ms: 3 });
    controller.apply({ kind: 'plan_finished', plan: 'p1', warnings: [] });
    expect(controller.latest).toMatchObject({
      status: 'done',
      reason: 'cancelled by request, when all of it had been installed',
    });
  });

  it('leaves receipts that tell when each batch ran', async () => {
    const controller = await growing();
    controller.now_ms = 2_000;
    const move = start(controller, 8_192, 16_383);
    controller.now_ms = 2_500;
    controller.apply({ kind: 'publish', move, receipt: receiptOf({ keys: 10 }) });
    controller.apply({ kind: 'batch_done', move, pause_ms: 9 });
    expect(controller.machine.receipts('p1')).toMatchObject([{ started_ms: 2_000, published_ms: 2_500, pause_ms: 9 }]);
    expect(controller.machine.pace()).toMatchObject({ plan: 'p1', batches: 1, pause_ms: 9 });
    // A plan that moves nothing tells nothing.
    controller.apply({ kind: 'plan_finished', plan: 'p1', warnings: [] });
    controller.apply({ kind: 'reshard', shards: 2 });
    expect(controller.machine.pace()).toMatchObject({ plan: 'p1' });
  });
});

describe('rows of earlier builds', () => {
  /** Takes from each row of a kind what that build did not write. */
  function aged(rows: MemoryRows, kind: number, age: (value: Record<string, unknown>) => void): MemoryRows {
    const old = new MemoryRows();
    for (const [key, row] of rows.byHex) {
      const value = JSON.parse(row.subarray(5).toString('utf8')) as Record<string, unknown>;
      if (!key.startsWith(kind.toString(16))) {
        old.byHex.set(key, row);
        continue;
      }
      age(value);
      const json = Buffer.from(JSON.stringify(value));
      const head = Buffer.alloc(5);
      head[0] = 1;
      head.writeUInt32BE(crc32c(json), 1);
      old.byHex.set(key, Buffer.concat([head, json]));
    }
    return old;
  }
  const without =
    (...fields: string[]) =>
    (value: Record<string, unknown>): void => {
      for (const field of fields) delete value[field];
    };

  it('are read: plans, moves, receipts and maps, and what is added later is the same whoever adds it (F30)', async () => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'reshard', shards: 2 });
    const started = controller.apply({ kind: 'start_batch', plan: 'p1', planMove: 'm1', slots: [[8_192, 8_199]] });
    if (started.kind !== 'batch_started') throw new Error('not started');
    controller.apply({ kind: 'publish', move: started.move, receipt: receiptOf() });
    let rows = aged(controller.rows, RowKind.Plan, without('by', 'excludedShards', 'excludedNodes', 'balance'));
    rows = aged(rows, RowKind.Move, without('forward', 'undone'));
    rows = aged(rows, RowKind.Receipt, without('started_ms', 'published_ms'));
    rows = aged(rows, RowKind.Epoch, (value) => {
      const map = value['map'] as { shards: object[]; controller: object } | undefined;
      for (const group of [...(map?.shards ?? []), ...(map === undefined ? [] : [map.controller])]) {
        without('weight', 'avoids')(group as Record<string, unknown>);
      }
    });
    const copy = new MemoryRows();
    for (const [key, row] of rows.byHex) copy.byHex.set(key, row);
    const steady = await MemoryController.open(rows, controller.index);
    let restless = await MemoryController.open(copy, controller.index);
    expect(steady.latest).toMatchObject({ by: 'slots', excludedShards: [], balance: [] });
    expect(steady.latest.moves[0]).toMatchObject({ moved: [[8_192, 8_199]], forward: [], undone: [] });
    expect(steady.map.shards.map(({ weight, avoids }) => [weight, avoids])).toEqual([
      [1, []],
      [1, []],
    ]);
    expect(steady.machine.pace()).toBeNull();
    for (const command of [
      { kind: 'batch_done', move: started.move, pause_ms: 4 },
      { kind: 'plan_control', plan: 'p1', action: 'cancel' },
      { kind: 'plan_finished', plan: 'p1', warnings: [] },
      { kind: 'reshard', shards: 2, weights: [[1, 2]] },
    ] satisfies ControllerCommand[]) {
      expect(restless.apply(command)).toEqual(steady.apply(command));
      expect(restless.machine.stateHash()).toBe(steady.machine.stateHash());
      restless = await restless.reopened();
      expect(restless.machine.stateHash()).toBe(steady.machine.stateHash());
    }
    const moved = steady.latest.moves.map(({ slots }) => slots).reduce(unionSlots, []);
    expect(countSlots(moved)).toBeGreaterThan(0);
  });
});
