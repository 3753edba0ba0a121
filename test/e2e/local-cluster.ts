/**
 * A real cluster on this machine for tests and benchmarks: one process a node (the built program), a temporary directory,
 * free ports. Ends only what it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';

const PROGRAM = resolve(import.meta.dirname, '../../dist/kv/cli/main.js');

export interface LocalClusterOptions {
  readonly nodes?: number;
  readonly shards?: number;
  readonly replicas?: number;
  /** Merged into every node's configuration file. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface LocalNode {
  readonly id: string;
  readonly http: string;
  readonly configFile: string;
  readonly dataDir: string;
  readonly logFile: string;
  process: ChildProcess | null;
}

interface ClusterAnswer {
  readonly epoch: number;
  readonly shards: readonly {
    readonly id: string;
    readonly slots: string;
    readonly slot_count: number;
    readonly leader: string | null;
    readonly keys: number | null;
    readonly members: readonly { readonly node: string; readonly state: string; readonly role: string }[];
  }[];
  readonly controller: { readonly leader: string | null };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Polls until `probe` gives something; fails with what was last seen. */
export async function until<T>(
  what: string,
  timeout_ms: number,
  probe: () => Promise<T | null | false | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeout_ms;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== null && value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${timeout_ms} ms: ${what}${last === undefined ? '' : ` (${String(last)})`}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

export class LocalCluster {
  readonly nodes: readonly LocalNode[];
  readonly dir: string;

  private constructor(dir: string, nodes: readonly LocalNode[]) {
    this.dir = dir;
    this.nodes = nodes;
  }

  static async start(options: LocalClusterOptions = {}): Promise<LocalCluster> {
    const count = options.nodes ?? 3;
    const dir = mkdtempSync(join(tmpdir(), 'quorate-'));
    const ports = await freePorts(count * 2);
    const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`);
    const peers = Object.fromEntries(ids.map((id, i) => [id, `127.0.0.1:${ports[count + i]}`]));
    const nodes = ids.map((id, i): LocalNode => {
      const dataDir = join(dir, id);
      mkdirSync(dataDir);
      const configFile = join(dir, `${id}.yaml`);
      const http = `127.0.0.1:${ports[i]}`;
      const config = {
        id,
        data_dir: dataDir,
        listen: { http, peer: peers[id] },
        bootstrap: { nodes: peers, shards: options.shards ?? 2, replicas: options.replicas ?? Math.min(3, count) },
        ...options.config,
      };
      writeFileSync(configFile, stringify(config));
      return { id, http: `http://${http}`, configFile, dataDir, logFile: join(dir, `${id}.log`), process: null };
    });
    const cluster = new LocalCluster(dir, nodes);
    try {
      for (const node of nodes) cluster.startNode(node);
      await cluster.whenHealthy();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  get endpoints(): readonly string[] {
    return this.nodes.map((node) => node.http);
  }

  node(id: string): LocalNode {
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  startNode(node: LocalNode): void {
    if (node.process !== null) throw new Error(`${node.id} runs already`);
    const log = openSync(node.logFile, 'a');
    const child = spawn(process.execPath, [PROGRAM, 'node', '--config', node.configFile], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    node.process = child;
    child.once('exit', () => {
      if (node.process === child) node.process = null;
    });
  }

  /** Resolves when the process is gone. */
  async kill(node: LocalNode, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = node.process;
    if (child === null) return null;
    const gone = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
    child.kill(signal);
    return gone;
  }

  async clusterView(): Promise<ClusterAnswer> {
    let last: unknown = new Error('no node runs');
    for (const node of this.nodes) {
      if (node.process === null) continue;
      try {
        const answer = await fetch(`${node.http}/v1/cluster`, { signal: AbortSignal.timeout(2_000) });
        if (answer.ok) return (await answer.json()) as ClusterAnswer;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  /** Every shard has a leader and all members, and every running node is ready. */
  async whenHealthy(timeout_ms = 30_000): Promise<ClusterAnswer> {
    return until('a healthy cluster', timeout_ms, async () => {
      for (const node of this.nodes) {
        if (node.process === null) continue;
        const ready = await fetch(`${node.http}/readyz`, { signal: AbortSignal.timeout(2_000) });
        if (!ready.ok) return null;
      }
      const view = await this.clusterView();
      const led = view.shards.every((shard) => shard.leader !== null) && view.controller.leader !== null;
      return led && view.shards.length > 0 ? view : null;
    });
  }

  async leaderOf(shard: string): Promise<LocalNode> {
    const id = await until(
      `a leader of ${shard}`,
      15_000,
      async () => (await this.clusterView()).shards.find((each) => each.id === shard)?.leader,
    );
    return this.node(id);
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.kill(node)));
    rmSync(this.dir, { recursive: true, force: true });
  }
}
