/**
 * `Transport` over TCP: one stream per peer and direction for all groups. Each node dials every peer and sends only on what it
 * dialled; what it accepts it only reads. So there is never a question which of two crossing connections counts.
 */
import type { NodeId } from '../core/index.js';
import type { Channel, Clock, Discovered, PeerAddress, PeerEvent, Random, Timer, Transport } from '../ports.js';
import { Discovery } from './discovery.js';
import type { Identity } from './handshake.js';
import { InboundConnection, type InboundOwner } from './inbound-connection.js';
import {
  DEFAULT_LIMITS,
  type LinkContext,
  newCounters,
  SocketWriter,
  type TransportEvent,
  type TransportLimits,
  type TransportStats,
} from './link-context.js';
import { PeerLink, TICK_ms } from './peer-link.js';
import { type HostPort, type Listener, listen, type TransportTls } from './tcp-sockets.js';
import { CHANNELS } from './wire-frame.js';

export interface TcpTransportOptions {
  readonly self: NodeId;
  /** Port 0: any free one, see `TcpTransport.address`. */
  readonly listen: HostPort;
  /** Drawn at the node's first start and kept with its disk. */
  readonly incarnation: string;
  /** Null while the node belongs to no cluster; asked anew for each connection. */
  readonly clusterId: () => string | null;
  /** A peer showed its cluster id while this node had none. */
  readonly onClusterId?: (clusterId: string, from: NodeId) => void;
  /** A reason to refuse a peer that dials us and passes all other checks (a tombstone), or null. */
  readonly admit?: (peer: Identity) => string | null;
  readonly onEvent?: (event: TransportEvent) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<TransportLimits>;
  readonly tls?: TransportTls;
}

export interface TcpTransport extends Transport {
  /** Where this transport listens. */
  readonly address: HostPort;
  stats(): TransportStats;
}

/** Resolves when the port is open; rejects with the system's error (`EADDRINUSE`, …) when it cannot be. */
export async function openTcpTransport(options: TcpTransportOptions): Promise<TcpTransport> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  if (limits.snapshotWindow_bytes < 256 * 1024) throw new Error('invariant: a snapshot window of at least 256 KiB');
  const hub = new Hub(options, limits);
  await hub.open();
  return hub;
}

type FrameHandler = (from: NodeId, frame: Buffer) => void;
type PeerListener = (peer: NodeId, event: PeerEvent) => void;

class Hub implements TcpTransport, InboundOwner {
  readonly self: NodeId;
  readonly #options: TcpTransportOptions;
  readonly #context: LinkContext;
  readonly #handlers: (FrameHandler | null)[] = new Array<FrameHandler | null>(CHANNELS).fill(null);
  readonly #listeners: PeerListener[] = [];
  readonly #links = new Map<NodeId, PeerLink>();
  readonly #inbound = new Map<NodeId, InboundConnection>();
  /** Those that have not passed the handshake yet, too. */
  readonly #accepted = new Set<InboundConnection>();
  readonly #discoveries = new Set<Discovery>();
  #peers: ReadonlyMap<NodeId, PeerAddress> = new Map();
  #listener: Listener | null = null;
  #tickTimer: Timer | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: TcpTransportOptions, limits: TransportLimits) {
    const { self, incarnation, clusterId } = options;
    this.self = self;
    this.#options = options;
    this.#context = {
      clock: options.clock,
      random: options.random,
      limits,
      tls: options.tls,
      counters: newCounters(),
      writer: new SocketWriter(limits.socket_bytes),
      identity: () => ({ clusterId: clusterId(), node: self, incarnation }),
      learnClusterId: (id, from) => options.onClusterId?.(id, from),
      emit: (peer, event) => {
        for (const listener of this.#listeners) listener(peer, event);
      },
      report: (event) => options.onEvent?.(event),
    };
  }

  async open(): Promise<void> {
    const { limits, tls, report } = this.#context;
    this.#listener = await listen(
      this.#options.listen,
      tls,
      limits.handshake_ms,
      (socket) => {
        this.#accepted.add(new InboundConnection(this.#context, this, socket));
      },
      (remote, error) => report({ name: 'listener', node: null, remote, reason: error.message }),
    );
    this.#armTick();
  }

  get address(): HostPort {
    return this.#listener!.address;
  }

  stats(): TransportStats {
    let connected = 0;
    let queued_bytes = 0;
    for (const link of this.#links.values()) {
      if (link.isUp) connected++;
      queued_bytes += link.queued_bytes;
    }
    return { ...this.#context.counters, connected, queued_bytes, inbound: this.#inbound.size };
  }

  // ------------------------------------------------------------------------------------------------------------ Transport

  send(to: NodeId, channel: Channel, frame: Uint8Array): boolean {
    const link = this.#links.get(to);
    return link?.send(channel, frame) ?? false;
  }

  onFrame(channel: Channel, handler: FrameHandler): void {
    if (this.#handlers[channel] !== null) throw new Error(`invariant: channel ${channel} has a handler already`);
    this.#handlers[channel] = handler;
  }

  onPeer(listener: PeerListener): void {
    this.#listeners.push(listener);
  }

  setPeers(peers: ReadonlyMap<NodeId, PeerAddress>): void {
    if (this.#closing !== null) return;
    const before = this.#peers;
    this.#peers = new Map(peers);
    for (const [node, link] of this.#links) {
      if (this.#peers.has(node)) continue;
      link.close();
      this.#links.delete(node);
    }
    for (const [node, inbound] of this.#inbound) {
      if (before.has(node) && !this.#peers.has(node)) inbound.close('no peer any more');
      else inbound.recheck();
    }
    for (const [node, address] of this.#peers) {
      if (node === this.self) continue;
      const link = this.#links.get(node);
      if (link !== undefined) {
        link.update(address);
      } else {
        const created = new PeerLink(this.#context, node, address);
        this.#links.set(node, created);
        created.dial();
      }
    }
  }

  async discover(address: string): Promise<Discovered | null> {
    if (this.#closing !== null) return null;
    const discovery = new Discovery(this.#context, address);
    this.#discoveries.add(discovery);
    const found = await discovery.result;
    this.#discoveries.delete(discovery);
    return found;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#tickTimer?.cancel();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    for (const discovery of this.#discoveries) discovery.cancel();
    for (const inbound of [...this.#accepted]) inbound.close(null);
    await this.#listener!.close();
  }

  #armTick(): void {
    this.#tickTimer = this.#context.clock.after(TICK_ms, () => {
      this.#armTick();
      for (const link of [...this.#links.values()]) link.tick();
      for (const inbound of [...this.#inbound.values()]) inbound.tick();
    });
  }

  // --------------------------------------------------------------------------------------------------------- InboundOwner

  expected(node: NodeId): string | null {
    return this.#peers.get(node)?.incarnation ?? null;
  }

  admit(peer: Identity): string | null {
    return this.#options.admit?.(peer) ?? null;
  }

  accepted(connection: InboundConnection): void {
    const node = connection.peer!.node;
    const before = this.#inbound.get(node);
    this.#inbound.set(node, connection);
    before?.close('the peer has dialled again');
    this.#links.get(node)?.peerDialled();
  }

  closed(connection: InboundConnection): void {
    this.#accepted.delete(connection);
    const node = connection.peer?.node;
    if (node !== undefined && this.#inbound.get(node) === connection) this.#inbound.delete(node);
  }

  deliver(from: NodeId, channel: Channel, frame: Buffer): void {
    this.#handlers[channel]?.(from, frame);
  }
}
