/**
 * The floor under every figure: a bare `node:http` server in one process that does nothing but take the same requests and
 * give answers of the same size. What it reaches is what this machine's kernel, node and the load generator leave to anybody;
 * machines differ by a factor of three in it, so it is measured in the same run.
 *
 * Run as a program it is that server, and prints its port.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type LoadResult, runLoad } from './http-load.js';

const HOST = '127.0.0.1';
const STORED = JSON.stringify({ key: 'bench/xyz', key_encoding: 'utf8', revision: '123456', version: 12, shard: 's1' });

function serve(): void {
  const server = createServer((req, res) => {
    if (req.method === 'PUT') {
      req.resume().once('end', () => {
        res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': STORED.length, ETag: '"123456"' });
        res.end(STORED);
      });
    } else {
      const value = Buffer.alloc(100, 'v');
      res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': 100, ETag: '"123456"' });
      res.end(value);
    }
  });
  server.listen(0, HOST, () => process.send?.((server.address() as AddressInfo).port));
  process.once('disconnect', () => process.exit(0));
}

export interface BareLoad {
  readonly connections: number;
  readonly warmup_ms: number;
  readonly duration_ms: number;
  readonly request: (connection: number) => Buffer;
}

export interface BareHttp {
  run(load: BareLoad): Promise<LoadResult>;
  close(): void;
}

export async function startBareHttp(): Promise<BareHttp> {
  const child = fork(fileURLToPath(import.meta.url), ['--serve'], { execArgv: ['--import', 'tsx'] });
  const [port] = (await once(child, 'message')) as [number];
  return {
    run: (load) => runLoad({ ...load, target: () => ({ host: HOST, port }) }),
    close: () => child.disconnect(),
  };
}

if (process.argv[2] === '--serve') serve();
