/**
 * One direction of frames between two simulated processes: what a TCP connection is to the real transport. The two ends
 * learn of its end at different times, and behind a partition not at all until the sender gives up.
 */
import { Channel, type Timer } from '../../../src/raft/index.js';
import { DEFAULT_LIMITS, type Identity } from '../../../src/raft/transport/index.js';
import type { SimNetwork } from './network.js';
import type { SimTransport } from './sim-transport.js';

const FRAME_OVERHEAD_BYTES = 64;
/** How long a repeatable request may be held up, so that what it waits for stays half done. */
const HELD_MS = 1_000;

interface Ends {
  readonly network: SimNetwork;
  readonly from: SimTransport;
  readonly to: SimTransport;
  /** What each had shown in the handshake. */
  readonly fromShown: Identity;
  readonly toShown: Identity;
}

export class SimConnection {
  readonly #network: SimNetwork;
  readonly from: SimTransport;
  readonly to: SimTransport;
  readonly fromShown: Identity;
  readonly toShown: Identity;
  /** The dialler still sends on it. */
  fromOpen = true;
  /** The acceptor still listens to it. */
  toOpen = true;
  readonly #inFlight_bytes = [0, 0, 0];
  readonly #lastArrival_ms = [0, 0, 0];
  /** What a partition holds back, in order. */
  #stuck: (() => void)[] = [];
  #draining = false;
  #stall: Timer | null = null;

  constructor({ network, from, to, fromShown, toShown }: Ends) {
    this.#network = network;
    this.from = from;
    this.to = to;
    this.fromShown = fromShown;
    this.toShown = toShown;
    network.register(this);
  }

  send(channel: Channel, whole: Uint8Array): boolean {
    const frame = this.#torn(channel, whole);
    const bytes = frame.length + FRAME_OVERHEAD_BYTES;
    const waiting = this.#inFlight_bytes[channel]!;
    if (waiting > 0 && waiting + bytes > limitOf(channel)) return false;
    this.#inFlight_bytes[channel] = waiting + bytes;
    this.#watchStall();
    const network = this.#network;
    const { faults, stats } = network;
    const random = network.randomOf(this.from.self, this.to.self);
    const unordered = faults.unordered.includes(channel);
    if (random.chance(faults.reset)) {
      stats.resets++;
      this.#at(this.#arrival_ms(channel, false, 0), () => {
        this.#inFlight_bytes[channel]! -= bytes;
        this.to.dropInbound(this);
      });
      return true;
    }
    const lost = random.chance(faults.loss);
    if (lost) stats.lost++;
    const late = unordered && random.chance(faults.reorder);
    if (late) stats.reordered++;
    const repeatable = channel === Channel.Rpc && faults.repeatable(frame);
    const held = repeatable && random.chance(faults.held);
    const heldUp_ms = channel === Channel.Rpc ? network.heldUp_ms(frame) : null;
    const arrival_ms =
      heldUp_ms === null
        ? this.#arrival_ms(channel, held || late, held ? HELD_MS : faults.reorder_ms)
        : network.scheduler.now_ms + heldUp_ms + network.delay_ms(this.from.self, this.to.self);
    this.#at(arrival_ms, () => {
      this.#inFlight_bytes[channel]! -= bytes;
      if (!lost) this.#deliver(channel, frame);
      if (repeatable) network.recall(this.to.self);
    });
    if (unordered && random.chance(faults.duplicate)) {
      stats.duplicated++;
      this.#at(this.#arrival_ms(channel, true, faults.reorder_ms), () => this.#deliver(channel, frame));
    }
    const kind = repeatable ? faults.recalled(frame) : null;
    if (kind !== null) network.keep(this.to.self, kind, () => this.#deliver(channel, frame));
    return true;
  }

  #torn(channel: Channel, frame: Uint8Array): Uint8Array {
    const { faults } = this.#network;
    if (channel !== Channel.Rpc || faults.torn === 0) return frame;
    const random = this.#network.randomOf(this.from.self, this.to.self);
    return random.chance(faults.torn) ? (faults.tear(frame, random) ?? frame) : frame;
  }

  /** In the channel's order, or `late`: past those that follow. */
  #arrival_ms(channel: Channel, late: boolean, late_ms: number): number {
    const network = this.#network;
    const [a, b] = [this.from.self, this.to.self];
    const at_ms = network.scheduler.now_ms + network.delay_ms(a, b);
    if (late) return at_ms + network.randomOf(a, b).between(0, late_ms);
    this.#lastArrival_ms[channel] = Math.max(at_ms, this.#lastArrival_ms[channel]!);
    return this.#lastArrival_ms[channel];
  }

  #at(at_ms: number, arrive: () => void): void {
    const network = this.#network;
    network.scheduler.at(at_ms, () => {
      if (this.#stuck.length > 0 || network.blocked(this.from.self, this.to.self)) this.#stuck.push(arrive);
      else arrive();
    });
  }

  #deliver(channel: Channel, sent: Uint8Array): void {
    if (!this.toOpen) {
      // The other side knows nothing of this connection any more and says so (RST).
      this.#notifyFrom();
      return;
    }
    const frame = channel === Channel.Raft ? this.#network.filtered(sent, this.from.self, this.to.self) : sent;
    if (frame === null) {
      this.#network.stats.lost++;
      return;
    }
    this.#network.stats.delivered++;
    this.to.clock.run(() => {
      if (this.toOpen) this.to.receive(this, channel, Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
    });
  }

  /** The network is whole again: what it held back goes on. Frames on their way do not pass those that wait. */
  unblock(): void {
    if (this.#stuck.length === 0 || this.#draining) return;
    this.#draining = true;
    const [a, b] = [this.from.self, this.to.self];
    this.#network.scheduler.after(this.#network.delay_ms(a, b), () => {
      this.#draining = false;
      if (this.#network.blocked(a, b)) return;
      const stuck = this.#stuck;
      this.#stuck = [];
      for (const arrive of stuck) arrive();
    });
  }

  // --------------------------------------------------------------------------------------------------------------- ending

  /** The dialler hangs up. */
  closeFrom(): void {
    if (!this.fromOpen) return;
    this.fromOpen = false;
    this.#stall?.cancel();
    this.#network.carry(this.from.self, this.to.self, () => this.to.clock.run(() => this.to.inboundEnded(this)));
    if (!this.toOpen) this.#network.unregister(this);
  }

  /** The acceptor hangs up. */
  closeTo(): void {
    if (!this.toOpen) return;
    this.toOpen = false;
    if (this.fromOpen) this.#notifyFrom();
    else this.#network.unregister(this);
  }

  /** Both sides learn at once that it has ended. What is on its way arrives nowhere. */
  breakOff(): void {
    this.to.clock.run(() => this.to.dropInbound(this));
    this.from.clock.run(() => this.from.outboundEnded(this));
  }

  #notifyFrom(): void {
    this.#network.carry(this.to.self, this.from.self, () => this.from.clock.run(() => this.from.outboundEnded(this)));
  }

  /** Nothing comes back from the other side: after a while the connection is given up. */
  #watchStall(): void {
    if (this.#stall !== null || !this.#silent()) return;
    this.#stall = this.from.clock.after(DEFAULT_LIMITS.stall_ms, () => {
      this.#stall = null;
      if (this.fromOpen && this.#silent()) this.from.outboundEnded(this);
    });
  }

  #silent(): boolean {
    const [a, b] = [this.from.self, this.to.self];
    return this.#network.blocked(a, b) || this.#network.blocked(b, a) || this.to.clock.paused;
  }
}

function limitOf(channel: Channel): number {
  const { raft_bytes, rpc_bytes, snapshot_bytes } = DEFAULT_LIMITS.queue;
  return [raft_bytes, rpc_bytes, snapshot_bytes][channel]!;
}
