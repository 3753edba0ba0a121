/**
 * The yardstick: a three-node etcd on this machine, if there is one on the PATH, under the same connections and values.
 * Through etcd's HTTP/JSON gateway, which is what a client with plain HTTP has; its gRPC is faster (see README).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../e2e/local-cluster.js';
import { type LoadResult, runLoad, type Target } from './http-load.js';

const KEYS = 20_000;
const BASE_PORT = 23_790;

/** null: none on the PATH. */
export function findEtcd(): string | null {
  const found = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  return found.error === undefined && found.status === 0 ? 'etcd' : null;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** One cluster a run: fresh, so that neither side works on what the other run left. */
export async function runEtcd(
  binary: string,
  method: 'PUT' | 'GET',
  connections: number,
  duration_ms: number,
  value: Buffer,
): Promise<LoadResult> {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-etcd-'));
  const targets: Target[] = [0, 1, 2].map((i) => ({ host: '127.0.0.1', port: BASE_PORT + i }));
  const processes = startCluster(binary, dir, targets);
  try {
    await until('a healthy etcd', 30_000, async () => {
      const answers = await Promise.all(targets.map(({ host, port }) => fetch(`http://${host}:${port}/health`)));
      return answers.every((answer) => answer.ok);
    });
    const target = (connection: number): Target => targets[connection % targets.length]!;
    const put = requests('/v3/kv/put', (key) => ({ key: base64(key), value: value.toString('base64') }));
    await runLoad({ connections: 32, warmup_ms: 0, duration_ms: 3_000, target, request: put });
    const request = method === 'PUT' ? put : requests('/v3/kv/range', (key) => ({ key: base64(key) }));
    return await runLoad({ connections, warmup_ms: 1_500, duration_ms, target, request });
  } finally {
    await Promise.all(processes.map(ended));
    rmSync(dir, { recursive: true, force: true });
  }
}

function startCluster(binary: string, dir: string, targets: readonly Target[]): ChildProcess[] {
  const peer = (i: number): string => `http://127.0.0.1:${BASE_PORT + 10 + i}`;
  const cluster = targets.map((_, i) => `e${i}=${peer(i)}`).join(',');
  return targets.map(({ host, port }, i) => {
    const client = `http://${host}:${port}`;
    const args = ['--name', `e${i}`, '--data-dir', join(dir, `e${i}`), '--initial-cluster', cluster];
    args.push('--listen-client-urls', client, '--advertise-client-urls', client);
    args.push('--listen-peer-urls', peer(i), '--initial-advertise-peer-urls', peer(i), '--log-level', 'error');
    return spawn(binary, args, { stdio: 'ignore' });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) return done();
    child.once('exit', () => done());
    child.kill('SIGKILL');
  });
}

function requests(path: string, body: (key: string) => object): () => Buffer {
  const prebuilt = Array.from({ length: KEYS }, (_, i) => {
    const json = JSON.stringify(body(`bench/${i.toString(36)}`));
    return Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}`,
    );
  });
  return () => prebuilt[Math.floor(Math.random() * prebuilt.length)]!;
}
