/**
 * A connection that a peer dialled: it only brings frames. All that goes back is the answer to the handshake and, as bytes
 * are taken, their count: with it the sender knows that the connection lives and how far a snapshot may run ahead. One who
 * only asks who is here gets the answer and nothing else.
 */
import type { Socket } from 'node:net';
import type { NodeId } from '../core/index.js';
import type { Channel, Timer } from '../ports.js';
import {
  decodeHello,
  encodeAnswer,
  type Greeting,
  GreetingReader,
  type Identity,
  PROTOCOL_VERSION,
  type Refusal,
  refusalText,
  refuseIdentity,
  refuseTarget,
  stillAgrees,
} from './handshake.js';
import type { LinkContext, TransportEvent } from './link-context.js';
import { MalformedFrame } from './malformed-frame.js';
import { remoteName } from './tcp-sockets.js';
import { FrameParser } from './wire-frame.js';

/** Bytes taken before the sender is told, unless the tick comes first. */
const ACK_EVERY_BYTES = 128 * 1024;
/** How long dead hosts may keep a socket of ours. */
const KEEP_ALIVE_ms = 30_000;

export interface InboundOwner {
  /** The incarnation this node expects of a peer; null if it knows none. */
  expected(node: NodeId): string | null;
  /** A reason not to listen to this peer, beyond what the handshake checks; null if there is none. */
  admit(peer: Identity): string | null;
  accepted(connection: InboundConnection): void;
  closed(connection: InboundConnection): void;
  deliver(from: NodeId, channel: Channel, frame: Buffer): void;
}

export class InboundConnection {
  readonly #context: LinkContext;
  readonly #owner: InboundOwner;
  readonly #socket: Socket;
  readonly #remote: string;
  readonly #reader = new GreetingReader();
  readonly #parser: FrameParser;
  #own: Identity;
  #peer: Identity | null = null;
  /** `answered`: the last word has been said (a refusal, or who is here), and the connection ends. */
  #phase: 'greeting' | 'open' | 'answered' | 'closed' = 'greeting';
  #deadline: Timer;
  #taken_bytes = 0;
  #acked_bytes = 0;

  constructor(context: LinkContext, owner: InboundOwner, socket: Socket) {
    this.#context = context;
    this.#owner = owner;
    this.#socket = socket;
    this.#remote = remoteName(socket);
    this.#own = context.identity();
    this.#parser = new FrameParser(context.limits.frame_bytes, (channel, frame) => {
      context.counters.framesReceived++;
      owner.deliver(this.#peer!.node, channel, frame);
    });
    this.#deadline = context.clock.after(context.limits.handshake_ms, () => this.close('no handshake in time'));
    socket.setKeepAlive(true, KEEP_ALIVE_ms);
    socket.on('error', () => {
      // 'close' follows and says all that matters.
    });
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.once('close', () => this.close(null));
  }

  /** The peer, once it is accepted. */
  get peer(): Identity | null {
    return this.#peer;
  }

  /** Ends the connection. `reason` null: it had ended by itself. */
  close(reason: string | null): void {
    if (this.#phase === 'closed') return;
    if (reason !== null && this.#phase !== 'answered') this.#report('inbound_broken', reason);
    this.#phase = 'closed';
    this.#deadline.cancel();
    this.#parser.stop();
    this.#socket.destroy();
    this.#owner.closed(this);
  }

  /** Breaks the connection if what it was accepted on holds no more. */
  recheck(): void {
    if (this.#phase !== 'open') return;
    const refusal = this.#objection(this.#peer!);
    if (refusal !== null) this.close(refusalText(refusal));
    else this.#checkCluster();
  }

  /** Tells the sender what was taken since the last time. */
  tick(): void {
    if (this.#phase === 'open' && this.#checkCluster()) this.#acknowledge();
  }

  #onData(chunk: Buffer): void {
    try {
      if (this.#phase === 'open') {
        this.#onFrames(chunk);
      } else if (this.#phase === 'greeting') {
        const greeting = this.#reader.push(chunk);
        if (greeting !== null) this.#onHello(greeting);
      }
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.#context.counters.malformed++;
      this.close(error.message);
    }
  }

  #onHello(greeting: Greeting): void {
    if (greeting.version !== PROTOCOL_VERSION) {
      const detail = `${this.#own.node} speaks protocol version ${PROTOCOL_VERSION}, not ${greeting.version}`;
      this.#refuse(null, { name: 'unknown_version', detail });
      return;
    }
    const hello = decodeHello(greeting.body);
    this.#own = this.#context.identity();
    const refusal = refuseTarget(this.#own.node, hello.target) ?? this.#objection(hello);
    if (refusal !== null) {
      this.#refuse(hello.node, refusal);
      return;
    }
    if (hello.target === null) {
      this.#hangUp(null);
      return;
    }
    this.#deadline.cancel();
    this.#peer = { clusterId: hello.clusterId, node: hello.node, incarnation: hello.incarnation };
    this.#phase = 'open';
    this.#socket.write(this.#answer(null));
    if (this.#own.clusterId === null && hello.clusterId !== null) {
      this.#context.learnClusterId(hello.clusterId, hello.node);
    }
    this.#owner.accepted(this);
    if (greeting.rest.length > 0) this.#onFrames(greeting.rest);
  }

  #objection(peer: Identity): Refusal | null {
    const refusal = refuseIdentity(this.#own, peer, this.#owner.expected(peer.node));
    if (refusal !== null) return refusal;
    const detail = this.#owner.admit(peer);
    return detail === null ? null : { name: 'not_admitted', detail };
  }

  #refuse(node: NodeId | null, refusal: Refusal): void {
    this.#context.counters.refusals++;
    this.#report('inbound_refused', refusalText(refusal), node);
    this.#hangUp(refusal);
  }

  /** Answers and ends the connection; the deadline sees to it if the other side does not. */
  #hangUp(refusal: Refusal | null): void {
    this.#phase = 'answered';
    this.#socket.end(this.#answer(refusal));
  }

  #answer(refusal: Refusal | null): Buffer {
    return encodeAnswer({ ...this.#own, refusal, maxFrame_bytes: this.#context.limits.frame_bytes });
  }

  #onFrames(chunk: Buffer): void {
    if (this.#phase !== 'open' || !this.#checkCluster()) return;
    this.#context.counters.received_bytes += chunk.length;
    this.#parser.push(chunk);
    this.#taken_bytes += chunk.length;
    if (this.#taken_bytes - this.#acked_bytes >= ACK_EVERY_BYTES) this.#acknowledge();
  }

  #acknowledge(): void {
    // Counts are cumulative: while one has not left, the next can wait.
    if (this.#phase !== 'open' || this.#taken_bytes === this.#acked_bytes || this.#socket.writableLength > 0) return;
    this.#acked_bytes = this.#taken_bytes;
    const count = Buffer.allocUnsafe(8);
    count.writeBigUInt64LE(BigInt(this.#taken_bytes));
    this.#socket.write(count);
  }

  #checkCluster(): boolean {
    const now = this.#context.identity().clusterId;
    if (stillAgrees(this.#own.clusterId, this.#peer!.clusterId, now)) return true;
    this.close('the cluster id changed since the handshake');
    return false;
  }

  #report(name: TransportEvent['name'], reason: string, node: NodeId | null = this.#peer?.node ?? null): void {
    this.#context.report({ name, node, remote: this.#remote, reason });
  }
}
