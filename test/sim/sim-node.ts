/**
 * One simulated machine: what survives a crash (disk, state files, identity) and the process that runs on it, life after
 * life. The process is the production `ClusterNode`; only its ports are simulated.
 */
import { ClusterNode, type NodeSetup } from '../../src/kv/server/index.js';
import type { Clock, LogStorage, RaftSettings } from '../../src/raft/index.js';
import { SimClock, type SimScheduler } from './fakes/clock.js';
import { SimDisk } from './fakes/disk.js';
import type { SimNetwork, SimTransport } from './fakes/network.js';
import type { SimRandom } from './fakes/random.js';
import { SimEngines } from './fakes/sim-engine.js';
import { SimLog } from './fakes/sim-log.js';
import type { Trace } from './trace.js';

export interface SimNodeOptions {
  readonly id: string;
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly bootstrap: NonNullable<NodeSetup['bootstrap']>;
  readonly raft: RaftSettings;
  /** How much faster than true time its clock runs. */
  readonly clockRate: number;
  /** Of each sync of its log, at most. */
  readonly sync_ms: number;
  readonly failed: (what: string) => void;
  /** A process or a replica may have come or gone. */
  readonly changed: () => void;
}

interface Life {
  readonly clock: SimClock;
  readonly transport: SimTransport;
  readonly log: LogStorage;
  readonly node: ClusterNode | null;
}

export class SimNode {
  readonly id: string;
  readonly #options: SimNodeOptions;
  readonly #disk: SimDisk;
  readonly #engines: SimEngines;
  readonly #incarnation: string;
  #clusterId: string | null = null;
  #life: Life | null = null;
  #lives = 0;
  readonly #crashListeners = new Set<() => void>();

  constructor(options: SimNodeOptions) {
    this.id = options.id;
    this.#options = options;
    this.#incarnation = `i-${options.id}`;
    this.#disk = new SimDisk({ random: options.random.fork('disk'), name: options.id });
    const delays = options.random.fork('engine');
    const now: Clock = {
      monotonic_ms: () => this.#life!.clock.monotonic_ms(),
      wall_ms: () => this.#life!.clock.wall_ms(),
      after: (delay_ms, run) => this.#life!.clock.after(delay_ms, run),
      soon: (run) => this.#life!.clock.soon(run),
    };
    this.#engines = new SimEngines({ clock: now, delay_ms: () => delays.between(0.02, 0.4) });
  }

  get up(): boolean {
    return this.#life !== null;
  }

  /** null while it is down or starting. */
  get node(): ClusterNode | null {
    return this.#life?.node ?? null;
  }

  get clock(): SimClock | null {
    return this.#life?.clock ?? null;
  }

  get paused(): boolean {
    return this.#life?.clock.paused === true;
  }

  /** Runs once, when the present life ends. The answer cancels it. */
  onCrash(run: () => void): () => void {
    this.#crashListeners.add(run);
    return () => this.#crashListeners.delete(run);
  }

  async start(): Promise<void> {
    const { id, scheduler, network, random, trace, bootstrap, raft, clockRate } = this.#options;
    if (this.#life !== null) return;
    const number = ++this.#lives;
    const stream = random.fork(`life-${number}`);
    const clock = new SimClock(scheduler, { rate: clockRate });
    trace.add(id, 'starts');
    network.restart(id);
    const transport = network.open({
      self: id,
      address: bootstrap.nodes.get(id)!,
      incarnation: this.#incarnation,
      clusterId: () => this.#clusterId,
      clock,
    });
    const log = new SimLog({
      disk: this.#disk,
      clock,
      random: stream.fork('log'),
      syncLatencyMin_ms: Math.min(0.2, this.#options.sync_ms / 4),
      syncLatencyMax_ms: this.#options.sync_ms,
    });
    const life: { -readonly [K in keyof Life]: Life[K] } = { clock, transport, log, node: null };
    this.#life = life;
    const fatal = (error: Error): void => {
      if (this.#life === life) this.#options.failed(`${id} cannot go on: ${error.stack}`);
    };
    log.onFailure(fatal);
    const setup: NodeSetup = {
      self: { id, http: `${id}:80`, peer: bootstrap.nodes.get(id)!, labels: {}, incarnation: this.#incarnation },
      clusterId: this.#clusterId,
      bootstrap,
      raft,
      maxOperations: 10_000,
    };
    const node = await ClusterNode.start(
      setup,
      { clock, random: stream.fork('node'), log, transport, engines: this.#engines },
      {
        event: (level, text, fields) => {
          this.#options.changed();
          trace.add(id, `${level} ${text} ${JSON.stringify(fields)}`);
          if (level === 'error') this.#options.failed(`${id}: ${text} ${JSON.stringify(fields)}`);
        },
        fatal,
        joined: (clusterId) => {
          this.#clusterId = clusterId;
        },
      },
    );
    if (this.#life !== life) return;
    life.node = node;
    this.#options.changed();
  }

  /** kill -9, or the power goes: what was not synced is lost in part or in whole. */
  crash(kind: 'kill' | 'power-cut'): void {
    const life = this.#life;
    if (life === null) return;
    this.#options.trace.add(this.id, `crashes (${kind})`);
    this.#life = null;
    this.#options.changed();
    life.clock.stop();
    this.#options.network.crash(this.id, kind === 'kill' ? 'process' : 'host');
    const chance = this.#options.random.fork(`crash-${this.#lives}`);
    if (kind === 'kill') this.#disk.kill();
    else this.#disk.crash();
    this.#engines.crash(chance, kind);
    const listeners = [...this.#crashListeners];
    this.#crashListeners.clear();
    for (const run of listeners) run();
  }
}
