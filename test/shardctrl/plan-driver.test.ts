import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  countSlots,
  eachSlot,
  formatSlots,
  isMoved,
  type PlanState,
  type SlotRanges,
  SlotState,
  subtractSlots,
  unionSlots,
} from '../../src/shardctrl/index.js';
import { type Call, DriverWorld, type Fate } from './driver-world.js';
import { LEADER_ENDS } from './leader-ends.js';

const slotCounts = (world: DriverWorld): number[] =>
  world.controller.map.shards.map((shard) => countSlots(shard.slots));
const maxPause = (world: DriverWorld): number => Math.max(...world.plan.moves.map((move) => move.pause_ms ?? 0));

/** So many shards become one, and no node says whether it has removed what it hosted. */
async function mergedAmongSilent(shards: number): Promise<PlanState> {
  const world = await DriverWorld.make(shards);
  world.removed = false;
  for (const node of ['n1', 'n2', 'n3']) world.silent.add(node);
  world.elect();
  world.apply({ kind: 'reshard', shards: 1 });
  return world.untilOver();
}

/** Sixty keys of a slot that are written in turn, for ever. */
function busyKeys(world: DriverWorld, slot: number, every_ms: number): void {
  for (let i = 0; i < 60; i++) world.shards.write(slot, `k${i}`, i);
  let writes = 0;
  const write = (): void => {
    world.shards.write(slot, `k${writes % 60}`, writes++);
    world.scheduler.after(every_ms, write);
  };
  write();
}

describe('the driver', () => {
  it('JoinLeave: grows and shrinks while clients write; every key is there, sources are purged, the retired shard is gone', async () => {
    const world = await DriverWorld.make(1);
    world.fill([[0, 16_383]], 1);
    world.writers([1, 5_000, 9_000, 12_000, 16_000], 3);
    world.elect();
    for (const shards of [3, 4, 2]) {
      world.apply({ kind: 'reshard', shards });
      expect((await world.untilOver()).status).toBe('done');
      world.expectTidy();
      expect(world.controller.map.shards).toHaveLength(shards);
      expect(Math.max(...slotCounts(world)) - Math.min(...slotCounts(world))).toBeLessThanOrEqual(1);
    }
    expect(world.controller.machine.retired()).toHaveLength(2);
    expect(world.plan.warnings).toEqual([]);
  });

  it('leaves a receipt for every batch: digests of both sides, indexes, the pause; and their sums in the move', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 99]], 7);
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 99]], to: 2 });
    await world.untilOver();
    const receipts = world.controller.machine.receipts('p1');
    expect(receipts.reduce((sum, receipt) => sum + countSlots(receipt.slots), 0)).toBe(100);
    for (const receipt of receipts) {
      expect(receipt.sourceDigest).toBe(receipt.destinationDigest);
      expect(receipt.freezeIndex).toBeGreaterThan(0);
      expect(receipt.installIndex).toBeGreaterThan(0);
      expect(receipt.pause_ms).toBeGreaterThan(0);
      expect(receipt.pause_ms).toBeLessThan(100);
    }
    expect(world.plan.moves[0]).toMatchObject({ keys: 700, bytes: 7_000, moved: [[0, 99]] });
    expect(world.plan.moves[0]!.digest).toBe(world.shards.shard(2).sums([[0, 99]]).digest);
    expect(world.reclaimed).toEqual([1]);
  });

  it('F62: packs few keys into a batch, and a slot that is larger alone', async () => {
    const world = await DriverWorld.make(2, 1, { batchKeys: 50, batchSlots: 20 });
    world.fill([[0, 9]], 10);
    world.fill([[10, 10]], 200);
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 99]], to: 2 });
    await world.untilOver();
    const receipts = world.controller.machine.receipts('p1');
    const sizes = receipts.map((receipt) => [formatSlots(receipt.slots), receipt.keys]);
    expect(sizes).toContainEqual(['0-4', 50]);
    expect(sizes).toContainEqual(['10', 200]);
    expect(Math.max(...receipts.map((receipt) => countSlots(receipt.slots)))).toBe(20);
    world.expectTidy();
  });

  it('F51 F63: freezes one batch of a source at a time, and no slot that does not move', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 16_383]], 2);
    world.elect();
    world.apply({ kind: 'reshard', shards: 4 });
    const moving = world.plan.moves.map((move) => move.slots).reduce(unionSlots);
    const frozenAt = (id: number, slot: number): boolean =>
      world.shards.shard(id).slots.get(slot)?.state === SlotState.Frozen;
    let [freezes, most] = [0, 0];
    world.fate = (call) => {
      if (call.what !== 'copy') return {};
      freezes++;
      for (const id of [1, 2]) {
        const running = world.controller.machine
          .batches()
          .filter((batch) => batch.from === id && batch.phase === 'running');
        most = Math.max(most, running.filter((batch) => frozenAt(id, batch.slots[0]![0])).length);
        const stay = subtractSlots(ALL_SLOTS, moving);
        expect([...eachSlot(stay)].filter((slot) => frozenAt(id, slot))).toEqual([]);
      }
      return {};
    };
    expect((await world.untilOver()).status).toBe('done');
    expect(freezes).toBeGreaterThan(10);
    expect(most).toBe(1);
  });

  it('Partial: slots that have arrived are served although another move of the plan cannot finish', async () => {
    const world = await DriverWorld.make(3);
    world.fill([[0, 16_383]], 1);
    world.down.add(2);
    world.elect();
    world.apply({ kind: 'reshard', shards: 4 });
    const moveOf = (from: number) => world.plan.moves.find((move) => move.from === from)!;
    await world.until(
      () => countSlots(moveOf(1).moved) + countSlots(moveOf(3).moved) === 2731,
      'the others do not arrive',
    );
    expect(moveOf(2).moved).toEqual([]);
    expect(world.plan.status).toBe('running');
    expect([...eachSlot(moveOf(1).slots)].every((slot) => world.shards.shard(4).serves(slot))).toBe(true);
    world.down.delete(2);
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('F63: a destination that goes away with a batch of its frozen holds up its own moves only', async () => {
    const world = await DriverWorld.make(1);
    world.fill([[0, 16_383]], 1);
    world.writers([1, 5_000, 9_000, 12_000, 16_000], 3);
    let gone = false;
    world.fate = (call): Fate => {
      if (call.what !== 'install' || call.shard !== 2 || gone) return {};
      gone = true;
      world.down.add(2);
      return {};
    };
    world.elect();
    world.apply({ kind: 'reshard', shards: 3 });
    const moveTo = (to: number) => world.plan.moves.find((move) => move.to === to)!;
    await world.until(() => isMoved(moveTo(3)), 'the other move does not go on', 60_000);
    expect(isMoved(moveTo(2))).toBe(false);
    world.down.delete(2);
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('F54: drivers that come and go, more often than a move may fail, do not make the plan fail', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[4, 4]], 3_000);
    world.copy_ms = 1;
    world.elect();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2 });
    const underWay = (): boolean => world.controller.machine.batches().some(({ phase }) => phase === 'running');
    for (let i = 0; i < 30; i++) {
      await world.until(() => underWay(), 'no batch begins');
      await world.scheduler.runFor(200);
      world.crash();
      world.elect();
    }
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('Unaffected: shards that are away, however many, do not hold up the moves of those that are there', async () => {
    const world = await DriverWorld.make(6);
    for (const shard of [2, 3, 4, 5]) world.down.add(shard);
    world.elect();
    world.apply({ kind: 'reshard', shards: 7 });
    const arrived = (from: number): boolean => world.plan.moves.filter((move) => move.from === from).every(isMoved);
    await world.until(() => arrived(1) && arrived(6), 'the others do not arrive');
    world.down.clear();
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('F62: the pause does not grow with what there is to copy: that is copied while the slots are served', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[4, 4]], 3_000);
    world.copy_ms = 1;
    world.writers([4], 40);
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2, max_pause_ms: 50 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    expect(maxPause(world)).toBeLessThan(50);
    expect(world.calls).not.toContain('thaw');
  });

  it('F62: a slot whose last changes never fit into the pause is thawed again and again, then undone; the plan fails saying so', async () => {
    const world = await DriverWorld.make(2, 1, { attemptsMax: 3, freezesMax: 5 });
    busyKeys(world, 4, 0.5);
    world.copy_ms = 10;
    world.elect();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2, max_pause_ms: 20 });
    const plan = await world.untilOver();
    expect(plan.status).toBe('failed');
    expect(plan.reason).toContain('slot 4 and following');
    expect(plan.reason).toContain('3 times in a row');
    expect(plan.reason).toContain(
      'in 5 rounds the last changes were never installed within the pause of 20 ms (max_pause_ms)',
    );
    world.expectTidy();
    expect(world.shards.shard(1).serves(4)).toBe(true);
    expect(world.calls.filter((call) => call === 'thaw').length).toBeGreaterThanOrEqual(15);
    expect(plan.moves[0]!.pause_ms).toBeLessThan(60);
  });

  it('F62: a round whose Install does not come in time is barred before the source serves again; it may come later', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 3);
    world.writers([0, 5, 9], 2);
    let lost = 0;
    world.fate = (call): Fate =>
      call.what === 'install' && lost++ < 2 ? { request: 'lost', again_ms: world.random.between(60, 3_000) } : {};
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2, max_pause_ms: 50 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    const steps = world.calls.filter((call) => ['freeze', 'install', 'bar', 'thaw', 'unfreeze'].includes(call));
    expect(steps.slice(0, 4)).toEqual(['freeze', 'install', 'bar', 'thaw']);
    expect(steps).not.toContain('unfreeze');
    expect(maxPause(world)).toBeGreaterThan(50);
    expect(maxPause(world)).toBeLessThan(80);
  });

  it('F62: a batch that is never drained is frozen all the same: what is left fits into the pause', async () => {
    const world = await DriverWorld.make(2);
    busyKeys(world, 4, 4);
    world.copy_ms = 5;
    world.elect();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2, max_pause_ms: 1_000 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    expect(maxPause(world)).toBeLessThan(1_000);
  });

  it.each([2, 3, 4, 5, 6])(
    'F63: a destination that goes away when it is asked for the %ith time costs other moves of its source no turns',
    async (nth) => {
      const world = await DriverWorld.make(1, 1, { batchSlots: 100 });
      world.fill([[0, 16_383]], 1);
      world.elect();
      world.apply({ kind: 'reshard', shards: 3 });
      const moveTo = (to: number) => world.plan.moves.find((move) => move.to === to)!;
      let asked = 0;
      world.fate = (call) => {
        if (call.what === 'ready' && call.shard === 2 && ++asked === nth) world.down.add(2);
        return {};
      };
      await world.until(() => world.down.has(2), 'nothing moves');
      const began_ms = world.scheduler.now_ms;
      await world.until(() => isMoved(moveTo(3)), 'the other move does not go on', 60_000);
      // Some fifty batches; a turn that is lost takes two seconds.
      expect(world.scheduler.now_ms - began_ms).toBeLessThan(15_000);
      world.down.delete(2);
      expect((await world.untilOver()).status).toBe('done');
      world.expectTidy();
    },
  );

  it('is cancelled at once, however long the copy under way takes', async () => {
    const world = await DriverWorld.make(2, 1, { batchBytes: 500 });
    world.fill([[4, 4]], 1_000);
    world.elect();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2, maxRate: 200 });
    await world.until(() => world.calls.includes('copy'), 'nothing is copied');
    await world.scheduler.runFor(1_000);
    const cancelled_ms = world.scheduler.now_ms;
    world.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
    await world.until(() => world.plan.status === 'cancelled', 'it is not cancelled');
    expect(world.scheduler.now_ms - cancelled_ms).toBeLessThan(1_000);
    await world.scheduler.runFor(60_000);
    world.expectTidy();
    expect(world.shards.shard(1).serves(4)).toBe(true);
  });

  it('F62: a Freeze that is confirmed late is gone on from, as thawing would take longer; what has been copied is not copied anew', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 3);
    world.writers([0, 5, 9], 2);
    let lost = 0;
    world.fate = (call): Fate => (call.what === 'freeze' && lost++ < 1 ? { answer: 'lost' } : {});
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2, max_pause_ms: 50 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    const steps = world.calls.filter((call) => ['freeze', 'install', 'bar', 'thaw', 'abort_import'].includes(call));
    expect(steps).toEqual(['freeze', 'freeze', 'install']);
    expect(world.copies.filter(({ since }) => since === null)).toHaveLength(1);
    expect(maxPause(world)).toBeLessThan(50 + 2 * 6);
  });

  it('F62: what an outage added to a Freeze is not waited for again', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 3);
    world.elect();
    let frozen_ms = 0;
    let installs = 0;
    world.fate = (call): Fate => {
      if (call.what === 'freeze') frozen_ms ||= world.scheduler.now_ms;
      // The source is away for long, then its way to the destination is.
      if (call.what === 'freeze' && world.scheduler.now_ms < frozen_ms + 20_000) return { answer: 'lost' };
      if (call.what === 'install' && installs++ < 1_000 && !world.calls.includes('thaw')) return { request: 'lost' };
      return {};
    };
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2, max_pause_ms: 50 });
    await world.until(() => world.calls.includes('install'), 'it is not frozen');
    const confirmed_ms = world.scheduler.now_ms;
    await world.until(() => world.calls.includes('thaw'), 'it is not thawed');
    expect(world.scheduler.now_ms - confirmed_ms).toBeLessThan(200);
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('F62: nothing is frozen while a commit takes too long, and not put off for ever', async () => {
    const world = await DriverWorld.make(2);
    busyKeys(world, 4, 20);
    world.copy_ms = 30;
    world.elect();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2, max_pause_ms: 50 });
    await world.scheduler.runFor(2_100);
    expect(world.calls).toContain('copy');
    expect(world.calls).not.toContain('freeze');
    world.copy_ms = 0.1;
    await world.until(() => world.calls.includes('install'), 'it is not frozen', 5_000);
    expect((await world.untilOver()).status).toBe('done');
    expect(world.calls).not.toContain('thaw');
    world.expectTidy();
    expect(maxPause(world)).toBeLessThan(50);
  });

  it('F62: shards that are only late for a pause of some milliseconds count as there: no further batches begin', async () => {
    const world = await DriverWorld.make(6, 3);
    world.fill([[0, 16_383]], 1);
    let most = 0;
    const asked = new Map<number, number>();
    world.fate = (call): Fate => {
      const running = world.controller.machine.batches().filter(({ phase }) => phase === 'running');
      most = Math.max(most, running.length);
      if (call.what !== 'freeze') return {};
      asked.set(call.shard, (asked.get(call.shard) ?? 0) + 1);
      return asked.get(call.shard)! % 4 === 1 ? { answer: 'lost' } : {};
    };
    world.elect();
    world.apply({ kind: 'reshard', shards: 2, max_pause_ms: 50 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    // All shards are on the same three nodes.
    expect(most).toBe(2);
  });

  it('sends no more than the plan allows: batches are copied one after the other, each at that rate', async () => {
    const world = await DriverWorld.make(2, 1, { batchKeys: 50, batchBytes: 500 });
    world.fill([[0, 19]], 10);
    world.elect();
    // Ten bytes a key: two thousand of them in one second.
    world.apply({ kind: 'move', slots: [[0, 19]], to: 2, maxRate: 2_000 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    const bulk = world.copies.filter(({ since, keys }) => since === null && keys > 0);
    expect(bulk.reduce((sum, { keys }) => sum + keys, 0)).toBe(200);
    const [first, last] = [bulk[0]!, bulk.at(-1)!];
    expect(last.began_ms + last.takes_ms - first.began_ms).toBeGreaterThanOrEqual(1_000);
    for (let i = 1; i < bulk.length; i++)
      expect(bulk[i]!.began_ms).toBeGreaterThanOrEqual(bulk[i - 1]!.began_ms + bulk[i - 1]!.takes_ms);
  });

  it('copies a slot that takes longer than a call at the rate that is allowed', async () => {
    const world = await DriverWorld.make(2, 1, { batchBytes: 500 });
    world.fill([[4, 4]], 1_000);
    world.elect();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2, maxRate: 200 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('gives a batch up whose notes of changes would grow and grow, and says so', async () => {
    const world = await DriverWorld.make(2, 1, { notesMax: 20, attemptsMax: 2, drainedAt: 2 });
    world.fill([[4, 4]], 100);
    world.copy_ms = 10;
    world.elect();
    let written = 0;
    const write = (): void => {
      world.shards.write(4, `new ${written++}`, 1);
      world.scheduler.after(5, write);
    };
    write();
    world.apply({ kind: 'move', slots: [[4, 4]], to: 2 });
    const plan = await world.untilOver();
    expect([plan.status, plan.reason]).toEqual([
      'failed',
      expect.stringMatching(/ keys changed while they were copied, more than the 20/),
    ]);
    expect(world.shards.shard(1).serves(4)).toBe(true);
  });

  it('F52 F55: a copy that arrived broken is copied again before anything is installed', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 3);
    world.brokenCopies = 1;
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    expect(world.calls.filter((call) => call === 'freeze').length).toBe(2);
    expect(world.calls).not.toContain('unfreeze');
  });

  it('F55: where digests never agree the import is aborted and nothing of it stays', async () => {
    const world = await DriverWorld.make(2, 1, { attemptsMax: 2 });
    world.fill([[0, 9]], 3);
    world.brokenCopies = Number.POSITIVE_INFINITY;
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    const plan = await world.untilOver();
    expect(plan).toMatchObject({ status: 'failed', reason: expect.stringContaining('digests') });
    world.expectTidy();
    expect(world.controller.map.epoch).toBe(1);
  });

  it('F56: goes forward where Install was carried out and only its answer was late', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 3);
    world.fate = (call): Fate => (call.what === 'install' ? { answer: 'lost' } : {});
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2, max_pause_ms: 3_000 });
    expect((await world.untilOver()).status).toBe('done');
    expect(world.calls).toContain('bar');
    expect(world.calls).not.toContain('thaw');
    expect(world.calls).not.toContain('unfreeze');
    world.expectTidy();
  });

  it('F54: a source whose leader dies while it copies is asked again within the pause', async () => {
    const world = await DriverWorld.make(2, 1, { call_timeout_ms: 500 });
    world.fill([[0, 9]], 3);
    world.fate = (call): Fate => (call.what === 'copy' && world.scheduler.now_ms < 300 ? { answer: 'lost' } : {});
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2, max_pause_ms: 2_000 });
    expect((await world.untilOver()).status).toBe('done');
    expect(world.calls).not.toContain('abort_import');
    expect(maxPause(world)).toBeLessThan(700);
  });

  it('F61: deletes at the source only after the publication is committed', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 3);
    let published = false;
    world.fate = (call): Fate => {
      if (call.what === 'delete') expect(published).toBe(true);
      if (call.what !== 'propose publish' || published) return {};
      published = world.controller.machine.batches().some((batch) => batch.phase === 'published');
      return { request: world.scheduler.now_ms < 3_000 ? 'lost' : 'arrives' };
    };
    world.controller.machine.onChange(() => {
      published ||= world.controller.machine.batches().some((batch) => batch.phase === 'published');
    });
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('F60: there and back again many times; nothing old comes back', async () => {
    const world = await DriverWorld.make(2, 5);
    world.fill([[0, 9]], 3);
    world.writers([0, 5, 9], 2);
    // Everything comes a second time, seconds later: often in the middle of the way back.
    world.fate = (call): Fate => (call.shard === 0 ? {} : { again_ms: world.random.between(50, 9_000) });
    world.elect();
    for (let i = 0; i < 12; i++) {
      world.apply({ kind: 'move', slots: [[0, 9]], to: 2 - (i % 2) });
      await world.until(() => world.plan.status === 'done', 'a way does not end');
    }
    await world.scheduler.runFor(20_000);
    world.expectTidy();
  });

  it('does nothing while a plan is paused, and lets go of what it can when it is cancelled', async () => {
    const world = await DriverWorld.make(1);
    world.fill([[0, 16_383]], 1);
    world.elect();
    world.apply({ kind: 'reshard', shards: 2 });
    await world.until(() => countSlots(world.plan.moves[0]!.moved) > 1_000, 'it does not begin');
    world.apply({ kind: 'plan_control', plan: 'p1', action: 'pause' });
    await world.until(() => world.controller.machine.batches().length === 0, 'what is in flight does not end');
    const moved = countSlots(world.plan.moves[0]!.moved);
    await world.scheduler.runFor(60_000);
    expect(countSlots(world.plan.moves[0]!.moved)).toBe(moved);
    world.apply({ kind: 'plan_control', plan: 'p1', action: 'resume' });
    await world.until(() => countSlots(world.plan.moves[0]!.moved) > moved, 'it does not go on');
    world.down.add(2);
    await world.scheduler.runFor(3_000);
    world.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
    world.down.delete(2);
    expect((await world.untilOver()).status).toBe('cancelled');
    world.expectTidy();
  });

  it.each([
    ['begin_export', 1, 'undone'],
    ['copy', 1, 'undone'],
    ['copy', 2, 'undone'],
    ['freeze', 1, 'undone'],
    // On its way, it cannot be called back.
    ['install', 1, 'forward'],
    ['propose publish', 1, 'forward'],
    ['delete', 1, 'forward'],
    ['purged', 1, 'forward'],
  ] as const)('cancelled at %s %i a batch is %s, and the log says so', async (what, nth, outcome) => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 20);
    world.writers([0, 3, 9], 4);
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    let seen = 0;
    world.fate = (call) => {
      if (call.what === what && ++seen === nth) world.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
      return {};
    };
    const { status, reason } = await world.untilOver();
    expect(seen).toBeGreaterThanOrEqual(nth);
    const [move] = world.plan.moves;
    const whole = [[0, 9]];
    if (outcome === 'undone') {
      expect({ status, ...move }).toMatchObject({ status: 'cancelled', moved: [], forward: [], undone: whole });
    } else {
      expect({ status, ...move }).toMatchObject({ status: 'done', moved: whole, undone: [] });
      // Only what was published after the cancel is called that.
      expect(move!.forward).toEqual(what === 'delete' || what === 'purged' ? [] : whole);
    }
    expect(reason).toContain('cancelled by request');
    world.expectTidy();
  });

  it('takes the place of a cancelled plan whose source is away', async () => {
    const world = await DriverWorld.make(2);
    world.elect();
    world.down.add(1);
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    await world.scheduler.runFor(30_000);
    world.apply({ kind: 'plan_control', plan: 'p1', action: 'cancel' });
    expect((await world.untilOver()).status).toBe('cancelled');
    world.down.delete(1);
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });

  it('warns of nodes that do not confirm that a retired shard is gone, and ends the plan all the same', async () => {
    const world = await DriverWorld.make(2);
    world.removed = false;
    world.elect();
    world.apply({ kind: 'reshard', shards: 1 });
    const plan = await world.untilOver();
    expect(plan.status).toBe('done');
    for (const name of ['s2', 'n1', 'n2', 'n3']) expect(plan.warnings.join()).toContain(name);
  });

  it('waits for all retired shards at once, and not long for nodes that say nothing', async () => {
    const plan = await mergedAmongSilent(3);
    expect(plan.status).toBe('done');
    expect(plan.warnings.filter((warning) => warning.includes('not confirmed within 10 s'))).toHaveLength(2);
  });

  it('ends also where more retired shards are to be warned of than a plan keeps warnings: the last one says how many more', async () => {
    const plan = await mergedAmongSilent(103);
    expect(plan.status).toBe('done');
    expect(plan.warnings).toHaveLength(100);
    expect(plan.warnings.filter((warning) => warning.includes('not confirmed within 10 s'))).toHaveLength(99);
    expect(plan.warnings.at(-1)).toBe('the same of 3 more shards');
  });

  it('asks for space under one name for the whole plan, however often, and whoever leads: it is one work', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 1);
    let asked = 0;
    world.fate = ({ what }): Fate => {
      if (what !== 'reclaim') return {};
      if (++asked === 2) {
        world.crash();
        world.scheduler.after(200, () => world.elect());
      }
      return asked < 4 ? { answer: 'lost' } : {};
    };
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    expect((await world.untilOver()).status).toBe('done');
    expect(world.reclaimRuns.length).toBeGreaterThan(3);
    expect(new Set(world.reclaimRuns)).toEqual(new Set(['p1']));
  });

  it('waits for a shard that is only just being made', async () => {
    const world = await DriverWorld.make(1);
    world.elect();
    world.apply({ kind: 'reshard', shards: 2 });
    await world.scheduler.runFor(15);
    expect(world.shards.all.has(2)).toBe(false);
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
    expect(maxPause(world)).toBeLessThan(100);
  });

  it('does not fall over an error of its ports', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 9]], 1);
    let thrown = 0;
    world.fate = (call): Fate => {
      if (call.what === 'copy' && thrown++ < 2) throw new TypeError('a bug behind the port');
      return {};
    };
    world.elect();
    world.apply({ kind: 'move', slots: [[0, 9]], to: 2 });
    expect((await world.untilOver()).status).toBe('done');
    expect(world.events.join()).toContain('stumbled');
    world.expectTidy();
  });

  it('sends nothing any more once it is stopped, whatever answers still come', async () => {
    const world = await DriverWorld.make(2);
    world.fill([[0, 999]], 3);
    const leader = world.elect();
    world.apply({ kind: 'move', slots: [[0, 999]], to: 2 });
    await world.until(() => world.calls.length > 12, 'it does not begin');
    leader.driver.stop();
    const sent = world.calls.length;
    await world.scheduler.runFor(60_000);
    expect(world.calls.length).toBe(sent);
    leader.driver.start();
    expect((await world.untilOver()).status).toBe('done');
    world.expectTidy();
  });
});

/** What a run is made of, so that it can be run again with a driver that dies at any of its calls. */
interface Play {
  readonly name: string;
  readonly moved: SlotRanges;
  prepare(world: DriverWorld): void;
  /** Faults that are part of the play. */
  fate(call: Call, world: DriverWorld): Fate;
}

const plays: Play[] = [
  {
    name: 'a move that goes well',
    moved: [[0, 9]],
    prepare: () => {},
    fate: () => ({}),
  },
  {
    name: 'a move whose first attempts are undone',
    moved: [[0, 9]],
    prepare: (world) => {
      world.brokenCopies = 5;
    },
    fate: () => ({}),
  },
  {
    name: 'a move that is thawed and frozen again',
    moved: [[0, 9]],
    prepare: () => {},
    fate: (call, world) => {
      const early = call.what === 'install' && world.calls.filter((what) => what === 'install').length <= 2;
      return early ? { request: 'lost', again_ms: 2_600 } : {};
    },
  },
  {
    name: 'a move whose Install is answered too late',
    moved: [[0, 9]],
    prepare: () => {},
    fate: (call, world) => (call.what === 'install' && world.scheduler.now_ms < 2_500 ? { answer: 'lost' } : {}),
  },
];

async function stage(play: Play): Promise<DriverWorld> {
  const world = await DriverWorld.make(2, 3, { batchSlots: 5, call_timeout_ms: 400, copiesMax: 2 });
  world.fill([[0, 9]], 2);
  world.writers([0, 4, 7, 100, 9_000], 20);
  play.prepare(world);
  world.fate = (call) => play.fate(call, world);
  world.elect();
  world.apply({ kind: 'move', slots: play.moved, to: 2, max_pause_ms: 2_000 });
  return world;
}

describe('RecoverController FencedController F54 F57: the leader goes at each of its calls', () => {
  for (const play of plays) {
    for (const [how, go] of Object.entries(LEADER_ENDS)) {
      it(`${play.name}: it ${how}`, async () => {
        const rehearsal = await stage(play);
        await rehearsal.untilOver();
        rehearsal.expectTidy();
        const calls = rehearsal.calls.length;
        expect(calls).toBeGreaterThan(15);
        for (let fatal = 1; fatal <= calls; fatal++) {
          const world = await stage(play);
          world.fate = (call) => {
            if (call.number !== fatal || call.driver !== world.leader) return play.fate(call, world);
            world.scheduler.after(200, () => world.elect());
            return go(world);
          };
          try {
            expect((await world.untilOver()).status).toBe('done');
            world.expectTidy();
            expect(formatSlots(world.controller.map.shards[1]!.slots)).toBe('0-9,8192-16383');
          } catch (error) {
            throw new Error(`at call ${fatal}, ${world.calls[fatal - 1]}: ${String(error)}`);
          }
        }
      });
    }
  }
});

describe('F45 F50 F54 F56 F58: under all faults at once', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('plans end, each slot has one owner, nothing is lost (seed %i)', async (seed) => {
    const world = await DriverWorld.make(2, seed, { batchSlots: 700, call_timeout_ms: 500 });
    const { random } = world;
    let calm = false;
    for (let slot = 0; slot < 16_384; slot += 10) world.fill([[slot, slot]], 2);
    world.writers([3, 3_000, 6_000, 9_000, 12_000, 15_000], 20);
    world.fate = (): Fate =>
      calm
        ? {}
        : {
            request: random.chance(0.05) ? 'lost' : 'arrives',
            answer: random.chance(0.05) ? 'lost' : 'arrives',
            ...(random.chance(0.1) ? { again_ms: random.between(1, 8_000) } : {}),
          };
    world.elect();
    for (let turn = 0; turn < 4; turn++) {
      world.apply({ kind: 'reshard', shards: random.int(1, 5), max_pause_ms: random.int(300, 3_000) });
      for (let fault = 0; fault < 4; fault++) {
        await world.scheduler.runFor(random.between(20, 700));
        await disturb(world);
      }
      calm = turn % 2 === 1;
      await world.untilOver();
      calm = false;
      world.expectTidy();
    }
  });
});

async function disturb(world: DriverWorld): Promise<void> {
  const { random } = world;
  if (random.chance(0.4)) {
    if (random.chance(0.5)) world.crash();
    else world.cutOff();
    await world.scheduler.runFor(random.between(0, 300));
    world.elect();
  }
  if (random.chance(0.3)) {
    const shard = random.int(1, 5);
    world.down.add(shard);
    world.scheduler.after(random.between(100, 4_000), () => world.down.delete(shard));
  }
  if (random.chance(0.1)) world.apply({ kind: 'plan_control', plan: world.plan.id, action: 'cancel' });
}
