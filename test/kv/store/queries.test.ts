/** What the node asks of a shard's applied state: for `/v1/cluster`, for moves, for the controller. */
import { describe, expect, it } from 'vitest';
import { KvStateMachine } from '../../../src/kv/store/index.js';
import { type SlotRanges, SlotState, slotOfKey } from '../../../src/shardctrl/index.js';
import { del, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';
import { keysIn } from './support/moves.js';

const OWNED: SlotRanges = [
  [0, 4_999],
  [9_000, 16_383],
];
const MOVING: SlotRanges = [
  [0, 99],
  [9_000, 9_099],
];
const [FIRST = '', SECOND = ''] = keysIn(MOVING, 2, 'moving-');
const [STAYS = ''] = keysIn([[2_000, 3_000]], 1, 'stays-');
const slotOf = (key: string): number => slotOfKey(Buffer.from(key));

async function shard(): Promise<Machine> {
  const made = await Machine.create();
  await made.run({ kind: 'init', slots: OWNED });
  await made.run(put(FIRST, 'one'));
  await made.run(put(SECOND, 'two', { idempotency: token('t', 1) }));
  await made.run(put(STAYS, 'three'));
  return made;
}

describe('a shard is asked', () => {
  it('nothing before it is open', () => {
    expect(() => new KvStateMachine().revision).toThrow('the state machine is not open');
  });

  it('which slots it serves, where they stand, in which move and which it has seen', async () => {
    const { machine } = await shard();
    expect(machine.servedSlots()).toEqual(OWNED);
    expect(machine.slotsInState(SlotState.Own)).toEqual(OWNED);
    expect(machine.slotsInState(SlotState.None)).toEqual([[5_000, 8_999]]);
    expect(machine.slotsInState(SlotState.Frozen)).toEqual([]);
    expect([machine.moveOf(0), machine.floorOf(0), machine.stateOf(0)]).toEqual([0, 0, SlotState.Own]);
  });

  it('the same while a move goes on and after it has been undone', async () => {
    const made = await shard();
    await made.run({ kind: 'begin_export', move: 7, slots: MOVING });
    const { machine } = made;
    expect(machine.servedSlots()).toEqual(OWNED);
    expect(machine.slotsInState(SlotState.Exporting)).toEqual(MOVING);
    expect([machine.moveOf(99), machine.floorOf(99), machine.moveOf(100)]).toEqual([7, 7, 0]);
    await made.run({ kind: 'freeze', move: 7, round: 1, slots: MOVING });
    expect(machine.servedSlots()).toEqual([
      [100, 4_999],
      [9_100, 16_383],
    ]);
    expect([machine.serves(99), machine.serves(100), machine.stateOf(99)]).toEqual([false, true, SlotState.Frozen]);
    await made.run({ kind: 'unfreeze', move: 7, slots: MOVING });
    expect(machine.servedSlots()).toEqual(OWNED);
    expect([machine.moveOf(99), machine.floorOf(99)]).toEqual([0, 7]);
    expect(machine.slotsInState(SlotState.Exporting)).toEqual([]);
  });

  it('how much its slots hold, one by one and together', async () => {
    const made = await shard();
    const { machine } = made;
    const everything = [[0, 16_383]] as const;
    const stats = machine.slotStats(everything);
    expect(stats.map(({ slot, keys }) => [slot, keys])).toEqual(
      [FIRST, SECOND, STAYS]
        .map(slotOf)
        .sort((a, b) => a - b)
        .map((slot) => [slot, 1]),
    );
    const bytes = stats.reduce((sum, each) => sum + each.bytes, 0);
    expect(machine.totals()).toEqual({ keys: 3, bytes });
    expect(machine.sums(everything)).toMatchObject({ keys: 3, bytes, idempotencyRecords: 1 });
    expect(machine.slotStats([[slotOf(STAYS), slotOf(STAYS)]])).toHaveLength(1);
    expect(machine.sums([[slotOf(STAYS), slotOf(STAYS)]])).toMatchObject({ keys: 1, idempotencyRecords: 0 });
    expect(machine.slotStats([[slotOf(STAYS) + 1, slotOf(STAYS) + 1]])).toEqual([]);
    // Frozen slots are nobody's while they move.
    await made.run({ kind: 'begin_export', move: 7, slots: MOVING });
    await made.run({ kind: 'freeze', move: 7, round: 1, slots: MOVING });
    expect(machine.totals().keys).toBe(1);
    expect(machine.slotStats(everything)).toEqual(stats);
  });

  it('what has changed since a note, while slots are exported', async () => {
    const made = await shard();
    const { machine } = made;
    await made.run(put(FIRST, 'before'));
    expect([machine.newestNote, machine.notedAfter(MOVING, 0)]).toEqual([0, 0]);
    await made.run({ kind: 'begin_export', move: 7, slots: MOVING });
    await made.run(put(FIRST, 'noted'));
    await made.run(put(STAYS, 'not noted'));
    const note = machine.newestNote;
    expect(machine.notedAfter(MOVING, 0)).toBe(1);
    await made.run(del(SECOND, { idempotency: token('u', 2) }));
    await made.run(put(FIRST, 'noted again'));
    expect(machine.notedAfter(MOVING, note)).toBe(3);
    expect(machine.notedAfter([[slotOf(STAYS), slotOf(STAYS)]], 0)).toBe(0);
    expect(machine.notedAfter(MOVING, machine.newestNote)).toBe(0);
    await made.run({ kind: 'unfreeze', move: 7, slots: MOVING });
    expect(machine.notedAfter(MOVING, 0)).toBe(0);
  });

  it('for one key: what it is, that it is not there, or who does not serve it', async () => {
    const made = await shard();
    const look = (key: string) => made.machine.lookup(Buffer.from(key));
    expect(look(FIRST)).toMatchObject({ kind: 'found', record: { value: Buffer.from('one'), version: 1 } });
    const [absent = ''] = keysIn(OWNED, 1, 'absent-');
    expect(look(absent)).toEqual({ kind: 'missing' });
    const [foreign = ''] = keysIn([[6_000, 7_000]], 1, 'foreign-');
    expect(look(foreign)).toEqual({ kind: 'not_serving', slot: slotOf(foreign), state: SlotState.None, move: 0 });
  });
});
