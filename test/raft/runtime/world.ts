/**
 * Three machines with production's `ReplicaHost` on simulated ports. A node outlives its processes: `crash` and `start`
 * as often as wanted. Everything that a host reports as fatal is kept, and `end` wants none.
 */
import { expect } from 'vitest';
import {
  Channel,
  type LogWrite,
  type PeerAddress,
  type RaftSettings,
  type Replica,
  ReplicaHost,
} from '../../../src/raft/index.js';
import { decodeSnapshotFrame, type SnapshotFrame } from '../../../src/raft/runtime/snapshot-codec.js';
import { SimClock, SimScheduler } from '../../sim/fakes/clock.js';
import { SimDisk } from '../../sim/fakes/disk.js';
import { SimNetwork, type SimTransport } from '../../sim/fakes/network.js';
import { SimRandom } from '../../sim/fakes/random.js';
import { SimEngines } from '../../sim/fakes/sim-engine.js';
import type { SimEngineOperation } from '../../sim/fakes/sim-engine-handle.js';
import { SimLog } from '../../sim/fakes/sim-log.js';
import { ChainMachine, type ChainMachineOptions } from './chain-machine.js';

export const GROUP = 7;

export const SETTINGS: RaftSettings = {
  heartbeat_ms: 50,
  election_timeout_ms: 500,
  snapshotLogBytes: 64 * 1024 * 1024,
  catchUpLogBytes: 8 * 1024 * 1024,
  maxInflightMessages: 64,
  maxInflightBytes: 4 * 1024 * 1024,
  maxMessageBytes: 1024 * 1024,
  maxUncommittedBytes: 16 * 1024 * 1024,
  rowCacheBytes: 16 * 1024,
};

export interface Life {
  readonly clock: SimClock;
  readonly transport: SimTransport;
  readonly log: SimLog;
  host: ReplicaHost | null;
}

export type Outcome =
  | { readonly kind: 'applied'; readonly index: number; readonly chain: number }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown' };

export class WorldNode {
  readonly id: string;
  readonly disk: SimDisk;
  readonly engines: SimEngines;
  readonly #world: World;
  life: Life | null = null;
  #lives = 0;
  /** Decides what a machine of this node does; read anew for each machine. */
  machine: ChainMachineOptions = {};
  engineDelay_ms: (operation: SimEngineOperation) => number = () => 0.2;
  readonly fatals: Error[] = [];
  readonly events: string[] = [];
  readonly appends: LogWrite[] = [];
  /** Called with each snapshot frame that is sent; false: it is lost. */
  onSnapshotFrame: (frame: SnapshotFrame) => boolean = () => true;

  constructor(id: string, world: World) {
    this.id = id;
    this.#world = world;
    this.disk = new SimDisk({ random: world.random.fork(`disk ${id}`), name: id });
    this.engines = new SimEngines({
      clock: {
        monotonic_ms: () => this.life!.clock.monotonic_ms(),
        wall_ms: () => this.life!.clock.wall_ms(),
        after: (delay_ms, run) => this.life!.clock.after(delay_ms, run),
        soon: (run) => this.life!.clock.soon(run),
      },
      delay_ms: (operation) => this.engineDelay_ms(operation),
    });
  }

  get host(): ReplicaHost {
    if (this.life?.host == null) throw new Error(`${this.id} is not running`);
    return this.life.host;
  }

  get replica(): Replica {
    const replica = this.host.get(GROUP);
    if (replica === undefined) throw new Error(`${this.id} has no replica: ${this.host.damaged(GROUP)?.reason}`);
    return replica;
  }

  get chain(): ChainMachine {
    return this.replica.machine as ChainMachine;
  }

  /** Resolves when the host is open; the world's time must pass meanwhile. */
  async start(): Promise<void> {
    const { scheduler, network, random, peers, settings } = this.#world;
    const clock = new SimClock(scheduler);
    const stream = random.fork(`${this.id} life ${++this.#lives}`);
    const transport = network.open({
      self: this.id,
      address: this.id,
      incarnation: `i-${this.id}`,
      clusterId: () => 'c',
      clock,
    });
    this.#tapSnapshots(transport);
    const log = new SimLog({ disk: this.disk, clock, random: stream.fork('log') });
    const append = log.append.bind(log);
    log.append = (write) => {
      this.appends.push(write);
      return append(write);
    };
    const life: Life = { clock, transport, log, host: null };
    this.life = life;
    const fatal = (error: Error): void => {
      this.fatals.push(error);
    };
    log.onFailure(fatal);
    const host = await ReplicaHost.open({
      clock,
      random: stream.fork('host'),
      log,
      transport,
      engines: this.engines,
      settings,
      newMachine: () => new ChainMachine(this.machine),
      changed: () => undefined,
      fatal,
      event: (level, text) => {
        this.events.push(`${level} ${text}`);
      },
    });
    life.host = host;
    transport.setPeers(peers);
  }

  #tapSnapshots(transport: SimTransport): void {
    const send = transport.send.bind(transport);
    transport.send = (to, channel, frame) => {
      if (channel === Channel.Snapshot && !this.onSnapshotFrame(decodeSnapshotFrame(Buffer.from(frame))!)) return true;
      return send(to, channel, frame);
    };
  }

  crash(kind: 'kill' | 'power-cut' = 'power-cut'): void {
    const life = this.life!;
    this.life = null;
    life.clock.stop();
    this.#world.network.crash(this.id, kind === 'kill' ? 'process' : 'host');
    if (kind === 'kill') this.disk.kill();
    else this.disk.crash();
    this.engines.crash(this.#world.random.fork(`${this.id} crash ${this.#lives}`), kind);
  }

  /** Ends the process as production does: host, log, connections. */
  async stop(): Promise<void> {
    const life = this.life!;
    await life.host!.close();
    await life.log.close();
    await life.transport.close();
    life.clock.stop();
    this.life = null;
  }

  propose(text: string): { outcome: Outcome | null } {
    const pending: { outcome: Outcome | null } = { outcome: null };
    const settle = (outcome: Outcome): void => {
      expect(pending.outcome, `a second answer to ${text}`).toBeNull();
      pending.outcome = outcome;
    };
    this.replica.propose(Buffer.from(text), {
      applied: (result, index) => settle({ kind: 'applied', index, chain: (result as { chain: number }).chain }),
      refused: (reason) => settle({ kind: 'refused', reason }),
      unknown: () => settle({ kind: 'unknown' }),
    });
    return pending;
  }

  /** What `look` sees at the moment the read may be served. */
  read<T>(look: (machine: ChainMachine) => T): { value: T | null; refused: boolean } {
    const pending: { value: T | null; refused: boolean } = { value: null, refused: false };
    const replica = this.replica;
    replica.read({
      ready: () => {
        pending.value = look(replica.machine as ChainMachine);
      },
      refused: () => {
        pending.refused = true;
      },
    });
    return pending;
  }
}

export class World {
  readonly scheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly settings: RaftSettings;
  readonly nodes: readonly WorldNode[];
  readonly peers: ReadonlyMap<string, PeerAddress>;

  constructor(seed: string, settings: Partial<RaftSettings> = {}, size = 3) {
    this.random = new SimRandom(seed);
    this.network = new SimNetwork(this.scheduler, this.random);
    this.settings = { ...SETTINGS, ...settings };
    const names = Array.from({ length: size }, (_, i) => `n${i + 1}`);
    this.peers = new Map(names.map((name) => [name, { address: name, incarnation: `i-${name}` }]));
    this.nodes = names.map((name) => new WorldNode(name, this));
  }

  /** All nodes up with one group, led by n1. */
  static async ready(seed: string, settings: Partial<RaftSettings> = {}, size = 3): Promise<World> {
    const world = new World(seed, settings, size);
    for (const node of world.nodes) await world.run(node.start());
    await world.create(world.nodes);
    await world.until(() => world.nodes[0]!.replica.leads);
    return world;
  }

  async create(nodes: readonly WorldNode[]): Promise<void> {
    const members = this.nodes.map((node, i) => ({ id: i + 1, node: node.id }));
    const made = nodes.map((node) => {
      const id = members.find((member) => member.node === node.id)!.id;
      return node.host.create(GROUP, id, members, id === 1);
    });
    await this.run(Promise.all(made));
  }

  /** Lets time pass until the promise is settled. */
  async run<T>(promise: Promise<T>, limit_ms = 60_000): Promise<T> {
    let settled = false;
    promise.then(
      () => (settled = true),
      () => (settled = true),
    );
    const done = await this.scheduler.runWhile(() => !settled, this.scheduler.now_ms + limit_ms);
    if (!done && !settled) throw new Error(`nothing came of it in ${limit_ms} ms`);
    return promise;
  }

  async until(condition: () => boolean, limit_ms = 60_000): Promise<void> {
    const done = await this.scheduler.runWhile(() => !condition(), this.scheduler.now_ms + limit_ms);
    expect(done || condition(), 'waited for in vain').toBe(true);
  }

  get running(): readonly WorldNode[] {
    return this.nodes.filter((node) => node.life?.host != null);
  }

  get leader(): WorldNode | null {
    return this.running.find((node) => node.host.get(GROUP)?.leads === true) ?? null;
  }

  async elected(): Promise<WorldNode> {
    await this.until(() => this.leader !== null);
    return this.leader!;
  }

  /** Proposes at whoever leads, one after the other, until all are applied. For what must happen, not how. */
  async put(commands: readonly string[]): Promise<void> {
    for (const command of commands) {
      const leader = await this.elected();
      const pending = leader.propose(command);
      await this.until(() => pending.outcome !== null);
      expect(pending.outcome!.kind).toBe('applied');
    }
  }

  /** Everyone who runs has applied the same, all that is committed. */
  async agreed(): Promise<void> {
    await this.until(() => {
      const hosts = this.running.filter((node) => node.host.get(GROUP) !== undefined);
      const top = Math.max(...hosts.map((node) => node.replica.lastIndex));
      return hosts.every((node) => node.replica.applied === top);
    });
    const hashes = new Set(this.running.map((node) => node.chain.stateHash()));
    expect(hashes.size, [...hashes].join(' ')).toBe(1);
  }

  /** Ends everything in order; nobody may have had to stop. */
  async end(): Promise<void> {
    for (const node of this.running) await this.run(node.stop());
    for (const node of this.nodes) expect(node.fatals.map((error) => error.stack)).toEqual([]);
  }
}
