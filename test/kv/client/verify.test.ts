import { expect, test } from 'vitest';
import { fixture, json, problem } from './fake-cluster.js';

const VIEW = { id: 'n1-0a1b2c3d', state: 'running', result: null, shards: [], plan: null };

test('a verification is begun, looked at, found among others and ended', async () => {
  const runs = { runs: [{ id: VIEW.id, state: 'running', result: null, started: 'now' }], silent: [] };
  const { client, sent } = fixture(({ method, url }) =>
    json(200, method === 'GET' && new URL(url).pathname.endsWith('verify') ? runs : VIEW),
  );
  expect(await client.verify()).toEqual(VIEW);
  await client.verify({ shards: ['s1'], plan: 'p5', mibPerS: 64, giveUp_ms: 60_000, timeout_ms: 1_000 });
  expect(await client.verification(VIEW.id)).toEqual(VIEW);
  expect(await client.verifications()).toEqual(runs);
  expect(await client.cancelVerification(VIEW.id)).toEqual(VIEW);
  expect(
    sent.map(({ method, url, body }) => [method, new URL(url).pathname, body && JSON.parse(String(body))]),
  ).toEqual([
    ['POST', '/v1/admin/verify', {}],
    ['POST', '/v1/admin/verify', { shards: ['s1'], plan: 'p5', mib_per_s: 64, give_up_ms: 60_000 }],
    ['GET', `/v1/admin/verify/${VIEW.id}`, undefined],
    ['GET', '/v1/admin/verify', undefined],
    ['POST', `/v1/admin/verify/${VIEW.id}/cancel`, {}],
  ]);
});

test('one that nobody knows is null; what else is wrong is an error', async () => {
  expect(await fixture(() => problem(404, 'not_found')).client.verification('n1-x')).toBeNull();
  await expect(fixture(() => problem(409, 'conflict')).client.verify()).rejects.toMatchObject({ code: 'conflict' });
});

test('is never begun twice, but ended again', async () => {
  const lost = new Error('connection lost');
  const begun = fixture(() => lost);
  await expect(begun.client.verify({ timeout_ms: 2_000 })).rejects.toMatchObject({ code: 'outcome_unknown' });
  expect(begun.sent).toHaveLength(1);
  const ended = fixture((_, index) => (index === 0 ? lost : json(200, VIEW)));
  expect(await ended.client.cancelVerification('n1-x')).toEqual(VIEW);
});
