import { expect, test } from 'vitest';
import { NotSent } from '../../../src/kv/client/index.js';
import { slotOfKey } from '../../../src/shardctrl/index.js';
import { type Answer, fixture, json, problem, raw, stored } from './fake-cluster.js';

/** Two shards, the lower half of the slots and the upper, led by n2 and n3. */
function view(epoch: number, leaders: { s1: string | null; s2: string | null } = { s1: 'n2', s2: 'n3' }) {
  const member = (node: string) => ({ node, role: 'follower', applied: 1, lag: 0, state: 'ok' });
  const shard = (id: 's1' | 's2', slots: string) => ({
    id,
    state: 'ok',
    slots,
    slot_count: 8192,
    members: ['n1', 'n2', 'n3'].map(member),
    leader: leaders[id],
    term: 1,
    keys: 0,
    bytes: 0,
  });
  const node = (id: string, http: string) => ({ id, http, peer: 'p:1', labels: {}, state: 'healthy', since: '' });
  return json(200, {
    cluster_id: 'c',
    epoch,
    health: 'fine',
    nodes: [node('n1', 'a:1'), node('n2', 'b:2'), node('n3', 'c:3'), node('n4', 'd:4')],
    shards: [shard('s1', '0-8191'), shard('s2', '8192-16383')],
    controller: { leader: 'n1', term: 1, members: ['n1'] },
  });
}

const LOW = 'key-0'; // In the other half than HIGH: asserted below.
const HIGH = 'key-7';
const host = (url: string | undefined) => url?.slice(0, 'http://a:1'.length);

test('the keys of these tests lie in different shards', () => {
  const slots = [LOW, HIGH].map((key) => slotOfKey(Buffer.from(key)) < 8192);
  expect(new Set(slots).size).toBe(2);
});

function direct(onKey: (url: string) => Answer, clusterView = () => view(1)) {
  const made = fixture((request) => (request.url.endsWith('/v1/cluster') ? clusterView() : onKey(request.url)), {
    direct: true,
  });
  const leaderOf = (key: string) => (slotOfKey(Buffer.from(key)) < 8192 ? 'http://b:2' : 'http://c:3');
  return { ...made, leaderOf, lookUps: () => made.sent.filter((request) => request.url.endsWith('/v1/cluster')) };
}

test('once the map is known, each key goes straight to its leader; the map is fetched once', async () => {
  const { client, calls, leaderOf, lookUps } = direct(() => stored());
  await client.put(LOW, '1');
  for (let i = 0; i < 5; i++) {
    await client.put(LOW, '1');
    expect(host(calls().at(-1)?.url)).toBe(leaderOf(LOW));
    await client.put(HIGH, '1');
    expect(host(calls().at(-1)?.url)).toBe(leaderOf(HIGH));
  }
  expect(lookUps()).toHaveLength(1);
});

test('a newer epoch in an answer makes it fetch the map anew, in the background', async () => {
  let epoch = 1;
  let leaders = { s1: 'n2', s2: 'n3' };
  const { client, calls, lookUps, clock } = direct(
    () => ({ ...stored(), headers: { etag: '"1"', 'x-quorate-epoch': String(epoch) } }),
    () => view(epoch, leaders),
  );
  await client.put(LOW, '1');
  await client.put(LOW, '1');
  expect(lookUps()).toHaveLength(1);
  epoch = 2;
  leaders = { s1: 'n4', s2: 'n4' };
  clock.now_ms += 1_000;
  await client.put(LOW, '1');
  expect(lookUps()).toHaveLength(2);
  await client.put(LOW, '1');
  expect(host(calls().at(-1)?.url)).toBe('http://d:4');
});

test('a leader that is gone costs one attempt: then any node, then the new leader', async () => {
  let leaders = { s1: 'n2', s2: 'n3' };
  let dead: string | null = null;
  const { client, calls, clock, leaderOf } = direct(
    (url) => (dead !== null && url.startsWith(dead) ? new NotSent('connect ECONNREFUSED') : stored()),
    () => view(1, leaders),
  );
  await client.put(LOW, '1');
  await client.put(LOW, '1');
  dead = leaderOf(LOW);
  leaders = { s1: 'n4', s2: 'n4' };
  clock.now_ms += 1_000;
  const before = calls().length;
  await client.put(LOW, '1');
  expect(calls().length).toBe(before + 2);
  await client.put(LOW, '1');
  expect(host(calls().at(-1)?.url)).toBe('http://d:4');
});

test('a refusal that names the leader is followed', async () => {
  const shard = slotOfKey(Buffer.from(LOW)) < 8192 ? 's1' : 's2';
  let refused = false;
  const { client, calls, leaderOf } = direct((url) => {
    if (refused || !url.startsWith(leaderOf(LOW))) return stored();
    refused = true;
    return problem(503, 'unavailable', { shard, leader: 'n4' });
  });
  await client.put(HIGH, '1');
  await client.put(LOW, '1');
  expect(host(calls().at(-1)?.url)).toBe('http://d:4');
});

test('a slot that has moved is asked for where it is now, though the map is the old one', async () => {
  const [here, there] = slotOfKey(Buffer.from(LOW)) < 8192 ? ['s1', 's2'] : ['s2', 's1'];
  let refusals = 0;
  const { client, calls, leaderOf } = direct((url) => {
    if (!url.includes(LOW) || !url.startsWith(leaderOf(LOW))) return stored();
    refusals++;
    return problem(421, 'wrong_shard', { shard: there });
  });
  await client.put(HIGH, '1');
  for (let i = 0; i < 3; i++) {
    await client.put(LOW, '1');
    expect(host(calls().at(-1)?.url)).toBe(leaderOf(HIGH));
  }
  expect(refusals).toBe(1);
  expect(here).not.toBe(there);
});

test('a read that a node refuses because it does not lead goes to the leader that it names, and later ones at once', async () => {
  const shard = slotOfKey(Buffer.from(LOW)) < 8192 ? 's1' : 's2';
  const { client, calls } = direct((url) =>
    url.startsWith('http://d:4') ? raw('v') : problem(421, 'wrong_shard', { shard, leader: 'n4', slot: 1, epoch: 1 }),
  );
  await client.get(LOW).catch(() => null);
  const before = calls().length;
  expect(String((await client.get(LOW))?.value)).toBe('v');
  expect(String((await client.get(LOW))?.value)).toBe('v');
  expect(calls().length).toBeLessThanOrEqual(before + 3);
  expect(host(calls().at(-1)?.url)).toBe('http://d:4');
});

test('an answer that tells of another shard is believed', async () => {
  const there = slotOfKey(Buffer.from(LOW)) < 8192 ? 's2' : 's1';
  const { client, calls, leaderOf } = direct(() => ({
    ...stored(),
    headers: { etag: '"1"', 'x-quorate-epoch': '1', 'x-quorate-shard': there },
  }));
  await client.put(HIGH, '1');
  await client.put(LOW, '1');
  expect(host(calls().at(-1)?.url)).toBe(leaderOf(LOW));
  await client.put(LOW, '1');
  expect(host(calls().at(-1)?.url)).toBe(leaderOf(HIGH));
});

test('a map that cannot be fetched or read is done without', async () => {
  const { client } = direct(
    () => stored(),
    () => json(200, { nonsense: true }),
  );
  for (let i = 0; i < 4; i++) await expect(client.put(LOW, '1')).resolves.toMatchObject({ revision: '7' });
});

test('an endpoint that is none is refused by name', () => {
  expect(() => fixture(() => stored(), { endpoints: ['127.0.0.1:7001'] })).toThrow(
    'endpoint "127.0.0.1:7001": must look like http://127.0.0.1:7001',
  );
});
