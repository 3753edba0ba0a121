/**
 * `Transport` on the simulated network. Same life as the real one, step by step: dial, handshake, up, lost, dial at once or
 * after a back-off; the checks of the handshake are the production code's.
 */
import type {
  Channel,
  Discovered,
  NodeId,
  PeerAddress,
  PeerEvent,
  Random,
  Timer,
  Transport,
} from '../../../src/raft/index.js';
import {
  type Refusal,
  refusalText,
  refuseIdentity,
  refuseTarget,
  stillAgrees,
} from '../../../src/raft/transport/handshake.js';
import { DEFAULT_LIMITS, type Identity, MalformedFrame } from '../../../src/raft/transport/index.js';
import type { SimClock } from './clock.js';
import type { SimNetwork } from './network.js';
import { SimConnection } from './sim-connection.js';

export type { SimConnection } from './sim-connection.js';

export interface SimTransportOptions {
  readonly self: NodeId;
  /** Any text; unique among the open ones. */
  readonly address: string;
  readonly incarnation: string;
  readonly clusterId: () => string | null;
  readonly onClusterId?: (clusterId: string, from: NodeId) => void;
  readonly admit?: (peer: Identity) => string | null;
  readonly clock: SimClock;
}

type FrameHandler = (from: NodeId, frame: Buffer) => void;
type Answer = { readonly refusal: Refusal } | { readonly connection: SimConnection };
type Shown = { readonly refusal: Refusal } | { readonly shown: Identity };

const STABLE_AFTER_ms = 1000;

export class SimTransport implements Transport {
  readonly self: NodeId;
  readonly address: string;
  readonly clock: SimClock;
  readonly network: SimNetwork;
  readonly random: Random;
  readonly #options: SimTransportOptions;
  readonly #handlers: (FrameHandler | null)[] = [null, null, null];
  readonly #listeners: ((peer: NodeId, event: PeerEvent) => void)[] = [];
  readonly #links = new Map<NodeId, SimLink>();
  readonly #inbound = new Map<NodeId, SimConnection>();
  /** What ends each that is under way. */
  readonly #discoveries = new Set<() => void>();
  #peers: ReadonlyMap<NodeId, PeerAddress> = new Map();
  #closed = false;

  constructor(network: SimNetwork, options: SimTransportOptions) {
    this.network = network;
    this.self = options.self;
    this.address = options.address;
    this.clock = options.clock;
    this.random = network.randomOfNode(options.self);
    this.#options = options;
  }

  identity(): Identity {
    return { clusterId: this.#options.clusterId(), node: this.self, incarnation: this.#options.incarnation };
  }

  // ------------------------------------------------------------------------------------------------------------ Transport

  send(to: NodeId, channel: Channel, frame: Uint8Array): boolean {
    return this.#links.get(to)?.send(channel, frame) ?? false;
  }

  onFrame(channel: Channel, handler: FrameHandler): void {
    if (this.#handlers[channel] !== null) throw new Error(`invariant: channel ${channel} has a handler already`);
    this.#handlers[channel] = handler;
  }

  onPeer(listener: (peer: NodeId, event: PeerEvent) => void): void {
    this.#listeners.push(listener);
  }

  setPeers(peers: ReadonlyMap<NodeId, PeerAddress>): void {
    if (this.#closed) return;
    const before = this.#peers;
    this.#peers = new Map(peers);
    for (const [node, link] of this.#links) {
      if (this.#peers.has(node)) continue;
      link.close();
      this.#links.delete(node);
    }
    for (const [node, connection] of this.#inbound) {
      const dropped = before.has(node) && !this.#peers.has(node);
      if (dropped || this.#objection(connection.fromShown) !== null) this.dropInbound(connection);
    }
    for (const [node, address] of this.#peers) {
      if (node === this.self) continue;
      const link = this.#links.get(node);
      if (link !== undefined) {
        link.update(address);
      } else {
        const created = new SimLink(this, node, address);
        this.#links.set(node, created);
        created.dial();
      }
    }
  }

  discover(address: string): Promise<Discovered | null> {
    if (this.#closed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const end = (found: Discovered | null): void => {
        timer.cancel();
        this.#discoveries.delete(giveUp);
        resolve(found);
      };
      const giveUp = (): void => end(null);
      const timer = this.clock.after(DEFAULT_LIMITS.handshake_ms, giveUp);
      this.#discoveries.add(giveUp);
      // Whoever has never listened has no place in the network yet: the address stands for it.
      this.greet(
        { address, guess: address },
        (there, hello) => there.identify(hello),
        (answer) => end(answer !== null && answer !== 'gone' && 'shown' in answer ? this.#judge(answer.shown) : null),
      );
    });
  }

  #judge({ node, incarnation, clusterId }: Identity): Discovered | null {
    const found = { node, incarnation, clusterId };
    return refuseIdentity(this.identity(), found, null) === null ? found : null;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.network.closed(this);
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    for (const connection of [...this.#inbound.values()]) this.dropInbound(connection);
    // A process that has died hears nothing of it.
    for (const giveUp of [...this.#discoveries]) this.clock.run(giveUp);
  }

  /** The process dies in this instant. */
  die(): void {
    this.clock.stop();
    void this.close();
  }

  // ------------------------------------------------------------------------------------------------ as the one who accepts

  /** A peer's hello has arrived. Null: nobody is here any more. */
  accept(from: SimTransport, hello: Identity, target: NodeId): Answer | null {
    if (this.#closed) return null;
    const refusal = refuseTarget(this.self, target) ?? this.#objection(hello);
    if (refusal !== null) return { refusal };
    const toShown = this.identity();
    const connection = new SimConnection({ network: this.network, from, to: this, fromShown: hello, toShown });
    const before = this.#inbound.get(hello.node);
    if (before !== undefined) this.dropInbound(before);
    this.#inbound.set(hello.node, connection);
    this.learn(toShown, hello);
    this.#links.get(hello.node)?.peerDialled();
    return { connection };
  }

  /** Somebody's question who is here has arrived. Null: nobody any more. */
  identify(hello: Identity): Shown | null {
    if (this.#closed) return null;
    const refusal = this.#objection(hello);
    return refusal === null ? { shown: this.identity() } : { refusal };
  }

  #objection(peer: Identity): Refusal | null {
    const expected = this.#peers.get(peer.node)?.incarnation ?? null;
    const refusal = refuseIdentity(this.identity(), peer, expected);
    if (refusal !== null) return refusal;
    const detail = this.#options.admit?.(peer) ?? null;
    return detail === null ? null : { name: 'not_admitted', detail };
  }

  receive(connection: SimConnection, channel: Channel, frame: Buffer): void {
    if (!stillAgrees(connection.toShown.clusterId, connection.fromShown.clusterId, this.#options.clusterId())) {
      this.dropInbound(connection);
      return;
    }
    try {
      this.#handlers[channel]?.(connection.fromShown.node, frame);
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.dropInbound(connection);
    }
  }

  /** This side hangs up. */
  dropInbound(connection: SimConnection): void {
    const node = connection.fromShown.node;
    if (this.#inbound.get(node) === connection) this.#inbound.delete(node);
    connection.closeTo();
  }

  /** The other side has hung up. */
  inboundEnded(connection: SimConnection): void {
    this.dropInbound(connection);
  }

  // -------------------------------------------------------------------------------------------------- as the one who dials

  /**
   * Brings a hello to an address and what `ask` makes of it back, each as late as the network is, or not at all. 'gone':
   * nobody listens there. Where nobody ever has, the machine `guess` stands there.
   */
  greet<T>(
    { address, guess }: { readonly address: string; readonly guess: NodeId },
    ask: (there: SimTransport, hello: Identity) => T,
    answered: (answer: T | 'gone') => void,
  ): void {
    const { network } = this;
    const place = network.locate(address, guess);
    const hello = this.identity();
    const back = (answer: T | 'gone'): void =>
      network.carry(place, this.self, () => this.clock.run(() => answered(answer)));
    network.carry(this.self, place, () => {
      const there = network.endpointAt(address);
      if (there === null) back('gone');
      else there.clock.run(() => back(ask(there, hello)));
    });
  }

  outboundEnded(connection: SimConnection): void {
    this.#links.get(connection.toShown.node)?.ended(connection);
    // It may be one that no dial of ours waited for any more.
    connection.closeFrom();
  }

  emit(peer: NodeId, event: PeerEvent): void {
    for (const listener of this.#listeners) listener(peer, event);
  }

  learn(own: Identity, peer: Identity): void {
    if (own.clusterId === null && peer.clusterId !== null) this.#options.onClusterId?.(peer.clusterId, peer.node);
  }
}

/** The way to one peer; see `PeerLink` of the real transport. */
class SimLink {
  readonly #owner: SimTransport;
  readonly #peer: NodeId;
  #address: PeerAddress;
  #phase: 'waiting' | 'dialling' | 'up' | 'closed' = 'waiting';
  /** Answers to older dials are stale. */
  #attempt = 0;
  #timer: Timer | null = null;
  #connection: SimConnection | null = null;
  #backoff_ms = DEFAULT_LIMITS.backoffMin_ms;
  #upSince_ms = 0;
  #told: string | null = null;

  constructor(owner: SimTransport, peer: NodeId, address: PeerAddress) {
    this.#owner = owner;
    this.#peer = peer;
    this.#address = address;
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    const connection = this.#connection;
    if (connection === null || frame.length > DEFAULT_LIMITS.frame_bytes) return false;
    const now = this.#owner.identity().clusterId;
    if (!stillAgrees(connection.fromShown.clusterId, connection.toShown.clusterId, now)) {
      this.ended(connection);
      return false;
    }
    return connection.send(channel, frame);
  }

  update(address: PeerAddress): void {
    const moved = address.address !== this.#address.address;
    const renamed = address.incarnation !== this.#address.incarnation;
    this.#address = address;
    const connection = this.#connection;
    if (moved && connection !== null) {
      this.ended(connection);
    } else if (renamed && connection !== null) {
      const refusal = refuseIdentity(connection.fromShown, connection.toShown, address.incarnation);
      if (refusal !== null) this.ended(connection, refusal);
    }
    if ((moved && this.#phase === 'dialling') || ((moved || renamed) && this.#phase === 'waiting')) this.dial();
  }

  peerDialled(): void {
    this.#backoff_ms = DEFAULT_LIMITS.backoffMin_ms;
    if (this.#phase === 'waiting') this.dial();
  }

  close(): void {
    this.#phase = 'closed';
    this.#attempt++;
    this.#timer?.cancel();
    this.#connection?.closeFrom();
    this.#connection = null;
  }

  dial(): void {
    const owner = this.#owner;
    const attempt = ++this.#attempt;
    this.#timer?.cancel();
    this.#phase = 'dialling';
    this.#timer = owner.clock.after(DEFAULT_LIMITS.handshake_ms, () => this.#failed(attempt, null));
    owner.greet(
      { address: this.#address.address, guess: this.#peer },
      (there, hello) => there.accept(owner, hello, this.#peer),
      (answer) => this.#answered(attempt, answer),
    );
  }

  #answered(attempt: number, answer: Answer | 'gone' | null): void {
    if (answer === null || answer === 'gone') {
      this.#failed(attempt, answer === null ? null : { kind: 'gone' });
      return;
    }
    if (attempt !== this.#attempt || this.#phase !== 'dialling') {
      if ('connection' in answer) answer.connection.closeFrom();
      return;
    }
    if ('refusal' in answer) {
      this.#failed(attempt, { kind: 'refused', reason: refusalText(answer.refusal) });
      return;
    }
    const { connection } = answer;
    const refusal = refuseIdentity(connection.fromShown, connection.toShown, this.#address.incarnation);
    if (refusal !== null) {
      connection.closeFrom();
      this.#failed(attempt, { kind: 'refused', reason: refusalText(refusal) });
      return;
    }
    this.#timer?.cancel();
    this.#timer = null;
    this.#phase = 'up';
    this.#connection = connection;
    this.#upSince_ms = this.#owner.clock.monotonic_ms();
    this.#backoff_ms = DEFAULT_LIMITS.backoffMin_ms;
    this.#told = null;
    this.#owner.learn(connection.fromShown, connection.toShown);
    this.#owner.emit(this.#peer, { kind: 'up', incarnation: connection.toShown.incarnation });
  }

  ended(connection: SimConnection, refusal: Refusal | null = null): void {
    if (connection !== this.#connection) return;
    const stable = this.#owner.clock.monotonic_ms() - this.#upSince_ms >= STABLE_AFTER_ms;
    connection.closeFrom();
    this.#connection = null;
    this.#phase = 'waiting';
    this.#owner.emit(this.#peer, { kind: 'lost' });
    if (refusal !== null) this.#tellOnce({ kind: 'refused', reason: refusalText(refusal) });
    if (this.#phase !== 'waiting') return;
    if (stable && refusal === null) this.dial();
    else this.#wait();
  }

  #failed(attempt: number, event: PeerEvent | null): void {
    if (attempt !== this.#attempt || this.#phase !== 'dialling') return;
    this.#attempt++;
    this.#timer?.cancel();
    this.#timer = null;
    this.#phase = 'waiting';
    if (event !== null) this.#tellOnce(event);
    if (this.#phase === 'waiting') this.#wait();
  }

  #wait(): void {
    const delay_ms = this.#backoff_ms * (0.5 + this.#owner.random.next() / 2);
    this.#backoff_ms = Math.min(this.#backoff_ms * 2, DEFAULT_LIMITS.backoffMax_ms);
    this.#timer?.cancel();
    this.#timer = this.#owner.clock.after(delay_ms, () => {
      if (this.#phase === 'waiting') this.dial();
    });
  }

  #tellOnce(event: PeerEvent): void {
    const what = event.kind === 'refused' ? event.reason : event.kind;
    if (this.#told === what) return;
    this.#told = what;
    this.#owner.emit(this.#peer, event);
  }
}
