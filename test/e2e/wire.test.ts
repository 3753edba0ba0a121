/**
 * Keys and values of every shape through every node of a real cluster, those that lead and those that do not; and what
 * time does to keys with a TTL.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysOfShard } from './keys.js';
import { LocalCluster, until } from './local-cluster.js';
import { codeOf, jsonOf, keyPath, type PlainRequest, plain } from './plain-http.js';
import { note } from './report.js';

const MIB = 1_048_576;

let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, shards: 2 });
}, 60_000);
afterAll(() => cluster.close());

const endpoint = (i: number): string => cluster.endpoints[i % cluster.endpoints.length]!;

/** A path as a person would type it, and the key that it must name. */
const ODD_PATHS: readonly (readonly [path: string, key: string | Buffer])[] = [
  ['/v1/kv/users/42', 'users/42'],
  ['/v1/kv/users%2F43', 'users/43'],
  ['/v1/kv/with%20space', 'with space'],
  ['/v1/kv/plus+is+plus', 'plus+is+plus'],
  ['/v1/kv/nul%00inside', 'nul\0inside'],
  ['/v1/kv/%FF%FE', Buffer.of(0xff, 0xfe)],
  ['/v1/kv/gr%C3%BC%C3%9Fe', 'grüße'],
  ['/v1/kv/a//b/', 'a//b/'],
  [`/v1/kv/${Buffer.from('..').toString('base64url')}?enc=b64url`, '..'],
  [`/v1/kv/${Buffer.from('../../etc').toString('base64url')}?enc=b64url`, '../../etc'],
  ['/v1/kv/cGFkZGluZw==?enc=b64url', 'padding'],
  [`/v1/kv/${'k'.repeat(1_024)}`, 'k'.repeat(1_024)],
  [`/v1/kv/${'%FF'.repeat(1_024)}`, Buffer.alloc(1_024, 0xff)],
];

describe('keys and values on the wire', () => {
  it.each(ODD_PATHS.map(([path, key], i) => ({ path, key, i })))(
    'stores and gives back $path through every node',
    async ({ path, key, i }) => {
      const value = randomBytes(50 + i);
      const stored = await plain(endpoint(i), path, { method: 'PUT', body: value });
      expect(stored.status).toBe(201);
      const bytes = Buffer.from(key);
      const { key: shown, key_encoding } = jsonOf<{ key: string; key_encoding: 'utf8' | 'base64' }>(stored);
      expect(Buffer.from(shown, key_encoding)).toEqual(bytes);
      for (const base of cluster.endpoints) {
        for (const way of [path, keyPath(bytes)]) {
          const found = await plain(base, way);
          expect({ status: found.status, body: found.body }).toEqual({ status: 200, body: value });
          expect(found.headers.etag).toBe(stored.headers.etag);
        }
      }
    },
  );

  it.each([0, 1, 65_537, MIB])(
    'keeps a value of %i bytes byte for byte, written and read through every node',
    async (size) => {
      for (const [i, base] of cluster.endpoints.entries()) {
        const value = randomBytes(size);
        // One key in each shard, so that each node is asked for one that it does not lead.
        for (const shard of ['s1', 's2']) {
          const key = (await keysOfShard(cluster, shard, `size${size}/${i}/`, 1))[0]!;
          const type = 'application/x-test; a="b"';
          const stored = await plain(base, keyPath(key), {
            method: 'PUT',
            body: value,
            headers: { 'content-type': type },
          });
          expect(stored.status).toBe(201);
          for (const reader of cluster.endpoints) {
            const found = await plain(reader, keyPath(key));
            expect(found.status).toBe(200);
            expect(found.headers['content-type']).toBe(type);
            expect(found.headers['x-content-type-options']).toBe('nosniff');
            expect(found.headers['x-quorate-shard']).toBe(shard);
            expect(found.body.equals(value)).toBe(true);
          }
        }
      }
    },
  );

  it('refuses one byte more before it reaches a log (F43)', async () => {
    const appliedByLeaders = async (): Promise<unknown> =>
      (await cluster.clusterView()).shards.map(
        ({ members, leader }) => members.find(({ node }) => node === leader)?.applied,
      );
    const before = await appliedByLeaders();
    for (const base of cluster.endpoints) {
      const value = await plain(base, '/v1/kv/large', { method: 'PUT', body: Buffer.alloc(MIB + 1) });
      expect([value.status, codeOf(value)]).toEqual([413, 'value_too_large']);
      const key = await plain(base, `/v1/kv/${'k'.repeat(1_025)}`, { method: 'PUT', body: 'x' });
      expect([key.status, codeOf(key)]).toEqual([414, 'key_too_large']);
    }
    expect(await appliedByLeaders()).toEqual(before);
    expect((await plain(endpoint(0), '/v1/kv/large')).status).toBe(404);
  });

  it('names the leader where a request is not to be forwarded, to reads as to writes; a stale read is answered anywhere', async () => {
    const headers = { 'x-quorate-no-forward': '1' };
    for (const shard of ['s1', 's2']) {
      const key = (await keysOfShard(cluster, shard, 'no-forward/', 1))[0]!;
      expect((await plain(endpoint(0), keyPath(key), { method: 'PUT', body: 'v' })).status).toBe(201);
      const leader = (await cluster.clusterView()).shards.find(({ id }) => id === shard)!.leader!;
      for (const [i, base] of cluster.endpoints.entries()) {
        const leads = leader === `n${i + 1}`;
        const requests = { GET: {}, HEAD: {}, PUT: { body: 'v' } };
        for (const [method, request] of Object.entries(requests)) {
          const answer = await plain(base, keyPath(key), { method, headers, ...request });
          expect([method, answer.status]).toEqual([method, leads ? 200 : 421]);
          if (leads || method === 'HEAD') continue;
          expect(jsonOf(answer)).toMatchObject({ code: 'wrong_shard', retryable: true, shard, leader });
          expect(String(jsonOf(answer)['epoch'])).toBe(answer.headers['x-quorate-epoch']);
        }
        const stale = await plain(base, `${keyPath(key)}&consistency=stale`, { headers });
        expect([stale.status, String(stale.body)]).toEqual([200, 'v']);
      }
    }
  });

  const cursorOf = async (query: string): Promise<string> =>
    encodeURIComponent(jsonOf<{ cursor: string }>(await plain(endpoint(0), `/v1/kv?limit=1&${query}`)).cursor);

  const BAD: readonly (readonly [string, string, PlainRequest, number, string])[] = [
    ['a malformed escape', '/v1/kv/%zz', {}, 400, 'invalid_key'],
    ['half an escape', '/v1/kv/abc%2', {}, 400, 'invalid_key'],
    ['no base64url', '/v1/kv/a*b?enc=b64url', {}, 400, 'invalid_key'],
    ['base64url with wrong padding', '/v1/kv/YQ=?enc=b64url', {}, 400, 'invalid_key'],
    ['an empty key', '/v1/kv/', { method: 'PUT', body: 'x' }, 400, 'invalid_key'],
    ['an unknown encoding', '/v1/kv/abc?enc=hex', {}, 400, 'invalid_argument'],
    [
      'a condition without quotes',
      '/v1/kv/a',
      { method: 'PUT', body: 'x', headers: { 'if-match': '7' } },
      400,
      'invalid_argument',
    ],
    [
      'both conditions',
      '/v1/kv/a',
      { method: 'PUT', body: 'x', headers: { 'if-match': '*', 'if-none-match': '*' } },
      400,
      'invalid_argument',
    ],
    [
      'a condition that does not hold',
      '/v1/kv/none',
      { method: 'DELETE', headers: { 'if-match': '*' } },
      412,
      'precondition_failed',
    ],
    ['a ttl of zero', '/v1/kv/a?ttl=0s', { method: 'PUT', body: 'x' }, 400, 'invalid_argument'],
    ['a ttl without a unit', '/v1/kv/a?ttl=10', { method: 'PUT', body: 'x' }, 400, 'invalid_argument'],
    ['a parameter nobody knows', '/v1/kv/a?tll=10s', { method: 'PUT', body: 'x' }, 400, 'invalid_argument'],
    ['a timeout beyond a minute', '/v1/kv/a?timeout=61s', {}, 400, 'invalid_argument'],
    [
      'an idempotency key with a space',
      '/v1/kv/a',
      { method: 'PUT', body: 'x', headers: { 'idempotency-key': 'a b' } },
      400,
      'invalid_argument',
    ],
    ['a cursor that is none', '/v1/kv?cursor=nonsense', {}, 400, 'invalid_argument'],
    ['a limit of zero', '/v1/kv?limit=0', {}, 400, 'invalid_argument'],
    ['a method that is none', '/v1/kv/a', { method: 'PATCH', body: 'x' }, 405, 'method_not_allowed'],
    ['a path that is none', '/v1/nothing', {}, 404, 'not_found'],
    ['a path with a slash too many', '/v1/cluster/', {}, 404, 'not_found'],
    [
      'a timeout beyond a minute for what answers at once',
      '/v1/cluster/locate?key=a&timeout=61s',
      {},
      400,
      'invalid_argument',
    ],
    [
      'a new member that is no node',
      '/v1/admin/shards/s1/members',
      { method: 'POST', body: '{"add":["n9"]}' },
      404,
      'not_found',
    ],
    [
      'a leader that is no node',
      '/v1/admin/shards/s1/transfer-leader',
      { method: 'POST', body: '{"to":"n9"}' },
      404,
      'not_found',
    ],
    ['what is not implemented', '/v1/batch', { method: 'POST', body: 'x'.repeat(100_000) }, 501, 'not_implemented'],
  ];
  it.each(BAD)('answers %s as documented', async (_what, path, request, status, code) => {
    for (const base of cluster.endpoints) {
      const answer = await plain(base, path, request);
      expect([answer.status, codeOf(answer)]).toEqual([status, code]);
      const problem = jsonOf<{ detail: string; status: number }>(answer);
      expect(problem.status).toBe(status);
      expect(problem.detail).not.toMatch(/\bat .*:\d+:\d+|node_modules/);
    }
  });

  it.each(['/v1/cluster/locate?key=a&timeout=5s', '/v1/kv?prefix=&start=&end=&limit=&cursor=&keys_only='])(
    'takes GET %s through every node',
    async (path) => {
      for (const base of cluster.endpoints) expect((await plain(base, path)).status).toBe(200);
    },
  );

  it('refuses a cursor with other bounds, and lists every key once with the right ones', async () => {
    const keys = Array.from({ length: 25 }, (_, i) => `list/${String(i).padStart(2, '0')}`);
    await Promise.all(keys.map((key, i) => plain(endpoint(i), keyPath(key), { method: 'PUT', body: key })));
    const cursor = await cursorOf('prefix=list/');
    const other = await plain(endpoint(1), `/v1/kv?prefix=lis&limit=1&cursor=${cursor}`);
    expect([other.status, codeOf(other)]).toEqual([400, 'invalid_argument']);
    const listed: string[] = [];
    let next: string | undefined = '';
    for (let page = 0; next !== undefined; page++) {
      const answer = await plain(endpoint(page), `/v1/kv?prefix=list/&limit=7&cursor=${encodeURIComponent(next)}`);
      const { items, cursor: following } = jsonOf<{ items: { key: string; value: string }[]; cursor?: string }>(answer);
      for (const { key, value } of items) {
        expect(value).toBe(key);
        listed.push(key);
      }
      next = following;
    }
    expect(listed).toEqual(keys);
  });
});

describe('keys with a TTL in a quiet cluster', () => {
  it('are there until their time and gone within a second of it, for reads, lists and counts', async () => {
    const TTL_MS = 1_500;
    const prefix = 'ttl/';
    const keys = [...(await keysOfShard(cluster, 's1', prefix, 2)), ...(await keysOfShard(cluster, 's2', prefix, 2))];
    const countOf = async (): Promise<number> =>
      (await cluster.clusterView()).shards.reduce((sum, shard) => sum + (shard.keys ?? Number.NaN), 0);
    const before = await countOf();
    const sent_ms = performance.now();
    for (const [i, key] of keys.entries()) {
      const put = await plain(endpoint(i), `${keyPath(key)}&ttl=${TTL_MS}ms`, { method: 'PUT', body: 'x' });
      expect(put.status).toBe(201);
    }
    const stored_ms = performance.now();
    const gone = keys.map(async (key, i) => {
      await until(
        `${key} to expire`,
        TTL_MS + 5_000,
        async () => (await plain(endpoint(i + 1), keyPath(key))).status === 404,
      );
      return performance.now();
    });
    const listed = until('the list to be empty', TTL_MS + 5_000, async () => {
      const page = await plain(endpoint(0), `/v1/kv?prefix=${prefix}&keys_only=true`);
      return jsonOf<{ items: unknown[] }>(page).items.length === 0;
    }).then(() => performance.now());
    const counted = until('the count to go down', TTL_MS + 5_000, async () => (await countOf()) === before).then(() =>
      performance.now(),
    );
    const ends_ms = await Promise.all([...gone, listed, counted]);
    note('ttl', { after_ms: ends_ms.map((end) => Math.round(end - stored_ms - TTL_MS)) });
    for (const end_ms of ends_ms.slice(0, keys.length)) expect(end_ms - sent_ms).toBeGreaterThan(TTL_MS - 100);
    for (const end_ms of ends_ms) expect(end_ms - stored_ms).toBeLessThan(TTL_MS + 1_000);
  });

  it('tell how long they have, and a write without a TTL makes them stay', async () => {
    const path = keyPath('ttl-cleared');
    await plain(endpoint(0), `${path}&ttl=1h`, { method: 'PUT', body: 'x' });
    const left = Number((await plain(endpoint(1), path)).headers['x-quorate-expires-in']);
    expect(left).toBeGreaterThan(3_590_000);
    expect(left).toBeLessThanOrEqual(3_600_000);
    await plain(endpoint(2), path, { method: 'PUT', body: 'y' });
    expect((await plain(endpoint(1), path)).headers['x-quorate-expires-in']).toBeUndefined();
  });
});
