/**
 * A small cluster of production nodes over simulated ports, for tests that drive it step by step: nodes are started, killed,
 * cut off or given another disk by hand, and time passes only when a test says so.
 */
import type { Answer, ApiError, KvOutcome, KvRequest, RequestContext } from '../../../src/kv/server/index.js';
import { ClusterNode } from '../../../src/kv/server/index.js';
import type { KvStateMachine } from '../../../src/kv/store/index.js';
import type { PeerAddress, RaftSettings, Replica } from '../../../src/raft/index.js';
import type { ControllerStateMachine } from '../../../src/shardctrl/index.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimNetwork, type SimTransport } from '../../sim/fakes/network.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { type CrashKind, SimEngines } from '../../sim/fakes/sim-engine.js';
import { SimLog } from '../../sim/fakes/sim-log.js';
import { SimHttp } from '../../sim/sim-http.js';

const MIB = 1024 * 1024;
export const RAFT: RaftSettings = {
  heartbeat_ms: 100,
  election_timeout_ms: 1_000,
  snapshotLogBytes: 16 * MIB,
  catchUpLogBytes: 16 * MIB,
  maxInflightMessages: 64,
  maxInflightBytes: MIB,
  maxMessageBytes: MIB,
  maxUncommittedBytes: 16 * MIB,
  rowCacheBytes: 64 * 1024,
};
const WAIT_MS = 60_000;

export interface Machine {
  readonly id: string;
  disk: SimDisk;
  engines: SimEngines;
  /** As in `node.json`. */
  incarnation: string;
  clusterId: string | null;
  knownPeers: ReadonlyMap<string, PeerAddress>;
  /** Where it finds the cluster that it is to join; null: it is a founder. */
  readonly joins: readonly string[] | null;
  /** What its wall clock is wrong by. */
  wallOffset_ms: number;
  clock: SimClock | null;
  transport: SimTransport | null;
  log: SimLog | null;
  node: ClusterNode | null;
  /** Runs once, when the present process dies. The answer cancels it. */
  onCrash(run: () => void): () => void;
  readonly crashListeners: Set<() => void>;
}

export class SimCluster {
  readonly scheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly machines = new Map<string, Machine>();
  readonly bootstrap: { nodes: ReadonlyMap<string, string>; shards: number; replicas: number | null };
  readonly raft: RaftSettings;
  /** For clients that speak HTTP. */
  readonly http: SimHttp;
  /** Events of level `error` and fatal ones, of all nodes. */
  readonly errors: string[] = [];
  /** Events of level `warn`, of all nodes. */
  readonly warnings: string[] = [];
  #lives = 0;

  constructor(options: {
    readonly nodes: number;
    readonly shards: number;
    readonly seed?: number;
    /** null: up to three. */
    readonly replicas?: number | null;
    readonly raft?: Partial<RaftSettings>;
  }) {
    this.raft = { ...RAFT, ...options.raft };
    this.random = new SimRandom(options.seed ?? 1);
    this.network = new SimNetwork(this.scheduler, this.random);
    const ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    const nodes = new Map(ids.map((id) => [id, addressOf(id)]));
    this.bootstrap = {
      nodes,
      shards: options.shards,
      replicas: options.replicas === undefined ? Math.min(3, options.nodes) : options.replicas,
    };
    this.http = new SimHttp(this.scheduler, this.machines, this.random);
    for (const id of ids) this.#add(id, null);
  }

  #add(id: string, joins: readonly string[] | null): void {
    const crashListeners = new Set<() => void>();
    this.machines.set(id, {
      id,
      joins,
      disk: new SimDisk({ random: this.random.fork(`disk-${id}`), name: id }),
      engines: new SimEngines(),
      incarnation: `i-${id}`,
      clusterId: null,
      knownPeers: new Map(),
      wallOffset_ms: 0,
      clock: null,
      transport: null,
      log: null,
      node: null,
      crashListeners,
      onCrash: (run) => {
        crashListeners.add(run);
        return () => crashListeners.delete(run);
      },
    });
  }

  /** A new machine whose node is told where `others` are, and is started. */
  async join(id: string, others: readonly string[]): Promise<ClusterNode> {
    this.#add(
      id,
      others.map((other) => addressOf(other)),
    );
    return this.start(id);
  }

  /** A cluster in which every shard has a leader and every node is ready. */
  static async healthy(options: ConstructorParameters<typeof SimCluster>[0]): Promise<SimCluster> {
    const cluster = new SimCluster(options);
    for (const id of cluster.machines.keys()) await cluster.start(id);
    await cluster.untilHealthy();
    return cluster;
  }

  machine(id: string): Machine {
    const machine = this.machines.get(id);
    if (machine === undefined) throw new Error(`there is no ${id}`);
    return machine;
  }

  node(id: string): ClusterNode {
    const { node } = this.machine(id);
    if (node === null) throw new Error(`${id} is not running`);
    return node;
  }

  get nodes(): ClusterNode[] {
    return [...this.machines.values()].flatMap(({ node }) => (node === null ? [] : [node]));
  }

  /** Rejects with what keeps the node from starting. */
  async start(id: string): Promise<ClusterNode> {
    const machine = this.machine(id);
    const clock = new SimClock(this.scheduler);
    clock.jumpWall(machine.wallOffset_ms);
    this.network.restart(id);
    const address = addressOf(id);
    const { incarnation } = machine;
    const clusterId = (): string | null => machine.clusterId;
    const admit = (peer: { readonly node: string }): string | null => machine.node?.admit(peer.node) ?? null;
    const transport = this.network.open({ self: id, address, incarnation, clusterId, admit, clock });
    const random = this.random.fork(`${id}-life-${++this.#lives}`);
    const log = new SimLog({ disk: machine.disk, clock, random: random.fork('log') });
    machine.clock = clock;
    machine.transport = transport;
    machine.log = log;
    const starting = ClusterNode.start(
      {
        self: { id, http: `${id}:80`, peer: address, labels: {}, incarnation },
        clusterId: machine.clusterId,
        bootstrap: machine.joins === null ? this.bootstrap : null,
        join: machine.joins ?? [],
        knownPeers: machine.knownPeers,
        raft: this.raft,
        maxOperations: 10_000,
      },
      { clock, random: random.fork('node'), log, transport, engines: machine.engines, busy_ms: () => 0 },
      {
        event: (level, text, fields) => {
          if (level === 'error') this.errors.push(`${id}: ${text} ${JSON.stringify(fields)}`);
          if (level === 'warn') this.warnings.push(`${id}: ${text}`);
        },
        fatal: (error) => this.errors.push(`${id} cannot go on: ${error.stack}`),
        joined: (clusterId) => {
          machine.clusterId = clusterId;
        },
        peers: (peers) => {
          machine.knownPeers = peers;
        },
      },
    );
    try {
      machine.node = await this.settle(starting);
    } catch (error) {
      clock.stop();
      await transport.close();
      throw error;
    }
    return machine.node;
  }

  /** The process is gone at once; what was not synced stays in the page cache, unless the power goes. */
  kill(id: string, kind: CrashKind = 'kill'): void {
    const machine = this.machine(id);
    machine.clock?.stop();
    this.network.crash(id, 'process');
    if (kind === 'kill') machine.disk.kill();
    else machine.disk.crash();
    machine.engines.crash(this.random.fork(`crash-${this.#lives}`), kind);
    machine.node = null;
    const listeners = [...machine.crashListeners];
    machine.crashListeners.clear();
    for (const run of listeners) run();
  }

  /** Also `node.json` is gone, or only the log and the states. */
  wipe(id: string, what: 'everything' | 'log and states'): void {
    const machine = this.machine(id);
    machine.disk = new SimDisk({ random: this.random.fork(`disk-${id}-2`), name: id });
    machine.engines = new SimEngines();
    if (what === 'log and states') return;
    machine.incarnation = `${machine.incarnation}-again`;
    machine.clusterId = null;
    machine.knownPeers = new Map();
  }

  /** `others` undefined: from everybody. */
  isolate(id: string, others: Iterable<string> = this.machines.keys()): void {
    for (const other of others) if (other !== id) this.network.partition(id, other);
  }

  heal(): void {
    this.network.heal();
  }

  /** Lets time pass until the promise has settled. */
  async settle<T>(promise: Promise<T>, limit_ms = WAIT_MS): Promise<T> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    promise.then(end, end);
    await this.until(() => done, 'the promise to settle', limit_ms);
    return promise;
  }

  /** Lets time pass until the condition holds. Returns how long that took. */
  async until(condition: () => boolean, what: string, limit_ms = WAIT_MS): Promise<number> {
    const from_ms = this.scheduler.now_ms;
    let held = condition();
    const beat = (): void => {
      held = condition();
      if (!held) this.scheduler.after(1, beat);
    };
    if (!held) {
      this.scheduler.after(1, beat);
      await this.scheduler.runWhile(() => !held, from_ms + limit_ms);
    }
    if (!held) throw new Error(`waited ${limit_ms} ms in vain for ${what}; ${this.describe()}`);
    return this.scheduler.now_ms - from_ms;
  }

  describe(): string {
    const states = this.nodes.flatMap((node) => node.admin.readiness().checks.filter((check) => !check.ok));
    return `not ready: ${JSON.stringify(states)}; errors: ${JSON.stringify(this.errors)}`;
  }

  untilHealthy(): Promise<number> {
    return this.until(() => {
      const ready = this.nodes.every((node) => node.admin.readiness().ready);
      const shards = this.nodes[0]!.maps.map?.shards ?? [];
      return (
        ready && shards.length > 0 && [0, ...shards.map(({ id }) => id)].every((group) => this.leaderOf(group) !== null)
      );
    }, 'a healthy cluster');
  }

  /** Id of the node that leads the group, with all it needs to serve. */
  leaderOf(group: number): string | null {
    const leading = [...this.machines.values()].filter(({ node }) => node?.host.get(group)?.leads === true);
    leading.sort((a, b) => b.node!.host.get(group)!.term - a.node!.host.get(group)!.term);
    return leading[0]?.id ?? null;
  }

  replica(id: string, group: number): Replica {
    return this.node(id).host.get(group)!;
  }

  shard(group: number): KvStateMachine {
    return this.replica(this.leaderOf(group)!, group).machine as KvStateMachine;
  }

  controller(): ControllerStateMachine {
    return this.replica(this.leaderOf(0)!, 0).machine as ControllerStateMachine;
  }

  send(id: string, request: KvRequest, context: Partial<RequestContext> = {}): Promise<KvOutcome> {
    const node = this.node(id);
    const full = { timeout_ms: 8_000, noForward: false, requestId: 'test', ...context };
    return new Promise((resolve) => this.machine(id).clock!.run(() => node.kv.execute(request, full, resolve)));
  }

  execute(id: string, request: KvRequest, context: Partial<RequestContext> = {}): Promise<KvOutcome> {
    return this.settle(this.send(id, request, context));
  }

  put(id: string, key: string, value: string, more: { ttl_ms?: number; token?: string } = {}): Promise<KvOutcome> {
    return this.execute(id, put(key, value, more));
  }

  async value(id: string, key: string): Promise<string | null> {
    const outcome = await this.execute(id, get(key));
    if (outcome.kind === 'missing') return null;
    if (outcome.kind !== 'found') throw new Error(JSON.stringify(outcome));
    return String(outcome.value);
  }

  /** Until no plan runs any more. */
  planOver(): Promise<number> {
    return this.until(
      () => this.leaderOf(0) !== null && this.controller().runningPlan() === null,
      'the plan to end',
      120_000,
    );
  }
}

const addressOf = (id: string): string => `${id}:7101`;

export function put(key: string, value: string, more: { ttl_ms?: number; token?: string } = {}): KvRequest {
  const fingerprint = new Uint8Array(16).fill(value.length);
  return {
    kind: 'put',
    key: Buffer.from(key),
    value: Buffer.from(value),
    contentType: 'text/plain',
    ttl_ms: more.ttl_ms ?? 0,
    condition: { kind: 'none' },
    idempotency: more.token === undefined ? null : { key: more.token, fingerprint },
  };
}

export const get = (key: string): KvRequest => ({
  kind: 'get',
  key: Buffer.from(key),
  consistency: 'linearizable',
  maxStaleness_ms: null,
});

export function errorOf(outcome: KvOutcome | Answer<unknown>): ApiError {
  if ('kind' in outcome && outcome.kind === 'failed') return outcome.error;
  if ('ok' in outcome && !outcome.ok) return outcome.error;
  throw new Error(`expected a failure, got ${JSON.stringify(outcome)}`);
}

export function granted<T>(answer: Answer<T>): T {
  if (!answer.ok) throw new Error(JSON.stringify(answer.error));
  return answer.value;
}
