import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntryKind, index, term } from '../../src/raft/index.js';
import {
  type ControllerCommand,
  countSlots,
  encodeControllerCommand,
  formatSlots,
  isMoved,
} from '../../src/shardctrl/index.js';
import { completedSettings } from '../../src/shardctrl/settings.js';
import { carryOut, expectWhole, MemoryController, nodeOf, nodesOf, receiptOf } from './memory-controller.js';

const shares = (controller: MemoryController): number[] =>
  controller.map.shards.map((shard) => countSlots(shard.slots));
const startBatch = (controller: MemoryController, planMove = 'm1', first = 0, last = 9): number => {
  const result = controller.apply({
    kind: 'start_batch',
    plan: controller.latest.id,
    planMove,
    slots: [[first, last]],
  });
  if (result.kind !== 'batch_started') throw new Error(JSON.stringify(result));
  return result.move;
};

describe('the making of a cluster', () => {
  it('BasicJoinLeave: shards s1… own all slots evenly, with exact members, at epoch 1', async () => {
    const controller = await MemoryController.cluster(3, 4);
    expect(controller.map.epoch).toBe(1);
    expect(controller.map.shards.map((shard) => formatSlots(shard.slots))).toEqual([
      '0-4095',
      '4096-8191',
      '8192-12287',
      '12288-16383',
    ]);
    for (const shard of controller.map.shards) {
      expect(shard.members.map((member) => member.node).sort()).toEqual(['n1', 'n2', 'n3']);
    }
    expect(controller.map.shards.map((shard) => shard.members[0]!.node)).toEqual(['n1', 'n2', 'n3', 'n1']);
  });

  it('happens once', async () => {
    const controller = await MemoryController.cluster(3, 2);
    const again: ControllerCommand = { kind: 'init', clusterId: 'other', nodes: nodesOf(3), shards: 5, replicas: 3 };
    expect(controller.apply(again)).toEqual({ kind: 'already_initialised', clusterId: 'c' });
    expect(controller.map.shards).toHaveLength(2);
  });

  it('is refused where nodes are missing, twice there, or copies of each other', async () => {
    const controller = await MemoryController.open();
    const init = (nodes: ReturnType<typeof nodesOf>, replicas: number | null) =>
      controller.apply({ kind: 'init', clusterId: 'c', nodes, shards: 1, replicas });
    expect(init(nodesOf(2), 3)).toMatchObject({ kind: 'plan_impossible' });
    expect(init([nodeOf('n1'), nodeOf('n1')], null)).toMatchObject({ kind: 'refused' });
    expect(init([nodeOf('n1'), { ...nodeOf('n2'), incarnation: 'incarnation-n1' }], null)).toMatchObject({
      kind: 'refused',
    });
    expect(controller.machine.map()).toBeNull();
    expect(controller.apply({ kind: 'reshard', shards: 2 })).toEqual({ kind: 'not_initialised' });
  });
});

describe('nodes', () => {
  it('F24 F25: a known name with another incarnation is refused', async () => {
    const controller = await MemoryController.cluster(3, 1);
    const wiped = { ...nodeOf('n2'), incarnation: 'new' };
    const result = controller.apply({ kind: 'register_node', node: wiped });
    expect(result).toMatchObject({ kind: 'refused', reason: expect.stringContaining('n2') });
    const copied = { ...nodeOf('n9'), incarnation: 'incarnation-n2' };
    expect(controller.apply({ kind: 'register_node', node: copied })).toMatchObject({ kind: 'refused' });
    expect(controller.map.epoch).toBe(1);
  });

  it('change address or labels, or join, each with a new epoch', async () => {
    const controller = await MemoryController.cluster(3, 1);
    const moved = { ...nodeOf('n2'), http: 'elsewhere:1' };
    expect(controller.apply({ kind: 'register_node', node: moved })).toEqual({
      kind: 'registered',
      epoch: 2,
      changed: true,
    });
    expect(controller.apply({ kind: 'register_node', node: moved })).toEqual({
      kind: 'registered',
      epoch: 2,
      changed: false,
    });
    controller.apply({ kind: 'register_node', node: nodeOf('n10') });
    controller.apply({ kind: 'register_node', node: nodeOf('n4') });
    expect(controller.map.nodes.map((node) => node.id)).toEqual(['n1', 'n2', 'n3', 'n4', 'n10']);
    expect(controller.map.nodes[1]!.http).toBe('elsewhere:1');
    expect(controller.map.epoch).toBe(4);
  });
});

describe('plans', () => {
  it('BasicJoinLeave: grow and shrink end exact, balanced, with the retired shard gone and its id never reused', async () => {
    const controller = await MemoryController.cluster(3, 2);
    expect(controller.apply({ kind: 'reshard', shards: 3 })).toEqual({ kind: 'plan_started', plan: 'p1', done: false });
    expect(controller.map.shards.map((shard) => shard.id)).toEqual([1, 2, 3]);
    carryOut(controller);
    expect(controller.latest.status).toBe('done');
    expect(Math.max(...shares(controller)) - Math.min(...shares(controller))).toBeLessThanOrEqual(1);
    controller.apply({ kind: 'reshard', shards: 2 });
    carryOut(controller);
    const left = controller.map.shards.map((shard) => shard.id);
    expect(left).toHaveLength(2);
    expect(shares(controller)).toEqual([8192, 8192]);
    const gone = [1, 2, 3].filter((id) => !left.includes(id));
    expect(controller.machine.retired()).toEqual(gone);
    expect(controller.machine.tombstones().get(gone[0]!)!.members).toHaveLength(3);
    controller.apply({ kind: 'reshard', shards: 3 });
    expect(controller.map.shards.map((shard) => shard.id)).toEqual([...left, 4]);
    expectWhole(controller.map);
  });

  it('F58 ConcurrentJoinLeave: ten clients at once; one plan starts, nine are refused, the map is exact in the end', async () => {
    const controller = await MemoryController.cluster(3, 2);
    for (let round = 0; round < 4; round++) {
      const results = Array.from({ length: 10 }, (_, i) =>
        controller.apply({ kind: 'reshard', shards: 3 + ((round + i) % 5) }),
      );
      expect(results.filter((result) => result.kind === 'plan_started')).toHaveLength(1);
      expect(results.filter((result) => result.kind === 'conflict')).toHaveLength(9);
      carryOut(controller);
      expect(controller.map.shards).toHaveLength(3 + (round % 5));
      expectWhole(controller.map);
      expect(Math.max(...shares(controller)) - Math.min(...shares(controller))).toBeLessThanOrEqual(1);
    }
  });

  it('ReshardRefused: an impossible plan says what is missing and changes nothing', async () => {
    const controller = await MemoryController.cluster(2, 2, 2);
    const result = controller.apply({ kind: 'reshard', shards: 3, replicas: 3 });
    expect(result).toEqual({
      kind: 'plan_impossible',
      missing: '3 replicas a shard need 3 nodes, the cluster has 2: 1 more node needed',
    });
    expect(controller.apply({ kind: 'reshard', shards: 0 })).toMatchObject({ kind: 'plan_impossible' });
    expect(controller.apply({ kind: 'reshard', shards: 5000 })).toMatchObject({ kind: 'plan_impossible' });
    expect(controller.apply({ kind: 'move', slots: [[0, 5]], to: 9 })).toEqual({
      kind: 'plan_impossible',
      missing: 'there is no shard s9; there are s1, s2',
    });
    expect(controller.map.epoch).toBe(1);
    expect(controller.machine.latestPlan()).toBeNull();
  });

  it('that change nothing are done at once', async () => {
    const controller = await MemoryController.cluster(3, 3);
    expect(controller.apply({ kind: 'reshard', shards: 3 })).toEqual({ kind: 'plan_started', plan: 'p1', done: true });
    expect(controller.apply({ kind: 'move', slots: [[0, 9]], to: 1 })).toMatchObject({ plan: 'p2', done: true });
    // As replicas of earlier builds made it of such an entry.
    expect(controller.latest.max_pause_ms).toBe(5_000);
    expect(controller.map.epoch).toBe(1);
    expect(controller.machine.history().map((plan) => [plan.id, plan.state])).toEqual([
      ['p2', 'done'],
      ['p1', 'done'],
    ]);
  });

  it('Move: changes owner and epoch; only a reshard that is asked for undoes it', async () => {
    const controller = await MemoryController.cluster(3, 2);
    controller.apply({
      kind: 'move',
      slots: [
        [0, 99],
        [9000, 9000],
      ],
      to: 2,
    });
    expect(controller.latest.moves.map((move) => [move.from, move.to, formatSlots(move.slots)])).toEqual([
      [1, 2, '0-99'],
    ]);
    carryOut(controller);
    expect(controller.map.epoch).toBe(2);
    expect(formatSlots(controller.map.shards[1]!.slots)).toBe('0-99,8192-16383');
    controller.apply({ kind: 'register_node', node: nodeOf('n4') });
    expect(shares(controller)).toEqual([8092, 8292]);
    controller.apply({ kind: 'reshard', shards: 2 });
    carryOut(controller);
    expect(shares(controller)).toEqual([8192, 8192]);
  });

  it('keep to the replicas that shards have, unless asked otherwise', async () => {
    const controller = await MemoryController.cluster(5, 1, 5);
    controller.apply({ kind: 'reshard', shards: 2 });
    expect(controller.map.shards[1]!.members).toHaveLength(5);
    carryOut(controller);
    controller.apply({ kind: 'reshard', shards: 3, replicas: 3 });
    expect(controller.map.shards[2]!.members).toHaveLength(3);
    expect(controller.latest.warnings.join()).toContain('new shards');
  });

  it('pause, go on, and are cancelled: what has moved stays moved', async () => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'reshard', shards: 2 });
    const control = (action: 'pause' | 'resume' | 'cancel') =>
      controller.apply({ kind: 'plan_control', plan: 'p1', action });
    const start: ControllerCommand = { kind: 'start_batch', plan: 'p1', planMove: 'm1', slots: [[8192, 8200]] };
    expect(control('pause')).toEqual({ kind: 'ok' });
    expect(controller.latest.status).toBe('paused');
    expect(controller.apply(start)).toMatchObject({ kind: 'nothing' });
    expect(controller.apply({ kind: 'reshard', shards: 3 })).toMatchObject({ kind: 'conflict', plan: 'p1' });
    control('resume');
    const move = startBatch(controller, 'm1', 8192, 8200);
    control('cancel');
    expect(controller.latest).toMatchObject({ status: 'running', ending: { outcome: 'cancelled' } });
    expect(control('pause')).toMatchObject({ kind: 'conflict' });
    controller.apply({ kind: 'publish', move, receipt: receiptOf() });
    expect(controller.apply({ kind: 'plan_finished', plan: 'p1', warnings: [] })).toMatchObject({ kind: 'nothing' });
    controller.apply({ kind: 'batch_done', move, pause_ms: null });
    expect(controller.apply({ kind: 'plan_finished', plan: 'p1', warnings: [] })).toEqual({ kind: 'ok' });
    expect(controller.latest.status).toBe('cancelled');
    expect(shares(controller)).toEqual([16375, 9]);
    expect(control('cancel')).toMatchObject({ kind: 'conflict' });
    expect(controller.apply({ kind: 'plan_control', plan: 'p7', action: 'pause' })).toEqual({
      kind: 'unknown_plan',
      plan: 'p7',
    });
  });

  it('are done only when every slot has moved, sources are purged and retired shards are tombstoned', async () => {
    const controller = await MemoryController.cluster(3, 2);
    controller.apply({ kind: 'reshard', shards: 1 });
    const finish: ControllerCommand = { kind: 'plan_finished', plan: 'p1', warnings: [] };
    expect(controller.apply(finish)).toMatchObject({ kind: 'nothing' });
    expect(controller.apply({ kind: 'shard_retired', shard: 2 })).toMatchObject({ detail: 's2 still owns slots' });
    expect(controller.apply({ kind: 'shard_retired', shard: 1 })).toMatchObject({ kind: 'nothing' });
    const move = startBatch(controller, 'm1', 8192, 16383);
    controller.apply({ kind: 'publish', move, receipt: receiptOf() });
    expect(controller.apply({ kind: 'shard_retired', shard: 2 })).toMatchObject({ detail: 's2 is not purged yet' });
    controller.apply({ kind: 'batch_done', move, pause_ms: 4 });
    expect(controller.apply(finish)).toMatchObject({ kind: 'nothing' });
    expect(controller.apply({ kind: 'shard_retired', shard: 2 })).toEqual({ kind: 'ok' });
    expect(controller.apply({ kind: 'shard_retired', shard: 2 })).toEqual({ kind: 'ok' });
    expect(controller.apply(finish)).toEqual({ kind: 'ok' });
    expect(controller.latest.status).toBe('done');
  });
});

describe('batches', () => {
  const growing = async (): Promise<MemoryController> => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'reshard', shards: 2 });
    return controller;
  };

  it('F51: a published batch changes owner and epoch in one step; slots not taken up stay', async () => {
    const controller = await growing();
    const before = controller.map.epoch;
    const move = startBatch(controller, 'm1', 8192, 8291);
    expect(move).toBe(controller.index);
    expect(controller.map.epoch).toBe(before);
    const receipt = receiptOf({ keys: 3, bytes: 30 });
    expect(controller.apply({ kind: 'publish', move, receipt })).toEqual({ kind: 'published', epoch: before + 1 });
    expect(formatSlots(controller.map.shards[1]!.slots)).toBe('8192-8291');
    expectWhole(controller.map);
  });

  it('F56 F57: repeated and stale commands of a driver change nothing', async () => {
    const controller = await growing();
    const slots = [[8192, 8200]] as const;
    const start: ControllerCommand = { kind: 'start_batch', plan: 'p1', planMove: 'm1', slots };
    const first = startBatch(controller, 'm1', 8192, 8200);
    expect(controller.apply(start)).toMatchObject({ kind: 'nothing' });
    controller.apply({ kind: 'cancel_batch', move: first, reason: 'slow' });
    controller.apply({ kind: 'batch_aborted', move: first, pause_ms: 40 });
    const second = startBatch(controller, 'm1', 8192, 8200);
    expect(second).toBeGreaterThan(first);
    const settled = () => ({ map: controller.map, plan: controller.latest, batches: controller.machine.batches() });
    const before = settled();
    const receipt = receiptOf();
    for (const stale of [
      { kind: 'publish', move: first, receipt },
      { kind: 'cancel_batch', move: first, reason: 'x' },
      { kind: 'batch_aborted', move: first, pause_ms: 1 },
      { kind: 'batch_aborted', move: second, pause_ms: 1 },
      { kind: 'batch_done', move: second, pause_ms: 1 },
      { kind: 'plan_failed', plan: 'p0', reason: 'x' },
      { kind: 'plan_finished', plan: 'p1', warnings: [] },
    ] satisfies ControllerCommand[]) {
      expect(controller.apply(stale), stale.kind).toMatchObject({ kind: 'nothing' });
    }
    expect(settled()).toEqual(before);
    const published = controller.apply({ kind: 'publish', move: second, receipt });
    expect(controller.apply({ kind: 'publish', move: second, receipt })).toEqual(published);
    expect(controller.apply({ kind: 'cancel_batch', move: second, reason: 'late' })).toMatchObject({ kind: 'nothing' });
    expect(controller.machine.receipts('p1')).toHaveLength(1);
    controller.apply({ kind: 'batch_done', move: second, pause_ms: 5 });
    expect(controller.apply({ kind: 'batch_done', move: second, pause_ms: 5 })).toMatchObject({ kind: 'nothing' });
    expect(controller.apply(start)).toMatchObject({ kind: 'nothing' });
  });

  it('F56: one that is being cancelled is still published where the destination had installed', async () => {
    const controller = await growing();
    const move = startBatch(controller, 'm1', 8192, 8200);
    controller.apply({ kind: 'cancel_batch', move, reason: 'slow' });
    expect(controller.apply({ kind: 'publish', move, receipt: receiptOf() })).toMatchObject({ kind: 'published' });
    expect(controller.apply({ kind: 'batch_aborted', move, pause_ms: null })).toMatchObject({ kind: 'nothing' });
  });

  it('are refused for slots that are not to be moved', async () => {
    const controller = await growing();
    for (const slots of [[], [[0, 5]], [[8190, 8195]]] as [number, number][][]) {
      expect(controller.apply({ kind: 'start_batch', plan: 'p1', planMove: 'm1', slots })).toMatchObject({
        kind: 'nothing',
      });
    }
    const other: ControllerCommand = { kind: 'start_batch', plan: 'p1', planMove: 'm2', slots: [[8192, 8192]] };
    expect(controller.apply(other)).toMatchObject({ kind: 'nothing' });
  });

  it('leave receipts, and the move their sums', async () => {
    const controller = await growing();
    const high = 'f'.repeat(32);
    const a = startBatch(controller, 'm1', 8192, 8200);
    const b = startBatch(controller, 'm1', 8201, 8300);
    controller.apply({
      kind: 'publish',
      move: a,
      receipt: receiptOf({ keys: 2, bytes: 20, digest: high, pause_ms: 4 }),
    });
    controller.apply({ kind: 'publish', move: b, receipt: receiptOf({ keys: 3, bytes: 30, pause_ms: null }) });
    controller.apply({ kind: 'batch_done', move: a, pause_ms: 9 });
    // 1,000 - 900: the pause of b is estimated from stamps, since the driver that froze it is gone.
    expect(controller.latest.moves[0]).toMatchObject({ keys: 5, bytes: 50, digest: '0'.repeat(32), pause_ms: 100 });
    const receipts = controller.machine.receipts('p1');
    expect(receipts.map((receipt) => [receipt.move, receipt.keys, receipt.pause_ms])).toEqual([
      [a, 2, 9],
      [b, 3, 100],
    ]);
    expect(receipts[0]).toMatchObject({ sourceDigest: high, destinationDigest: high, freezeIndex: 5, installIndex: 6 });
  });

  it('count failed attempts until one succeeds', async () => {
    const controller = await growing();
    for (let attempt = 1; attempt <= 2; attempt++) {
      const move = startBatch(controller, 'm1', 8192, 8200);
      controller.apply({ kind: 'cancel_batch', move, reason: `slow ${attempt}` });
      controller.apply({ kind: 'batch_aborted', move, pause_ms: 50 * attempt });
      const failed = { failures: attempt, lastFailure: `slow ${attempt}`, pause_ms: 50 * attempt };
      expect(controller.latest.moves[0]).toMatchObject(failed);
    }
    const move = startBatch(controller, 'm1', 8192, 8200);
    controller.apply({ kind: 'publish', move, receipt: receiptOf() });
    expect(controller.latest.moves[0]).toMatchObject({ failures: 0, lastFailure: null, pause_ms: 100 });
    expect(isMoved(controller.latest.moves[0]!)).toBe(false);
  });
});

describe('the state', () => {
  it('HistoricalQueries: every old epoch answers the same, also on a replica that has just opened', async () => {
    const controller = await MemoryController.cluster(4, 2);
    const maps = [controller.map];
    const remember = () => controller.map.epoch > maps.length && maps.push(controller.map);
    controller.machine.onChange(remember);
    for (const shards of [4, 3, 5]) {
      controller.apply({ kind: 'reshard', shards });
      const plan = controller.latest;
      for (const move of plan.moves) {
        for (const [first, last] of move.slots) {
          for (let from = first; from <= last; from += 100) {
            const batch = startBatch(controller, move.id, from, Math.min(last, from + 99));
            controller.apply({ kind: 'publish', move: batch, receipt: receiptOf() });
            controller.apply({ kind: 'batch_done', move: batch, pause_ms: 1 });
          }
        }
      }
      for (const shard of plan.retiring) controller.apply({ kind: 'shard_retired', shard });
      controller.apply({ kind: 'plan_finished', plan: plan.id, warnings: [] });
    }
    expect(maps.length).toBeGreaterThan(150);
    const other = await controller.reopened();
    for (const map of maps) {
      expectWhole(map);
      expect(controller.machine.mapAt(map.epoch)).toEqual(map);
      expect(other.machine.mapAt(map.epoch)).toEqual(map);
    }
    for (const epoch of [0, -1, 1.5, maps.length + 1]) expect(other.machine.mapAt(epoch)).toBeNull();
  });

  it('F30: any two replicas at the same index have the same hash and answers, whenever one was reopened', async () => {
    const slot = fc.integer({ min: 0, max: 16_000 });
    const move = fc.integer({ min: 1, max: 40 });
    const command = fc.oneof(
      fc.record({ kind: fc.constant('reshard' as const), shards: fc.integer({ min: 0, max: 6 }) }),
      fc.record({
        kind: fc.constant('reshard' as const),
        shards: fc.integer({ min: 1, max: 4 }),
        by: fc.constantFrom('bytes' as const, 'keys' as const),
        weights: fc.constantFrom([], [[1, 2] as const], [[3, 0.5] as const]),
        excludeShards: fc.subarray([1, 2, 3], { maxLength: 1 }),
        figures: fc.record({
          epoch: fc.integer({ min: 1, max: 3 }),
          slots: slot.map((s) => [[s, s + 3]] as const),
          keys: fc.constant([1, 0, 5, 2]),
          bytes: fc.constant([10, 3, 700, 20]),
          unknown: fc.constant([]),
        }),
      }),
      fc.record({
        kind: fc.constant('move' as const),
        slots: slot.map((s) => [[s, s + 200]] as const),
        to: fc.integer({ min: 1, max: 5 }),
      }),
      fc.record({
        kind: fc.constant('start_batch' as const),
        plan: fc.constantFrom('p1', 'p2', 'p3'),
        planMove: fc.constantFrom('m1', 'm2'),
        slots: slot.map((s) => [[s, s + 20]] as const),
      }),
      fc.record({ kind: fc.constant('publish' as const), move, receipt: fc.constant(receiptOf({ pause_ms: null })) }),
      fc.record({ kind: fc.constant('cancel_batch' as const), move, reason: fc.constant('r') }),
      fc.record({ kind: fc.constant('batch_aborted' as const), move, pause_ms: fc.constant(null) }),
      fc.record({ kind: fc.constant('batch_done' as const), move, pause_ms: fc.constant(2) }),
      fc.record({
        kind: fc.constant('plan_control' as const),
        plan: fc.constantFrom('p1', 'p2'),
        action: fc.constantFrom('pause' as const, 'resume' as const, 'cancel' as const),
      }),
      fc.record({
        kind: fc.constant('plan_finished' as const),
        plan: fc.constantFrom('p1', 'p2', 'p3'),
        warnings: fc.constant([]),
      }),
      fc.record({
        kind: fc.constant('change_settings' as const),
        rebuildAfter_ms: fc.constantFrom(null, 1_000, 60_000),
      }),
    );
    const steps = fc.array(fc.tuple(command, fc.nat(5_000), fc.boolean()), { maxLength: 40, size: 'max' });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const steady = await MemoryController.cluster(3, 2);
        let restless = await steady.reopened();
        for (const [next, stamp, reopen] of list) {
          if (reopen) restless = await restless.reopened();
          expect(restless.apply(next, stamp)).toEqual(steady.apply(next, stamp));
          expect(restless.machine.stateHash()).toBe(steady.machine.stateHash());
          expectWhole(steady.map);
        }
        expect(restless.machine.map()).toEqual(steady.machine.map());
        expect(restless.machine.latestPlan()).toEqual(steady.machine.latestPlan());
        expect(restless.machine.batches()).toEqual(steady.machine.batches());
        expect(restless.machine.settings()).toEqual(steady.machine.settings());
        expect((await restless.reopened()).machine.stateHash()).toBe(steady.machine.stateHash());
      }),
      { seed: 11, numRuns: 100 },
    );
  });

  it('answers bytes of other versions and shapes with malformed, and does not change', async () => {
    const controller = await MemoryController.cluster(3, 2);
    const before = controller.machine.stateHash();
    const good = encodeControllerCommand({ kind: 'reshard', shards: 3 }, 1);
    const bad = [
      Buffer.alloc(0),
      Buffer.of(9),
      Buffer.concat([Buffer.of(2), good.subarray(1)]),
      good.subarray(0, good.length - 3),
      Buffer.from('\x01{"stamp_ms":1,"command":{"kind":"format_disk"}}'),
      Buffer.from('\x01{"stamp_ms":-1,"command":{"kind":"reshard","shards":3}}'),
      Buffer.from('\x01{"stamp_ms":1,"command":{"kind":"move","to":1,"slots":[[5,4]]}}'),
      Buffer.from('\x01{"stamp_ms":1,"command":{"kind":"move","to":1,"slots":[[0,99999]]}}'),
      Buffer.from('\x01{"stamp_ms":1,"command":{"kind":"move","to":1,"slots":"0-5"}}'),
      Buffer.from('\x01null'),
    ];
    for (const data of bad) {
      const result = controller.applyBytes(data);
      expect(result, data.toString()).toMatchObject({ kind: 'malformed', detail: expect.stringMatching(/./) });
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (data) => controller.applyBytes(data).kind === 'malformed'),
      { seed: 2 },
    );
    expect(controller.machine.stateHash()).toBe(before);
  });

  it('ignores entries that are no commands', async () => {
    const controller = await MemoryController.cluster(3, 2);
    const entry = { term: term(1), index: index(9), kind: EntryKind.Noop, data: new Uint8Array(0) };
    expect(controller.machine.apply(entry)).toBeNull();
  });

  it('keeps a clock that never goes back, whatever a leader stamps', async () => {
    const controller = await MemoryController.cluster(3, 1);
    controller.apply({ kind: 'reshard', shards: 1 }, 9_000);
    controller.apply({ kind: 'reshard', shards: 1 }, 5);
    expect(controller.machine.clock_ms).toBe(9_000);
    expect(controller.latest.created_ms).toBe(9_000);
    expect((await controller.reopened()).machine.clock_ms).toBe(9_000);
  });

  it('F38: refuses to open over a corrupt row, and names it', async () => {
    const controller = await MemoryController.cluster(3, 1);
    const [key, row] = [...controller.rows.byHex][0]!;
    const broken = Buffer.from(row);
    broken[broken.length - 2]! ^= 1;
    controller.rows.byHex.set(key, broken);
    await expect(MemoryController.open(controller.rows)).rejects.toMatchObject({
      code: 'REPLICA_DAMAGED',
      message: expect.stringMatching(/corrupt/),
    });
    const future = Buffer.from(row);
    future[0] = 7;
    controller.rows.byHex.set(key, future);
    await expect(MemoryController.open(controller.rows)).rejects.toThrow(/format 7/);
  });

  it('keeps a hundred plans in full and forgets the details of older ones', async () => {
    const controller = await MemoryController.cluster(2, 2);
    for (let i = 0; i < 103; i++) {
      controller.apply({ kind: 'move', slots: [[0, 9]], to: 2 - (i % 2) });
      carryOut(controller);
    }
    expect(controller.machine.history()).toHaveLength(103);
    expect(controller.machine.plan('p3')).toMatchObject({ status: 'done', moves: [], forgotten: true });
    expect(controller.machine.receipts('p3')).toEqual([]);
    expect(controller.machine.plan('p4')!.moves).toHaveLength(1);
    expect(controller.machine.receipts('p4')).toHaveLength(1);
    expect((await controller.reopened()).machine.stateHash()).toBe(controller.machine.stateHash());
    expect(controller.machine.plan('p999')).toBeNull();
    expect(controller.machine.plan('nonsense')).toBeNull();
  });

  it('tells watchers of its own replica once a round', async () => {
    const controller = await MemoryController.cluster(3, 1);
    let heard = 0;
    const stop = controller.machine.onChange(() => heard++);
    controller.apply({ kind: 'register_node', node: nodeOf('n4') });
    expect(heard).toBe(1);
    stop();
    controller.apply({ kind: 'register_node', node: nodeOf('n5') });
    expect(heard).toBe(1);
  });
});

describe('the balance of shards', () => {
  const moves = [{ from: 1, to: 2, slots: [[0, 9]] as const }];

  it('has settings that survive a restart and a snapshot, each said by itself', async () => {
    const controller = await MemoryController.cluster(3, 2);
    expect(controller.machine.settings().balance).toEqual({ auto: false, limit_percent: 30, hold_s: 120 });
    const said = controller.apply({ kind: 'balance_settings', auto: true });
    expect(said).toEqual({ kind: 'balance_settings', settings: { auto: true, limit_percent: 30, hold_s: 120 } });
    controller.apply({ kind: 'balance_settings', limit_percent: 50, hold_s: 60 });
    const again = await controller.reopened();
    expect(again.machine.settings().balance).toEqual({ auto: true, limit_percent: 50, hold_s: 60 });
    expect(again.machine.stateHash()).toBe(controller.machine.stateHash());
    again.apply({ kind: 'balance_settings', auto: false });
    expect(again.machine.settings().balance).toEqual({ auto: false, limit_percent: 50, hold_s: 60 });
    expect(again.apply({ kind: 'balance_settings', limit_percent: 1 })).toMatchObject({ kind: 'malformed' });
    again.apply({ kind: 'change_settings', rebuildAfter_ms: 60_000 });
    again.apply({ kind: 'balance_settings', auto: true });
    const balance = { auto: true, limit_percent: 50, hold_s: 60 };
    expect((await again.reopened()).machine.settings()).toEqual({ rebuildAfter_ms: 60_000, balance });
    // As a build wrote them that knew of no balance.
    expect(completedSettings({ rebuildAfter_ms: 5_000 }).balance).toEqual({
      ...balance,
      auto: false,
      limit_percent: 30,
      hold_s: 120,
    });
  });

  it('changes no epoch by its settings', async () => {
    const controller = await MemoryController.cluster(3, 2);
    controller.apply({ kind: 'balance_settings', auto: true });
    expect(controller.map.epoch).toBe(1);
  });

  it('is brought about by a plan like any other, one at a time', async () => {
    const controller = await MemoryController.cluster(3, 2);
    const balance: ControllerCommand = { kind: 'balance', moves, auto: false, cause: 's1 was too hot' };
    expect(controller.machine.lastBalance_ms()).toBeNull();
    expect(controller.apply(balance)).toEqual({ kind: 'plan_started', plan: 'p1', done: false });
    expect(controller.latest).toMatchObject({
      kind: 'balance',
      cause: 's1 was too hot',
      shares: [
        [1, 8182],
        [2, 8202],
      ],
    });
    expect(controller.apply(balance)).toMatchObject({ kind: 'conflict', plan: 'p1' });
    carryOut(controller);
    expect(controller.latest.status).toBe('done');
    expect(shares(controller)).toEqual([8182, 8202]);
    const again = await controller.reopened();
    expect(again.latest.cause).toBe('s1 was too hot');
    expect(again.machine.lastBalance_ms()).toBe(controller.now_ms);
  });

  it('moves only what its shards own: a proposal of yesterday changes nothing', async () => {
    const controller = await MemoryController.cluster(3, 2);
    const asked = (from: number, to: number, ...slots: [number, number][]) =>
      controller.apply({ kind: 'balance', moves: [{ from, to, slots }], auto: false, cause: '' });
    expect(asked(1, 2, [8000, 9000])).toMatchObject({ kind: 'plan_impossible' });
    expect(asked(1, 9, [0, 9])).toMatchObject({ kind: 'plan_impossible' });
    expect(asked(1, 1, [0, 9])).toMatchObject({ kind: 'plan_impossible' });
    expect(asked(1, 2)).toMatchObject({ kind: 'plan_impossible' });
    const twice = [...moves, { from: 1, to: 2, slots: [[5, 5]] as const }];
    expect(controller.apply({ kind: 'balance', moves: twice, auto: false, cause: '' })).toMatchObject({
      kind: 'plan_impossible',
    });
    expect(controller.machine.history()).toEqual([]);
  });

  it('comes about by itself only where that is still wanted, and neither soon nor amid other changes', async () => {
    const controller = await MemoryController.cluster(3, 2);
    controller.apply({ kind: 'register_node', node: nodeOf('n4') });
    const balance: ControllerCommand = { kind: 'balance', moves, auto: true, cause: '' };
    expect(controller.apply(balance)).toMatchObject({ kind: 'nothing' });
    controller.apply({ kind: 'balance_settings', auto: true });
    const begun = controller.apply({ kind: 'change_members', group: 1, add: ['n4'], remove: [], cause: 'a test' });
    expect(controller.apply(balance)).toMatchObject({ kind: 'nothing', detail: 'members are being changed' });
    controller.apply({ kind: 'members_changed', change: (begun as { change: number }).change });
    expect(controller.apply(balance)).toMatchObject({ kind: 'plan_started' });
    carryOut(controller);
    const back: ControllerCommand = {
      kind: 'balance',
      moves: [{ ...moves[0]!, from: 2, to: 1 }],
      auto: true,
      cause: '',
    };
    expect(controller.apply(back, controller.now_ms + 599_999)).toMatchObject({ kind: 'nothing' });
    expect(controller.apply({ ...back, auto: false } as ControllerCommand)).toMatchObject({ kind: 'plan_started' });
    carryOut(controller);
    expect(controller.apply(balance, controller.now_ms + 1_300_000)).toMatchObject({ kind: 'plan_started' });
  });
});
