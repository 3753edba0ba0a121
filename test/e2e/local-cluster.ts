/**
 * A real cluster on this machine for tests and benchmarks: one process a node (the built program), a temporary directory,
 * ports of its own. Ends only what it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { NODE_FLAGS } from '../../src/kv/cli/node-flags.js';
import type { ClusterView, MapView } from '../../src/kv/client/index.js';
import { freePorts } from './ports.js';
import { PROGRAM } from './program.js';
import { until } from './until.js';

export { until } from './until.js';

const START_ATTEMPTS = 5;
const PROBE_MS = 2_000;

export interface LocalClusterOptions {
  readonly nodes?: number;
  readonly shards?: number;
  readonly replicas?: number;
  /** Merged into every node's configuration file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Where nodes listen, where that is not on free ports of 127.0.0.1. Asked again at each attempt to start. */
  readonly place?: (ids: readonly string[]) => Promise<readonly NodePlace[]>;
  /** Called once for each node, with its empty data directory, before anything is started. */
  readonly prepare?: (node: LocalNode) => void;
  /** How a node's program is started, where that is not as it stands. Asked at each start. */
  readonly launch?: (id: string) => NodeLaunch;
  /** A node's process has ended, by whatever cause. */
  readonly ended?: (node: LocalNode, ended: Ended) => void;
}

/** Addresses as `host:port`. */
export interface NodePlace {
  readonly http: string;
  readonly peer: string;
  /** Where the other nodes are told to dial. Default: `peer`. */
  readonly advertisedPeer?: string;
}

export interface NodeLaunch {
  /** Put in front of the command line. */
  readonly prefix?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** In a process group of its own: a Ctrl-C that is meant for this process does not reach it. */
  readonly detached?: boolean;
}

export interface LocalNode {
  readonly id: string;
  readonly http: string;
  readonly configFile: string;
  readonly dataDir: string;
  readonly logFile: string;
  process: ChildProcess | null;
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The environment without settings of this program, which would reach every node. */
export function nodeEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(QUORATE_|NODE_OPTIONS$)/.test(name)));
}

async function freePlaces(ids: readonly string[]): Promise<NodePlace[]> {
  const ports = await freePorts(ids.length * 2);
  return ids.map((_, i) => ({ http: `127.0.0.1:${ports[i]}`, peer: `127.0.0.1:${ports[ids.length + i]}` }));
}

async function prepareNodes(dir: string, options: LocalClusterOptions): Promise<LocalNode[]> {
  const count = options.nodes ?? 3;
  const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  const places = await (options.place ?? freePlaces)(ids);
  const peers = Object.fromEntries(ids.map((id, i) => [id, places[i]!.advertisedPeer ?? places[i]!.peer]));
  return ids.map((id, i): LocalNode => {
    const dataDir = join(dir, id);
    mkdirSync(dataDir);
    const configFile = join(dir, `${id}.yaml`);
    const { http, peer } = places[i]!;
    const config = {
      id,
      data_dir: dataDir,
      listen: { http, peer },
      advertise: { http, peer: peers[id] },
      bootstrap: { nodes: peers, shards: options.shards ?? 2, replicas: options.replicas ?? Math.min(3, count) },
      ...options.config,
    };
    writeFileSync(configFile, stringify(config));
    const node = { id, http: `http://${http}`, configFile, dataDir, logFile: join(dir, `${id}.log`), process: null };
    options.prepare?.(node);
    return node;
  });
}

export class LocalCluster {
  readonly #nodes: LocalNode[];
  readonly dir: string;
  readonly #options: LocalClusterOptions;

  private constructor(dir: string, nodes: readonly LocalNode[], options: LocalClusterOptions) {
    this.dir = dir;
    this.#nodes = [...nodes];
    this.#options = options;
  }

  static async start(options: LocalClusterOptions = {}): Promise<LocalCluster> {
    for (let attempt = 1; ; attempt++) {
      const dir = mkdtempSync(join(tmpdir(), 'quorate-'));
      const cluster = new LocalCluster(dir, await prepareNodes(dir, options), options);
      try {
        for (const node of cluster.nodes) cluster.startNode(node);
        await cluster.whenHealthy();
        return cluster;
      } catch (error) {
        // Somebody took a port between its probe and its use: nothing has happened in this cluster yet, so make another.
        const raced = cluster.nodes.some((node) => cluster.logOf(node).includes('EADDRINUSE'));
        const logs = cluster.#lastWords();
        await cluster.close();
        if (!raced || attempt === START_ATTEMPTS)
          throw new Error(`the cluster did not start; its last words:\n${logs}`, { cause: error });
      }
    }
  }

  get nodes(): readonly LocalNode[] {
    return this.#nodes;
  }

  /** Starts a further node on free ports, which is told where the nodes of the cluster listen. Does not wait for it. */
  async join(id: string): Promise<LocalNode> {
    const place = (await freePlaces([id]))[0]!;
    const view = await this.clusterView();
    return this.joinAt(
      id,
      place,
      view.nodes.map((node) => node.peer),
    );
  }

  /** The same where its place is known. `peers`: addresses of nodes that it is told. */
  joinAt(id: string, { http, peer, advertisedPeer = peer }: NodePlace, peers: readonly string[]): LocalNode {
    const dataDir = join(this.dir, id);
    mkdirSync(dataDir);
    const configFile = join(this.dir, `${id}.yaml`);
    const advertise = { http, peer: advertisedPeer };
    const config = { id, data_dir: dataDir, listen: { http, peer }, advertise, join: [...peers] };
    writeFileSync(configFile, stringify({ ...config, ...this.#options.config }));
    const logFile = join(this.dir, `${id}.log`);
    const node: LocalNode = { id, http: `http://${http}`, configFile, dataDir, logFile, process: null };
    this.#options.prepare?.(node);
    this.#nodes.push(node);
    this.startNode(node);
    return node;
  }

  /** Of a node whose process has ended nothing is left but what it has logged. */
  forget(node: LocalNode): void {
    if (node.process !== null) throw new Error(`${node.id} runs`);
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    rmSync(node.dataDir, { recursive: true, force: true });
    rmSync(node.configFile, { force: true });
  }

  get endpoints(): readonly string[] {
    return this.nodes.map((node) => node.http);
  }

  node(id: string): LocalNode {
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** Nodes whose process runs. */
  get running(): readonly LocalNode[] {
    return this.nodes.filter((node) => node.process !== null);
  }

  logOf(node: LocalNode): string {
    return existsSync(node.logFile) ? readFileSync(node.logFile, 'utf8') : '';
  }

  #lastWords(): string {
    return this.nodes
      .map((node) => `${node.id}: ${this.logOf(node).trimEnd().split('\n').slice(-3).join('\n    ')}`)
      .join('\n');
  }

  startNode(node: LocalNode): void {
    if (node.process !== null) throw new Error(`${node.id} runs already`);
    const log = openSync(node.logFile, 'a');
    const { prefix = [], environment = {}, detached = false } = this.#options.launch?.(node.id) ?? {};
    const program = [process.execPath, ...NODE_FLAGS, PROGRAM, 'node', '--config', node.configFile];
    const [command, ...args] = [...prefix, ...program] as [string, ...string[]];
    const child = spawn(command, args, {
      detached,
      // The channel ends the node should this process die before it could.
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...nodeEnvironment(), QUORATE_DEV_CHILD: '1', ...environment },
    });
    closeSync(log);
    node.process = child;
    child.once('exit', (code, signal) => {
      if (node.process === child) node.process = null;
      this.#options.ended?.(node, { code, signal });
    });
  }

  /** Starts it if it does not run, and resolves once it is ready. Fails at once where the process ends before. */
  async whenReady(node: LocalNode, timeout_ms = 30_000): Promise<void> {
    if (node.process === null) this.startNode(node);
    let ended = false;
    await until(`${node.id} to be ready`, timeout_ms, async () => {
      ended = node.process === null;
      return ended || (await fetch(`${node.http}/readyz`, { signal: AbortSignal.timeout(PROBE_MS) })).ok;
    });
    if (ended) throw new Error(`${node.id} ended: ${this.logOf(node).trimEnd().split('\n').at(-1)}`);
  }

  /** Resolves with its exit code when the process is gone; null where a signal ended it or it did not run. */
  async kill(node: LocalNode, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const gone = this.whenGone(node);
    node.process?.kill(signal);
    return (await gone).code;
  }

  /** Resolves when the process has ended, by whatever cause. */
  whenGone(node: LocalNode): Promise<Ended> {
    const child = node.process;
    if (child === null) return Promise.resolve({ code: null, signal: null });
    return new Promise((done) => child.once('exit', (code, signal) => done({ code, signal })));
  }

  /** Of the first running node that answers. */
  clusterView(): Promise<ClusterView> {
    return this.#ask<ClusterView>('/v1/cluster');
  }

  map(epoch?: number): Promise<MapView> {
    return this.#ask<MapView>(`/v1/cluster/map${epoch === undefined ? '' : `?epoch=${epoch}`}`);
  }

  async #ask<T>(path: string): Promise<T> {
    let last: unknown = new Error('no node runs');
    for (const node of this.running) {
      try {
        const answer = await fetch(node.http + path, { signal: AbortSignal.timeout(PROBE_MS) });
        if (answer.ok) return (await answer.json()) as T;
        last = new Error(`${path}: ${answer.status} ${await answer.text()}`);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  /** Every shard has a leader and every running node is ready. */
  async whenHealthy(timeout_ms = 30_000): Promise<ClusterView> {
    return until('a healthy cluster', timeout_ms, async () => {
      for (const node of this.running) {
        const ready = await fetch(`${node.http}/readyz`, { signal: AbortSignal.timeout(PROBE_MS) });
        if (!ready.ok) return null;
      }
      const view = await this.clusterView();
      const led = view.shards.every((shard) => shard.leader !== null) && view.controller.leader !== null;
      return led && view.shards.length > 0 ? view : null;
    });
  }

  /** `controller`, or a shard. */
  async leaderOf(group: string): Promise<LocalNode> {
    const id = await until(`a leader of ${group}`, 15_000, async () => {
      const { controller, shards } = await this.clusterView();
      return group === 'controller' ? controller.leader : shards.find((each) => each.id === group)?.leader;
    });
    return this.node(id);
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.kill(node)));
    rmSync(this.dir, { recursive: true, force: true });
  }
}
