import { describe, expect, it } from 'vitest';
import { ShardKeeper } from '../../../src/kv/server/shard-keeper.js';
import type { StampClock } from '../../../src/kv/server/stamp-clock.js';
import { decodeCommand, type KvCommand } from '../../../src/kv/store/index.js';
import type { Replica, ReplicaHost } from '../../../src/raft/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { EVERYTHING, put } from '../store/support/commands.js';
import { Machine } from '../store/support/machine.js';
import { exportAll, importPages, keysIn } from '../store/support/moves.js';

const SLOTS = [[100, 100]] as const;

/** An import of some keys was aborted: they are left over. */
async function withLeftovers(): Promise<Machine> {
  const [owner, shard] = [await Machine.create(), await Machine.create()];
  await owner.run({ kind: 'init', slots: EVERYTHING });
  for (const key of keysIn(SLOTS, 9)) await owner.run(put(key, 'v'));
  await owner.run({ kind: 'begin_export', move: 7, slots: SLOTS });
  await importPages(shard, 7, SLOTS, await exportAll(owner, SLOTS));
  await shard.run({ kind: 'abort_import', move: 7, slots: SLOTS });
  // From now on it is known that nothing expires, and only the purge waits for the engine.
  expect(await shard.machine.dueKeys(shard.now_ms, 1)).toBeNull();
  return shard;
}

/** Keeps the shard until nothing is left to do; `whileSettling` is called whenever it waits for the engine. Says what it proposed. */
async function kept(shard: Machine, whileSettling: () => Promise<void>): Promise<readonly KvCommand['kind'][]> {
  const scheduler = new SimScheduler();
  const proposed: KvCommand['kind'][] = [];
  const errors: unknown[] = [];
  const replica = {
    group: 1,
    leads: true,
    machine: shard.machine,
    settled: whileSettling,
    reportDamage: (error: unknown) => errors.push(error),
    propose: (data: Buffer, { applied }: { applied: (result: unknown, index: number) => void }) => {
      const decoded = decodeCommand(data);
      if ('command' in decoded) proposed.push(decoded.command.kind);
      applied(shard.applyBytes(data), 1);
    },
  };
  const keeper = new ShardKeeper({
    clock: new SimClock(scheduler),
    host: { groups: () => [1], get: () => replica as unknown as Replica } as unknown as ReplicaHost,
    stampOf: () => ({ next: (clock_ms: number) => clock_ms }) as unknown as StampClock,
    firstSlots: async () => [],
    work: { requests: () => 0, busy_ms: () => 0 },
    undisturbed: () => Promise.resolve(),
    failed: (error) => errors.push(error),
  });
  await scheduler.runFor(1_000);
  keeper.close();
  expect(errors).toEqual([]);
  return proposed;
}

describe('the chores of a shard', () => {
  it('are to purge what an aborted import has left', async () => {
    const shard = await withLeftovers();
    expect(await kept(shard, async () => {})).toEqual(['purge']);
    expect(shard.machine.purged(SLOTS)).toBe(true);
  });

  it('do not count twice what somebody else has purged, and the engine does not know yet', async () => {
    const shard = await withLeftovers();
    const other = (await shard.machine.purgePass(7, SLOTS).next(4))!;
    let settlings = 0;
    await kept(shard, async () => {
      if (settlings++ === 0) shard.apply(other);
      else await shard.endRound();
    });
    await shard.endRound();
    expect(shard.machine.purged(SLOTS)).toBe(true);
    expect((await shard.dump()).filter((row) => /^1[0-4]/.test(row))).toEqual([]);
  });
});
