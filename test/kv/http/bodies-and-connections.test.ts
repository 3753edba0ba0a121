/** Bodies of every length and framing, overload, aborts, pipelining, garbage, shutdown: what happens on the wire. */
import { afterEach, describe, expect, it } from 'vitest';
import { ApiFixture, parseRaw, VALUE_BYTES } from './api-fixture.js';

let api: ApiFixture;
afterEach(() => api.stop());

async function start(...args: ConstructorParameters<typeof ApiFixture>): Promise<void> {
  api = await new ApiFixture(...args).start();
}

async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

function chunk(bytes: number): string {
  return `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`;
}

describe('a value is 0 to 1,048,576 bytes (F43)', () => {
  it.each([false, true])('the longest is stored, chunked: %s', async (chunked) => {
    await start();
    const body = Buffer.alloc(VALUE_BYTES, 'v');
    expect((await api.call('PUT', '/v1/kv/a', { body, chunked })).status).toBe(201);
    expect((await api.call('GET', '/v1/kv/a')).body.equals(body)).toBe(true);
  });

  it.each([false, true])('one byte more is 413 and never reaches the service, chunked: %s (F43)', async (chunked) => {
    await start();
    const reply = await api.call('PUT', '/v1/kv/a', { body: Buffer.alloc(VALUE_BYTES + 1), chunked });
    expect([reply.status, reply.json()['code']]).toEqual([413, 'value_too_large']);
    expect(api.kv.requests).toEqual([]);
    expect(api.api.inflightBytes()).toBe(0);
    // The next request of the same client works.
    expect((await api.call('PUT', '/v1/kv/a', { body: 'x' })).status).toBe(201);
  });

  it('a giant is answered while it is still being sent, and the client sees the answer', async () => {
    await start();
    const reply = await api.call('PUT', '/v1/kv/a', { body: Buffer.alloc(32 * VALUE_BYTES) });
    expect([reply.status, reply.headers.connection]).toEqual([413, 'close']);
  });

  it('an endless chunked body is refused at the limit', async () => {
    await start();
    const socket = await api.socket();
    socket.write('PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 17; i++) socket.write(chunk(65_536));
    const reply = parseRaw(await socket.until((text) => text.includes('value_too_large')));
    expect(reply.status).toBe(413);
    socket.socket.destroy();
  });

  it('pieces, chunked or not, become one value', async () => {
    await start();
    const socket = await api.socket();
    socket.write('PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab');
    await eventually(() => api.api.inflightBytes() === 2);
    socket.write('cd');
    await eventually(() => api.api.inflightBytes() === 4);
    socket.write('ef');
    await socket.until((text) => text.includes('201 Created'));
    socket.write('PUT /v1/kv/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await eventually(() => api.api.inflightBytes() === 3);
    socket.write('3\r\ndef\r\n0\r\n\r\n');
    await socket.until((text) => text.split('201 Created').length === 3);
    expect((await api.call('GET', '/v1/kv/a')).text).toBe('abcdef');
    expect((await api.call('GET', '/v1/kv/b')).text).toBe('abcdef');
    expect(api.api.inflightBytes()).toBe(0);
    socket.socket.destroy();
  });
});

describe('Expect: 100-continue', () => {
  it('asks for the body where it is wanted', async () => {
    await start();
    const socket = await api.socket();
    socket.write('PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
    await socket.until((text) => text.includes('100 Continue'));
    expect(api.kv.requests).toEqual([]);
    socket.write('abc');
    await socket.until((text) => text.includes('201 Created'));
    expect((await api.call('GET', '/v1/kv/a')).text).toBe('abc');
    socket.socket.destroy();
  });

  it.each([
    ['/v1/kv/a', VALUE_BYTES + 1, 413],
    ['/v1/kv/%zz', 3, 400],
  ])('%s with %d bytes is refused without asking for it', async (path, length, status) => {
    await start();
    const socket = await api.socket();
    socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`);
    const text = await socket.untilClosed();
    expect(text).not.toContain('100 Continue');
    expect(parseRaw(text).status).toBe(status);
  });

  it('serves the administration as well', async () => {
    await start();
    const socket = await api.socket();
    const head = 'POST /v1/admin/reshard HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n';
    socket.write(head);
    await socket.until((text) => text.includes('100 Continue'));
    socket.write('{"shards":4}');
    await socket.until((text) => text.includes('202 Accepted'));
    socket.socket.destroy();
  });

  it('refuses other expectations', async () => {
    await start();
    const reply = await api.call('GET', '/v1/kv/a', { headers: { Expect: 'wonders' } });
    expect([reply.status, reply.json()['code']]).toEqual([400, 'invalid_argument']);
  });
});

describe('bodies in flight', () => {
  it('beyond the limit are 429, and room comes back with the answers', async () => {
    await start({ inflightBytes: 10 });
    api.kv.held = [];
    const first = api.call('PUT', '/v1/kv/a', { body: '12345678' });
    await eventually(() => api.kv.requests.length === 1);
    for (const chunked of [false, true]) {
      const refused = await api.call('PUT', '/v1/kv/b', { body: '123', chunked });
      expect([refused.status, refused.json()]).toMatchObject([429, { code: 'overloaded', retryable: true }]);
    }
    expect(api.kv.requests).toHaveLength(1);
    expect(api.api.inflightBytes()).toBe(8);
    for (const release of api.kv.held.splice(0)) release();
    expect((await first).status).toBe(201);
    expect(api.api.inflightBytes()).toBe(0);
    api.kv.held = null;
    expect((await api.call('PUT', '/v1/kv/b', { body: '123' })).status).toBe(201);
  });

  it('of a client that goes away are given back and not stored', async () => {
    await start();
    const socket = await api.socket();
    socket.write('PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab');
    await eventually(() => api.api.inflightBytes() === 2);
    socket.socket.destroy();
    await eventually(() => api.api.inflightBytes() === 0);
    expect(api.kv.requests).toEqual([]);
  });

  it('of a client that goes away before the answer are given back with it', async () => {
    await start();
    api.kv.held = [];
    const socket = await api.socket();
    socket.write('PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab');
    await eventually(() => api.kv.held?.length === 1);
    socket.socket.destroy();
    for (const release of api.kv.held.splice(0)) release();
    expect(api.api.inflightBytes()).toBe(0);
    expect(api.kv.records.size).toBe(1);
  });
});

describe('connections', () => {
  it('pipelined requests are answered in order, also when the first waits', async () => {
    await start();
    api.kv.held = [];
    const socket = await api.socket();
    socket.write(
      'PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n' +
        'GET /v1/kv/%zz HTTP/1.1\r\nHost: x\r\n\r\nDELETE /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    await eventually(() => api.kv.held?.length === 3);
    // The service answers the first write, then the others.
    for (const release of api.kv.held.splice(0)) release();
    const text = await socket.until((received) => received.includes('"ok"'));
    expect([...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1])).toEqual([
      '201',
      '200',
      '400',
      '200',
      '200',
    ]);
    socket.socket.destroy();
  });

  it('a refused PUT with a small body keeps its connection', async () => {
    await start();
    const socket = await api.socket();
    socket.write(
      'PUT /v1/kv/%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /livez HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    const text = await socket.until((received) => received.includes('"ok"'));
    expect([...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1])).toEqual(['400', '200']);
    socket.socket.destroy();
  });

  it.each([
    ['garbage', 'hello\r\n\r\n', 400],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['a bad Content-Length', 'PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', 400],
    [
      'two framings',
      'PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['a bad chunk', 'PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
    ['no Host', 'GET /v1/kv/a HTTP/1.1\r\n\r\n', 400],
    ['headers too large', `GET /livez HTTP/1.1\r\nHost: x\r\nX-Big: ${'b'.repeat(40_000)}\r\n\r\n`, 431],
  ])('%s is a problem, then the end', async (_, bytes, status) => {
    await start();
    const socket = await api.socket();
    socket.write(bytes);
    const reply = parseRaw(await socket.untilClosed());
    expect(reply.status).toBe(status);
    expect(reply.head).toContain('Content-Type: application/problem+json');
    expect(reply.head).toContain('X-Quorate-Epoch: 7');
    expect(JSON.parse(reply.body)).toMatchObject({ status, code: 'invalid_argument' });
  });

  it('garbage behind a waiting request is not its answer', async () => {
    await start();
    api.kv.held = [];
    const socket = await api.socket();
    socket.write('GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\ngarbage garbage\r\n\r\n');
    await eventually(() => api.kv.held?.length === 1);
    for (const release of api.kv.held.splice(0)) release();
    expect(parseRaw(await socket.untilClosed()).status).toBe(404);
  });
});

describe('close', () => {
  it('finishes what is in flight, ends idle connections and refuses new ones', async () => {
    await start();
    const idle = await api.socket();
    idle.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await idle.until((text) => text.includes('"ok"'));
    api.kv.held = [];
    const busy = await api.socket();
    busy.write('PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1');
    await eventually(() => api.kv.held?.length === 1);
    const closed = api.api.close();
    await idle.untilClosed();
    for (const release of api.kv.held.splice(0)) release();
    const reply = parseRaw(await busy.untilClosed());
    expect([reply.status, reply.head.includes('Connection: close')]).toEqual([201, true]);
    await closed;
    await expect(api.call('GET', '/livez')).rejects.toThrow(/ECONNREFUSED/);
  });

  it('cuts off what does not end in time, and may be called twice', async () => {
    await start();
    api.kv.held = [];
    const stuck = await api.socket();
    stuck.write('GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually(() => api.kv.held?.length === 1);
    await api.api.close(10);
    expect(await stuck.untilClosed()).toBe('');
    await api.api.close();
  });
});
