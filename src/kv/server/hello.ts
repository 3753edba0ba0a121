/**
 * Nodes tell each other every second who they are, what time they have, which map they know and who leads the controller.
 * From this come node states, the cluster's clock, hints, and what the first entry of a new cluster says of its nodes.
 */
import { z } from 'zod';
import type { Clock, NodeId, Timer } from '../../raft/index.js';
import type { NodeEntry } from '../../shardctrl/index.js';
import type { ClusterClock } from './cluster-clock.js';
import { callJson, handleJson } from './json-rpc.js';
import type { Introduced } from './peer-book.js';
import { Method, type Rpc } from './rpc.js';

const EVERY_MS = 1_000;
const SUSPECT_AFTER_MS = 3_000;
const DOWN_AFTER_MS = 10_000;
/** The most that one round adds to how long a node has been down: what passed beyond that, this process was not there to see. */
const WATCHED_MAX_MS = 2 * EVERY_MS;

export interface Hello {
  readonly node: NodeEntry;
  readonly wall_ms: number;
  readonly clusterId: string | null;
  readonly epoch: number;
  readonly controllerLeader: NodeId | null;
  /** The controller's members by the sender's map: for who has none, or an older one. */
  readonly controllers: readonly Introduced[];
  /** The sender wants to become a part of the cluster. */
  readonly joins: boolean;
}

const helloSchema: z.ZodType<Hello> = z.object({
  node: z.object({
    id: z.string(),
    http: z.string(),
    peer: z.string(),
    labels: z.record(z.string(), z.string()),
    incarnation: z.string(),
  }),
  wall_ms: z.number(),
  clusterId: z.string().nullable(),
  epoch: z.number(),
  controllerLeader: z.string().nullable(),
  controllers: z
    .array(z.object({ id: z.string(), peer: z.string() }))
    .max(100)
    .default([]),
  joins: z.boolean().default(false),
});

export type NodeState = 'healthy' | 'suspect' | 'down';

interface Heard {
  readonly hello: Hello;
  readonly heard_ms: number;
  /** Since when the node has been in its present state, on this node's wall clock. */
  readonly healthySince_ms: number;
}

export interface HelloOptions {
  readonly clock: Clock;
  readonly clusterClock: ClusterClock;
  readonly rpc: Rpc;
  readonly own: () => Hello;
  readonly peers: () => readonly NodeId[];
  readonly heard: (hello: Hello) => void;
  /** Somebody who is no peer of this node. */
  readonly stranger: (hello: Hello) => void;
  readonly failed: (error: unknown) => void;
}

export class HelloService {
  readonly #options: HelloOptions;
  readonly #heard = new Map<NodeId, Heard>();
  /** Questions under way. */
  readonly #asked = new Map<NodeId, number>();
  readonly #started_ms: number;
  /** On the monotonic clock. */
  readonly #begun_ms: number;
  #watched_ms: number;
  /** How long the nodes that are down have been so while this one watched. */
  #down_ms: ReadonlyMap<NodeId, number> = new Map();
  #timer: Timer | null = null;
  #closed = false;

  constructor(options: HelloOptions) {
    this.#options = options;
    this.#started_ms = options.clock.wall_ms();
    this.#begun_ms = options.clock.monotonic_ms();
    this.#watched_ms = this.#begun_ms;
    handleJson(
      options.rpc,
      Method.Hello,
      helloSchema,
      async (hello, from) => {
        this.#take(from, hello, null);
        return options.own();
      },
      options.failed,
    );
    this.#round();
  }

  #round(): void {
    if (this.#closed) return;
    this.#watch();
    this.#options.clusterClock.watch();
    for (const peer of this.#options.peers()) this.sayTo(peer);
    this.#timer = this.#options.clock.after(EVERY_MS, () => this.#round());
  }

  #watch(): void {
    const now_ms = this.#options.clock.monotonic_ms();
    const passed_ms = Math.min(now_ms - this.#watched_ms, WATCHED_MAX_MS);
    this.#watched_ms = now_ms;
    const down = this.#options.peers().filter((peer) => this.state(peer) === 'down');
    const before = this.#down_ms;
    this.#down_ms = new Map(down.map((peer) => [peer, before.has(peer) ? before.get(peer)! + passed_ms : 0]));
  }

  sayTo(peer: NodeId): void {
    const { clock, rpc, own, failed } = this.#options;
    const asked_ms = clock.monotonic_ms();
    this.#asked.set(peer, (this.#asked.get(peer) ?? 0) + 1);
    callJson(rpc, peer, Method.Hello, own(), helloSchema, EVERY_MS).then((called) => {
      this.#asked.set(peer, this.#asked.get(peer)! - 1);
      if (called.kind === 'answer') this.#take(peer, called.value, clock.monotonic_ms() - asked_ms);
    }, failed);
  }

  /** `roundTrip_ms` null: it was not asked for, so nothing tells how long it was under way. */
  #take(from: NodeId, hello: Hello, roundTrip_ms: number | null): void {
    if (this.#closed || hello.node.id !== from) return;
    // A stranger's clock and word count for nothing.
    if (!this.#options.peers().includes(from)) return this.#options.stranger(hello);
    const { clock, clusterClock, heard } = this.#options;
    const before = this.#heard.get(from);
    const was = this.state(from);
    const healthySince_ms = before !== undefined && was === 'healthy' ? before.healthySince_ms : clock.wall_ms();
    this.#heard.set(from, { hello, heard_ms: clock.monotonic_ms(), healthySince_ms });
    if (roundTrip_ms !== null) clusterClock.heard(from, hello.wall_ms, roundTrip_ms);
    // It is back, or we are: its time is asked for at once, for a leader may wait for it. Not while a question is under way:
    // two nodes whose answers take too long to count would have each other ask for ever.
    else if (!clusterClock.knows(from) && (this.#asked.get(from) ?? 0) === 0) this.sayTo(from);
    heard(hello);
  }

  of(node: NodeId): Hello | null {
    return this.#heard.get(node)?.hello ?? null;
  }

  state(node: NodeId): NodeState {
    const heard = this.#heard.get(node);
    // A node that has just started has heard nobody, and cannot call anybody down yet.
    const age = this.#options.clock.monotonic_ms() - (heard?.heard_ms ?? this.#begun_ms);
    if (heard !== undefined && age < SUSPECT_AFTER_MS) return 'healthy';
    return age < DOWN_AFTER_MS ? 'suspect' : 'down';
  }

  /**
   * How long the node has been down, as far as this one has watched it; null: it is not. Less than the time since it was last
   * heard: a process that slept for an hour has not seen anybody down for an hour.
   */
  downFor_ms(node: NodeId): number | null {
    return this.state(node) === 'down' ? (this.#down_ms.get(node) ?? 0) : null;
  }

  /** Those of the nodes that are not healthy, in words: `n2 is down, n3 is suspect`; empty if all are. */
  away(nodes: readonly NodeId[]): string {
    const states = nodes.map((node) => ({ node, state: this.state(node) }));
    return states
      .filter(({ state }) => state !== 'healthy')
      .map(({ node, state }) => `${node} is ${state}`)
      .join(', ');
  }

  /** Milliseconds since 1970: since when the node has been in its state, as seen from here. */
  since_ms(node: NodeId): number {
    const heard = this.#heard.get(node);
    if (heard === undefined) return this.#started_ms;
    if (this.state(node) === 'healthy') return heard.healthySince_ms;
    const age = this.#options.clock.monotonic_ms() - heard.heard_ms;
    return this.#options.clock.wall_ms() - age;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }
}
