/**
 * The simulated network: who reaches whom, how late, and what gets lost. All of it follows from the seed; each direction of
 * each pair of nodes draws from a stream of its own.
 *
 * Between two nodes runs what looks like TCP: handshakes are the real ones (the checks are production code), a connection
 * keeps the order of each channel, ends with a notice when a process dies, and stalls silently behind a partition until it is
 * given up. Faults go beyond TCP: single frames are lost, and on `unordered` channels repeated and delayed past
 * others, because the code above promises to live with that (F45).
 */
import { Channel, type NodeId, type Random } from '../../../src/raft/index.js';
import type { SimScheduler } from './clock.js';
import type { SimRandom } from './random.js';
import { type SimConnection, SimTransport, type SimTransportOptions } from './sim-transport.js';

export { SimTransport, type SimTransportOptions } from './sim-transport.js';

export interface NetworkFaults {
  /** One way. Each link has its own place in this range and scatters around it. */
  readonly delayMin_ms: number;
  readonly delayMax_ms: number;
  /** Probability that a frame vanishes. */
  readonly loss: number;
  /** Probability that a frame of an unordered channel comes twice. */
  readonly duplicate: number;
  /** Probability that a frame of an unordered channel (or its repetition) is late by up to `reorder_ms`, past others. */
  readonly reorder: number;
  readonly reorder_ms: number;
  /** Probability that a frame breaks its connection instead of arriving. */
  readonly reset: number;
  readonly unordered: readonly Channel[];
  /** Requests on the Rpc channel that may come again: those that their senders repeat by themselves. */
  readonly repeatable: (frame: Uint8Array) => boolean;
  /** Those of them that come again long after: of which kind, or null. No kind crowds out another one. */
  readonly recalled: (frame: Uint8Array) => number | null;
  /** Probability that such a request is held up for a second at most. */
  readonly held: number;
  /**
   * Probability that one comes again, up to `late_ms` after the first time: close behind a later one to the same node, for
   * that is where it can do most harm.
   */
  readonly late: number;
  readonly late_ms: number;
  /** Probability that a frame which can be torn is: it arrives as what `tear` makes of it. */
  readonly torn: number;
  /** null: not a frame for that. */
  readonly tear: (frame: Uint8Array, random: SimRandom) => Uint8Array | null;
}

export const CALM: NetworkFaults = {
  delayMin_ms: 0.1,
  delayMax_ms: 1,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorder_ms: 5000,
  reset: 0,
  unordered: [Channel.Raft],
  repeatable: () => false,
  recalled: () => null,
  held: 0,
  late: 0,
  late_ms: 20_000,
  torn: 0,
  tear: () => null,
};

/** Counts of what happened, to see that a run was not idle. */
export interface NetworkStats {
  delivered: number;
  lost: number;
  duplicated: number;
  reordered: number;
  resets: number;
}

/** Frames that arrive no sooner than this. */
interface HoldUp {
  readonly meant: (frame: Uint8Array) => boolean;
  readonly until_ms: number;
}

/** What is left of a frame on the Raft channel when it arrives; null: nothing. */
export type RaftFilter = (frame: Uint8Array, from: NodeId, to: NodeId) => Uint8Array | null;

/** A request that may come again. */
interface Kept {
  readonly deliver: () => void;
  readonly until_ms: number;
}

const KEPT_MAX = 64;
/** That may follow one request. */
const RECALLED_MAX = 6;
/** Half of those that come again are among so many of the last: they are the most likely to be of the same move. */
const RECENT = 4;

interface Direction {
  readonly random: SimRandom;
  /** Where in the range of delays this link lies. */
  readonly share: number;
  blocked: boolean;
  /** Handshakes get through from then on. */
  dials_ms: number;
}

export class SimNetwork {
  readonly scheduler: SimScheduler;
  readonly #random: SimRandom;
  /** By sender and receiver. */
  readonly #directions = new Map<NodeId, Map<NodeId, Direction>>();
  readonly #endpoints = new Map<string, SimTransport>();
  /** Who listened at an address last: partitions hold for the dead, too. */
  readonly #owners = new Map<string, NodeId>();
  readonly #deadHosts = new Set<NodeId>();
  readonly #connections = new Set<SimConnection>();
  /** By receiver and kind. */
  readonly #kept = new Map<NodeId, Map<number, Kept[]>>();
  #holdUps: HoldUp[] = [];
  #filter: RaftFilter | null = null;
  #faults: NetworkFaults = CALM;
  readonly stats: NetworkStats = { delivered: 0, lost: 0, duplicated: 0, reordered: 0, resets: 0 };

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.scheduler = scheduler;
    this.#random = random.fork('network');
  }

  // ------------------------------------------------------------------------------------------------------------- controls

  /** A process opens its port. The node may have been open before, not now. */
  open(options: SimTransportOptions): SimTransport {
    if (this.#endpoints.has(options.address)) throw new Error(`invariant: ${options.address} is in use`);
    this.restart(options.self);
    const transport = new SimTransport(this, options);
    this.#endpoints.set(options.address, transport);
    this.#owners.set(options.address, options.self);
    return transport;
  }

  setFaults(faults: Partial<NetworkFaults>): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  get faults(): NetworkFaults {
    return this.#faults;
  }

  /** Nothing passes from `a` to `b`; nor back, unless `oneWay`. */
  partition(a: NodeId, b: NodeId, oneWay = false): void {
    this.#direction(a, b).blocked = true;
    if (!oneWay) this.#direction(b, a).blocked = true;
  }

  /** Nodes of different sides do not reach each other. A node in none of them reaches all: a bridge. */
  split(...sides: readonly (readonly NodeId[])[]): void {
    sides.forEach((side, i) => {
      for (const other of sides.slice(i + 1)) for (const a of side) for (const b of other) this.partition(a, b);
    });
  }

  /** None of the others of `nodes` reaches this one, nor it them. */
  isolate(node: NodeId, nodes: readonly { readonly id: NodeId }[]): void {
    const others = nodes.flatMap(({ id }) => (id === node ? [] : [id]));
    this.split([node], others);
  }

  /** `left` and `right` reach each other through nobody, but both reach `middle`. */
  bridge(middle: NodeId, left: readonly NodeId[], right: readonly NodeId[]): void {
    this.split(
      left.filter((node) => node !== middle),
      right.filter((node) => node !== middle),
    );
  }

  /**
   * The connection from `a` to `b` breaks, with all that is on its way in it; the next one takes so long to come about, as
   * when the first packet of a handshake is lost and sent again.
   */
  sever(a: NodeId, b: NodeId, for_ms: number): void {
    this.#direction(a, b).dials_ms = this.scheduler.now_ms + for_ms;
    for (const connection of this.#dialled(a, b)) connection.breakOff();
  }

  /** Nothing more is held up. */
  letGo(): void {
    this.#holdUps = [];
  }

  /** Of what arrives on the Raft channel from now on, some is lost. null: nothing more. */
  filterRaft(filter: RaftFilter | null): void {
    this.#filter = filter;
  }

  /** Ends all partitions. Frames that connections still hold arrive now, late. Dead hosts stay dead. */
  heal(): void {
    for (const from of this.#directions.values()) for (const direction of from.values()) direction.blocked = false;
    this.#unblock();
  }

  /**
   * The process of a node dies (kill -9): its clock stops, its peers notice broken connections and then a closed port. With
   * `host` the whole machine dies and nobody is told anything.
   */
  crash(node: NodeId, what: 'process' | 'host' = 'process'): void {
    if (what === 'host') this.#deadHosts.add(node);
    for (const transport of [...this.#endpoints.values()]) if (transport.self === node) transport.die();
  }

  /** The machine of a node runs again; its process comes back with `open`. */
  restart(node: NodeId): void {
    if (this.#deadHosts.delete(node)) this.#unblock();
  }

  #unblock(): void {
    for (const connection of this.#connections) connection.unblock();
  }

  endpointOf(node: NodeId): SimTransport | null {
    for (const transport of this.#endpoints.values()) if (transport.self === node) return transport;
    return null;
  }

  // ------------------------------------------------------------------------------------- for transports and connections

  blocked(a: NodeId, b: NodeId): boolean {
    return this.#deadHosts.has(a) || this.#deadHosts.has(b) || this.#direction(a, b).blocked;
  }

  endpointAt(address: string): SimTransport | null {
    return this.#endpoints.get(address) ?? null;
  }

  /** The machine behind an address: as far as known, or else `guess`. */
  locate(address: string, guess: NodeId): NodeId {
    return this.#owners.get(address) ?? guess;
  }

  closed(transport: SimTransport): void {
    if (this.#endpoints.get(transport.address) === transport) this.#endpoints.delete(transport.address);
  }

  /** Frames on the Rpc channel that are meant do not arrive for so long, however often they are sent; others pass them. */
  holdUp(meant: (frame: Uint8Array) => boolean, for_ms: number): void {
    const now_ms = this.scheduler.now_ms;
    this.#holdUps = this.#holdUps.filter(({ until_ms }) => until_ms > now_ms);
    this.#holdUps.push({ meant, until_ms: now_ms + for_ms });
  }

  /** How long this frame is held up from now; null: it is not. */
  heldUp_ms(frame: Uint8Array): number | null {
    const now_ms = this.scheduler.now_ms;
    const holdUp = this.#holdUps.find(({ meant, until_ms }) => until_ms > now_ms && meant(frame));
    return holdUp === undefined ? null : holdUp.until_ms - now_ms;
  }

  /** See `filterRaft`. */
  filtered(frame: Uint8Array, from: NodeId, to: NodeId): Uint8Array | null {
    return this.#filter === null ? frame : this.#filter(frame, from, to);
  }

  /** The connection that `a` has dialled to `b` breaks. */
  hangUp(a: NodeId, b: NodeId): void {
    for (const connection of this.#dialled(a, b)) {
      if (!connection.toOpen) continue;
      this.stats.resets++;
      connection.to.clock.run(() => connection.to.dropInbound(connection));
    }
  }

  /** By `a`, to `b`. */
  #dialled(a: NodeId, b: NodeId): SimConnection[] {
    return [...this.#connections].filter(({ from, to }) => from.self === a && to.self === b);
  }

  register(connection: SimConnection): void {
    this.#connections.add(connection);
  }

  unregister(connection: SimConnection): void {
    this.#connections.delete(connection);
  }

  /** A packet of the handshake, or one that ends a connection: late like all, never lost but behind a partition. */
  carry(a: NodeId, b: NodeId, arrive: () => void): void {
    const at_ms = this.scheduler.now_ms + this.delay_ms(a, b);
    this.scheduler.at(Math.max(at_ms, this.#direction(a, b).dials_ms), () => {
      if (!this.blocked(a, b)) arrive();
    });
  }

  /** For `recall`. */
  keep(to: NodeId, kind: number, deliver: () => void): void {
    const kinds = this.#kept.get(to) ?? new Map<number, Kept[]>();
    const kept = kinds.get(kind) ?? [];
    this.#kept.set(to, kinds.set(kind, kept));
    kept.push({ deliver, until_ms: this.scheduler.now_ms + this.#faults.late_ms });
    if (kept.length > KEPT_MAX) kept.shift();
  }

  /** A repeatable request has arrived: some that came before it follow on its heels. */
  recall(to: NodeId): void {
    const { late } = this.#faults;
    if (late === 0) return;
    const kinds = [...(this.#kept.get(to)?.values() ?? [])];
    for (const kept of kinds) while (kept.length > 0 && kept[0]!.until_ms < this.scheduler.now_ms) kept.shift();
    const left = kinds.filter((kept) => kept.length > 0);
    const random = this.#direction('', to).random;
    for (let i = 0; i < RECALLED_MAX && left.length > 0 && random.chance(late); i++) {
      const kept = random.pick(left);
      const { deliver } = random.pick(random.chance(0.5) ? kept.slice(-RECENT) : kept);
      this.stats.duplicated++;
      this.scheduler.after(random.between(0, random.pick([1, 5, 50, 500])), deliver);
    }
  }

  delay_ms(a: NodeId, b: NodeId): number {
    const { random, share } = this.#direction(a, b);
    const { delayMin_ms, delayMax_ms } = this.#faults;
    return (delayMin_ms + share * (delayMax_ms - delayMin_ms)) * (0.5 + random.next());
  }

  randomOf(a: NodeId, b: NodeId): SimRandom {
    return this.#direction(a, b).random;
  }

  /** For the jitter of a node's own back-off. */
  randomOfNode(node: NodeId): Random {
    return this.#random.fork(`node ${node} at ${this.scheduler.now_ms}`);
  }

  #direction(a: NodeId, b: NodeId): Direction {
    const known = this.#directions.get(a)?.get(b);
    if (known !== undefined) return known;
    const random = this.#random.fork(`${a}>${b}`);
    const direction: Direction = { random, share: random.next(), blocked: false, dials_ms: 0 };
    const from = this.#directions.get(a) ?? new Map<NodeId, Direction>();
    this.#directions.set(a, from.set(b, direction));
    return direction;
  }
}
