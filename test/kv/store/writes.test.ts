import { beforeEach, describe, expect, it } from 'vitest';
import type { Condition, KvResult } from '../../../src/kv/store/index.js';
import { del, EVERYTHING, put, token } from './support/commands.js';
import { Machine } from './support/machine.js';

let shard: Machine;

beforeEach(async () => {
  shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
});

const look = (key: string) => shard.machine.lookup(Buffer.from(key));
const textOf = (key: string): string | null => {
  const found = look(key);
  return found.kind === 'found' ? found.record.value.toString() : null;
};

describe('put and delete', () => {
  it('stores a value with its content type, and gives both back after a restart', async () => {
    expect(await shard.run(put('a', 'one', { contentType: 'text/x-weird; q="ü"' }))).toEqual({
      kind: 'stored',
      created: true,
      revision: 1,
      version: 1,
    });
    await shard.reopen();
    const found = look('a');
    expect(found).toMatchObject({
      kind: 'found',
      record: { contentType: 'text/x-weird; q="ü"', revision: 1, version: 1, expires_ms: 0 },
    });
    expect(textOf('a')).toBe('one');
    expect(shard.machine.revision).toBe(1);
  });

  it('draws every revision from one counter and counts versions from 1 after each create', async () => {
    const results: KvResult[] = [];
    for (const command of [put('a', '1'), put('b', '2'), put('a', '3'), del('a'), put('a', '4')]) {
      results.push(await shard.run(command));
    }
    expect(results).toEqual([
      { kind: 'stored', created: true, revision: 1, version: 1 },
      { kind: 'stored', created: true, revision: 2, version: 1 },
      { kind: 'stored', created: false, revision: 3, version: 2 },
      { kind: 'deleted', revision: 4 },
      { kind: 'stored', created: true, revision: 5, version: 1 },
    ]);
  });

  it('answers a delete of nothing with missing and draws no revision', async () => {
    expect(await shard.run(del('a'))).toEqual({ kind: 'missing' });
    expect(shard.machine.revision).toBe(0);
  });

  it('keeps empty values, and keys of any bytes apart', async () => {
    await shard.run(put('a', ''));
    await shard.run(put('a\0', 'nul'));
    expect(textOf('a')).toBe('');
    expect(textOf('a\0')).toBe('nul');
  });

  it('leaves nothing of deleted keys in the engine', async () => {
    const before = (await shard.dump()).length;
    await shard.run(put('a', '1', { ttl_ms: 5_000 }));
    await shard.run(del('a'));
    expect((await shard.dump()).length).toBe(before);
    expect(shard.machine.totals()).toEqual({ keys: 0, bytes: 0 });
  });

  it('refuses writes of slots it does not own', async () => {
    const empty = await Machine.create();
    expect(await empty.run(put('a', '1'))).toEqual({ kind: 'not_serving', slot: 15495, state: 0, move: 0 });
    expect(empty.machine.lookup(Buffer.from('a'))).toEqual({ kind: 'not_serving', slot: 15495, state: 0, move: 0 });
  });
});

describe('conditions', () => {
  const failed = (revision: number | null): KvResult => ({ kind: 'precondition_failed', revision });
  const cases: readonly [string, Condition, KvResult['kind'], KvResult['kind'], KvResult['kind'], KvResult['kind']][] =
    [
      ['none', { kind: 'none' }, 'stored', 'stored', 'deleted', 'missing'],
      ['exists', { kind: 'exists' }, 'stored', 'precondition_failed', 'deleted', 'precondition_failed'],
      ['absent', { kind: 'absent' }, 'precondition_failed', 'stored', 'precondition_failed', 'missing'],
      [
        'the revision',
        { kind: 'revision', revision: 1 },
        'stored',
        'precondition_failed',
        'deleted',
        'precondition_failed',
      ],
      [
        'another revision',
        { kind: 'revision', revision: 7 },
        'precondition_failed',
        'precondition_failed',
        'precondition_failed',
        'precondition_failed',
      ],
    ];
  for (const [name, condition, putOld, putNew, deleteOld, deleteNew] of cases) {
    it(`${name}: on keys that are there and that are not`, async () => {
      await shard.run(put('there', 'x'));
      const onOld = await shard.run(put('there', 'y', { condition }));
      const onNew = await shard.run(put('new', 'y', { condition }));
      expect([onOld.kind, onNew.kind]).toEqual([putOld, putNew]);
      if (onOld.kind === 'precondition_failed') expect(onOld).toEqual(failed(1));
      if (onNew.kind === 'precondition_failed') expect(onNew).toEqual(failed(null));
      const other = await Machine.create();
      await other.run({ kind: 'init', slots: EVERYTHING });
      await other.run(put('there', 'x'));
      const gone = await other.run(del('there', { condition }));
      const nothing = await other.run(del('new', { condition }));
      expect([gone.kind, nothing.kind]).toEqual([deleteOld, deleteNew]);
    });
  }
});

describe('idempotency keys', () => {
  it('F50: a retry gets the first answer and has no second effect, also after a restart', async () => {
    const first = await shard.run(put('a', '1', { idempotency: token('t', 1) }));
    await shard.run(put('a', '2'));
    await shard.reopen();
    expect(await shard.run(put('a', '1', { idempotency: token('t', 1) }))).toEqual(first);
    expect(textOf('a')).toBe('2');
    expect(shard.machine.revision).toBe(2);
  });

  it('records 404 and 412 like any other answer', async () => {
    const condition: Condition = { kind: 'exists' };
    const answers = async (): Promise<KvResult[]> => [
      await shard.run(del('a', { idempotency: token('miss', 1) })),
      await shard.run(put('a', '1', { condition, idempotency: token('fail', 1) })),
    ];
    const first = await answers();
    expect(first).toEqual([{ kind: 'missing' }, { kind: 'precondition_failed', revision: null }]);
    await shard.run(put('a', 'now there'));
    expect(await answers()).toEqual(first);
    const onRevision = put('a', '1', { condition: { kind: 'absent' }, idempotency: token('rev', 1) });
    expect(await shard.run(onRevision)).toEqual({ kind: 'precondition_failed', revision: 1 });
    await shard.run(put('a', 'newer'));
    expect(await shard.run(onRevision)).toEqual({ kind: 'precondition_failed', revision: 1 });
    const deletion = del('a', { idempotency: token('del', 1) });
    expect(await shard.run(deletion)).toEqual({ kind: 'deleted', revision: 3 });
    expect(await shard.run(deletion)).toEqual({ kind: 'deleted', revision: 3 });
  });

  it('answers another request under the same key with a conflict; the scope is the KV key', async () => {
    await shard.run(put('a', '1', { idempotency: token('t', 1) }));
    expect(await shard.run(put('a', '2', { idempotency: token('t', 2) }))).toEqual({ kind: 'conflict' });
    expect(await shard.run(put('b', '2', { idempotency: token('t', 2) }))).toMatchObject({ kind: 'stored' });
    expect(textOf('a')).toBe('1');
  });

  it('remembers for ten minutes of the replicated clock, and no longer', async () => {
    const write = put('a', '1', { idempotency: token('t', 1) });
    await shard.run(write);
    shard.now_ms += 600_000 - 1;
    expect(await shard.run(write)).toMatchObject({ revision: 1 });
    shard.now_ms += 1;
    expect(await shard.run(write)).toMatchObject({ revision: 2 });
    shard.now_ms += 600_000 - 1;
    expect(await shard.run(write)).toMatchObject({ revision: 2 });
  });

  it('removes records whose time has come with the expire command', async () => {
    await shard.run(put('a', '1', { idempotency: token('t', 1) }));
    const rows = (await shard.dump()).length;
    shard.now_ms += 600_000;
    const due = await shard.machine.dueKeys(shard.now_ms, 10);
    expect(due).toEqual({ kind: 'expire', keys: [], idempotency: [{ key: Buffer.from('a'), idempotencyKey: 't' }] });
    expect(await shard.run(due!)).toEqual({ kind: 'expired', keys: 1 });
    expect((await shard.dump()).length).toBe(rows - 2);
  });
});
