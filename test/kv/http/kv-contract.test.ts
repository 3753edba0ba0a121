/** `/v1/kv/{key}` over a real server: the rows of http-api.md's table, conditions, errors. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERROR_MEANINGS } from '../../../src/kv/http/index.js';
import type { ApiError, ErrorCode, KvRequest } from '../../../src/kv/server/api.js';
import { ApiFixture } from './api-fixture.js';

let api: ApiFixture;
beforeEach(async () => {
  api = await new ApiFixture().start();
});
afterEach(() => api.stop());

async function expectProblem(
  reply: Awaited<ReturnType<ApiFixture['call']>>,
  status: number,
  code: ErrorCode,
): Promise<Record<string, unknown>> {
  expect([reply.status, reply.text === '' ? code : reply.json()['code']]).toEqual([status, code]);
  expect(reply.headers['content-type']).toBe('application/problem+json');
  expect(reply.headers['x-quorate-epoch']).toBe('7');
  const body = reply.json();
  expect(body).toMatchObject({ type: `urn:quorate:error:${code}`, status, code });
  expect(typeof body['title']).toBe('string');
  expect(typeof body['detail']).toBe('string');
  expect(typeof body['retryable']).toBe('boolean');
  return body;
}

function lastRequest(): KvRequest {
  return api.kv.requests.at(-1)!.request;
}

describe('PUT', () => {
  it('answers 201 for a new key and 200 for a replaced one', async () => {
    const created = await api.call('PUT', '/v1/kv/users/42', {
      body: 'one',
      headers: { 'Content-Type': 'text/plain' },
    });
    expect(created.status).toBe(201);
    expect(created.headers['content-type']).toMatch(/^application\/json/);
    expect(created.headers.etag).toBe('"1"');
    expect(created.headers['x-quorate-epoch']).toBe('7');
    expect(created.json()).toEqual({ key: 'users/42', key_encoding: 'utf8', revision: '1', version: 1, shard: 's1' });
    const replaced = await api.call('PUT', '/v1/kv/users/42', { body: 'two' });
    expect(replaced.status).toBe(200);
    expect(replaced.json()).toMatchObject({ revision: '2', version: 2 });
  });

  it('stores an empty value, with and without a Content-Length', async () => {
    expect((await api.call('PUT', '/v1/kv/a', { body: '' })).status).toBe(201);
    const reply = await api.call('GET', '/v1/kv/a');
    expect([reply.status, reply.headers['content-length'], reply.text]).toEqual([200, '0', '']);
    const socket = await api.socket();
    socket.write('PUT /v1/kv/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await socket.untilClosed()).toMatch(/^HTTP\/1.1 201/);
  });

  it.each([
    ['1ms', 1],
    ['5s', 5_000],
    ['2m', 120_000],
    ['3h', 10_800_000],
    ['36500d', 3_153_600_000_000],
  ])('takes ttl=%s', async (ttl, ttl_ms) => {
    expect((await api.call('PUT', `/v1/kv/a?ttl=${ttl}`, { body: 'x' })).status).toBe(201);
    expect(lastRequest()).toMatchObject({ kind: 'put', ttl_ms });
  });

  it.each(['', '0s', '5', 's', '-1s', '1.5s', '05s', '5S', '5 s', '36501d', '99999999999999999999d', '%zz'])(
    'refuses ttl=%s',
    async (ttl) => {
      await expectProblem(
        await api.call('PUT', `/v1/kv/a?ttl=${encodeURI(ttl)}`, { body: 'x' }),
        400,
        'invalid_argument',
      );
      expect(api.kv.requests).toEqual([]);
    },
  );

  it.each(['tll=5s', 'ttl=5s&ttl=6s', 'consistency=stale', 'ttl=5s&x'])('refuses the query ?%s', async (query) => {
    await expectProblem(await api.call('PUT', `/v1/kv/a?${query}`, { body: 'x' }), 400, 'invalid_argument');
    expect(api.kv.requests).toEqual([]);
  });

  it('a PUT without ttl clears an expiry', async () => {
    await api.call('PUT', '/v1/kv/a?ttl=5s', { body: 'x' });
    expect((await api.call('GET', '/v1/kv/a')).headers['x-quorate-expires-in']).toBe('5000');
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    expect((await api.call('GET', '/v1/kv/a')).headers['x-quorate-expires-in']).toBeUndefined();
  });

  it('refuses a Content-Type that no header could give back', async () => {
    const reply = await api.call('PUT', '/v1/kv/a', { body: 'x', headers: { 'Content-Type': `a/${'b'.repeat(300)}` } });
    await expectProblem(reply, 400, 'invalid_argument');
    const socket = await api.socket();
    socket.write(
      'PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: t\xe9xt\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    );
    expect(await socket.untilClosed()).toMatch(/^HTTP\/1.1 400/);
  });
});

describe('GET and HEAD', () => {
  it('give back bytes, type, revision and version', async () => {
    const value = Buffer.from([0, 255, 13, 10, 128]);
    await api.call('PUT', '/v1/kv/a', { body: value, headers: { 'Content-Type': 'image/x-odd; q=1' } });
    const got = await api.call('GET', '/v1/kv/a');
    expect(got.status).toBe(200);
    expect(got.body).toEqual(value);
    expect(got.headers).toMatchObject({
      'content-type': 'image/x-odd; q=1',
      'content-length': '5',
      etag: '"1"',
      'x-quorate-version': '1',
      'x-quorate-shard': 's1',
      'x-quorate-epoch': '7',
      'x-content-type-options': 'nosniff',
    });
    const head = await api.call('HEAD', '/v1/kv/a');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '5', 0]);
    expect(head.headers.etag).toBe('"1"');
  });

  it('default to application/octet-stream', async () => {
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    expect((await api.call('GET', '/v1/kv/a')).headers['content-type']).toBe('application/octet-stream');
  });

  it('values of every size come back whole', async () => {
    for (const size of [1, 2_047, 2_048, 2_049, 65_536, 1_048_576]) {
      const value = Buffer.alloc(size, 'aé\xff');
      expect((await api.call('PUT', '/v1/kv/a', { body: value })).status).toBeLessThan(202);
      const got = await api.call('GET', '/v1/kv/a');
      expect(got.body.equals(value)).toBe(true);
    }
  });

  it('keep stored HTML from running with the rights of the API', async () => {
    await api.call('PUT', '/v1/kv/a', { body: '<script>', headers: { 'Content-Type': 'text/html' } });
    expect((await api.call('GET', '/v1/kv/a')).headers['content-security-policy']).toContain('sandbox');
  });

  it('404 for a missing key, HEAD without a body', async () => {
    const body = await expectProblem(await api.call('GET', '/v1/kv/nope'), 404, 'key_not_found');
    expect(body['shard']).toBe('s1');
    const head = await api.call('HEAD', '/v1/kv/nope');
    expect([head.status, head.body.length]).toEqual([404, 0]);
  });

  it('304 where If-None-Match holds', async () => {
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    for (const tag of ['"1"', 'W/"1"', '*', '"0", "1"']) {
      const reply = await api.call('GET', '/v1/kv/a', { headers: { 'If-None-Match': tag } });
      expect([tag, reply.status, reply.body.length, reply.headers.etag]).toEqual([tag, 304, 0, '"1"']);
    }
    expect((await api.call('GET', '/v1/kv/a', { headers: { 'If-None-Match': '"2"' } })).status).toBe(200);
    expect((await api.call('GET', '/v1/kv/none', { headers: { 'If-None-Match': '*' } })).status).toBe(404);
  });

  it('pass on consistency and staleness', async () => {
    await api.call('GET', '/v1/kv/a');
    expect(lastRequest()).toMatchObject({ consistency: 'linearizable', maxStaleness_ms: null });
    await api.call('GET', '/v1/kv/a?consistency=stale&max_staleness=500ms&timeout=2s');
    expect(lastRequest()).toMatchObject({ consistency: 'stale', maxStaleness_ms: 500 });
    expect(api.kv.requests.at(-1)!.context.timeout_ms).toBe(2_000);
  });

  it.each([
    ['consistency=lease', 501, 'not_implemented'],
    ['consistency=session', 501, 'not_implemented'],
    ['consistency=strong', 400, 'invalid_argument'],
    ['max_staleness=1s', 400, 'invalid_argument'],
    ['consistency=stale&max_staleness=0s', 400, 'invalid_argument'],
    ['timeout=61s', 400, 'invalid_argument'],
    ['timeout=0s', 400, 'invalid_argument'],
    ['enc=hex', 400, 'invalid_argument'],
    ['ttl=5s', 400, 'invalid_argument'],
  ] as const)('?%s answers %d %s', async (query, status, code) => {
    await expectProblem(await api.call('GET', `/v1/kv/a?${query}`), status, code);
  });
});

describe('DELETE', () => {
  it('removes, and answers 404 where there was none', async () => {
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    const reply = await api.call('DELETE', '/v1/kv/a');
    expect(reply.status).toBe(200);
    expect(reply.json()).toEqual({ key: 'a', key_encoding: 'utf8', revision: '2', deleted: true });
    await expectProblem(await api.call('DELETE', '/v1/kv/a'), 404, 'key_not_found');
  });

  it('412 under a condition on a missing key, without an ETag', async () => {
    const reply = await api.call('DELETE', '/v1/kv/a', { headers: { 'If-Match': '"1"' } });
    await expectProblem(reply, 412, 'precondition_failed');
    expect(reply.headers.etag).toBeUndefined();
  });
});

describe('conditions', () => {
  it.each([
    ['If-Match', '"41"', { kind: 'revision', revision: 41 }],
    ['If-Match', '*', { kind: 'exists' }],
    ['If-None-Match', '*', { kind: 'absent' }],
    ['If-Match', '"99999999999999999999"', { kind: 'revision', revision: Number.MAX_SAFE_INTEGER }],
  ])('%s: %s', async (name, value, condition) => {
    await api.call('PUT', '/v1/kv/a', { body: 'x', headers: { [name]: value } });
    expect(lastRequest()).toMatchObject({ condition });
    await api.call('DELETE', '/v1/kv/a', { headers: { [name]: value } });
    expect(lastRequest()).toMatchObject({ kind: 'delete', condition });
  });

  it('412 with the current ETag', async () => {
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    for (const headers of [{ 'If-None-Match': '*' }, { 'If-Match': '"7"' }]) {
      const reply = await api.call('PUT', '/v1/kv/a', { body: 'y', headers });
      await expectProblem(reply, 412, 'precondition_failed');
      expect(reply.headers.etag).toBe('"1"');
    }
  });

  it.each([
    { 'If-Match': '"1"', 'If-None-Match': '*' },
    { 'If-Match': '1' },
    { 'If-Match': 'W/"1"' },
    { 'If-Match': '"1", "2"' },
    { 'If-Match': '"abc"' },
    { 'If-Match': '""' },
    { 'If-Match': '"01"' },
    { 'If-Match': '' },
    { 'If-None-Match': '"1"' },
    { 'X-Quorate-No-Forward': 'yes' },
    { 'Idempotency-Key': '' },
    { 'Idempotency-Key': 'has space' },
    { 'Idempotency-Key': 'x'.repeat(129) },
  ])('400 for %j', async (headers) => {
    await expectProblem(await api.call('PUT', '/v1/kv/a', { body: 'x', headers }), 400, 'invalid_argument');
    expect(api.kv.requests).toEqual([]);
  });
});

describe('Idempotency-Key', () => {
  async function fingerprint(method: string, path: string, headers: Record<string, string>, body?: string) {
    await api.call(method, path, {
      headers: { 'Idempotency-Key': 'k', ...headers },
      ...(body === undefined ? {} : { body }),
    });
    const request = lastRequest();
    if (request.kind === 'get' || request.idempotency === null) throw new Error('no idempotency');
    expect(request.idempotency.key).toBe('k');
    expect(request.idempotency.fingerprint).toHaveLength(16);
    return Buffer.from(request.idempotency.fingerprint).toString('hex');
  }

  it('is null without the header', async () => {
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    expect(lastRequest()).toMatchObject({ idempotency: null });
  });

  it('tells requests apart by method, ttl, condition, type and body, and by nothing else', async () => {
    const same = [
      await fingerprint('PUT', '/v1/kv/a', {}, 'x'),
      await fingerprint('PUT', '/v1/kv/a?timeout=3s', {}, 'x'),
      await fingerprint('PUT', '/v1/kv/YQ?enc=b64url', { 'X-Request-Id': 'r' }, 'x'),
      await fingerprint('PUT', '/v1/kv/a', { 'Content-Type': 'application/octet-stream' }, 'x'),
    ];
    expect(new Set(same).size).toBe(1);
    const different = [
      same[0],
      await fingerprint('PUT', '/v1/kv/a', {}, 'y'),
      await fingerprint('PUT', '/v1/kv/a', {}, ''),
      await fingerprint('PUT', '/v1/kv/a?ttl=1s', {}, 'x'),
      await fingerprint('PUT', '/v1/kv/a?ttl=2s', {}, 'x'),
      await fingerprint('PUT', '/v1/kv/a', { 'If-Match': '*' }, 'x'),
      await fingerprint('PUT', '/v1/kv/a', { 'If-None-Match': '*' }, 'x'),
      await fingerprint('PUT', '/v1/kv/a', { 'If-Match': '"1"' }, 'x'),
      await fingerprint('PUT', '/v1/kv/a', { 'If-Match': '"2"' }, 'x'),
      await fingerprint('PUT', '/v1/kv/a', { 'Content-Type': 'text/plain' }, 'x'),
      await fingerprint('DELETE', '/v1/kv/a', {}),
    ];
    expect(new Set(different).size).toBe(different.length);
  });
});

describe('errors of the service', () => {
  it.each(Object.keys(ERROR_MEANINGS) as ErrorCode[])('%s keeps its members', async (code) => {
    const error: ApiError = { code, detail: 'why', shard: 's2', slot: 9, epoch: 6, leader: 'n3', phase: 'copy' };
    api.kv.scripted = { kind: 'failed', error };
    const reply = await api.call('GET', '/v1/kv/a');
    const body = await expectProblem(reply, ERROR_MEANINGS[code].status, code);
    expect(body).toMatchObject({ detail: 'why', shard: 's2', slot: 9, epoch: 6, leader: 'n3', phase: 'copy' });
    if (reply.status === 503) expect(reply.headers['retry-after']).toMatch(/^[0-9]+$/);
    expect(reply.headers['x-request-id']).toMatch(/./);
  });

  it('statuses are those of the contract', () => {
    const statuses = Object.fromEntries(Object.entries(ERROR_MEANINGS).map(([code, { status }]) => [code, status]));
    expect(statuses).toEqual({
      key_not_found: 404,
      not_found: 404,
      method_not_allowed: 405,
      invalid_key: 400,
      invalid_argument: 400,
      invalid_body: 400,
      precondition_failed: 412,
      value_too_large: 413,
      key_too_large: 414,
      wrong_shard: 421,
      cross_slot: 422,
      plan_impossible: 422,
      conflict: 409,
      unauthenticated: 401,
      permission_denied: 403,
      overloaded: 429,
      no_leader: 503,
      slot_moving: 503,
      unavailable: 503,
      outcome_unknown: 504,
      internal: 500,
      not_implemented: 501,
    });
  });

  it('a defect in the service is a 500 that tells nothing of it, and a log line that does', async () => {
    api.kv.throws = new Error('secret innards');
    for (const path of ['/v1/kv/a', '/v1/kv']) {
      const reply = await api.call('GET', path);
      await expectProblem(reply, 500, 'internal');
      expect(reply.text).not.toContain('secret');
      const line = api.logged.find(({ fields }) => fields['err'] !== undefined);
      expect(line).toMatchObject({ level: 'error', fields: { request_id: reply.headers['x-request-id'] } });
      api.logged.length = 0;
    }
  });
});

describe('request context', () => {
  it('has the no-forward mark, the default timeout and the client’s request id', async () => {
    const reply = await api.call('GET', '/v1/kv/a', {
      headers: { 'X-Quorate-No-Forward': '1', 'X-Request-Id': 'abc-1' },
    });
    expect(api.kv.requests[0]!.context).toEqual({ timeout_ms: 8_000, noForward: true, requestId: 'abc-1' });
    expect(reply.headers['x-request-id']).toBe('abc-1');
  });

  it('makes ids of its own, each different, also where the client’s is unfit', async () => {
    await api.call('GET', '/v1/kv/a');
    await api.call('GET', '/v1/kv/a', { headers: { 'X-Request-Id': 'not fit' } });
    const ids = api.kv.requests.map(({ context }) => context.requestId);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^[\x21-\x7e]+$/);
  });

  it('405 with Allow for other methods', async () => {
    for (const method of ['POST', 'PATCH', 'OPTIONS']) {
      const reply = await api.call(method, '/v1/kv/a', { body: '' });
      await expectProblem(reply, 405, 'method_not_allowed');
      expect(reply.headers.allow).toBe('GET, HEAD, PUT, DELETE');
    }
    expect((await api.call('PUT', '/v1/kv', { body: 'x' })).headers.allow).toBe('GET, HEAD');
  });

  it('counts every answer once', async () => {
    await api.call('PUT', '/v1/kv/a', { body: 'x' });
    await api.call('GET', '/v1/kv/b');
    await api.call('GET', '/v1/kv/a?x=1');
    await api.call('GET', '/v1/kv');
    expect(api.answered.map(({ operation, status }) => `${operation} ${status}`)).toEqual([
      'put 201',
      'get 404',
      'invalid 400',
      'list 200',
    ]);
  });

  it('logs each request at debug level only', async () => {
    await api.call('GET', '/v1/kv/a');
    expect(api.logged).toEqual([]);
    api.debug = true;
    await api.call('GET', '/v1/kv/a', { headers: { 'X-Request-Id': 'r1' } });
    expect(api.logged).toMatchObject([
      { level: 'debug', fields: { request_id: 'r1', method: 'GET', url: '/v1/kv/a', status: 404 } },
    ]);
  });
});
