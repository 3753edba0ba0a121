/** Verifications over HTTP: what is asked of the service, and what is refused before it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiFixture, refusalOf } from './api-fixture.js';
import { VERIFICATION } from './fake-services.js';

let api: ApiFixture;
beforeEach(async () => {
  api = await new ApiFixture().start();
});
afterEach(() => api.stop());

const PATH = '/v1/admin/verify';
const DEFAULTS = { shards: [], plan: null, mib_per_s: 8, give_up_ms: 21_600_000 };

describe('POST /v1/admin/verify', () => {
  it('begins one: 202, and where to look; without a body it is about everything', async () => {
    const begun = await api.call('POST', PATH);
    expect([begun.status, begun.json(), begun.headers.location]).toEqual([202, VERIFICATION, `${PATH}/n1-0a1b2c3d`]);
    const body = '{"shards":["s1","s12"],"plan":"p5","mib_per_s":64,"give_up_ms":60000}';
    expect((await api.call('POST', `${PATH}?timeout=2s`, { body })).status).toBe(202);
    expect((await api.call('POST', PATH, { body: '{}' })).status).toBe(202);
    expect(api.admin.calls).toEqual([
      ['verify', DEFAULTS, 8_000],
      ['verify', { shards: ['s1', 's12'], plan: 'p5', mib_per_s: 64, give_up_ms: 60_000 }, 2_000],
      ['verify', DEFAULTS, 8_000],
    ]);
  });

  it.each([
    ['{', /not JSON/],
    ['[]', /^Invalid input/],
    ['{"shards":"s1"}', /^shards: /],
    ['{"shards":[]}', /^shards: /],
    ['{"shards":["1"]}', /^shards\.0: a shard is named like "s1"/],
    ['{"shards":["s1","s1"]}', /^shards: a shard is named twice/],
    ['{"plan":5}', /^plan: /],
    ['{"plan":""}', /^plan: /],
    ['{"mib_per_s":0}', /^mib_per_s: /],
    ['{"mib_per_s":1.5}', /^mib_per_s: /],
    ['{"mib_per_s":1025}', /^mib_per_s: /],
    ['{"give_up_ms":10}', /^give_up_ms: /],
    ['{"shard":"s1"}', /"shard"/],
  ])('refuses the body %s', async (body, detail) => {
    expect(await refusalOf(api, 'POST', PATH, body)).toEqual({
      status: 400,
      code: 'invalid_body',
      detail: expect.stringMatching(detail),
    });
    expect(api.admin.calls).toEqual([]);
  });
});

it('GET shows one, or all that nodes remember; POST …/cancel ends one', async () => {
  const shown = await api.call('GET', `${PATH}/n2-xyz?timeout=1s`);
  expect([shown.status, shown.json()]).toEqual([200, { ...VERIFICATION, id: 'n2-xyz' }]);
  const { id, state, result, started } = VERIFICATION;
  const listed = await api.call('GET', PATH);
  expect([listed.status, listed.json()]).toEqual([200, { runs: [{ id, state, result, started }], silent: ['n3'] }]);
  const ended = await api.call('POST', `${PATH}/n2-xyz/cancel`);
  expect([ended.status, ended.json()]).toEqual([200, { ...VERIFICATION, id: 'n2-xyz', state: 'cancelled' }]);
  expect(api.admin.calls).toEqual([
    ['verification', 'n2-xyz', 1_000],
    ['verifications', 8_000],
    ['cancelVerification', 'n2-xyz', 8_000],
  ]);
});

it.each<[string, string]>([
  ['POST', PATH],
  ['GET', PATH],
  ['GET', `${PATH}/n1-x`],
  ['POST', `${PATH}/n1-x/cancel`],
])('%s %s knows the parameter timeout and no other, and passes refusals on', async (method, path) => {
  for (const query of ['timeout=0s', 'timeout=61s', 'wait=true']) {
    expect(await refusalOf(api, method, `${path}?${query}`)).toMatchObject({ status: 400, code: 'invalid_argument' });
  }
  expect(api.admin.calls).toEqual([]);
  api.admin.failure = { ok: false, error: { code: 'conflict', detail: 'n1 is at a verification already' } };
  expect(await refusalOf(api, method, path)).toMatchObject({ status: 409, code: 'conflict' });
});

it('a cancel that asks for more is refused', async () => {
  expect(await refusalOf(api, 'POST', `${PATH}/n1-x/cancel`, '{"force":true}')).toMatchObject({ code: 'invalid_body' });
});

it.each([
  ['DELETE', PATH, 'POST, GET, HEAD'],
  ['POST', `${PATH}/n1-x`, 'GET, HEAD'],
  ['GET', `${PATH}/n1-x/cancel`, 'POST'],
])('%s %s is 405, Allow: %s', async (method, path, allow) => {
  const reply = await api.call(method, path);
  expect([reply.status, reply.headers.allow]).toEqual([405, allow]);
});

it('/openapi.json describes these calls, their bodies and their answers', async () => {
  const { paths, components } = (await api.call('GET', '/openapi.json')).json() as {
    paths: Record<string, { post?: { requestBody?: { required: boolean } } }>;
    components: { schemas: Record<string, { properties: object }> };
  };
  expect(Object.keys(paths[PATH]!).sort()).toEqual(['get', 'post']);
  // Those who make clients of it must not ask for a body that may be left out.
  expect(paths[PATH]!.post!.requestBody!.required).toBe(false);
  expect(Object.keys(paths[`${PATH}/{id}`]!)).toEqual(['get']);
  expect(Object.keys(paths[`${PATH}/{id}/cancel`]!)).toEqual(['post']);
  expect(Object.keys(components.schemas['Verification']!.properties)).toEqual(
    expect.arrayContaining(Object.keys(VERIFICATION)),
  );
  for (const field of ['shards', 'plan', 'mib_per_s', 'give_up_ms']) {
    expect(JSON.stringify(paths[PATH])).toContain(`"${field}":{`);
  }
});
