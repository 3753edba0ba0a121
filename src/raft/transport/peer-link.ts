/**
 * The way to one peer: one connection at a time, dialled by us and used only for sending. What comes back on it is the
 * answer to the handshake and then acknowledgements, each the count (u64) of bytes the peer has taken since.
 *
 *   waiting ──dial──► dialling ──answer ok──► up
 *      ▲                 │                     │
 *      └──── back-off ◄──┴───── broken ◄───────┘     a connection that had been up is dialled again at once
 */
import type { Socket } from 'node:net';
import type { NodeId } from '../core/index.js';
import { Channel, type PeerAddress, type PeerEvent, type Timer } from '../ports.js';
import {
  decodeAnswer,
  encodeHello,
  type Greeting,
  GreetingReader,
  type Identity,
  PROTOCOL_VERSION,
  type Refusal,
  refusalText,
  refuseIdentity,
  stillAgrees,
} from './handshake.js';
import type { LinkContext } from './link-context.js';
import { MalformedFrame } from './malformed-frame.js';
import { SendQueue } from './send-queue.js';
import { dial, parseAddress } from './tcp-sockets.js';

/** A connection that lasted less than this is not dialled again at once: it would be broken again at once. */
const STABLE_AFTER_ms = 1000;
/** A dial that has waited so long is not worth waiting for once the peer is known to be back. */
const STALE_DIAL_ms = 200;
const ACK_BYTES = 8;
export const TICK_ms = 1000;

interface Ending {
  readonly reason: string;
  readonly refusal?: Refusal;
  readonly gone?: boolean;
}

export class PeerLink {
  readonly #context: LinkContext;
  readonly #peer: NodeId;
  readonly #queue: SendQueue;
  readonly #onDrain = (): void => this.#flush();
  readonly #flushDueNow = (): void => {
    this.#dueNow = false;
    this.#flush();
  };
  readonly #flushDueSoon = (): void => {
    this.#dueSoon = false;
    this.#flush();
  };
  #address: PeerAddress;
  #phase: 'waiting' | 'dialling' | 'up' | 'closed' = 'waiting';
  #socket: Socket | null = null;
  /** Back-off while waiting, end of patience while dialling. */
  #timer: Timer | null = null;
  #since_ms = 0;
  #backoff_ms: number;
  #own: Identity;
  #shown: Identity | null = null;
  #maxFrame_bytes = 0;
  #sent_bytes = 0;
  #acked_bytes = 0;
  #ackTail: Buffer = Buffer.alloc(0);
  #ackedAtTick_bytes = 0;
  #stalledTicks = 0;
  /** A flush is due at the end of the current callback, or of the current turn. */
  #dueNow = false;
  #dueSoon = false;
  /** The last event that said why there is no connection, told once. */
  #told: string | null = null;

  constructor(context: LinkContext, peer: NodeId, address: PeerAddress) {
    this.#context = context;
    this.#peer = peer;
    this.#address = address;
    this.#queue = new SendQueue(context.limits.queue);
    this.#backoff_ms = context.limits.backoffMin_ms;
    this.#own = context.identity();
  }

  get isUp(): boolean {
    return this.#phase === 'up';
  }

  get queued_bytes(): number {
    return this.#queue.bytes;
  }

  /** Takes over a changed address or incarnation; a connection that does not fit it is broken. */
  update(address: PeerAddress): void {
    const moved = address.address !== this.#address.address;
    const renamed = address.incarnation !== this.#address.incarnation;
    this.#address = address;
    if (moved) {
      this.#end(this.#socket, { reason: `the peer is at ${address.address} now` });
    } else if (renamed && this.#shown !== null) {
      const refusal = refuseIdentity(this.#own, this.#shown, address.incarnation);
      if (refusal !== null) this.#end(this.#socket, { reason: refusalText(refusal), refusal });
    }
    if ((moved || renamed) && this.#phase === 'waiting') this.dial();
  }

  /** The peer has just dialled us, so it is there: no more waiting. */
  peerDialled(): void {
    this.#backoff_ms = this.#context.limits.backoffMin_ms;
    const stale = this.#phase === 'dialling' && this.#context.clock.monotonic_ms() - this.#since_ms > STALE_DIAL_ms;
    if (stale) this.#abandon();
    if (this.#phase === 'waiting') this.dial();
  }

  close(): void {
    this.#abandon();
    this.#phase = 'closed';
    this.#queue.clear();
  }

  // ---------------------------------------------------------------------------------------------------------- connecting

  dial(): void {
    const { clock, limits, counters, tls } = this.#context;
    this.#timer?.cancel();
    const to = parseAddress(this.#address.address);
    if (to === null) {
      const reason = `not an address: ${this.#address.address}`;
      if (this.#told !== reason) this.#report('outbound_broken', reason);
      this.#told = reason;
      this.#wait();
      return;
    }
    counters.dials++;
    this.#phase = 'dialling';
    this.#since_ms = clock.monotonic_ms();
    const { socket, ready } = dial(to, tls);
    this.#socket = socket;
    this.#timer = clock.after(limits.handshake_ms, () => this.#end(socket, { reason: 'no answer in time' }));
    let failure: NodeJS.ErrnoException | null = null;
    const reader = new GreetingReader();
    socket.on('error', (error) => {
      failure = error;
    });
    socket.once(ready, () => this.#greet(socket));
    socket.on('data', (chunk) => this.#onData(socket, reader, chunk));
    socket.on('drain', this.#onDrain);
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      this.#end(socket, { reason: failure?.message ?? 'closed by the peer', gone: failure?.code === 'ECONNREFUSED' });
    });
  }

  #greet(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#own = this.#context.identity();
    socket.write(encodeHello({ ...this.#own, target: this.#peer }));
  }

  #onData(socket: Socket, reader: GreetingReader, chunk: Buffer): void {
    if (socket !== this.#socket) return;
    try {
      if (this.#phase === 'up') {
        this.#onAcks(chunk);
      } else {
        const greeting = reader.push(chunk);
        if (greeting !== null) this.#onAnswer(socket, greeting);
      }
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.#context.counters.malformed++;
      this.#end(socket, { reason: error.message });
    }
  }

  #onAnswer(socket: Socket, greeting: Greeting): void {
    if (greeting.version !== PROTOCOL_VERSION) {
      const detail = `${this.#peer} speaks protocol version ${greeting.version}, we speak ${PROTOCOL_VERSION}`;
      this.#refuse(socket, { name: 'unknown_version', detail });
      return;
    }
    const answer = decodeAnswer(greeting.body);
    const meant = answer.node === this.#peer;
    const refusal =
      answer.refusal ??
      (meant ? null : { name: 'wrong_node' as const, detail: `${this.#peer} was meant, ${answer.node} answered` }) ??
      refuseIdentity(this.#own, answer, this.#address.incarnation);
    if (refusal !== null) {
      this.#refuse(socket, refusal);
      return;
    }
    this.#shown = { clusterId: answer.clusterId, node: answer.node, incarnation: answer.incarnation };
    this.#maxFrame_bytes = Math.min(answer.maxFrame_bytes, this.#context.limits.frame_bytes);
    this.#open(greeting.rest);
  }

  #open(rest: Buffer): void {
    const shown = this.#shown!;
    this.#timer?.cancel();
    this.#timer = null;
    this.#phase = 'up';
    this.#since_ms = this.#context.clock.monotonic_ms();
    this.#backoff_ms = this.#context.limits.backoffMin_ms;
    this.#sent_bytes = 0;
    this.#acked_bytes = 0;
    this.#ackedAtTick_bytes = 0;
    this.#stalledTicks = 0;
    this.#ackTail = Buffer.alloc(0);
    this.#told = null;
    if (rest.length > 0) this.#onAcks(rest);
    if (this.#own.clusterId === null && shown.clusterId !== null) {
      this.#context.learnClusterId(shown.clusterId, shown.node);
    }
    this.#context.emit(this.#peer, { kind: 'up', incarnation: shown.incarnation });
  }

  #refuse(socket: Socket, refusal: Refusal): void {
    this.#context.counters.refusals++;
    this.#end(socket, { reason: refusalText(refusal), refusal });
  }

  // -------------------------------------------------------------------------------------------------------- disconnecting

  #end(socket: Socket | null, ending: Ending): void {
    if (socket === null || socket !== this.#socket) return;
    const wasUp = this.#phase === 'up';
    const stable = wasUp && this.#context.clock.monotonic_ms() - this.#since_ms >= STABLE_AFTER_ms;
    this.#abandon();
    if (wasUp) this.#report('outbound_broken', ending.reason);
    if (wasUp) this.#context.emit(this.#peer, { kind: 'lost' });
    if (ending.refusal !== undefined) {
      this.#tellOnce(ending.reason, { kind: 'refused', reason: ending.reason });
    } else if (ending.gone === true) {
      this.#tellOnce('gone', { kind: 'gone' });
    }
    // A listener may have closed us or dialled by now.
    if (this.#phase !== 'waiting' || this.#timer !== null) return;
    if (stable && ending.refusal === undefined) this.dial();
    else this.#wait();
  }

  /** Drops the connection without a word. */
  #abandon(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const socket = this.#socket;
    this.#socket = null;
    this.#shown = null;
    this.#phase = 'waiting';
    this.#queue.clear();
    socket?.destroy();
  }

  #wait(): void {
    const { clock, random, limits } = this.#context;
    const delay_ms = this.#backoff_ms * (0.5 + random.next() / 2);
    this.#backoff_ms = Math.min(this.#backoff_ms * 2, limits.backoffMax_ms);
    this.#timer = clock.after(delay_ms, () => {
      this.#timer = null;
      if (this.#phase === 'waiting') this.dial();
    });
  }

  #tellOnce(what: string, event: PeerEvent): void {
    if (this.#told === what) return;
    this.#told = what;
    if (event.kind === 'refused') this.#report('outbound_refused', event.reason);
    this.#context.emit(this.#peer, event);
  }

  #report(name: 'outbound_broken' | 'outbound_refused' | 'frame_too_large', reason: string): void {
    this.#context.report({ name, node: this.#peer, remote: this.#address.address, reason });
  }

  // -------------------------------------------------------------------------------------------------------------- sending

  send(channel: Channel, frame: Uint8Array): boolean {
    if (this.#phase !== 'up') return false;
    if (frame.length > this.#maxFrame_bytes) {
      this.#report('frame_too_large', `a frame of ${frame.length} bytes, the peer takes ${this.#maxFrame_bytes}`);
      return false;
    }
    if (!this.#queue.push(channel, frame)) {
      this.#context.counters.framesRejected++;
      return false;
    }
    this.#context.counters.framesSent++;
    this.#schedule(channel);
    return true;
  }

  /**
   * Raft's frames are batched by the one who sends them, once per turn: they go when the current callback ends, and take
   * along what waits on the other channels. Others wait for the end of the turn, so that many answers make one write.
   */
  #schedule(channel: Channel): void {
    if (channel === Channel.Raft) {
      if (this.#dueNow) return;
      this.#dueNow = true;
      process.nextTick(this.#flushDueNow);
    } else if (!this.#dueNow && !this.#dueSoon) {
      this.#dueSoon = true;
      this.#context.clock.soon(this.#flushDueSoon);
    }
  }

  #flush(): void {
    if (this.#phase !== 'up' || !this.#checkCluster()) return;
    const { limits, writer, counters } = this.#context;
    const socket = this.#socket!;
    for (;;) {
      const room = limits.socket_bytes - socket.writableLength;
      if (room <= 0) return;
      const credit = limits.snapshotWindow_bytes - (this.#sent_bytes - this.#acked_bytes);
      const bytes = this.#queue.fill(writer.buffer, room, credit);
      if (bytes === 0) return;
      this.#sent_bytes += bytes;
      counters.sent_bytes += bytes;
      counters.writes++;
      writer.write(socket, bytes);
    }
  }

  #checkCluster(): boolean {
    const now = this.#context.identity().clusterId;
    if (stillAgrees(this.#own.clusterId, this.#shown!.clusterId, now)) return true;
    this.#end(this.#socket, { reason: 'the cluster id changed since the handshake' });
    return false;
  }

  #onAcks(chunk: Buffer): void {
    const bytes = this.#ackTail.length === 0 ? chunk : Buffer.concat([this.#ackTail, chunk]);
    const whole = bytes.length - (bytes.length % ACK_BYTES);
    this.#ackTail = bytes.subarray(whole);
    if (whole === 0) return;
    // The counts only grow, so the last one says it all.
    const acked = Number(bytes.readBigUInt64LE(whole - ACK_BYTES));
    if (acked < this.#acked_bytes || acked > this.#sent_bytes) {
      throw new MalformedFrame(`${acked} bytes acknowledged of ${this.#sent_bytes}`);
    }
    this.#acked_bytes = acked;
    this.#flush();
  }

  /** Once per `TICK_ms`. Counts ticks, not time, so that a pause of this very process does not count against the peer. */
  tick(): void {
    if (this.#phase !== 'up' || !this.#checkCluster()) return;
    const waiting = this.#sent_bytes > this.#acked_bytes && this.#acked_bytes === this.#ackedAtTick_bytes;
    this.#stalledTicks = waiting ? this.#stalledTicks + 1 : 0;
    this.#ackedAtTick_bytes = this.#acked_bytes;
    if (this.#stalledTicks * TICK_ms < this.#context.limits.stall_ms) return;
    this.#end(this.#socket, { reason: `nothing acknowledged for ${this.#context.limits.stall_ms} ms` });
  }
}
