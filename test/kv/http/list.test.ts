/** `GET /v1/kv`: bounds in bytes, cursors that belong to their bounds, the shape of items. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePercent, handleApi } from '../../../src/kv/http/index.js';
import type { ListedItem } from '../../../src/kv/server/api.js';
import { FakeKv } from './fake-services.js';

interface Page {
  items: Record<string, unknown>[];
  cursor?: string;
}

async function call(kv: FakeKv, query: string): Promise<{ status: number; body: Page & Record<string, unknown> }> {
  const url = query === '' ? '/v1/kv' : `/v1/kv?${query}`;
  const reply = await handleApi(kv, { method: 'GET', url, headers: {}, body: Buffer.alloc(0) });
  expect(reply.headers['x-quorate-epoch']).toBe('7');
  expect(Number(reply.headers['content-length'])).toBe(reply.body.length);
  return { status: reply.status, body: JSON.parse(reply.body.toString()) as Page & Record<string, unknown> };
}

async function put(kv: FakeKv, key: Uint8Array | string, value: string | Buffer, query = ''): Promise<void> {
  const url = `/v1/kv/${encodePercent(Buffer.from(key))}${query}`;
  const body = Buffer.from(value);
  const reply = await handleApi(kv, { method: 'PUT', url, headers: { 'Content-Type': 'text/plain' }, body });
  expect(reply.status).toBe(201);
}

function asked(kv: FakeKv): { start: string; end: string | null } {
  const { start, end } = kv.lists.at(-1)!.request;
  return { start: start.toString('latin1'), end: end === null ? null : end.toString('latin1') };
}

describe('items', () => {
  it('have the contract’s members, keys and values as text or base64', async () => {
    const kv = new FakeKv();
    await put(kv, 'a"b', 'é', '?ttl=5s');
    await put(kv, Buffer.from([0xff]), Buffer.from([0x80, 1]));
    const { status, body } = await call(kv, '');
    expect(status).toBe(200);
    const common = { version: 1, content_type: 'text/plain' };
    expect(body).toEqual({
      items: [
        { ...common, key: 'a"b', key_encoding: 'utf8', value: 'é', encoding: 'utf8', revision: '1', expires_in: 5_000 },
        { ...common, key: '/w==', key_encoding: 'base64', value: 'gAE=', encoding: 'base64', revision: '2' },
      ],
    });
  });

  it.each(['keys_only=true', 'keys_only=1', 'keys_only'])('without values: ?%s', async (query) => {
    const kv = new FakeKv();
    await put(kv, 'a', 'v');
    expect((await call(kv, query)).body.items).toEqual([
      { key: 'a', key_encoding: 'utf8', revision: '1', version: 1, content_type: 'text/plain' },
    ]);
    expect(kv.lists[0]!.request.keysOnly).toBe(true);
  });

  it('a page ends at 4 MiB, with at least one item, and goes on behind it', async () => {
    const kv = new FakeKv();
    const big = Buffer.alloc(1_048_576, 'v');
    for (const key of ['a', 'b', 'c', 'd', 'e']) await put(kv, key, big);
    const first = await call(kv, '');
    expect(first.body.items.map((item) => item['key'])).toEqual(['a', 'b', 'c']);
    const second = await call(kv, `cursor=${first.body.cursor}`);
    expect(second.body.items.map((item) => item['key'])).toEqual(['d', 'e']);
    expect(second.body.cursor).toBeUndefined();
    expect((await call(kv, 'keys_only')).body.items).toHaveLength(5);
  });
});

describe('bounds', () => {
  it.each([
    ['', { start: '', end: null }],
    ['prefix=&start=&end=&cursor=', { start: '', end: null }],
    ['prefix=users/', { start: 'users/', end: 'users0' }],
    ['prefix=a%FF', { start: 'a\xff', end: 'b' }],
    ['prefix=%FF%FF', { start: '\xff\xff', end: null }],
    ['start=a&end=b', { start: 'a', end: 'b' }],
    ['prefix=b&start=a', { start: 'b', end: 'c' }],
    ['prefix=b&start=bm', { start: 'bm', end: 'c' }],
    ['prefix=b&end=bm', { start: 'b', end: 'bm' }],
    ['prefix=b&end=z', { start: 'b', end: 'c' }],
    ['prefix=%FF&end=z&start=a', null],
    ['prefix=b&end=a', null],
    ['start=b&end=b', null],
    ['prefix=a+b%2B', { start: 'a b+', end: 'a b,' }],
    ['prefix=_w&enc=b64url', { start: '\xff', end: null }],
    ['start=_w==&end=_-8%3D&enc=b64url', { start: '\xff', end: '\xff\xef' }],
  ])('?%s', async (query, bounds) => {
    const kv = new FakeKv();
    const { status, body } = await call(kv, query);
    expect([status, body]).toEqual([200, { items: [] }]);
    if (bounds === null) expect(kv.lists).toEqual([]);
    else expect(asked(kv)).toEqual(bounds);
  });

  it('hold exactly the keys with the prefix', async () => {
    const bytes = fc
      .uint8Array({ minLength: 1, maxLength: 4, max: 255 })
      .map((a) => a.map((b) => (b > 128 ? 255 : b % 3)));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(bytes, { selector: (b) => b.join() }), bytes, async (keys, prefix) => {
        const kv = new FakeKv();
        for (const key of keys) await put(kv, key, 'v');
        const { body } = await call(kv, `keys_only&limit=1000&prefix=${encodePercent(prefix)}`);
        const wanted = keys.filter((key) => Buffer.from(key).subarray(0, prefix.length).equals(prefix));
        expect(body.items).toHaveLength(wanted.length);
      }),
      { seed: 4 },
    );
  });

  it('take the successor of the longest key, and nothing longer', async () => {
    const kv = new FakeKv();
    expect((await call(kv, `start=${'a'.repeat(1_025)}`)).status).toBe(200);
    expect((await call(kv, `start=${'a'.repeat(1_026)}`)).body).toMatchObject({ status: 414, code: 'key_too_large' });
  });
});

describe('cursors', () => {
  async function filled(): Promise<FakeKv> {
    const kv = new FakeKv();
    for (let i = 0; i < 25; i++) await put(kv, `k${String(i).padStart(2, '0')}`, 'v');
    return kv;
  }

  it.each([1, 3, 25, 1_000])('pages of %d cover every key once, in order', async (limit) => {
    const kv = await filled();
    const keys: unknown[] = [];
    let cursor: string | undefined = '';
    while (cursor !== undefined) {
      const { body }: { body: Page } = await call(kv, `prefix=k&limit=${limit}&cursor=${cursor}`);
      keys.push(...body.items.map((item) => item['key']));
      cursor = body.cursor;
    }
    expect(keys).toEqual(Array.from({ length: 25 }, (_, i) => `k${String(i).padStart(2, '0')}`));
  });

  it('with other bounds, of another making or bent are 400', async () => {
    const kv = await filled();
    const cursor = (await call(kv, 'prefix=k&limit=2')).body.cursor!;
    expect((await call(kv, `start=k&end=l&limit=5&cursor=${cursor}`)).status).toBe(200);
    const bytes = Buffer.from(cursor, 'base64url');
    const otherVersion = Buffer.from(bytes);
    otherVersion[0] = 2;
    const outside = Buffer.concat([bytes.subarray(0, 9), Buffer.from('z')]);
    for (const query of [
      `cursor=${cursor}`,
      `prefix=k0&cursor=${cursor}`,
      `prefix=k&start=k1&cursor=${cursor}`,
      'prefix=k&cursor=AQ',
      'prefix=k&cursor=!',
      `prefix=k&cursor=${cursor}=`,
      `prefix=k&cursor=${otherVersion.toString('base64url')}`,
      `prefix=k&cursor=${outside.toString('base64url')}`,
    ]) {
      expect((await call(kv, query)).body).toMatchObject({ status: 400, code: 'invalid_argument' });
    }
  });
});

describe('parameters', () => {
  it('defaults', async () => {
    const kv = new FakeKv();
    await call(kv, '');
    expect(kv.lists[0]).toMatchObject({
      request: { kind: 'list', limit: 100, keysOnly: false, consistency: 'linearizable', maxStaleness_ms: null },
      context: { timeout_ms: 8_000, noForward: false },
    });
    await call(kv, 'consistency=stale&max_staleness=2s&timeout=1s&limit=1000');
    expect(kv.lists[1]).toMatchObject({
      request: { limit: 1_000, consistency: 'stale', maxStaleness_ms: 2_000 },
      context: { timeout_ms: 1_000 },
    });
  });

  it('of which any may be left empty, as the contract writes the call down', async () => {
    const kv = new FakeKv();
    await put(kv, 'a', 'v');
    const { status, body } = await call(kv, 'prefix=&start=&end=&limit=&cursor=&keys_only=');
    expect([status, body.items]).toMatchObject([200, [{ key: 'a', value: 'v' }]]);
    expect(kv.lists[0]!.request).toMatchObject({ limit: 100, keysOnly: false, end: null });
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit',
    'limit=1e2',
    'limit=01',
    'keys_only=yes',
    'prefix=a&prefix=b',
    'perfix=a',
  ])('?%s is 400', async (query) => {
    const kv = new FakeKv();
    expect((await call(kv, query)).body).toMatchObject({ status: 400, code: 'invalid_argument' });
    expect(kv.lists).toEqual([]);
  });

  it('a failure of the service keeps its code', async () => {
    const kv = new FakeKv();
    kv.scripted = { kind: 'failed', error: { code: 'no_leader', detail: 'shard s2 has no leader', shard: 's2' } };
    expect((await call(kv, '')).body).toMatchObject({ status: 503, code: 'no_leader', shard: 's2', retryable: true });
  });

  it('a next page that the service begins is kept', async () => {
    const kv = new FakeKv();
    const item: ListedItem = {
      key: Buffer.from('a'),
      value: Buffer.from('v'),
      contentType: 'text/plain',
      revision: 1,
      version: 1,
      expires_ms: 0,
      expiresIn_ms: null,
    };
    kv.list = async () => ({ kind: 'page', items: [item], next: Buffer.from('a\0') });
    const { body } = await call(kv, '');
    expect(Buffer.from(body.cursor!, 'base64url').subarray(9).toString()).toBe('a\0');
  });
});
