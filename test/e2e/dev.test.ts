/**
 * `quorate dev` as a person uses it: started, stopped, killed, started again. Every process that it makes is accounted for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ended, nodeEnvironment } from './local-cluster.js';
import { plain } from './plain-http.js';
import { freePortWith } from './ports.js';
import { PROGRAM } from './program.js';
import { note } from './report.js';
import { until } from './until.js';

/** HTTP of three nodes, and their peer ports. */
const OFFSETS = [0, 1, 2, 100, 101, 102];
const READY_MS = 45_000;

interface Dev {
  readonly process: ChildProcess;
  readonly gone: Promise<Ended>;
  out(): string;
  err(): string;
}

const running: Dev[] = [];
const directories: string[] = [];
afterEach(async () => {
  for (const dev of running.splice(0)) {
    const nodes = nodesOf(dev);
    dev.process.kill('SIGKILL');
    await dev.gone;
    for (const pid of nodes) if (lives(pid)) process.kill(pid, 'SIGKILL');
  }
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-dev-'));
  directories.push(directory);
  return join(directory, 'data');
}

function startDev(data: string, port: number, ...flags: string[]): Dev {
  const args = [PROGRAM, 'dev', '--data', data, '--port', String(port), ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: nodeEnvironment() });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk;
  });
  const gone = new Promise<Ended>((done) => child.once('close', (code, signal) => done({ code, signal })));
  const dev = { process: child, gone, out: () => out, err: () => err };
  running.push(dev);
  return dev;
}

/** Resolves with the endpoints that it printed. */
async function whenReady(dev: Dev): Promise<readonly string[]> {
  await until('dev to say that it is ready', READY_MS, async () => {
    if (dev.process.exitCode !== null) return true;
    return dev.out().includes('Ctrl-C');
  });
  expect(dev.process.exitCode, dev.err()).toBeNull();
  const endpoints = [...dev.out().matchAll(/^ +n\d+ +(http:\S+)/gm)].map((match) => match[1]!);
  expect(endpoints).toHaveLength(3);
  return endpoints;
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that has ended but whom nobody has waited for yet runs no more.
  return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/** Of the nodes that it runs now. */
function nodesOf({ process: { pid } }: Dev): readonly number[] {
  if (pid === undefined || !lives(pid)) return [];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

const put = async (base: string, key: string, body: string): Promise<number> =>
  (await plain(base, `/v1/kv/${key}`, { method: 'PUT', body })).status;
const get = async (base: string, key: string): Promise<string> => {
  const answer = await plain(base, `/v1/kv/${key}`);
  return `${answer.status} ${answer.body}`;
};

async function stopped(dev: Dev, nodes: readonly number[], signal: NodeJS.Signals): Promise<Ended> {
  dev.process.kill(signal);
  const ended = await dev.gone;
  expect(nodes.filter(lives)).toEqual([]);
  return ended;
}

describe('quorate dev', () => {
  it('prints how to reach the cluster, keeps its data, and leaves no process behind, by SIGTERM and by SIGINT', async () => {
    const data = newDirectory();
    const port = await freePortWith(OFFSETS);
    const start_ms = performance.now();
    const first = startDev(data, port);
    const endpoints = await whenReady(first);
    const first_ms = Math.round(performance.now() - start_ms);
    expect(endpoints).toEqual([0, 1, 2].map((i) => `http://127.0.0.1:${port + i}`));
    expect(first.out().match(/^curl .*$/gm)).toHaveLength(3);
    for (const [i, base] of endpoints.entries()) expect(await put(base, `dev${i}`, `value ${i}`)).toBe(201);
    const nodes = nodesOf(first);
    expect(nodes).toHaveLength(3);
    expect(await stopped(first, nodes, 'SIGTERM')).toEqual({ code: 0, signal: null });

    const again_ms = performance.now();
    const second = startDev(data, port);
    await whenReady(second);
    note('dev ready', { first_ms, again_ms: Math.round(performance.now() - again_ms) });
    for (const [i, base] of endpoints.entries())
      expect(await get(base, `dev${(i + 1) % 3}`)).toBe(`200 value ${(i + 1) % 3}`);
    expect(await stopped(second, nodesOf(second), 'SIGINT')).toEqual({ code: 0, signal: null });
  }, 120_000);

  it('starts a node again that was killed; and when it is killed itself, its nodes end', async () => {
    const data = newDirectory();
    const dev = startDev(data, await freePortWith(OFFSETS));
    const endpoints = await whenReady(dev);
    await put(endpoints[0]!, 'before', 'x');
    const before = nodesOf(dev);
    process.kill(before[1]!, 'SIGKILL');
    await until(
      'another process in its place',
      15_000,
      async () => nodesOf(dev).filter((pid) => !before.includes(pid)).length === 1,
    );
    await until('all nodes to be ready', 30_000, async () => {
      const answers = await Promise.all(endpoints.map((base) => plain(base, '/readyz')));
      return answers.every(({ status }) => status === 200);
    });
    for (const base of endpoints) expect(await get(base, 'before')).toBe('200 x');

    const nodes = nodesOf(dev);
    expect(nodes).toHaveLength(3);
    dev.process.kill('SIGKILL');
    await dev.gone;
    await until('all nodes to end', 10_000, async () => !nodes.some(lives));

    const after = startDev(data, Number(new URL(endpoints[0]!).port));
    expect(await whenReady(after)).toEqual(endpoints);
    expect(await get(endpoints[2]!, 'before')).toBe('200 x');
  }, 150_000);

  it('with --no-restart leaves a node dead that was killed, and the others serve', async () => {
    const dev = startDev(newDirectory(), await freePortWith(OFFSETS), '--no-restart');
    const endpoints = await whenReady(dev);
    const [killed, ...others] = nodesOf(dev);
    process.kill(killed!, 'SIGKILL');
    await until('dev to say so', 10_000, async () => dev.err().includes('stays dead'));
    const served = await until('the others to serve', 15_000, async () => {
      const answers = await Promise.allSettled(endpoints.map((base) => put(base, 'after', 'x')));
      return answers.filter((answer) => answer.status === 'fulfilled' && answer.value < 300).length === 2;
    });
    expect(served).toBe(true);
    expect(nodesOf(dev)).toEqual(others);
  }, 90_000);

  it.each([0, 2, 101])(
    'ends with 1 and names the port if port %i from the first is taken, and starts nothing',
    async (offset) => {
      const port = await freePortWith(OFFSETS);
      const server = createServer();
      await new Promise<void>((done) => server.listen(port + offset, '127.0.0.1', done));
      try {
        const dev = startDev(newDirectory(), port);
        expect(await dev.gone).toEqual({ code: 1, signal: null });
        const lines = dev.err().trim().split('\n');
        expect(lines).toHaveLength(1);
        expect(lines[0]).toContain(String(port + offset));
        expect(dev.out()).toBe('');
      } finally {
        await new Promise((done) => server.close(done));
      }
    },
  );
});
