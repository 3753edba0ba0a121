/**
 * What the HTTP API costs by itself: the handler over a service that answers at once, in a process of its own, so that its
 * CPU time a request is known however busy the machine is. By hand:
 *
 *   node --import tsx test/bench/http-handler-bench.ts [seconds a case] [GET|PUT|…]
 *
 * "bare" is node:http that answers a constant: the floor on this machine, to compare with.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { metrics } from '@opentelemetry/api';
import { createHttpApi, createOtelApiMetrics } from '../../src/kv/http/index.js';
import type { KvOutcome, KvService } from '../../src/kv/server/api.js';
import { FakeAdmin } from '../kv/http/fake-services.js';

const VALUE = Buffer.alloc(64, 'v');

/** One object for every answer: the service costs nothing. */
function constantKv(): KvService {
  const found: KvOutcome = {
    kind: 'found',
    value: VALUE,
    contentType: 'application/octet-stream',
    revision: 123_456,
    version: 3,
    expiresIn_ms: null,
    shard: 's1',
  };
  const stored: KvOutcome = { kind: 'stored', created: false, revision: 123_457, version: 4, shard: 's1' };
  return {
    epoch: () => 12,
    execute: (request, _context, done) => done(request.kind === 'get' ? found : stored),
    list: async () => ({ kind: 'page', items: [], next: null }),
  };
}

function apiServer(): Server {
  const quiet = (): void => {};
  return createHttpApi({
    kv: constantKv(),
    admin: new FakeAdmin(),
    config: { valueBytes: 1_048_576, inflightBytes: 64 * 1_048_576, cors: null },
    log: { isLevelEnabled: () => false, debug: quiet, info: quiet, error: quiet },
    metrics: createOtelApiMetrics(metrics.getMeter('bench')),
  }).server;
}

function bareServer(): Server {
  const answer = (res: ServerResponse): void => {
    res.writeHead(200, ['Content-Type', 'application/octet-stream', 'Content-Length', String(VALUE.length)]);
    res.end(VALUE);
  };
  return createServer((req, res) => {
    if (req.method === 'GET') {
      answer(res);
      return;
    }
    req.on('data', () => {});
    req.on('end', () => answer(res));
  });
}

async function serve(kind: string): Promise<void> {
  const server = kind === 'bare' ? bareServer() : apiServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.on('message', () => process.send?.({ cpu: process.cpuUsage() }));
  process.on('disconnect', () => process.exit());
  process.send?.({ port: (server.address() as AddressInfo).port });
}

interface Case {
  readonly name: string;
  readonly server: 'bare' | 'api';
  readonly request: string;
  readonly connections: number;
  readonly depth: number;
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:7001\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`;
}

const PUT = `PUT /v1/kv/users/42 HTTP/1.1\r\nHost: 127.0.0.1:7001\r\nUser-Agent: bench\r\nContent-Length: 64\r\n\r\n${'v'.repeat(64)}`;

const CASES: readonly Case[] = [
  { name: 'bare GET', server: 'bare', request: get('/v1/kv/users/42'), connections: 64, depth: 1 },
  { name: 'GET', server: 'api', request: get('/v1/kv/users/42'), connections: 64, depth: 1 },
  { name: 'bare PUT', server: 'bare', request: PUT, connections: 64, depth: 1 },
  { name: 'PUT', server: 'api', request: PUT, connections: 64, depth: 1 },
  { name: 'bare GET, 16 pipelined', server: 'bare', request: get('/v1/kv/users/42'), connections: 16, depth: 16 },
  { name: 'GET, 16 pipelined', server: 'api', request: get('/v1/kv/users/42'), connections: 16, depth: 16 },
  {
    name: 'GET with query, 16 pipelined',
    server: 'api',
    request: get('/v1/kv/a%20b?timeout=2s'),
    connections: 16,
    depth: 16,
  },
  { name: 'bare PUT, 16 pipelined', server: 'bare', request: PUT, connections: 16, depth: 16 },
  { name: 'PUT, 16 pipelined', server: 'api', request: PUT, connections: 16, depth: 16 },
];

const MARK = Buffer.from('HTTP/1.1 200');

/** Keeps `depth` requests open on each connection; returns how many were answered. */
async function load(port: number, one: Case, duration_ms: number): Promise<number> {
  const request = Buffer.from(one.request);
  let answered = 0;
  const sockets = Array.from({ length: one.connections }, () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    // A mark that two chunks share would be missed: keep the tail.
    let tail = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      const data = tail.length === 0 ? chunk : Buffer.concat([tail, chunk]);
      let at = -1;
      let count = 0;
      let end = 0;
      for (at = data.indexOf(MARK); at >= 0; at = data.indexOf(MARK, end)) {
        count += 1;
        end = at + MARK.length;
      }
      tail = Buffer.from(data.subarray(Math.max(end, data.length - MARK.length + 1)));
      answered += count;
      if (count > 0) socket.write(count === 1 ? request : Buffer.concat(Array<Buffer>(count).fill(request)));
    });
    socket.on('error', () => {});
    socket.write(Buffer.concat(Array<Buffer>(one.depth).fill(request)));
    return socket;
  });
  await new Promise((resolve) => setTimeout(resolve, duration_ms));
  for (const socket of sockets) socket.destroy();
  return answered;
}

async function measure(one: Case, seconds: number): Promise<void> {
  const child = fork(new URL(import.meta.url), ['serve', one.server]);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const cpu = async (): Promise<number> => {
    child.send('cpu');
    const [{ cpu: used }] = (await once(child, 'message')) as [{ cpu: NodeJS.CpuUsage }];
    return used.user + used.system;
  };
  await load(port, one, 1_000);
  const before_us = await cpu();
  const began_ms = performance.now();
  const answered = await load(port, one, seconds * 1_000);
  const took_ms = performance.now() - began_ms;
  const each_us = ((await cpu()) - before_us) / answered;
  const rate = Math.round((answered / took_ms) * 1_000);
  console.log(
    `${one.name.padEnd(30)} ${String(rate).padStart(7)} /s   ${each_us.toFixed(1).padStart(5)} µs CPU a request   ${String(Math.round(1e6 / each_us)).padStart(7)} /s per core`,
  );
  child.disconnect();
}

if (process.argv[2] === 'serve') {
  await serve(process.argv[3] ?? 'api');
} else {
  const seconds = Number(process.argv[2] ?? 4);
  for (const one of CASES.filter(({ name }) => name.includes(process.argv[3] ?? ''))) await measure(one, seconds);
}
