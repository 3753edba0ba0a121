/** What receipts prove, looked at again: everything that could be wrong with them is named. */
import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  type AuditedReceipt,
  formatSlots,
  type LaterPlan,
  type PlanMove,
  type PlanState,
  ReceiptAudit,
  type ShardMap,
  type SlotRanges,
  type StoredReceipt,
  subtractSlots,
  ZERO_DIGEST,
} from '../../src/shardctrl/index.js';
import { carryOut, MemoryController } from './memory-controller.js';

const digest = (n: number): string => n.toString(16).padStart(32, '0');

const receipt = (slots: SlotRanges, epoch: number, more: Partial<StoredReceipt> = {}): StoredReceipt => ({
  keys: 2,
  bytes: 100,
  idempotencyRecords: 1,
  sourceDigest: digest(epoch),
  destinationDigest: digest(epoch),
  freezeIndex: epoch * 10,
  installIndex: epoch * 10 + 5,
  revision: epoch * 100,
  freeze_clock_ms: epoch * 1_000,
  pause_ms: 3,
  move: epoch,
  planMove: 'm1',
  slots,
  epoch,
  ...more,
});

const RECEIPTS: readonly StoredReceipt[] = [receipt([[0, 4]], 2), receipt([[5, 9]], 3)];

const published = (one: StoredReceipt): AuditedReceipt => ({
  receipt: one,
  change: { kind: 'owner', slots: one.slots, from: 1, to: 2 },
});

const move: PlanMove = {
  id: 'm1',
  from: 1,
  to: 2,
  slots: [[0, 9]],
  moved: [[0, 9]],
  keys: 4,
  bytes: 200,
  digest: digest(5),
  pause_ms: 3,
  failures: 0,
  lastFailure: null,
  started_ms: 1,
  published_ms: 2,
  forward: [],
  undone: [],
};

const planOf = (more: Partial<PlanState> = {}, moved: Partial<PlanMove> = {}): PlanState => ({
  id: 'p1',
  kind: 'move',
  status: 'done',
  ending: null,
  reason: null,
  created_ms: 1,
  ended_ms: 2,
  max_pause_ms: 5_000,
  moves: [{ ...move, ...moved }],
  newShards: [],
  retiring: [],
  shares: [],
  warnings: [],
  receipts: 2,
  forgotten: false,
  by: 'slots',
  excludedShards: [],
  excludedNodes: [],
  balance: [],
  ...more,
});

/** s1 has all slots but those that s2 and s3 have. */
function mapOf(two: SlotRanges, three: SlotRanges = [], one?: SlotRanges): ShardMap {
  const shard = (id: number, slots: SlotRanges) => ({
    id,
    slots,
    members: [],
    joining: [],
    replicas: 3,
    asFounded: true,
    pinned: false,
    avoids: [],
    weight: 1,
  });
  const rest = one ?? subtractSlots(subtractSlots(ALL_SLOTS, two), three);
  const { id: _, slots: __, weight: ___, ...controller } = shard(0, []);
  const shards = [shard(1, rest), shard(2, two), shard(3, three)];
  return { clusterId: 'c', epoch: 9, shards, nodes: [], controller, draining: [], gone: [] };
}

const MAP = mapOf([[0, 9]]);

interface Case {
  readonly receipts?: readonly AuditedReceipt[];
  readonly plan?: PlanState;
  readonly map?: ShardMap;
  readonly later?: readonly LaterPlan[];
}

function audited({ receipts = RECEIPTS.map(published), plan = planOf(), map = MAP, later = [] }: Case) {
  const audit = new ReceiptAudit(plan);
  for (const one of receipts) audit.add(one);
  const result = audit.finish(map, later);
  const faults = result.faults.map(({ slots, detail }) => `${formatSlots(slots)}: ${detail}`);
  return { ...result, faults, audit };
}

/** Receipts of which one is another. */
const withSecond = (more: Partial<StoredReceipt>): AuditedReceipt[] =>
  [RECEIPTS[0]!, { ...RECEIPTS[1]!, ...more }].map(published);

describe('receipts of a plan', () => {
  it('that are in order have no fault, and say what is gone from where, and how far logs have come', () => {
    const { faults, unchecked, gone, reached, audit } = audited({});
    expect([faults, unchecked]).toEqual([[], []]);
    expect([...gone]).toEqual([[1, [[0, 9]]]]);
    expect([...reached]).toEqual([
      [1, 30],
      [2, 35],
    ]);
    expect([audit.checked, audit.keys, audit.bytes]).toEqual([2, 4, 200]);
  });

  it.each<[string, Partial<StoredReceipt>, RegExp]>([
    ['whose sides differ', { destinationDigest: digest(9) }, /the source had digest 0+3, the destination 0+9/],
    ['with an index that cannot be', { installIndex: 0 }, /frozen at index 30, installed at 0/],
    ['of records that weigh nothing', { bytes: 0 }, /3 records of 0 bytes with digest/],
    ['of nothing that weighs', { keys: 0, idempotencyRecords: 0 }, /0 records of 100 bytes/],
    [
      'of nothing that has a digest',
      { keys: 0, idempotencyRecords: 0, bytes: 0 },
      /0 records of 0 bytes with digest 0+3/,
    ],
    ['of slots that are not in its move', { slots: [[5, 10]] }, /it has slots that are not in its move/],
    ['of slots that have one already', { slots: [[4, 9]] }, /slots 4 have a receipt already/],
    ['of a move that is not there', { planMove: 'm9' }, /plan p1 has no such move/],
    ['out of order', { epoch: 2 }, /its epoch 2 is not after that of the receipt before it/],
    ['installed with another one', { installIndex: 25 }, /another one was installed at index 25 of s2, too/],
  ])('one %s is named', (_, more, fault) => {
    const { faults } = audited({ receipts: withSecond(more) });
    expect(faults.join('\n')).toMatch(fault);
    expect(faults.some((text) => text.includes('receipt 2 of'))).toBe(true);
  });

  it.each<[string, Partial<StoredReceipt>, RegExp]>([
    ['froze at the same index', { freezeIndex: 20 }, /receipts 1 and 2: in the log of s1 both were frozen at index 20/],
    [
      'found an older revision later',
      { revision: 100 },
      /receipts 1 and 2: in the log of s1 revision or clock went back/,
    ],
    ['found an earlier time later', { freeze_clock_ms: 5 }, /revision or clock went back between 20 and 30/],
  ])('two that %s are named', (_, more, fault) => {
    expect(audited({ receipts: withSecond(more) }).faults.join('\n')).toMatch(fault);
  });

  it('need not be in the order in which slots were frozen', () => {
    const receipts = withSecond({ freezeIndex: 11, revision: 150, freeze_clock_ms: 1_500 });
    expect(audited({ receipts }).faults).toEqual([]);
  });

  it('that do not come to what the move says are named', () => {
    expect(audited({ plan: planOf({}, { keys: 5 }) }).faults).toEqual([
      '0-9: move m1: receipts add up to 4 keys, 200 bytes, the move says 5 and 200',
    ]);
    expect(audited({ plan: planOf({}, { digest: digest(6) }) }).faults).toEqual([
      `0-9: move m1: receipts add up to digest ${digest(5)}, the move says ${digest(6)}`,
    ]);
    const short = audited({ receipts: [published(RECEIPTS[0]!)] });
    expect(short.faults).toEqual(
      expect.arrayContaining([
        ': 2 receipts were written, 1 are there',
        '0-9: move m1: receipts and move do not name the same slots: 5-9',
      ]),
    );
  });

  it('of slots of which the move says that their batch was undone are named', () => {
    expect(audited({ plan: planOf({}, { forward: [[5, 9]] }) }).faults).toEqual([]);
    expect(audited({ plan: planOf({}, { forward: [[8, 11]], undone: [[3, 4]] }) }).faults).toEqual([
      '0-9: move m1: what it says of how its batches ended is not so for slots 3-4,10-11',
    ]);
  });

  it('that the history of epochs does not bear out are named', () => {
    const change = { kind: 'owner', slots: [[5, 8]], from: 3, to: 2 } as const;
    const [first] = RECEIPTS.map(published);
    expect(audited({ receipts: [first!, { receipt: RECEIPTS[1]!, change }] }).faults).toEqual([
      '5-9: receipt 2 of m1: epoch 3 gave slots 5-8 from s3 to s2',
    ]);
    expect(audited({ receipts: [first!, { receipt: RECEIPTS[1]!, change: null }] }).faults).toEqual([
      '5-9: receipt 2 of m1: epoch 3 gave no slots from s1 to s2',
    ]);
  });

  it('of a plan without any are in order', () => {
    const plan = planOf({ receipts: 0, moves: [{ ...move, moved: [], keys: 0, bytes: 0, digest: ZERO_DIGEST }] });
    expect(audited({ receipts: [], plan, map: mapOf([]) })).toMatchObject({ faults: [], unchecked: [] });
  });
});

describe('slots that have moved', () => {
  const later = (from: number, to: number, moved: SlotRanges): LaterPlan => ({
    id: 'p2',
    forgotten: false,
    moves: [{ from, to, moved }],
  });

  it('may have gone on, and come back', () => {
    const on = audited({ map: mapOf([[5, 9]], [[0, 4]]), later: [later(2, 3, [[0, 4]])] });
    expect([on.faults, [...on.gone]]).toEqual([[], [[1, [[0, 9]]]]]);
    const back = audited({ map: mapOf([[5, 9]]), later: [later(2, 1, [[0, 4]])] });
    expect([back.faults, [...back.gone]]).toEqual([[], [[1, [[5, 9]]]]]);
  });

  it('and are with whom nobody has brought them to are named', () => {
    expect(audited({ map: mapOf([[5, 9]], [[0, 4]]) }).faults).toEqual([
      '0-4: s3 owns them, though no plan has brought them there',
    ]);
    expect(audited({ map: mapOf([[0, 9]]), later: [later(3, 2, [[0, 4]])] }).faults).toEqual([
      '0-4: p2 took them from s3, which did not have them',
    ]);
  });

  it('and that nobody owns, or two do, are named', () => {
    expect(audited({ map: mapOf([[0, 9]], [], [[10, 16_382]]) }).faults).toEqual([
      '16383: nobody owns them in epoch 9',
    ]);
    expect(audited({ map: mapOf([[0, 9]], [], [[9, 16_383]]) }).faults).toEqual(
      expect.arrayContaining(['9: s2 and another shard own them in epoch 9']),
    );
  });

  it('of plans that have been forgotten cannot be followed, and that is said', () => {
    const { faults, unchecked } = audited({ later: [{ id: 'p2', forgotten: true, moves: [] }] });
    expect(faults).toEqual([]);
    expect(unchecked).toEqual(['who owns the slots now, and why: what p2 moved later is no longer kept']);
  });

  it('from a shard that is gone are gone with it', () => {
    const map = mapOf([[0, 16_383]], [], []);
    const without: ShardMap = { ...map, shards: map.shards.filter(({ id }) => id !== 1) };
    const all = { slots: ALL_SLOTS, moved: [[0, 9]] as SlotRanges };
    expect([...audited({ plan: planOf({}, all), map: without }).gone]).toEqual([]);
  });
});

describe('the controller', () => {
  it('tells receipts with what their epochs changed, those whose row is a whole map among them', async () => {
    const controller = await MemoryController.cluster(4, 2);
    for (let i = 1; controller.map.epoch < 140; i++) {
      controller.apply({ kind: 'reshard', shards: 2 + (i % 3) });
      carryOut(controller);
    }
    const { machine } = await controller.reopened();
    const epochs: number[] = [];
    for (const { id } of machine.history()) {
      const { moves, receipts } = machine.plan(id)!;
      const all = machine.auditedReceipts(id, 1, 1_000);
      expect([...machine.auditedReceipts(id, 1, 2), ...machine.auditedReceipts(id, 3, 1_000)]).toEqual(all);
      expect(all).toHaveLength(receipts);
      for (const { receipt: one, change } of all) {
        const { from, to } = moves.find((each) => each.id === one.planMove)!;
        expect(change).toEqual({ kind: 'owner', slots: one.slots, from, to });
        epochs.push(one.epoch);
      }
    }
    expect(epochs.some((epoch) => epoch % 64 === 0)).toBe(true);
    expect(machine.laterPlans('p2').map(({ id }) => id)[0]).toBe('p3');
    expect(machine.laterPlans(machine.latestPlan()!.id)).toEqual([]);
  });
});
