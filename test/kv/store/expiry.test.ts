import { beforeEach, describe, expect, it } from 'vitest';
import type { Condition, KvResult } from '../../../src/kv/store/index.js';
import { del, EVERYTHING, put } from './support/commands.js';
import { Machine } from './support/machine.js';

let shard: Machine;

beforeEach(async () => {
  shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
});

const look = (key: string) => shard.machine.lookup(Buffer.from(key));
const due = (limit = 100) => shard.machine.dueKeys(shard.now_ms, limit);
const tick = (): Promise<KvResult> => shard.run({ kind: 'expire', keys: [], idempotency: [] });

describe('expiry', () => {
  it('hides a key from the instant that the replicated clock says, and not before', async () => {
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    shard.now_ms += 99;
    expect(look('a').kind).toBe('found');
    await tick();
    expect(look('a').kind).toBe('found');
    shard.now_ms += 1;
    await tick();
    expect(look('a')).toEqual({ kind: 'missing' });
  });

  it('follows the largest stamp: one that goes back changes nothing', async () => {
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    shard.now_ms += 1_000;
    await tick();
    shard.now_ms -= 5_000;
    expect(await shard.run(put('b', '1', { ttl_ms: 10 }))).toMatchObject({ kind: 'stored' });
    expect(shard.machine.clock_ms).toBe(1_001_000);
    expect(look('a')).toEqual({ kind: 'missing' });
    expect(look('b')).toMatchObject({ record: { expires_ms: 1_001_010 } });
  });

  it('is cleared by a put without a TTL and moved by one with another', async () => {
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    await shard.run(put('b', '1', { ttl_ms: 100 }));
    await shard.run(put('a', '2'));
    await shard.run(put('b', '2', { ttl_ms: 300 }));
    shard.now_ms += 100;
    expect(await due()).toBeNull();
    expect((await shard.dump()).filter((row) => row.startsWith('13')).length).toBe(1);
    shard.now_ms += 200;
    expect(await due()).toEqual({ kind: 'expire', keys: [{ key: Buffer.from('b'), revision: 4 }], idempotency: [] });
  });

  it('removes what is due, and nothing that has changed since', async () => {
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    await shard.run(put('b', '1', { ttl_ms: 100 }));
    const rows = (await shard.dump()).length;
    shard.now_ms += 100;
    const found = await due();
    expect(found?.keys.map(({ key }) => key.toString())).toEqual(['a', 'b']);
    await shard.run(put('b', 'kept', { ttl_ms: 100 }));
    expect(await shard.run(found!)).toEqual({ kind: 'expired', keys: 1 });
    expect(look('b').kind).toBe('found');
    // Record, slot index, expiry and sums of `a`.
    expect((await shard.dump()).length).toBe(rows - 4);
    expect(await shard.run(found!)).toEqual({ kind: 'expired', keys: 0 });
    expect(
      await shard.run({ kind: 'expire', keys: [{ key: Buffer.from('b'), revision: 3 }], idempotency: [] }),
    ).toEqual({
      kind: 'expired',
      keys: 0,
    });
  });

  it('leaves a key that was written again and is due again to the next round', async () => {
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    shard.now_ms += 100;
    const found = await due();
    await shard.run(put('a', '2', { ttl_ms: 10 }));
    shard.now_ms += 10;
    expect(await shard.run(found!)).toEqual({ kind: 'expired', keys: 0 });
    expect(await shard.run((await due())!)).toEqual({ kind: 'expired', keys: 1 });
  });

  it('draws a revision, so that a key that comes back has the larger one', async () => {
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    shard.now_ms += 100;
    await shard.run((await due())!);
    expect(await shard.run(put('a', '2'))).toEqual({ kind: 'stored', created: true, revision: 3, version: 1 });
  });

  const cases: readonly [string, Condition, KvResult, KvResult][] = [
    ['none', { kind: 'none' }, { kind: 'stored', created: true, revision: 2, version: 1 }, { kind: 'missing' }],
    ['absent', { kind: 'absent' }, { kind: 'stored', created: true, revision: 2, version: 1 }, { kind: 'missing' }],
    [
      'exists',
      { kind: 'exists' },
      { kind: 'precondition_failed', revision: null },
      { kind: 'precondition_failed', revision: null },
    ],
  ];
  for (const [name, condition, onPut, onDelete] of cases) {
    it(`makes a key absent for writes before it is removed (condition ${name})`, async () => {
      for (const [write, result] of [
        [put('a', '2', { condition }), onPut],
        [del('a', { condition }), onDelete],
      ] as const) {
        shard = await Machine.create();
        await shard.run({ kind: 'init', slots: EVERYTHING });
        await shard.run(put('a', '1', { ttl_ms: 100 }));
        shard.now_ms += 100;
        expect(await shard.run(write)).toEqual(result);
        expect(shard.machine.totals().keys).toBe(result.kind === 'stored' ? 1 : 0);
        expect((await shard.dump()).filter((row) => row.startsWith('13'))).toEqual([]);
      }
    });
  }

  it('finds everything that is due in batches, the earliest first, also after a restart', async () => {
    for (let i = 0; i < 25; i++) shard.apply(put(`k${i}`, 'v', { ttl_ms: 100 - i }));
    await shard.endRound();
    await shard.reopen();
    shard.now_ms += 100;
    const batches: number[] = [];
    for (let found = await due(10); found !== null; found = await due(10)) {
      if (batches.length === 0) expect(found.keys[0]!.key.toString()).toBe('k24');
      batches.push(found.keys.length);
      await shard.run(found);
    }
    expect(batches).toEqual([10, 10, 5]);
    expect(shard.machine.totals().keys).toBe(0);
  });

  it('finds a key that comes with an earlier time than was looked at before', async () => {
    expect(await shard.machine.dueKeys(shard.now_ms + 5_000, 10)).toBeNull();
    await shard.run(put('a', '1', { ttl_ms: 100 }));
    shard.now_ms += 6_000;
    expect((await due())?.keys.length).toBe(1);
  });

  it('finds a key that was written while nothing was due, also one that is still on its way to the engine', async () => {
    expect(await due()).toBeNull();
    shard.apply(put('a', '1', { ttl_ms: 1 }));
    shard.now_ms += 1_000;
    expect(await due()).toBeNull();
    await shard.endRound();
    expect((await due())?.keys.length).toBe(1);
  });

  it('reads nothing while nothing can be due, however often it is asked', async () => {
    let reads = 0;
    const range = shard.engine.range.bind(shard.engine);
    shard.engine.range = (wanted) => {
      reads++;
      return range(wanted);
    };
    await shard.run(put('a', '1', { ttl_ms: 60_000 }));
    expect(await due()).toBeNull();
    const first = reads;
    for (let second = 0; second < 59; second++) {
      shard.now_ms += 1_000;
      expect(await due()).toBeNull();
    }
    expect(reads).toBe(first);
    shard.now_ms += 1_000;
    await shard.run((await due())!);
    expect(await due()).toBeNull();
    const last = reads;
    shard.now_ms += 1_000_000;
    expect(await due()).toBeNull();
    expect(reads).toBe(last);
  });
});
