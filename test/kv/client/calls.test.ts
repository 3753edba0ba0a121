import { expect, test } from 'vitest';
import type { PutOptions } from '../../../src/kv/client/index.js';
import { fixture, json, problem, raw, stored } from './fake-cluster.js';

test('get tells value, type, revision, version, shard and expiry; null for no key', async () => {
  const { client } = fixture(() => ({
    ...raw('v'),
    headers: { ...raw('v').headers, 'x-quorate-expires-in': '1500' },
  }));
  expect(await client.get('k')).toEqual({
    value: Buffer.from('v'),
    contentType: 'text/plain',
    revision: '7',
    version: 1,
    shard: 's1',
    expiresIn_ms: 1500,
  });
  expect(await fixture(() => problem(404, 'key_not_found')).client.get('k')).toBeNull();
});

test('a 404 that is not about the key is an error', async () => {
  await expect(fixture(() => problem(404, 'not_found')).client.get('k')).rejects.toMatchObject({ code: 'not_found' });
});

test('conditions, time to live, type and consistency go where the contract wants them', async () => {
  const { client, sent } = fixture((request) => (request.method === 'GET' ? raw('v') : stored()));
  await client.put('k', 'v', { ttl: 1500, contentType: 'text/plain', ifMatch: '12' });
  await client.put('k', 'v', { ttl: '5m', ifNoneMatch: '*' });
  await client.put('k', 'v', { ifMatch: '*' });
  await client.get('k', { consistency: 'stale', maxStaleness_ms: 500 });
  expect(sent.map(({ url, headers }) => ({ query: new URL(url).search, headers }))).toMatchObject([
    { query: expect.stringContaining('ttl=1500ms'), headers: { 'Content-Type': 'text/plain', 'If-Match': '"12"' } },
    { query: expect.stringContaining('ttl=5m'), headers: { 'If-None-Match': '*' } },
    { headers: { 'If-Match': '*' } },
    { query: expect.stringMatching(/consistency=stale&max_staleness=500ms/) },
  ]);
});

test.each<[PutOptions, string]>([
  [{ idempotencyKey: 'заказ-17' }, 'the idempotency key must be 1 to 128 visible ASCII characters, not "заказ-17"'],
  [{ idempotencyKey: '' }, 'the idempotency key must be 1 to 128 visible ASCII characters, not ""'],
  [{ idempotencyKey: 'a b' }, 'the idempotency key must be 1 to 128 visible ASCII characters, not "a b"'],
  [{ idempotencyKey: 'a\n' }, 'the idempotency key must be 1 to 128 visible ASCII characters, not "a\\n"'],
  [{ ifMatch: '7ж' }, 'the revision in ifMatch must be digits or *, not "7ж"'],
  [{ ifMatch: '' }, 'the revision in ifMatch must be digits or *, not ""'],
  [{ ifNoneMatch: '*ж' as '*' }, 'the value of ifNoneMatch must be *, not "*ж"'],
  [{ contentType: 'text/плain' }, 'the content type must be visible ASCII characters, not "text/плain"'],
  [{ contentType: 'a\r\nX: y' }, 'the content type must be visible ASCII characters, not "a\\r\\nX: y"'],
  [{ contentType: 'text/plain ' }, 'the content type must be visible ASCII characters, not "text/plain "'],
])('what no header can carry is refused, and nothing is sent: %j', async (options, detail) => {
  const { client, sent } = fixture(() => stored());
  await expect(client.put('k', 'v', options)).rejects.toMatchObject({ code: 'invalid_argument', detail });
  const { contentType, ...rest } = options;
  if (contentType === undefined) {
    await expect(client.delete('k', rest)).rejects.toMatchObject({ code: 'invalid_argument', detail });
  }
  expect(sent).toEqual([]);
});

test('what headers can carry goes out as it was given', async () => {
  const { client, sent } = fixture(() => stored());
  const contentType = 'text/plain; charset="utf-8"';
  const idempotencyKey = `${'!~'.repeat(63)}-7`;
  await client.put('k', 'v', { contentType, idempotencyKey, ifMatch: '9007199254740993' });
  expect(sent.map(({ headers }) => headers)).toEqual([
    { 'Content-Type': contentType, 'Idempotency-Key': idempotencyKey, 'If-Match': '"9007199254740993"' },
  ]);
});

test('list goes on until no cursor comes, through empty pages too, and reads both encodings', async () => {
  const item = (key: string, encoding: string, value: string) => ({
    key,
    key_encoding: encoding,
    value,
    encoding: 'base64',
    revision: '9007199254740993',
    version: 2,
    content_type: 'text/plain',
  });
  const pages = [
    { items: [item('a', 'utf8', 'AQI=')], cursor: 'c1' },
    { items: [], cursor: 'c/2' },
    { items: [{ ...item('/w==', 'base64', ''), expires_in: 5 }] },
  ];
  const { client, sent } = fixture((_, index) => json(200, pages[index]));
  const keys = [];
  for await (const key of client.list({ prefix: Buffer.from([0xff, 0x20]), limit: 1 })) keys.push(key);
  expect(keys).toEqual([
    {
      key: Buffer.from('a'),
      value: Buffer.from([1, 2]),
      revision: '9007199254740993',
      version: 2,
      contentType: 'text/plain',
      expiresIn_ms: null,
    },
    expect.objectContaining({ key: Buffer.from([0xff]), value: Buffer.alloc(0), expiresIn_ms: 5 }),
  ]);
  expect(sent.map(({ url }) => new URL(url).search.replace(/&?timeout=\d+ms/, ''))).toEqual([
    '?prefix=%FF%20&limit=1',
    '?prefix=%FF%20&limit=1&cursor=c1',
    '?prefix=%FF%20&limit=1&cursor=c%2F2',
  ]);
});

test('reshard, move and their status', async () => {
  const plan = { id: '5', state: 'running', created: 'now', moves: [] };
  const { client, sent } = fixture(() => json(202, plan));
  expect(await client.reshard({ shards: 3, replicas: 2, dryRun: true, maxPause_ms: 50 })).toEqual(plan);
  await client.reshard({ shards: 3, by: 'keys', weights: { s1: 2 }, excludeShards: ['s3'], excludeNodes: ['n2'] });
  await client.move({ slots: '0-99', to: 's2', maxRate_bytes: 2_048 });
  await client.planAction('5', 'pause');
  await client.planStatus('5');
  await client.planStatus();
  expect(
    sent.map(({ method, url, body }) => [method, new URL(url).pathname, body && JSON.parse(String(body))]),
  ).toEqual([
    ['POST', '/v1/admin/reshard', { shards: 3, replicas: 2, dry_run: true, max_pause_ms: 50 }],
    [
      'POST',
      '/v1/admin/reshard',
      { shards: 3, dry_run: false, by: 'keys', weights: { s1: 2 }, exclude_shards: ['s3'], exclude_nodes: ['n2'] },
    ],
    ['POST', '/v1/admin/move', { slots: '0-99', to: 's2', max_rate_bytes: 2_048 }],
    ['POST', '/v1/admin/reshard/5/pause', {}],
    ['GET', '/v1/admin/reshard/5', undefined],
    ['GET', '/v1/admin/reshard', undefined],
  ]);
  expect(await fixture(() => problem(404, 'not_found')).client.planStatus()).toBeNull();
});

test('receipts are asked for until there are no more', async () => {
  const { client, sent } = fixture(({ url }) =>
    url.includes('after=0')
      ? json(200, { id: '5', receipts: [{ number: 1 }, { number: 2 }], next: 2 })
      : json(200, { id: '5', receipts: [{ number: 3 }] }),
  );
  expect(await client.planReceipts('5')).toEqual([{ number: 1 }, { number: 2 }, { number: 3 }]);
  expect(sent.map(({ url }) => new URL(url).pathname)).toEqual(Array(2).fill('/v1/admin/reshard/5/receipts'));
  expect(sent.map(({ url }) => new URL(url).searchParams.get('after'))).toEqual(['0', '2']);
});

test('load and balance', async () => {
  const plan = { id: '5', state: 'running', created: 'now', moves: [] };
  const hot = { slots: [], keys: [] };
  const settings = { auto: true, limit_percent: 30, hold_s: 60 };
  const { client, sent } = fixture(({ method, url }) => {
    if (url.includes('/hot')) return json(200, hot);
    if (method === 'PUT') return json(200, settings);
    return method === 'GET' ? json(200, { ...settings, plan }) : json(202, plan);
  });
  expect(await client.hot()).toEqual(hot);
  await client.hot({ limit: 20, timeout_ms: 1_000 });
  expect(await client.balanceStatus()).toEqual({ ...settings, plan });
  expect(await client.balance({ dryRun: true, maxPause_ms: 50, maxRate_bytes: 4_096 })).toEqual(plan);
  await client.balance();
  expect(await client.setBalance({ auto: true, limitPercent: 30, hold_s: 60 })).toEqual(settings);
  await client.setBalance({ auto: false });
  expect(
    sent.map(({ method, url, body }) => [
      method,
      new URL(url).pathname,
      new URL(url).searchParams.get('limit'),
      body && JSON.parse(String(body)),
    ]),
  ).toEqual([
    ['GET', '/v1/cluster/hot', null, undefined],
    ['GET', '/v1/cluster/hot', '20', undefined],
    ['GET', '/v1/admin/balance', null, undefined],
    ['POST', '/v1/admin/balance', null, { dry_run: true, max_pause_ms: 50, max_rate_bytes: 4_096 }],
    ['POST', '/v1/admin/balance', null, { dry_run: false }],
    ['PUT', '/v1/admin/balance', null, { auto: true, limit_percent: 30, hold_s: 60 }],
    ['PUT', '/v1/admin/balance', null, { auto: false }],
  ]);
});

test('nodes come and go, members change, leadership moves', async () => {
  const node = { id: 'n4', http: 'h:1', peer: 'h:2', labels: {}, state: 'healthy', since: 'now' };
  const members = { id: 's1', members: ['n1'], joining: ['n4'], leaving: [], waits_for: 'n4 is being filled' };
  const leader = { id: 's1', leader: 'n2', term: 3 };
  const { client, sent } = fixture(({ url }) =>
    json(200, url.includes('/nodes') ? node : url.includes('/members') ? members : leader),
  );
  expect(await client.addNode('10.0.0.4:7101')).toEqual(node);
  expect(await client.removeNode('n4')).toEqual(node);
  expect(await client.members('s1')).toEqual(members);
  expect(await client.changeMembers('s1', { add: ['n4'], timeout_ms: 1_000 })).toEqual(members);
  expect(await client.changeMembers('s1', { add: ['n4', 'n5'], remove: ['n1'] })).toEqual(members);
  expect(await client.transferLeader('s1', 'n2')).toEqual(leader);
  expect(
    sent.map(({ method, url, body }) => [method, new URL(url).pathname, body && JSON.parse(String(body))]),
  ).toEqual([
    ['POST', '/v1/admin/nodes', { peer: '10.0.0.4:7101' }],
    ['DELETE', '/v1/admin/nodes/n4', undefined],
    ['GET', '/v1/admin/shards/s1/members', undefined],
    ['POST', '/v1/admin/shards/s1/members', { add: ['n4'] }],
    ['POST', '/v1/admin/shards/s1/members', { add: ['n4', 'n5'], remove: ['n1'] }],
    ['POST', '/v1/admin/shards/s1/transfer-leader', { to: 'n2' }],
  ]);
  for (const { url } of sent) expect(new URL(url).searchParams.get('timeout')).toMatch(/^\d+ms$/);
});

test('settings are shown and set', async () => {
  const { client, sent } = fixture(({ method }) => json(200, { rebuild_after: method === 'PUT' ? null : '10m' }));
  expect(await client.settings()).toEqual({ rebuild_after: '10m' });
  expect(await client.changeSettings({ rebuildAfter: null })).toEqual({ rebuild_after: null });
  await client.changeSettings({ rebuildAfter: '1h', timeout_ms: 1_000 });
  expect(
    sent.map(({ method, url, body }) => [method, new URL(url).pathname, body && JSON.parse(String(body))]),
  ).toEqual([
    ['GET', '/v1/admin/settings', undefined],
    ['PUT', '/v1/admin/settings', { rebuild_after: null }],
    ['PUT', '/v1/admin/settings', { rebuild_after: '1h' }],
  ]);
});

test.each([
  ['not JSON', Buffer.from('x')],
  ['a field missing', Buffer.from('{"revision":"1"}')],
])('a malformed answer is an error with a name: %s', async (_, body) => {
  const { client } = fixture(() => ({ status: 200, headers: {}, body }));
  await expect(client.put('k', 'v')).rejects.toThrow(/the node's answer is malformed/);
});

test('a timeout beyond the life of idempotency records is refused', async () => {
  await expect(fixture(() => stored()).client.put('k', 'v', { timeout_ms: 400_000 })).rejects.toThrow(RangeError);
});

test('locate asks for the key, any bytes, and nothing else', async () => {
  const { client, sent } = fixture(() => json(200, { slot: 5, shard: 's1', leader: 'n1', members: ['n1'], epoch: 1 }));
  expect(await client.locate(Buffer.from([0xff, 0x2b]))).toMatchObject({ slot: 5, shard: 's1' });
  expect(sent.map(({ url }) => new URL(url).pathname + new URL(url).search)).toEqual(['/v1/cluster/locate?key=%FF%2B']);
});
