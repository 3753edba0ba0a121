import { describe, expect, test } from 'vitest';
import { NotSent, OutcomeUnknown, QuorateError } from '../../../src/kv/client/index.js';
import { type Answer, fixture, json, problem, raw, stored } from './fake-cluster.js';

const FAILURES: Readonly<Record<string, () => Answer>> = {
  'connection refused': () => new NotSent('connect ECONNREFUSED'),
  'connection reset': () => new Error('read ECONNRESET'),
  'no answer': () => ({ hang: true }),
  '503 no_leader': () => problem(503, 'no_leader', {}, { 'retry-after': '1' }),
  '503 slot_moving': () => problem(503, 'slot_moving', {}, { 'retry-after': '1' }),
  '503 unavailable': () => problem(503, 'unavailable', {}, { 'retry-after': '1' }),
  '429 overloaded': () => problem(429, 'overloaded', {}, { 'retry-after': '1' }),
  '421 wrong_shard': () => problem(421, 'wrong_shard'),
  '504 outcome_unknown': () => problem(504, 'outcome_unknown'),
  '500 internal': () => problem(500, 'internal'),
  '502 of a gateway': () => ({ status: 502, headers: {}, body: Buffer.from('<html>') }),
};

const DEFINITE = [
  'connection refused',
  '503 no_leader',
  '503 slot_moving',
  '503 unavailable',
  '429 overloaded',
  '421 wrong_shard',
];

/** What follows a failure: the next attempt, or the end of the call. */
async function outcome(failure: string, run: (client: ReturnType<typeof fixture>['client']) => Promise<unknown>) {
  const make = FAILURES[failure];
  if (make === undefined) throw new Error(`no failure ${failure}`);
  const { client, calls } = fixture((request, index) => {
    if (index === 0) return make();
    return request.method === 'GET' ? raw('v') : request.method === 'PUT' ? stored() : json(200, { revision: '8' });
  });
  try {
    await run(client);
    return calls().length === 2 ? 'retried' : `done after ${calls().length}`;
  } catch (error) {
    return error instanceof OutcomeUnknown ? 'unknown' : `thrown: ${error}`;
  }
}

describe('after one failed attempt', () => {
  test.each(Object.keys(FAILURES))('a read is sent again: %s', async (failure) => {
    expect(await outcome(failure, (client) => client.get('k'))).toBe('retried');
  });

  test.each(Object.keys(FAILURES))('F50 a write with an idempotency key is sent again: %s', async (failure) => {
    expect(await outcome(failure, (client) => client.put('k', 'v'))).toBe('retried');
    expect(await outcome(failure, (client) => client.delete('k'))).toBe('retried');
  });

  test.each(Object.keys(FAILURES))('a write on a certain revision is sent again: %s', async (failure) => {
    expect(await outcome(failure, (client) => client.put('k', 'v', { idempotencyKey: false, ifMatch: '5' }))).toBe(
      'retried',
    );
  });

  test.each(Object.keys(FAILURES))(
    'F50 an unprotected write only if it was certainly not applied: %s',
    async (failure) => {
      const expected = DEFINITE.includes(failure) ? 'retried' : 'unknown';
      expect(await outcome(failure, (client) => client.put('k', 'v', { idempotencyKey: false }))).toBe(expected);
      // Conditions that may come true again protect nothing.
      expect(await outcome(failure, (client) => client.put('k', 'v', { idempotencyKey: false, ifMatch: '*' }))).toBe(
        expected,
      );
      expect(
        await outcome(failure, (client) => client.put('k', 'v', { idempotencyKey: false, ifNoneMatch: '*' })),
      ).toBe(expected);
    },
  );

  const NODE = { id: 'n4', http: 'h:1', peer: 'h:2', labels: {}, state: 'healthy', since: 'now' };
  const MEMBERS = { id: 's1', members: ['n1'], joining: ['n4'], leaving: [], waits_for: 'n4 is being filled' };

  type Client = ReturnType<typeof fixture>['client'];
  const ADMINISTRATION: Readonly<Record<string, { readonly run: (client: Client) => Promise<unknown>; body: object }>> =
    {
      addNode: { run: (client) => client.addNode('h:2'), body: NODE },
      removeNode: { run: (client) => client.removeNode('n4'), body: NODE },
      transferLeader: { run: (client) => client.transferLeader('s1', 'n2'), body: { leader: 'n2', term: 3 } },
      changeMembers: { run: (client) => client.changeMembers('s1', { add: ['n4'] }), body: MEMBERS },
      changeSettings: {
        run: (client) => client.changeSettings({ rebuildAfter: '10m' }),
        body: { rebuild_after: '10m' },
      },
    };

  /** `retried`: the very same request, once more. */
  async function afterOne(failure: () => Answer, call: string): Promise<string> {
    const { run, body } = ADMINISTRATION[call]!;
    const { client, sent } = fixture((_, index) => (index === 0 ? failure() : json(200, body)));
    const end = await run(client).then(
      () => 'done',
      (error: unknown) => (error instanceof OutcomeUnknown ? 'unknown' : `thrown: ${error}`),
    );
    const [first, ...again] = sent.map(({ method, url, body: bytes }) => `${method} ${new URL(url).pathname} ${bytes}`);
    expect(again).toEqual(again.map(() => first));
    return end === 'done' && again.length === 1 ? 'retried' : end;
  }

  test.each(Object.entries(FAILURES))('what names a state is asked again: %s', async (_, failure) => {
    for (const call of ['addNode', 'removeNode', 'transferLeader', 'changeSettings'])
      expect(await afterOne(failure, call)).toBe('retried');
  });

  test.each(Object.entries(FAILURES))(
    'a change of members only if it has certainly not begun: %s',
    async (name, failure) => {
      expect(await afterOne(failure, 'changeMembers')).toBe(DEFINITE.includes(name) ? 'retried' : 'unknown');
    },
  );

  test('a node that is gone when its removal is asked again: it was that, or it never was', async () => {
    const { client } = fixture((_, index) => (index === 0 ? new Error('read ECONNRESET') : problem(404, 'not_found')));
    await expect(client.removeNode('n4')).rejects.toBeInstanceOf(OutcomeUnknown);
  });

  test('a reshard is not started twice', async () => {
    const { client, sent } = fixture(() => new Error('read ECONNRESET'));
    await expect(client.reshard({ shards: 3 })).rejects.toBeInstanceOf(OutcomeUnknown);
    expect(sent).toHaveLength(1);
  });
});

describe('retries', () => {
  test('F50 repeat the request exactly: same idempotency key, same query, same body', async () => {
    const { client, calls } = fixture((_, index) => (index < 6 ? { hang: true } : stored()), { timeout_ms: 60_000 });
    await expect(client.put('a/b', 'value', { ttl: '5m', timeout_ms: 300_000 })).resolves.toMatchObject({
      revision: '7',
    });
    const key = calls()[0]?.headers['Idempotency-Key'];
    expect(key).toMatch(/^[0-9a-f]{32}$/);
    for (const { method, url, headers, body } of calls()) {
      expect({ method, target: url.slice('http://a:1'.length), headers, body }).toEqual({
        method: 'PUT',
        target: calls()[0]?.url.slice('http://a:1'.length),
        headers: { 'Content-Type': 'application/octet-stream', 'Idempotency-Key': key },
        body: Buffer.from('value'),
      });
    }
  });

  test('different calls have different idempotency keys; the same seed the same', async () => {
    const keys = async () => {
      const { client, calls } = fixture(() => stored());
      await client.put('k', '1');
      await client.put('k', '1');
      return calls().map((request) => request.headers['Idempotency-Key']);
    };
    const [first, second] = await keys();
    expect(first).not.toBe(second);
    expect(await keys()).toEqual([first, second]);
  });

  test('a key of one’s own is used as it is', async () => {
    const { client, calls } = fixture((_, index) => (index === 0 ? problem(503, 'no_leader') : stored()));
    await client.put('k', '1', { idempotencyKey: 'order-17' });
    expect(calls().map((request) => request.headers['Idempotency-Key'])).toEqual(['order-17', 'order-17']);
  });

  test('go to another node, and the silent one is left alone for a while', async () => {
    const { client, sent } = fixture((request) =>
      request.url.startsWith('http://a:1') ? new NotSent('connect ECONNREFUSED') : raw('v'),
    );
    for (let i = 0; i < 6; i++) await client.get('k');
    const toA = sent.filter((request) => request.url.startsWith('http://a:1'));
    expect(toA).toHaveLength(1);
    expect(sent).toHaveLength(7);
  });

  test('end before a write is sent that would be cut off: a certain no does not become a perhaps', async () => {
    const { client, clock } = fixture(({ timeout_ms }) => {
      // The server takes 300 ms to say no; who has less time for it is cut off.
      if (timeout_ms < 300) return { hang: true };
      clock.now_ms += 300;
      return problem(503, 'no_leader');
    });
    const ends: unknown[] = [];
    for (let timeout_ms = 1_000; timeout_ms < 4_000; timeout_ms += 50) {
      ends.push(await client.put('k', 'v', { timeout_ms }).catch((error: unknown) => error));
    }
    for (const end of ends) {
      expect(end).not.toBeInstanceOf(OutcomeUnknown);
      expect(end).toMatchObject({ code: 'no_leader' });
    }
  });

  test('wait longer each time, with jitter, and end at the deadline', async () => {
    const times: number[] = [];
    const { client, clock } = fixture(() => {
      times.push(clock.now_ms);
      return problem(503, 'no_leader', { shard: 's1' });
    });
    const error = await client.put('k', 'v', { timeout_ms: 5_000 }).catch((thrown: unknown) => thrown);
    // Certainly not applied: this is no unknown outcome.
    expect(error).toBeInstanceOf(QuorateError);
    expect(error).not.toBeInstanceOf(OutcomeUnknown);
    expect(error).toMatchObject({ code: 'no_leader', status: 503, problem: { shard: 's1' } });
    expect(clock.now_ms).toBeLessThanOrEqual(5_000);
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(gaps[0]).toBeLessThanOrEqual(40);
    for (const gap of gaps) expect(gap).toBeLessThanOrEqual(1_000);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(500);
  });

  test('wait as long as an overloaded node asks for; beyond the deadline not at all', async () => {
    const wait = fixture((_, index) =>
      index === 0 ? problem(429, 'overloaded', {}, { 'retry-after': '2' }) : stored(),
    );
    await wait.client.put('k', 'v');
    expect(wait.clock.now_ms).toBeGreaterThanOrEqual(2_000);

    const stop = fixture(() => problem(429, 'overloaded', {}, { 'retry-after': '20' }));
    await expect(stop.client.put('k', 'v')).rejects.toMatchObject({ code: 'overloaded' });
    expect(stop.calls()).toHaveLength(1);
  });

  test('one hanging node does not use up the deadline', async () => {
    const { client, calls, clock } = fixture((_, index) => (index === 0 ? { hang: true } : raw('v')));
    await client.get('k');
    expect(calls()).toHaveLength(2);
    expect(clock.now_ms).toBeLessThan(5_000);
  });

  test('the server gives up before the client does', async () => {
    const { client, calls } = fixture(() => raw('v'));
    await client.get('k');
    const request = calls()[0];
    const server_ms = Number(/timeout=(\d+)ms/.exec(request?.url ?? '')?.[1]);
    expect(server_ms).toBeGreaterThan(0);
    expect(server_ms).toBeLessThan(request?.timeout_ms ?? 0);
  });

  test('failFast ends it when every node has refused the connection twice; a node that answers keeps it going', async () => {
    const gone = fixture(() => new NotSent('connect ECONNREFUSED'), { failFast: true });
    await expect(gone.client.put('k', 'v')).rejects.toMatchObject({ code: 'unavailable', status: 0 });
    expect(gone.calls()).toHaveLength(6);
    const lead = fixture(
      (_, index) => (index > 20 ? stored() : index % 5 === 4 ? problem(503, 'no_leader') : new NotSent('')),
      {
        failFast: true,
        timeout_ms: 60_000,
      },
    );
    await expect(lead.client.put('k', 'v')).resolves.toMatchObject({ revision: '7' });
  });

  test('500 is not tried for ever', async () => {
    const { client, calls } = fixture(() => problem(500, 'internal'));
    await expect(client.get('k')).rejects.toMatchObject({ code: 'internal', status: 500 });
    expect(calls()).toHaveLength(3);
    await expect(client.put('k', 'v')).rejects.toBeInstanceOf(OutcomeUnknown);
  });
});

describe('an attempt that may have been applied stays so, whatever follows', () => {
  const firstLost = (then: Answer) => (_: unknown, index: number) => (index === 0 ? new Error('reset') : then);

  test('definite refusals until the deadline: unknown, with the key for a later repetition', async () => {
    const { client } = fixture(firstLost(problem(503, 'no_leader')));
    const error = await client.put('k', 'v', { idempotencyKey: 'mine' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutcomeUnknown);
    expect(error).toMatchObject({ code: 'outcome_unknown', status: 504, idempotencyKey: 'mine' });
  });

  test('412 with an idempotency key is the recorded answer; without one it may be our own first attempt', async () => {
    const keyed = fixture(firstLost(problem(412, 'precondition_failed', {}, { etag: '"9"' })));
    await expect(keyed.client.put('k', 'v', { ifMatch: '5' })).rejects.toMatchObject({
      code: 'precondition_failed',
      problem: { revision: '9' },
    });
    const bare = fixture(firstLost(problem(412, 'precondition_failed', {}, { etag: '"9"' })));
    await expect(bare.client.put('k', 'v', { ifMatch: '5', idempotencyKey: false })).rejects.toBeInstanceOf(
      OutcomeUnknown,
    );
  });

  test('404 to a DELETE likewise', async () => {
    const keyed = fixture(firstLost(problem(404, 'key_not_found')));
    await expect(keyed.client.delete('k')).resolves.toBeNull();
    const bare = fixture(firstLost(problem(404, 'key_not_found')));
    await expect(bare.client.delete('k', { ifMatch: '5', idempotencyKey: false })).rejects.toBeInstanceOf(
      OutcomeUnknown,
    );
  });

  test('a read that no node answers is no unknown outcome', async () => {
    const { client } = fixture(() => problem(504, 'outcome_unknown'));
    const error = await client.get('k').catch((thrown: unknown) => thrown);
    expect(error).not.toBeInstanceOf(OutcomeUnknown);
    expect(error).toMatchObject({ code: 'unavailable' });
  });
});

test.each([
  [400, 'invalid_argument'],
  [409, 'conflict'],
  [412, 'precondition_failed'],
  [413, 'value_too_large'],
  [414, 'key_too_large'],
  [501, 'not_implemented'],
])('%i %s is told at once', async (status, code) => {
  const { client, calls } = fixture(() => problem(status, code));
  await expect(client.put('k', 'v')).rejects.toMatchObject({ code, status, detail: `detail of ${code}` });
  expect(calls()).toHaveLength(1);
});

test('an answer of something that is no node is named', async () => {
  const { client } = fixture(() => ({ status: 404, headers: {}, body: Buffer.from('<html>') }));
  await expect(client.get('k')).rejects.toThrow(/unexpected answer 404 from http:\/\/[abc]:\d: is it a Quorate node\?/);
});
