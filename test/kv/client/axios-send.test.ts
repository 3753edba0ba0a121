import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createAxiosSend, NotSent } from '../../../src/kv/client/index.js';

let server: Server | undefined;
const { send, close } = createAxiosSend();

afterEach(() => {
  close();
  server?.closeAllConnections();
  server?.close();
});

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const listening = createServer(handle);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}

test('path, headers and body arrive as given; status, headers and body come back as they are', async () => {
  const base = await serve((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(418, { 'X-Seen': `${request.method} ${request.url} ${request.headers['content-type']}` });
      response.end(Buffer.concat([Buffer.from([0xff, 0x00]), ...chunks]));
    });
  });
  const body = Buffer.from([0, 1, 0xfe]);
  const url = `${base}/v1/kv/a%20%FF+b?enc=b64url`;
  const answer = await send({ method: 'PUT', url, headers: { 'Content-Type': 'x/y' }, body, timeout_ms: 5_000 });
  expect(answer.status).toBe(418);
  expect(answer.headers['x-seen']).toBe('PUT /v1/kv/a%20%FF+b?enc=b64url x/y');
  expect(answer.body).toEqual(Buffer.from([0xff, 0, 0, 1, 0xfe]));
});

test('compressed and redirecting answers are left as they are', async () => {
  const base = await serve((_, response) => {
    response.writeHead(302, { Location: '/elsewhere', 'Content-Encoding': 'gzip' }).end('not gzip');
  });
  const answer = await send({ method: 'GET', url: base, headers: {}, timeout_ms: 5_000 });
  expect([answer.status, answer.body.toString()]).toEqual([302, 'not gzip']);
});

test('an empty value is an empty body with its length', async () => {
  const base = await serve((request, response) => {
    response.end(String(request.headers['content-length']));
  });
  const request = { method: 'PUT', url: base, headers: {}, body: new Uint8Array(0), timeout_ms: 5_000 } as const;
  expect((await send(request)).body.toString()).toBe('0');
});

test('connections are reused', async () => {
  const ports = new Set<number | undefined>();
  const base = await serve((request, response) => {
    ports.add(request.socket.remotePort);
    response.end('x');
  });
  for (let i = 0; i < 5; i++) await send({ method: 'GET', url: base, headers: {}, timeout_ms: 5_000 });
  expect(ports.size).toBe(1);
});

test('a refused connection was certainly not sent; a broken one and silence may have been', async () => {
  const base = await serve((request, response) => {
    if (request.url === '/break') response.socket?.destroy();
  });
  const failure = (url: string, timeout_ms: number) =>
    send({ method: 'GET', url, headers: {}, timeout_ms }).catch((error: unknown) => error);
  expect(await failure(`${base}/break`, 5_000)).toSatisfy(
    (error) => error instanceof Error && !(error instanceof NotSent),
  );
  const silent = await failure(`${base}/silent`, 50);
  expect(silent).toSatisfy((error) => error instanceof Error && !(error instanceof NotSent));
  expect(String(silent)).toContain('no answer within 50 ms');
  const closed = server;
  closed?.closeAllConnections();
  await new Promise((resolve) => closed?.close(resolve));
  expect(await failure(base, 5_000)).toBeInstanceOf(NotSent);
});
