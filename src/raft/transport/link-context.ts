/** What every connection of one transport shares: who we are, limits, time and chance, and where to report. */
import type { Socket } from 'node:net';
import type { NodeId } from '../core/index.js';
import type { Clock, PeerEvent, Random } from '../ports.js';
import type { Identity } from './handshake.js';
import type { QueueLimits } from './send-queue.js';
import type { TransportTls } from './tcp-sockets.js';
import { FRAGMENT_BYTES } from './wire-frame.js';

export interface TransportLimits {
  /** Bigger frames are neither sent nor accepted. */
  readonly frame_bytes: number;
  /** Per peer and channel. */
  readonly queue: QueueLimits;
  /** What may wait in the socket's own buffer: beyond that, frames wait where priorities still count. */
  readonly socket_bytes: number;
  /** How far Snapshot may run ahead of what the peer has confirmed. At least 256 KiB, since peers confirm in steps of 128 KiB. */
  readonly snapshotWindow_bytes: number;
  /** From the start of a dial, or from an accepted socket, to the end of the handshake. */
  readonly handshake_ms: number;
  /** A connection on which the peer confirms nothing for so long, though something was sent, is dead. Whole seconds. */
  readonly stall_ms: number;
  readonly backoffMin_ms: number;
  readonly backoffMax_ms: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: TransportLimits = {
  frame_bytes: 64 * MIB,
  queue: { raft_bytes: 64 * MIB, rpc_bytes: 64 * MIB, snapshot_bytes: 16 * MIB },
  socket_bytes: 256 * 1024,
  snapshotWindow_bytes: 512 * 1024,
  handshake_ms: 3000,
  stall_ms: 10_000,
  backoffMin_ms: 50,
  backoffMax_ms: 1000,
};

/** Something an operator may want to read. Nothing has to be done about it. */
export interface TransportEvent {
  readonly name:
    | 'inbound_refused'
    | 'inbound_broken'
    | 'outbound_refused'
    | 'outbound_broken'
    | 'frame_too_large'
    | 'listener';
  /** The peer, as far as it is known. */
  readonly node: NodeId | null;
  readonly remote: string;
  readonly reason: string;
}

/** Totals since the transport was opened, except where they say what is now. */
export interface TransportStats {
  /** Now: peers we can send to. */
  readonly connected: number;
  /** Now: peers that can send to us. */
  readonly inbound: number;
  /** Now: bytes in all send queues, with some overhead per frame. */
  readonly queued_bytes: number;
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Frames that `send` did not take because a queue was full. */
  readonly framesRejected: number;
  readonly sent_bytes: number;
  readonly received_bytes: number;
  readonly writes: number;
  readonly dials: number;
  /** Handshakes that ended with a refusal, by either side. */
  readonly refusals: number;
  /** Connections broken because of bytes that no healthy peer sends. */
  readonly malformed: number;
}

export type Counters = {
  -readonly [K in Exclude<keyof TransportStats, 'connected' | 'inbound' | 'queued_bytes'>]: number;
};

export function newCounters(): Counters {
  return {
    framesSent: 0,
    framesReceived: 0,
    framesRejected: 0,
    sent_bytes: 0,
    received_bytes: 0,
    writes: 0,
    dials: 0,
    refusals: 0,
    malformed: 0,
  };
}

export interface LinkContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: TransportLimits;
  readonly tls: TransportTls | undefined;
  readonly counters: Counters;
  readonly writer: SocketWriter;
  /** This node as of now: its cluster id may come later. */
  identity(): Identity;
  /** Called with the cluster id of a peer while this node has none. */
  learnClusterId(clusterId: string, from: NodeId): void;
  emit(peer: NodeId, event: PeerEvent): void;
  report(event: TransportEvent): void;
}

/**
 * One buffer in which the fragments of a write are laid side by side: copying small frames into one write is cheaper than
 * handing the kernel a vector of them. A write that the kernel takes at once leaves the buffer free for the next one;
 * otherwise it stays with the socket and a new one is made.
 */
export class SocketWriter {
  buffer: Buffer;

  constructor(size_bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(size_bytes, 2 * FRAGMENT_BYTES));
  }

  /** Writes the first `bytes` bytes of `buffer`. */
  write(socket: Socket, bytes: number): void {
    if (socket.writableLength > 0) {
      socket.write(Buffer.from(this.buffer.subarray(0, bytes)));
      return;
    }
    socket.write(this.buffer.subarray(0, bytes));
    if (socket.writableLength > 0) this.buffer = Buffer.allocUnsafeSlow(this.buffer.length);
  }
}
