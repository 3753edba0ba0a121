/** Nodes that come and go, members of shards, leadership: what is asked of the service, and what is refused before it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiFixture, refusalOf } from './api-fixture.js';
import { MEMBERS, NODE } from './fake-services.js';

let api: ApiFixture;
beforeEach(async () => {
  api = await new ApiFixture().start();
});
afterEach(() => api.stop());

describe('nodes', () => {
  it('POST lets a node in and answers with it', async () => {
    const reply = await api.call('POST', '/v1/admin/nodes', { body: '{"peer":"127.0.0.1:7104"}' });
    expect([reply.status, reply.json(), reply.headers['x-quorate-epoch']]).toEqual([200, NODE, '7']);
    expect((await api.call('POST', '/v1/admin/nodes?timeout=2s', { body: '{"peer":"[::1]:7104"}' })).status).toBe(200);
    expect(api.admin.calls).toEqual([
      ['addNode', { peer: '127.0.0.1:7104' }, 8_000],
      ['addNode', { peer: '[::1]:7104' }, 2_000],
    ]);
  });

  it('DELETE begins to drain a node: 202', async () => {
    const reply = await api.call('DELETE', '/v1/admin/nodes/n4');
    expect([reply.status, reply.json()]).toEqual([202, { ...NODE, state: 'draining' }]);
    expect((await api.call('DELETE', '/v1/admin/nodes/host-5.rack_1?timeout=1s', { body: '{}' })).status).toBe(202);
    expect(api.admin.calls).toEqual([
      ['removeNode', 'n4', 8_000],
      ['removeNode', 'host-5.rack_1', 1_000],
    ]);
  });

  it.each([
    ['', /^peer: /],
    ['{', /not JSON/],
    ['[]', /^Invalid input/],
    ['{}', /^peer: /],
    ['{"peer":7104}', /^peer: /],
    ['{"peer":""}', /^peer: must be host:port/],
    ['{"peer":"127.0.0.1"}', /^peer: must be host:port/],
    ['{"peer":"127.0.0.1:0"}', /^peer: must be host:port/],
    ['{"peer":"127.0.0.1:70000"}', /^peer: must be host:port/],
    ['{"peer":"http://127.0.0.1:7104"}', /^peer: must be host:port/],
    [`{"peer":"${'h'.repeat(400)}:7104"}`, /^peer: /],
    ['{"peer":"127.0.0.1:7104","id":"n4"}', /"id"/],
    [`{"peer":"127.0.0.1:7104"${' '.repeat(70_000)}}`, /larger than 65536 bytes/],
  ])('POST refuses the body %.40s', async (body, detail) => {
    expect(await refusalOf(api, 'POST', '/v1/admin/nodes', body)).toEqual({
      status: 400,
      code: 'invalid_body',
      detail: expect.stringMatching(detail),
    });
    expect(api.admin.calls).toEqual([]);
  });

  it('DELETE refuses what is no name of a node, and a body that asks for more', async () => {
    for (const id of ['-n4', 'n%204', 'n4%0A', 'n'.repeat(64)]) {
      expect(await refusalOf(api, 'DELETE', `/v1/admin/nodes/${id}`)).toEqual({
        status: 400,
        code: 'invalid_argument',
        detail: expect.stringMatching(/^id: .* is not the name of a node/),
      });
    }
    expect(await refusalOf(api, 'DELETE', '/v1/admin/nodes/n4', '{"force":true}')).toEqual({
      status: 400,
      code: 'invalid_body',
      detail: expect.stringContaining('"force"'),
    });
    expect(api.admin.calls).toEqual([]);
  });
});

describe('members of a shard', () => {
  const path = '/v1/admin/shards/s1/members';

  it('GET shows them, POST begins to change them: 202 and where to look', async () => {
    const shown = await api.call('GET', `${path}?timeout=1s`);
    expect([shown.status, shown.json()]).toEqual([200, MEMBERS]);
    const begun = await api.call('POST', path, { body: '{"add":["n4"],"remove":["n1"]}' });
    expect([begun.status, begun.json(), begun.headers.location]).toEqual([202, MEMBERS, path]);
    await api.call('POST', path, { body: '{"add":["n4","n5"]}' });
    await api.call('POST', `${path}?timeout=2s`, { body: '{"remove":["n1"],"add":[]}' });
    expect(api.admin.calls).toEqual([
      ['members', 's1', 1_000],
      ['changeMembers', 's1', { add: ['n4'], remove: ['n1'] }, 8_000],
      ['changeMembers', 's1', { add: ['n4', 'n5'], remove: [] }, 8_000],
      ['changeMembers', 's1', { add: [], remove: ['n1'] }, 2_000],
    ]);
  });

  it.each([
    ['{}', /^add, remove: name at least one node/],
    ['{"add":[],"remove":[]}', /^add, remove: name at least one node/],
    ['{"add":"n4"}', /^add: /],
    ['{"add":[4]}', /^add\.0: /],
    ['{"add":["n4"],"remove":["n 1"]}', /^remove\.0: a node is named like/],
    ['{"add":["n4","n4"]}', /^add\.1: n4 is named twice/],
    ['{"add":["n4"],"remove":["n4"]}', /^remove\.0: n4 is named twice/],
    [`{"add":[${Array.from({ length: 65 }, (_, i) => `"n${i}"`)}]}`, /^add: /],
    ['{"add":["n4"],"removes":["n1"]}', /"removes"/],
  ])('POST refuses the body %.50s', async (body, detail) => {
    expect(await refusalOf(api, 'POST', path, body)).toEqual({
      status: 400,
      code: 'invalid_body',
      detail: expect.stringMatching(detail),
    });
    expect(api.admin.calls).toEqual([]);
  });
});

describe('leadership of a shard', () => {
  const path = '/v1/admin/shards/s1/transfer-leader';

  it('POST gives it to another member', async () => {
    const reply = await api.call('POST', `${path}?timeout=3s`, { body: '{"to":"n2"}' });
    expect([reply.status, reply.json()]).toEqual([200, { id: 's1', leader: 'n2', term: 4 }]);
    expect(api.admin.calls).toEqual([['transferLeader', 's1', 'n2', 3_000]]);
  });

  it.each([
    ['{}', /^to: /],
    ['{"to":2}', /^to: /],
    ['{"to":""}', /^to: a node is named like/],
    ['{"to":"n2","force":true}', /"force"/],
  ])('POST refuses the body %s', async (body, detail) => {
    expect(await refusalOf(api, 'POST', path, body)).toEqual({
      status: 400,
      code: 'invalid_body',
      detail: expect.stringMatching(detail),
    });
    expect(api.admin.calls).toEqual([]);
  });
});

const CALLS: [method: string, path: string, body: string | undefined][] = [
  ['POST', '/v1/admin/nodes', '{"peer":"127.0.0.1:7104"}'],
  ['DELETE', '/v1/admin/nodes/n4', undefined],
  ['GET', '/v1/admin/shards/s1/members', undefined],
  ['POST', '/v1/admin/shards/s1/members', '{"add":["n4"]}'],
  ['POST', '/v1/admin/shards/s1/transfer-leader', '{"to":"n2"}'],
];

describe.each(CALLS)('%s %s', (method, path, body) => {
  it('knows the parameter timeout and no other', async () => {
    for (const query of ['timeout=0s', 'timeout=61s', 'timeout=5', 'wait=true', 'timeout=1s&timeout=1s']) {
      expect(await refusalOf(api, method, `${path}?${query}`, body)).toMatchObject({
        status: 400,
        code: 'invalid_argument',
      });
    }
    expect(api.admin.calls).toEqual([]);
  });

  it('passes on what the service refuses', async () => {
    api.admin.failure = { ok: false, error: { code: 'plan_impossible', detail: 's1 would have one member' } };
    expect(await refusalOf(api, method, path, body)).toEqual({
      status: 422,
      code: 'plan_impossible',
      detail: 's1 would have one member',
    });
    api.admin.failure = { ok: false, error: { code: 'conflict', detail: 's1 is being changed' } };
    expect(await refusalOf(api, method, path, body)).toMatchObject({ status: 409, code: 'conflict' });
  });
});

it.each(['S1', 's0', '1', 'n1', 's1%20', 's9999999999'])('%s is not the name of a shard', async (id) => {
  for (const [method, what, body] of [
    ['GET', 'members', undefined],
    ['POST', 'members', '{"add":["n4"]}'],
    ['POST', 'transfer-leader', '{"to":"n2"}'],
  ] as const) {
    expect(await refusalOf(api, method, `/v1/admin/shards/${id}/${what}`, body)).toEqual({
      status: 400,
      code: 'invalid_argument',
      detail: expect.stringMatching(/^id: .* is not the name of a shard/),
    });
  }
  expect(api.admin.calls).toEqual([]);
});

it.each([
  ['GET', '/v1/admin/nodes', 'POST'],
  ['GET', '/v1/admin/nodes/n1', 'DELETE'],
  ['DELETE', '/v1/admin/shards/s1/members', 'GET, HEAD, POST'],
  ['GET', '/v1/admin/shards/s1/transfer-leader', 'POST'],
])('%s %s is 405, Allow: %s', async (method, path, allow) => {
  const reply = await api.call(method, path);
  expect([reply.status, reply.headers.allow]).toEqual([405, allow]);
});

it('/openapi.json describes these calls, their bodies and their answers', async () => {
  const { paths } = (await api.call('GET', '/openapi.json')).json() as { paths: Record<string, object> };
  const answers = { '/v1/admin/nodes': '200', '/v1/admin/nodes/{id}': '202', '/v1/admin/shards/{id}/members': '202' };
  for (const [path, status] of Object.entries({ ...answers, '/v1/admin/shards/{id}/transfer-leader': '200' })) {
    const operations = Object.values(paths[path] ?? {}) as { responses: object }[];
    expect(operations.some(({ responses }) => status in responses)).toBe(true);
  }
  const text = JSON.stringify(paths);
  for (const field of ['peer', 'add', 'remove', 'to']) expect(text).toContain(`"${field}":{`);
  const { delete: removal } = paths['/v1/admin/nodes/{id}'] as { delete: { responses: object } };
  expect(Object.keys(removal.responses)).toEqual(['202', '404', 'default']);
});
