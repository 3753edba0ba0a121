/** What is set for the whole cluster: what is asked of the service, and what is refused before it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiFixture, refusalOf } from './api-fixture.js';

const PATH = '/v1/admin/settings';

let api: ApiFixture;
beforeEach(async () => {
  api = await new ApiFixture().start();
});
afterEach(() => api.stop());

describe('settings of the cluster', () => {
  it('GET shows them, PUT sets them', async () => {
    const shown = await api.call('GET', `${PATH}?timeout=1s`);
    expect([shown.status, shown.json(), shown.headers['x-quorate-epoch']]).toEqual([
      200,
      { rebuild_after: '10m' },
      '7',
    ]);
    const set = await api.call('PUT', PATH, { body: '{"rebuild_after":"1h"}' });
    expect([set.status, set.json()]).toEqual([200, { rebuild_after: '1h' }]);
    await api.call('PUT', `${PATH}?timeout=2s`, { body: '{"rebuild_after":null}' });
    expect(api.admin.calls).toEqual([
      ['settings', 1_000],
      ['changeSettings', { rebuildAfter_ms: 3_600_000 }, 8_000],
      ['changeSettings', { rebuildAfter_ms: null }, 2_000],
    ]);
  });

  it.each([
    ['', /Invalid input/],
    ['{}', /^rebuild_after: /],
    ['{"rebuild_after":600}', /^rebuild_after: /],
    ['{"rebuild_after":"10"}', /^rebuild_after: must be null, or a duration like "10m"/],
    ['{"rebuild_after":"off"}', /^rebuild_after: must be null, or a duration/],
    ['{"rebuild_after":"999ms"}', /^rebuild_after: .* from 1s to 36500d/],
    ['{"rebuild_after":"36501d"}', /^rebuild_after: .* from 1s to 36500d/],
    ['{"rebuild_after":"9999999999999d"}', /^rebuild_after: .* from 1s to 36500d/],
    ['{"rebuild_after":"10m","rebuild":true}', /"rebuild"/],
    ['{"rebuild_after":"10m"', /not JSON/],
  ])('PUT refuses the body %s', async (body, detail) => {
    expect(await refusalOf(api, 'PUT', PATH, body)).toEqual({
      status: 400,
      code: 'invalid_body',
      detail: expect.stringMatching(detail),
    });
    expect(api.admin.calls).toEqual([]);
  });

  it('takes what the contract takes in a query, and says what can be done', async () => {
    for (const method of ['GET', 'PUT']) {
      const body = method === 'PUT' ? '{"rebuild_after":null}' : undefined;
      expect(await refusalOf(api, method, `${PATH}?wait=1s`, body)).toMatchObject({
        status: 400,
        code: 'invalid_argument',
      });
      expect(await refusalOf(api, method, `${PATH}?timeout=61s`, body)).toMatchObject({
        status: 400,
        code: 'invalid_argument',
      });
    }
    const posted = await api.call('POST', PATH, { body: '{}' });
    expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD, PUT']);
    expect(api.admin.calls).toEqual([]);
  });

  it('passes on what the service refuses', async () => {
    api.admin.failure = { ok: false, error: { code: 'no_leader', detail: 'the controller is away' } };
    expect(await refusalOf(api, 'PUT', PATH, '{"rebuild_after":null}')).toEqual({
      status: 503,
      code: 'no_leader',
      detail: 'the controller is away',
    });
  });

  it('are described in /openapi.json, with what is missing of the cluster', async () => {
    const { paths, components } = (await api.call('GET', '/openapi.json')).json() as {
      paths: Record<string, Record<string, { responses: object }>>;
      components: { schemas: Record<string, unknown> };
    };
    for (const method of ['get', 'put']) expect(paths[PATH]?.[method]?.responses).toHaveProperty('200');
    expect(JSON.stringify(components.schemas['Cluster'])).toContain('missing_replicas');
  });
});
