/** Load and balance over HTTP: shapes, codes, strict parameters and bodies. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiFixture } from './api-fixture.js';
import { BALANCE, HOT, PLAN } from './fake-services.js';

let api: ApiFixture;
beforeEach(async () => {
  api = await new ApiFixture().start();
});
afterEach(() => api.stop());

async function refused(method: string, path: string, body?: string) {
  const reply = await api.call(method, path, body === undefined ? {} : { body });
  return [reply.status, reply.json()['code']];
}

describe('/v1/cluster/hot', () => {
  it('shows slots and keys, keys as JSON shows keys', async () => {
    const reply = await api.call('GET', '/v1/cluster/hot?limit=20&timeout=2s');
    expect(reply.status).toBe(200);
    expect(reply.json()).toEqual({
      ...HOT,
      keys: [
        { key: '{a}1', key_encoding: 'utf8', slot: 5, shard: 's1', requests_per_s: 40, error_per_s: 2 },
        { key: '/w==', key_encoding: 'base64', slot: 5, shard: 's1', requests_per_s: 20, error_per_s: 3 },
      ],
    });
    await api.call('GET', '/v1/cluster/hot');
    expect(api.admin.calls).toEqual([
      ['hot', 20, 2_000],
      ['hot', 10, 8_000],
    ]);
  });

  it.each(['limit=0', 'limit=1001', 'limit=x', 'limit=', 'top=5'])('refuses %s', async (query) => {
    expect(await refused('GET', `/v1/cluster/hot?${query}`)).toEqual([400, 'invalid_argument']);
  });

  it('passes on what the service refuses', async () => {
    api.admin.failure = { ok: false, error: { code: 'unavailable', detail: 'no map' } };
    expect(await refused('GET', '/v1/cluster/hot')).toEqual([503, 'unavailable']);
  });
});

describe('/v1/admin/balance', () => {
  it('shows how things stand, and what would be done', async () => {
    expect((await api.call('GET', '/v1/admin/balance?timeout=1s')).json()).toEqual(JSON.parse(JSON.stringify(BALANCE)));
    expect(api.admin.calls).toEqual([['balance', 1_000]]);
  });

  it('is started with 202 and where to look, with or without a body', async () => {
    for (const body of ['', '{}', '{"max_pause_ms":200,"max_rate_bytes":4096}']) {
      const reply = await api.call('POST', '/v1/admin/balance', { body });
      expect([reply.status, reply.headers.location]).toEqual([202, '/v1/admin/reshard/p1']);
    }
    expect(api.admin.calls).toEqual([
      ['startBalance', { dry_run: false }, 8_000],
      ['startBalance', { dry_run: false }, 8_000],
      ['startBalance', { dry_run: false, max_pause_ms: 200, max_rate_bytes: 4_096 }, 8_000],
    ]);
  });

  it('is only shown with 200 where it is a dry run, or there is nothing to move', async () => {
    api.admin.balanced = 'planned';
    const reply = await api.call('POST', '/v1/admin/balance', { body: '{"dry_run":true}' });
    expect([reply.status, reply.headers.location, reply.json()]).toEqual([200, undefined, PLAN]);
    expect((await api.call('POST', '/v1/admin/balance')).status).toBe(200);
  });

  it('is a conflict while another plan runs', async () => {
    api.admin.failure = { ok: false, error: { code: 'conflict', detail: 'plan p1 is not finished' } };
    expect(await refused('POST', '/v1/admin/balance', '{}')).toEqual([409, 'conflict']);
  });

  it.each(['[]', '{"dryrun":true}', '{"dry_run":"yes"}', '{"max_pause_ms":0}', '{"max_rate_bytes":5}'])(
    'refuses the body %s',
    async (body) => {
      expect(await refused('POST', '/v1/admin/balance', body)).toEqual([400, 'invalid_body']);
      expect(api.admin.calls).toEqual([]);
    },
  );
});

describe('PUT /v1/admin/balance', () => {
  it('sets what is named and answers with all of it', async () => {
    const reply = await api.call('PUT', '/v1/admin/balance', { body: '{"auto":true}' });
    expect([reply.status, reply.json()]).toEqual([200, { auto: true, limit_percent: 30, hold_s: 120 }]);
    await api.call('PUT', '/v1/admin/balance?timeout=1s', { body: '{"limit_percent":50,"hold_s":60}' });
    expect(api.admin.calls).toEqual([
      ['setBalance', { auto: true }, 8_000],
      ['setBalance', { limit_percent: 50, hold_s: 60 }, 1_000],
    ]);
  });

  it.each(['', '{}', '{"auto":"on"}', '{"limit_percent":9}', '{"limit_percent":30.5}', '{"hold_s":0}', '{"limit":30}'])(
    'refuses the body %s',
    async (body) => {
      expect(await refused('PUT', '/v1/admin/balance', body)).toEqual([400, 'invalid_body']);
      expect(api.admin.calls).toEqual([]);
    },
  );
});

it('/openapi.json describes all of it', async () => {
  const paths = (await api.call('GET', '/openapi.json')).json()['paths'] as Record<string, object>;
  expect(Object.keys(paths['/v1/admin/balance']!)).toEqual(['get', 'post', 'put']);
  expect(paths).toHaveProperty(['/v1/cluster/hot']);
});
