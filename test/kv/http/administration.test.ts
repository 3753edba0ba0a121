/** Everything beside `/v1/kv`: shapes, codes, strict bodies, probes, CORS. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiFixture } from './api-fixture.js';
import { PLAN, RECEIPTS } from './fake-services.js';

let api: ApiFixture;
beforeEach(async () => {
  api = await new ApiFixture().start();
});
afterEach(() => api.stop());

async function expectCode(method: string, path: string, status: number, code: string, body?: string) {
  const reply = await api.call(method, path, body === undefined ? {} : { body });
  expect([reply.status, reply.json()['code']]).toEqual([status, code]);
  expect(reply.headers['content-type']).toBe('application/problem+json');
  expect(reply.headers['x-quorate-epoch']).toBe('7');
  return reply;
}

describe('cluster', () => {
  it('shows the view as it is', async () => {
    const reply = await api.call('GET', '/v1/cluster?timeout=2s');
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json/);
    expect(reply.headers['x-quorate-epoch']).toBe('7');
    expect(reply.headers['x-powered-by']).toBeUndefined();
    expect(reply.json()).toMatchObject({ cluster_id: 'c1', epoch: 7, health: 'all is well' });
    expect(api.admin.calls).toEqual([['cluster', 2_000]]);
    expect((await api.call('HEAD', '/v1/cluster')).body.length).toBe(0);
  });

  it('gives the map now, at an epoch, and waits for one', async () => {
    for (const query of ['', '?epoch=3', '?wait_epoch=8&timeout=1s']) {
      expect((await api.call('GET', `/v1/cluster/map${query}`)).json()).toMatchObject({ shards: [{ id: 's1' }] });
    }
    expect(api.admin.calls).toEqual([
      ['map', null, null, 8_000],
      ['map', 3, null, 8_000],
      ['map', null, 8, 1_000],
    ]);
    for (const query of [
      'epoch=x',
      'epoch=-1',
      'epoch=',
      'wait_epoch=1.5',
      'epoch=1&wait_epoch=2',
      'epoch=1&epoch=1',
      'e=1',
    ]) {
      await expectCode('GET', `/v1/cluster/map?${query}`, 400, 'invalid_argument');
    }
  });

  it('locates a key of any bytes', async () => {
    const reply = await api.call('GET', '/v1/cluster/locate?key=a+b');
    expect(reply.json()).toEqual({
      key: 'a b',
      key_encoding: 'utf8',
      slot: 12_182,
      shard: 's1',
      leader: 'n1',
      members: ['n1'],
      epoch: 7,
    });
    expect((await api.call('GET', '/v1/cluster/locate?key=_w&enc=b64url')).json()).toMatchObject({
      key: '/w==',
      key_encoding: 'base64',
    });
    expect(api.admin.calls).toEqual([
      ['locate', '612062'],
      ['locate', 'ff'],
    ]);
    await expectCode('GET', `/v1/cluster/locate?key=${'a'.repeat(1_025)}`, 414, 'key_too_large');
  });

  it('locates a key with a timeout, which every request may have', async () => {
    expect((await api.call('GET', '/v1/cluster/locate?key=a&timeout=5s')).json()).toMatchObject({ shard: 's1' });
    await expectCode('GET', '/v1/cluster/locate?key=a&timeout=61s', 400, 'invalid_argument');
  });
});

describe('reshard and move', () => {
  it('start a plan with 202 and where to look, or show it with 200', async () => {
    const started = await api.call('POST', '/v1/admin/reshard', { body: '{"shards":4}' });
    expect([started.status, started.headers.location]).toEqual([202, '/v1/admin/reshard/p1']);
    expect(started.json()).toEqual(PLAN);
    const shown = await api.call('POST', '/v1/admin/reshard', {
      body: '{"shards":4,"replicas":3,"dry_run":true,"max_pause_ms":200}',
    });
    expect([shown.status, shown.headers.location]).toEqual([200, undefined]);
    expect((await api.call('POST', '/v1/admin/move', { body: '{"slots":"0-99,200","to":"s2"}' })).status).toBe(202);
    const dry = await api.call('POST', '/v1/admin/move?timeout=1s', { body: '{"slots":"7","to":"s2","dry_run":true}' });
    expect(dry.status).toBe(200);
    const held = '{"slots":"7","to":"s2","max_pause_ms":20,"max_rate_bytes":1024}';
    expect((await api.call('POST', '/v1/admin/move', { body: held })).status).toBe(202);
    await expectCode('POST', '/v1/admin/move', 400, 'invalid_body', held.replace('1024', '1023'));
    expect(api.admin.calls).toEqual([
      ['reshard', { shards: 4, dry_run: false }, 8_000],
      ['reshard', { shards: 4, replicas: 3, dry_run: true, max_pause_ms: 200 }, 8_000],
      ['move', { slots: '0-99,200', to: 's2', dry_run: false }, 8_000],
      ['move', { slots: '7', to: 's2', dry_run: true }, 1_000],
      ['move', { slots: '7', to: 's2', dry_run: false, max_pause_ms: 20, max_rate_bytes: 1_024 }, 8_000],
    ]);
  });

  it('hand on what is to be evened out, weights, and who takes no part', async () => {
    const wish = {
      by: 'bytes',
      weights: { s1: 2, s12: 0.5 },
      exclude_shards: ['s3'],
      exclude_nodes: ['n2', 'rack-7.a'],
    };
    const body = JSON.stringify({ shards: 4, ...wish });
    expect((await api.call('POST', '/v1/admin/reshard', { body })).status).toBe(202);
    expect(api.admin.calls).toEqual([['reshard', { shards: 4, dry_run: false, ...wish }, 8_000]]);
  });

  it('give a plan as it is, with what becomes of its moves', async () => {
    const some = { slots: '0-99', slot_count: 100 };
    const none = { slots: '', slot_count: 0 };
    const ending = {
      outcome: 'forward',
      forward: some,
      undoing: none,
      undone: none,
      not_begun: none,
      why: 'x',
    } as const;
    const plan = { ...PLAN, moves: [{ ...PLAN.moves[0]!, ending }] };
    api.admin.shownPlan = plan;
    expect((await api.call('POST', '/v1/admin/reshard/p1/cancel')).json()).toEqual(plan);
    expect((await api.call('GET', '/v1/admin/reshard/p1')).json()).toEqual(plan);
  });

  it.each(['pause', 'resume', 'cancel'])('%s steers a plan, with or without an empty object', async (action) => {
    const path = `/v1/admin/reshard/p1/${action}`;
    for (const body of ['', '{}']) {
      const reply = await api.call('POST', path, { body });
      expect([reply.status, reply.json()]).toEqual([200, PLAN]);
    }
    expect((await api.call('POST', `${path}?timeout=1s`)).status).toBe(200);
    expect(api.admin.calls).toEqual([
      ['steerPlan', 'p1', action, 8_000],
      ['steerPlan', 'p1', action, 8_000],
      ['steerPlan', 'p1', action, 1_000],
    ]);
    await expectCode('POST', path, 400, 'invalid_body', '{"force":true}');
    await expectCode('POST', path, 400, 'invalid_body', '[]');
    await expectCode('GET', path, 405, 'method_not_allowed');
    expect(api.admin.calls).toHaveLength(3);
  });

  it.each(['application/json', 'application/x-www-form-urlencoded', 'text/plain', 'not a type'])(
    'take JSON that is called %s',
    async (type) => {
      const reply = await api.call('POST', '/v1/admin/reshard', {
        body: '{"shards":4}',
        headers: { 'Content-Type': type },
      });
      expect(reply.status).toBe(202);
    },
  );

  it.each([
    '',
    '{',
    '[]',
    'null',
    '4',
    '"x"',
    '{}',
    '{"shards":0}',
    '{"shards":1.5}',
    '{"shards":"4"}',
    '{"shards":4,"dryrun":true}',
    '{"shards":4,"dry_run":"yes"}',
    '{"shards":4,"replicas":0}',
    '{"shards":20000}',
    '{"shards":4,"by":"size"}',
    '{"shards":4,"weights":{"one":2}}',
    '{"shards":4,"weights":{"s1":0}}',
    '{"shards":4,"weights":{"s1":"2"}}',
    '{"shards":4,"weights":["s1"]}',
    '{"shards":4,"exclude_shards":"s1"}',
    '{"shards":4,"exclude_shards":["one"]}',
    '{"shards":4,"exclude_nodes":["-"]}',
    `{"shards":4${' '.repeat(70_000)}}`,
  ])('refuse the body %.40s', async (body) => {
    await expectCode('POST', '/v1/admin/reshard', 400, 'invalid_body', body);
    expect(api.admin.calls).toEqual([]);
  });

  it.each([
    '{"to":"s2"}',
    '{"slots":"","to":"s2"}',
    '{"slots":"a","to":"s2"}',
    '{"slots":"1-","to":"s2"}',
    '{"slots":"1"}',
  ])('refuse the move %s', async (body) => {
    await expectCode('POST', '/v1/admin/move', 400, 'invalid_body', body);
  });

  it('tell what is wrong with which member', async () => {
    const reply = await expectCode('POST', '/v1/admin/reshard', 400, 'invalid_body', '{"shards":"4"}');
    expect(reply.json()['detail']).toMatch(/^shards: /);
  });

  it('show receipts, page by page', async () => {
    expect((await api.call('GET', '/v1/admin/reshard/p1/receipts')).json()).toEqual(RECEIPTS);
    expect((await api.call('GET', '/v1/admin/reshard/p1/receipts?after=7&limit=2&timeout=1s')).status).toBe(200);
    expect(api.admin.calls).toEqual([
      ['receipts', 'p1', 0, 1_000, 8_000],
      ['receipts', 'p1', 7, 2, 1_000],
    ]);
    for (const wrong of ['after=-1', 'after=x', 'limit=0', 'limit=1001', 'since=1'])
      await expectCode('GET', `/v1/admin/reshard/p1/receipts?${wrong}`, 400, 'invalid_argument');
  });

  it('show the latest plan, or one', async () => {
    expect((await api.call('GET', '/v1/admin/reshard')).json()).toEqual(PLAN);
    expect((await api.call('GET', '/v1/admin/reshard/p%201')).status).toBe(200);
    expect(api.admin.calls).toEqual([
      ['plan', null, 8_000],
      ['plan', 'p 1', 8_000],
    ]);
  });

  it('pass on what the service refuses, and hide what breaks', async () => {
    api.admin.failure = { ok: false, error: { code: 'plan_impossible', detail: 'needs 3 hosts, has 2' } };
    const refused = await expectCode('POST', '/v1/admin/reshard', 422, 'plan_impossible', '{"shards":4}');
    expect(refused.json()['detail']).toBe('needs 3 hosts, has 2');
    api.admin.throws = new Error('secret innards');
    const broken = await expectCode('GET', '/v1/cluster', 500, 'internal');
    expect(broken.text).not.toContain('secret');
    expect(api.logged.some(({ level }) => level === 'error')).toBe(true);
  });
});

describe('probes', () => {
  it('/livez and /readyz, also with parameters that probes add', async () => {
    expect((await api.call('GET', '/livez?x=1&x=2')).status).toBe(400);
    expect((await api.call('GET', '/livez?x=1')).json()).toEqual({ status: 'ok' });
    expect((await api.call('GET', '/readyz')).json()).toEqual({ ready: true });
    expect((await api.call('GET', '/readyz?verbose')).json()).toEqual(api.admin.view);
  });

  it('/readyz is 503 and says why', async () => {
    const checks = [
      { name: 'map', ok: true, detail: 'epoch 7' },
      { name: 'shard s1', ok: false, detail: 'no leader' },
    ];
    api.admin.view = { ready: false, checks };
    const reply = await expectCode('GET', '/readyz', 503, 'unavailable');
    expect(reply.headers['retry-after']).toBe('1');
    expect(reply.json()['detail']).toBe('shard s1: no leader');
    expect((await expectCode('GET', '/readyz?verbose', 503, 'unavailable')).json()).toMatchObject({
      ready: false,
      checks,
    });
  });

  it('/metrics is the given handler’s, else 404', async () => {
    await expectCode('GET', '/metrics', 404, 'not_found');
    await api.stop();
    api = await new ApiFixture({}, (_req, res) => {
      res.setHeader('Content-Type', 'text/plain');
      res.end('up 1\n');
    }).start();
    const reply = await api.call('GET', '/metrics');
    expect([reply.status, reply.text, reply.headers['x-quorate-epoch']]).toEqual([200, 'up 1\n', '7']);
    await expectCode('POST', '/metrics', 405, 'method_not_allowed', '');
  });

  it('/openapi.json describes what is answered', async () => {
    const document = (await api.call('GET', '/openapi.json')).json();
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Quorate' } });
    const paths = Object.keys(document['paths'] as object);
    expect(paths).toEqual(expect.arrayContaining(['/v1/kv/{key}', '/v1/kv', '/v1/admin/reshard', '/v1/cluster/map']));
    const text = JSON.stringify(document);
    const schemas = (document['components'] as { schemas: object }).schemas;
    for (const [, name] of text.matchAll(/#\/components\/schemas\/(\w+)/g)) expect(schemas).toHaveProperty(name!);
  });
});

describe('the rest', () => {
  it.each([
    ['POST', '/v1/batch'],
    ['POST', '/v1/txn'],
    ['GET', '/v1/watch?prefix=a'],
  ])('%s %s is 501', async (method, path) => {
    await expectCode(method, path, 501, 'not_implemented', method === 'POST' ? '{"any":1}' : undefined);
  });

  it.each([
    ['no JSON', 'not json'],
    ['more than any call of the administration takes', `{"ops":"${'x'.repeat(100_000)}"}`],
    ['of megabytes', 'x'.repeat(3_000_000)],
  ])('what is not implemented says so also where the body is %s, and the connection goes on', async (_, body) => {
    await expectCode('POST', '/v1/batch', 501, 'not_implemented', body);
    await expectCode('POST', '/v1/txn', 501, 'not_implemented', body);
    expect((await api.call('GET', '/v1/cluster')).status).toBe(200);
  });

  it('unknown paths are 404 as JSON', async () => {
    for (const path of ['/', '/v1', '/v1/nope', '/v1/admin', '/index.html', '/v1/cluster/map/x', '/__proto__']) {
      await expectCode('GET', path, 404, 'not_found');
    }
  });

  it.each([
    '/v1/cluster/',
    '/v1/cluster/map/',
    '/v1/admin/reshard/',
    '/v1/admin/reshard/p1/',
    '/v1/admin/verify/',
    '/livez/',
    '/readyz/',
    '/openapi.json/',
  ])('%s is another path, and none: 404', async (path) => {
    await expectCode('GET', path, 404, 'not_found');
    expect(api.admin.calls).toEqual([]);
  });

  it.each([
    ['DELETE', '/v1/cluster', 'GET, HEAD'],
    ['PUT', '/v1/admin/reshard', 'POST, GET, HEAD'],
    ['GET', '/v1/admin/move', 'POST'],
    ['GET', '/v1/batch', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['OPTIONS', '/v1/cluster', 'GET, HEAD'],
  ])('%s %s is 405, Allow: %s', async (method, path, allow) => {
    const reply = await expectCode(method, path, 405, 'method_not_allowed', '');
    expect(reply.headers.allow).toBe(allow);
  });
});

describe('CORS', () => {
  const origin = 'https://console.example';

  it('is off by default', async () => {
    const reply = await api.call('GET', '/v1/kv/a', { headers: { Origin: origin } });
    expect(reply.headers['access-control-allow-origin']).toBeUndefined();
    const headers = { Origin: origin, 'Access-Control-Request-Method': 'PUT' };
    expect((await api.call('OPTIONS', '/v1/kv/a', { headers })).status).toBe(405);
  });

  it('answers preflights and exposes headers to listed origins only', async () => {
    await api.stop();
    api = await new ApiFixture({ cors: { origins: [origin] } }).start();
    const asks = { 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'if-match' };
    const preflight = await api.call('OPTIONS', '/v1/kv/a', { headers: { Origin: origin, ...asks } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      vary: 'Origin',
      'x-quorate-epoch': '7',
    });
    expect(preflight.headers['access-control-allow-methods']).toContain('PUT');
    expect(preflight.headers['access-control-allow-headers']).toMatch(/Idempotency-Key.*If-Match/);
    for (const path of ['/v1/kv/a', '/v1/kv', '/v1/cluster', '/nowhere']) {
      const reply = await api.call('GET', path, { headers: { Origin: origin } });
      expect(reply.headers['access-control-allow-origin']).toBe(origin);
      expect(reply.headers['access-control-expose-headers']).toMatch(/ETag.*X-Quorate-Epoch/);
    }
    const stranger = await api.call('GET', '/v1/kv/a', { headers: { Origin: 'https://evil.example' } });
    expect([stranger.headers['access-control-allow-origin'], stranger.headers.vary]).toEqual([undefined, 'Origin']);
    const refused = await api.call('OPTIONS', '/v1/kv/a', { headers: { Origin: 'https://evil.example', ...asks } });
    expect(refused.status).toBe(405);
  });

  it('* lets all in', async () => {
    await api.stop();
    api = await new ApiFixture({ cors: { origins: ['*'] } }).start();
    const reply = await api.call('GET', '/v1/kv/a', { headers: { Origin: origin } });
    expect([reply.headers['access-control-allow-origin'], reply.headers.vary]).toEqual(['*', undefined]);
  });
});
