import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadNodeConfig } from '../../../src/kv/server/config.js';
import { cleanEnvironment } from './run-cli.js';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const HARNESS = here('dev-harness.mjs');
const NODE_PROGRAM = [process.execPath, here('fake-dev-node.mjs')];

let scratch: string;
let data: string;
const started: Dev[] = [];
const servers: Server[] = [];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'quorate-dev-'));
  data = join(scratch, 'cluster');
});

afterEach(async () => {
  for (const dev of started.splice(0)) await dev.end();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  rmSync(scratch, { recursive: true, force: true });
});

/** Until it holds; the test's own time limit ends it otherwise. */
async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function occupy(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    servers.push(server);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** The first of `count` ports that are free, with their peer ports. */
async function freePorts(count: number): Promise<number> {
  for (let port = 21_000 + (process.pid % 200) * 50; ; port += 10) {
    const held: Server[] = [];
    try {
      for (let i = 0; i < count; i++) held.push(await occupy(port + i), await occupy(port + 100 + i));
      return port;
    } catch {
      // Somebody else's; on to the next.
    } finally {
      for (const server of held) await new Promise((resolve) => server.close(resolve));
      servers.length = 0;
    }
  }
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

class Dev {
  out = '';
  err = '';
  readonly child: ChildProcess;
  readonly #exited: Promise<number | null>;

  constructor(options: object, env: Record<string, string> = {}) {
    const flags = JSON.stringify({ data, ...options });
    this.child = spawn(process.execPath, [HARNESS, flags, ...NODE_PROGRAM], { env: cleanEnvironment(env) });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.out += chunk;
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.err += chunk;
    });
    this.#exited = new Promise((resolve) => this.child.once('close', (code) => resolve(code)));
    started.push(this);
  }

  async ready(): Promise<void> {
    await until(() => this.out.includes('Ctrl-C') || this.child.exitCode !== null);
    expect(this.err).toBe(this.err.replace(/^quorate: .*$/m, ''));
    expect(this.out).toContain('Ctrl-C');
  }

  exited(): Promise<number | null> {
    return this.#exited;
  }

  async end(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    return this.#exited;
  }
}

const inNode = (node: string, name: string): string => join(data, node, 'data', name);
const pidsOf = (node: string): number[] => {
  const file = inNode(node, 'starts');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];
};

// Each test starts several processes, on machines that do other things beside.
describe('dev', { timeout: 90_000 }, () => {
  test('starts a node a process, prints endpoints and three curl lines, and stops all of it on SIGTERM', async () => {
    const port = await freePorts(3);
    const dev = new Dev({ port });
    await dev.ready();
    for (let i = 0; i < 3; i++) expect(dev.out).toContain(`n${i + 1}  http://127.0.0.1:${port + i}`);
    expect(dev.err).not.toContain('two replicas');
    const curls = dev.out.split('\n').filter((line) => line.startsWith('curl '));
    expect(curls).toHaveLength(3);
    for (const line of curls) expect(line).toMatch(/^curl (-X PUT )?http:\/\/127\.0\.0\.1:\d+\/v1\//);
    const pids = ['n1', 'n2', 'n3'].flatMap(pidsOf);
    expect(new Set(pids).size).toBe(3);
    const config = loadNodeConfig({ file: join(data, 'n2', 'node.yaml'), env: {}, flags: {} });
    const peers = { n1: `127.0.0.1:${port + 100}`, n2: `127.0.0.1:${port + 101}`, n3: `127.0.0.1:${port + 102}` };
    expect(config).toMatchObject({
      ok: true,
      config: {
        id: 'n2',
        dataDir: join(data, 'n2', 'data'),
        listen: { http: `127.0.0.1:${port + 1}`, peer: peers.n2 },
        bootstrap: { nodes: peers, shards: 2, replicas: 3 },
      },
    });
    expect(await dev.end()).toBe(0);
    expect(pids.filter(alive)).toEqual([]);
    for (const node of ['n1', 'n2', 'n3']) expect(readFileSync(inNode(node, 'stopped'), 'utf8')).toBe('SIGTERM\n');
    expect(existsSync(join(data, 'dev.pid'))).toBe(false);
  });

  test('a second start finds the data again; shape flags are then ignored with a warning', async () => {
    const port = await freePorts(3);
    const first = new Dev({ port, nodes: 2, shards: 1 });
    await first.ready();
    const pair = 's1 has two replicas: it takes no writes as soon as one of its nodes is away';
    expect(first.err).toContain(pair);
    await first.end();
    writeFileSync(inNode('n1', 'treasure'), 'x');
    const second = new Dev({ nodes: 3, shards: 5 });
    await second.ready();
    expect(second.err).toContain('ignoring --nodes 3 (it has 2), --shards 5 (it has 1)');
    // F41: by what is there, not by what was asked for.
    expect(second.err).toContain(pair);
    expect(second.out).toContain(`http://127.0.0.1:${port}\n`.trim());
    expect(second.out).not.toContain('n3  http');
    expect(existsSync(inNode('n1', 'treasure'))).toBe(true);
    await second.end();
    const fresh = new Dev({ port, nodes: 2, fresh: true });
    await fresh.ready();
    expect(existsSync(inNode('n1', 'treasure'))).toBe(false);
  });

  test('flags that no new cluster could have are no obstacle to one that exists, and cost a directory nothing', async () => {
    const port = await freePorts(5);
    const refused = new Dev({ port, nodes: 1 });
    expect(await refused.exited()).toBe(2);
    expect(existsSync(data)).toBe(false);
    const first = new Dev({ port, nodes: 5, replicas: 5 });
    await first.ready();
    await first.end();
    writeFileSync(inNode('n1', 'treasure'), 'x');
    const same = new Dev({ replicas: 5 });
    await same.ready();
    expect(same.err).not.toContain('ignoring');
    await same.end();
    // Three nodes again, as nothing else is said.
    const fresh = new Dev({ replicas: 5, fresh: true });
    expect(await fresh.exited()).toBe(2);
    expect(fresh.err).toBe('quorate: --replicas: is 5, but there are only 3 nodes\n');
    expect(existsSync(inNode('n1', 'treasure'))).toBe(true);
  });

  test('another HTTP port for a cluster that exists leaves its peer ports alone', async () => {
    const port = await freePorts(2);
    const first = new Dev({ port, nodes: 2 });
    await first.ready();
    await first.end();
    const other = await freePorts(2).then((free) => (free === port ? port + 2 : free));
    const second = new Dev({ port: other });
    await second.ready();
    expect(second.out).toContain(`http://127.0.0.1:${other}`);
    const config = readFileSync(join(data, 'n1', 'node.yaml'), 'utf8');
    expect(config).toContain(`peer: 127.0.0.1:${port + 100}`);
    expect(config).toContain(`http: 127.0.0.1:${other}`);
  });

  test('--fresh refuses a directory that is not its own; so does a plain start', async () => {
    const port = await freePorts(2);
    data = scratch;
    writeFileSync(join(scratch, 'thesis.txt'), 'x');
    for (const fresh of [true, false]) {
      const dev = new Dev({ port, nodes: 2, fresh });
      expect(await dev.exited()).toBe(1);
      expect(dev.err).toMatch(/^quorate: [^\n]+\n$/);
      expect(existsSync(join(scratch, 'thesis.txt'))).toBe(true);
    }
  });

  test('a taken port ends it with 1 and is named, HTTP or peer', async () => {
    const port = await freePorts(3);
    for (const taken of [port + 1, port + 102]) {
      const holder = await occupy(taken);
      const dev = new Dev({ port });
      expect(await dev.exited()).toBe(1);
      expect(dev.err).toBe(`quorate: port ${taken} is taken; end what uses it, or choose other ports with --port\n`);
      await new Promise((resolve) => holder.close(resolve));
    }
    expect(existsSync(data)).toBe(false);
  });

  test('one dev a directory', async () => {
    const port = await freePorts(2);
    const first = new Dev({ port, nodes: 2 });
    await first.ready();
    const second = new Dev({ port: port + 200, nodes: 2 });
    expect(await second.exited()).toBe(1);
    expect(second.err).toMatch(
      /^quorate: another quorate dev \(process \d+\) runs on .*; stop it, or use another --data\n$/,
    );
  });

  test('a node that dies is started again and said so; with --no-restart it stays dead', async () => {
    const port = await freePorts(2);
    const dev = new Dev({ port, nodes: 2 });
    await dev.ready();
    process.kill(pidsOf('n2')[0] ?? 0, 'SIGKILL');
    await until(() => pidsOf('n2').length === 2);
    expect(dev.err).toMatch(/^n2 died \(SIGKILL\); starting it again in 0\.5 s; its log: \S+node\.log$/m);
    expect(pidsOf('n1')).toHaveLength(1);
    await dev.end();

    const still = new Dev({ restart: false });
    await still.ready();
    process.kill(pidsOf('n2')[2] ?? 0, 'SIGKILL');
    await until(() => still.err.includes('n2 died (SIGKILL) and stays dead (--no-restart)'));
    expect(await still.end()).toBe(0);
    expect(pidsOf('n2')).toHaveLength(3);
  });

  test('nodes that never come up end it with 1, the reason and the log', async () => {
    const port = await freePorts(2);
    const dev = new Dev({ port, nodes: 2 });
    await dev.ready();
    await dev.end();
    writeFileSync(inNode('n1', 'crash'), '');
    const broken = new Dev({});
    expect(await broken.exited()).toBe(1);
    expect(broken.err).toMatch(/quorate: n1 does not start: the disk is made of cheese; see \S+n1\/node\.log\n$/);
    expect(pidsOf('n2').filter(alive)).toEqual([]);
  });

  test('nodes end when dev is killed, and the next dev takes over', async () => {
    const port = await freePorts(2);
    const dev = new Dev({ port, nodes: 2 });
    await dev.ready();
    const pids = ['n1', 'n2'].flatMap(pidsOf);
    dev.child.kill('SIGKILL');
    await until(() => pids.every((pid) => !alive(pid)));
    const next = new Dev({});
    await next.ready();
  });

  test('a node that does not listen is killed in the end', async () => {
    const port = await freePorts(2);
    const dev = new Dev({ port, nodes: 2 });
    await dev.ready();
    writeFileSync(inNode('n1', 'deaf'), '');
    const [pid] = pidsOf('n1');
    expect(await dev.end()).toBe(0);
    expect(alive(pid ?? 0)).toBe(false);
  });

  test("nodes get the environment's settings, but not what makes one node differ from the next", async () => {
    const port = await freePorts(2);
    const env = { QUORATE_ID: 'x', QUORATE_LISTEN_HTTP: '127.0.0.1:1', QUORATE_LOG_LEVEL: 'debug' };
    const dev = new Dev({ port, nodes: 2 }, env);
    await dev.ready();
    const names = readFileSync(inNode('n1', 'environment'), 'utf8').trim().split('\n');
    expect(names).toEqual(['QUORATE_DEV_CHILD=1', 'QUORATE_LOG_LEVEL=debug']);
  });

  test('a lock that a dead process left is no obstacle, not even when its id lives again', async () => {
    const port = await freePorts(2);
    const first = new Dev({ port, nodes: 2 });
    await first.ready();
    await first.end();
    // This test's own process under a beginning that is not its own.
    writeFileSync(join(data, 'dev.pid'), `${process.pid} 1\n`);
    const second = new Dev({});
    await second.ready();
  });
});
