/** Properties of replicas and of shards that move slots among themselves, against a model of what clients were told. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvCommand } from '../../../src/kv/store/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';
import { exportAll, importPages } from './support/moves.js';
import { KEYS, type Step, step, World } from './support/world.js';

/** These compute, they do not wait; a busy machine may take its time. */
const BUSY = { timeout: 120_000 };

async function play(steps: readonly Step[]): Promise<{ moves: number; installs: number }> {
  const world = new World();
  await world.start();
  let installs = 0;
  for (const one of steps) {
    const before = world.phase;
    switch (one.kind) {
      case 'put':
      case 'delete':
        await world.write(one);
        break;
      case 'wait':
        world.now_ms += one.ms;
        break;
      case 'expire':
        for (const shard of [0, 1]) {
          const due = await world.shards[shard]!.machine.dueKeys(world.now_ms, 2);
          if (due !== null) await world.run(shard, due);
        }
        break;
      case 'move':
        await world.drive(one.at);
    }
    if (before === 'running' && world.phase === 'published') installs++;
    world.check();
  }
  return { moves: world.move, installs };
}

describe('two shards and a careless driver', () => {
  it('F50 F52 F55 F56 F60: one owner a slot, no write lost, no effect twice, revisions only grow', BUSY, async () => {
    let installs = 0;
    let moves = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 160, size: 'max' }), async (steps) => {
        const played = await play(steps);
        installs += played.installs;
        moves += played.moves;
      }),
      { seed: 42, numRuns: 25 },
    );
    // The property says something only if moves are really carried through.
    expect(installs).toBeGreaterThan(30);
    expect(moves).toBeGreaterThan(40);
  });
});

/** Commands for one shard that owns all, is given pages, loses slots. */
async function history(steps: readonly Step[]): Promise<{ readonly command: KvCommand; readonly now_ms: number }[]> {
  const world = new World();
  await world.start();
  const log: { command: KvCommand; now_ms: number }[] = [];
  const inner = world.run.bind(world);
  world.run = (shard, command) => {
    if (shard === 0) log.push({ command, now_ms: world.now_ms });
    return inner(shard, command);
  };
  log.push({ command: { kind: 'init', slots: EVERYTHING }, now_ms: world.now_ms });
  for (const one of steps) {
    if (one.kind === 'put' || one.kind === 'delete') await world.write(one);
    else if (one.kind === 'wait') world.now_ms += one.ms;
    else if (one.kind === 'move') await world.drive(one.at);
  }
  return log;
}

describe('F30: replicas', () => {
  it(
    'that apply the same entries in other rounds, and with restarts between, have the same state and the same rows',
    BUSY,
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }),
          fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 5, maxLength: 5 }),
          async (steps, rounds) => {
            const log = await history(steps);
            const [one, other] = [await Machine.create(), await Machine.create()];
            for (const { command, now_ms } of log) {
              one.now_ms = now_ms;
              await one.run(command);
            }
            let left = rounds[0]!;
            for (const [at, { command, now_ms }] of log.entries()) {
              other.now_ms = now_ms;
              other.apply(command);
              if (--left > 0) continue;
              await other.endRound();
              left = rounds[at % rounds.length]!;
              if (left === 7) await other.reopen();
            }
            await other.endRound();
            expect(other.machine.stateHash()).toBe(one.machine.stateHash());
            expect(await other.dump()).toEqual(await one.dump());
            await one.reopen();
            expect(one.machine.stateHash()).toBe(other.machine.stateHash());
          },
        ),
        { seed: 30, numRuns: 25 },
      );
    },
  );

  it('that differ in anything have another state hash', async () => {
    const hashes = new Set<string>();
    const variants: KvCommand[][] = [
      [put('a', '1')],
      [put('a', '2')],
      [put('a', '1', { ttl_ms: 5 })],
      [put('a', '1', { contentType: 'text/plain' })],
      [put('a', '1', { idempotency: token('t', 1) })],
      [put('b', '1')],
      [put('a', '1'), { kind: 'begin_export', move: 1, slots: EVERYTHING }],
      [put('a', '1'), { kind: 'begin_export', move: 2, slots: EVERYTHING }],
      [{ kind: 'begin_export', move: 1, slots: EVERYTHING }, put('a', '1')],
      [put('a', '1'), { kind: 'unfreeze', move: 1, slots: EVERYTHING }],
    ];
    for (const commands of variants) {
      const shard = await Machine.create();
      await shard.run({ kind: 'init', slots: EVERYTHING });
      for (const command of commands) await shard.run(command);
      hashes.add(shard.machine.stateHash());
    }
    expect(hashes.size).toBe(variants.length);
  });
});

describe('the digest', () => {
  it('of slots is that of what they hold, however it came about; sums of disjoint sets add up', BUSY, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
        const world = new World();
        await world.start();
        for (const one of steps) {
          if (one.kind === 'put' || one.kind === 'delete') await world.write(one);
          if (one.kind === 'wait') world.now_ms += one.ms;
        }
        const { machine } = world.shards[0]!;
        await world.run(0, { kind: 'begin_export', move: 9, slots: EVERYTHING });
        await world.run(0, { kind: 'freeze', move: 9, round: 1, slots: EVERYTHING });
        const records = (await exportAll(world.shards[0]!, EVERYTHING)).flat();
        await importPages(world.shards[1]!, 9, EVERYTHING, [records]);
        expect(world.shards[1]!.machine.sums(EVERYTHING)).toEqual(machine.sums(EVERYTHING));
        const parts = KEYS.map((key) => slotOfKey(Buffer.from(key)));
        const total = [...new Set(parts)]
          .map((slot) => BigInt(`0x${machine.sums([[slot, slot]]).digest}`))
          .reduce((sum, part) => (sum + part) % 2n ** 128n, 0n);
        expect(total.toString(16).padStart(32, '0')).toBe(machine.sums(EVERYTHING).digest);
      }),
      { seed: 5, numRuns: 25 },
    );
  });
});
