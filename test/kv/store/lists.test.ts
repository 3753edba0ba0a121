import { beforeEach, describe, expect, it } from 'vitest';
import type { ListPage, ListRequest } from '../../../src/kv/store/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { del, EVERYTHING, put } from './support/commands.js';
import { Machine } from './support/machine.js';
import { exportAll, freeze, importPages, install } from './support/moves.js';

let shard: Machine;

beforeEach(async () => {
  shard = await Machine.create();
  await shard.run({ kind: 'init', slots: EVERYTHING });
});

const ask = (request: Partial<ListRequest> = {}): Promise<ListPage> =>
  shard.machine.listPage({
    start: Buffer.alloc(0),
    end: null,
    limit: 100,
    maxBytes: 1_000_000,
    keysOnly: false,
    ...request,
  });
const names = (page: ListPage): string[] => page.items.map((item) => item.key.toString('latin1'));

async function all(request: Partial<ListRequest>): Promise<string[]> {
  const found: string[] = [];
  let start: Buffer | null = Buffer.from(request.start ?? []);
  while (start !== null) {
    const page = await ask({ ...request, start });
    found.push(...names(page));
    start = page.next;
  }
  return found;
}

describe('list', () => {
  it('gives keys in byte order between the bounds, in pages of any size', async () => {
    const keys = ['a', 'a\0', 'a/b', 'b', 'ba', '\x7f'];
    for (const key of [...keys].reverse()) shard.apply(put(key, key));
    shard.apply({ ...put('', 'x'), key: Buffer.from([0xff]) });
    await shard.endRound();
    expect(await all({})).toEqual([...keys, '\xff']);
    for (const limit of [1, 2, 3]) expect(await all({ limit })).toEqual([...keys, '\xff']);
    expect(await all({ maxBytes: 1 })).toEqual([...keys, '\xff']);
    expect(await all({ start: Buffer.from('a\0'), end: Buffer.from('b'), limit: 1 })).toEqual(['a\0', 'a/b']);
    expect(await ask({ start: Buffer.from('x'), end: Buffer.from('b') })).toMatchObject({ items: [], next: null });
  });

  it('ends exactly at the last key: no empty page after a full one', async () => {
    for (const key of ['a', 'b', 'c', 'd']) await shard.run(put(key, key));
    const page = await ask({ limit: 4 });
    expect([names(page), page.next]).toEqual([['a', 'b', 'c', 'd'], null]);
    expect((await ask({ limit: 2 })).next?.toString()).toBe('c');
  });

  it('gives values with all that belongs to them, or keys only', async () => {
    await shard.run(put('a', 'value', { contentType: 'text/plain', ttl_ms: 1_000 }));
    const item = { revision: 1, version: 1, contentType: 'text/plain', expires_ms: shard.now_ms + 1_000 };
    expect((await ask()).items).toEqual([{ key: Buffer.from('a'), value: Buffer.from('value'), ...item }]);
    expect((await ask({ keysOnly: true })).items).toEqual([{ key: Buffer.from('a'), value: Buffer.alloc(0), ...item }]);
  });

  it('hides keys whose time has come, deleted ones, and those of slots that are not served', async () => {
    for (const key of ['a', 'b', 'c']) await shard.run(put(key, key));
    await shard.run(put('d', 'd', { ttl_ms: 10 }));
    await shard.run(del('a'));
    shard.now_ms += 10;
    const slot = slotOfKey(Buffer.from('b'));
    await shard.run({ kind: 'begin_export', move: 1, slots: [[slot, slot]] });
    expect(names(await ask())).toEqual(['b', 'c']);
    await freeze(shard, 1, [[slot, slot]]);
    const page = await ask();
    expect(names(page)).toEqual(['c']);
    expect(page.served).toEqual([
      [0, slot - 1],
      [slot + 1, 16_383],
    ]);
  });

  it('F65: speaks for the slots as they were when the page was begun, whatever happens meanwhile', async () => {
    for (let i = 0; i < 400; i++) shard.apply(put(`k${i}`, 'v'));
    await shard.endRound();
    const page = ask({ limit: 1_000 });
    await shard.run({ kind: 'begin_export', move: 1, slots: EVERYTHING });
    const receipt = await freeze(shard, 1, EVERYTHING);
    const begun = await page;
    expect([begun.items.length, begun.served]).toEqual([400, EVERYTHING]);
    expect(await ask()).toEqual({ items: [], served: [], next: null });
    const to = await Machine.create();
    await importPages(to, 1, EVERYTHING, await exportAll(shard, EVERYTHING, 10_000));
    shard = to;
    const importing = ask({ limit: 1_000 });
    await install(to, 1, EVERYTHING, receipt);
    expect(await importing).toEqual({ items: [], served: [], next: null });
    expect((await ask({ limit: 1_000 })).items.length).toBe(400);
  });
});
