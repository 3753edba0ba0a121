/**
 * What waits to be written to one peer, and in which order it goes. Per channel a bounded queue; between channels:
 * Raft and Rpc take turns fragment by fragment; Snapshot goes when neither waits and the peer has taken what was sent
 * (see `credit`), but never less than one fragment per `SNAPSHOT_SHARE_BYTES` of the others, so that a busy
 * link cannot keep a follower out for ever.
 */
import { Channel } from '../ports.js';
import { FRAGMENT_BYTES, FRAGMENT_HEADER_BYTES, FRAGMENT_PAYLOAD_BYTES, writeFragment } from './wire-frame.js';

export const SNAPSHOT_SHARE_BYTES = 1024 * 1024;

/** Bookkeeping per frame that counts against the bound, so that a flood of tiny frames is bounded too. */
const FRAME_OVERHEAD_BYTES = 64;

export interface QueueLimits {
  readonly raft_bytes: number;
  readonly rpc_bytes: number;
  readonly snapshot_bytes: number;
}

export class SendQueue {
  readonly #raft: ChannelQueue;
  readonly #rpc: ChannelQueue;
  readonly #snapshot: ChannelQueue;
  #rpcTurn = false;
  #sinceSnapshot_bytes = 0;

  constructor(limits: QueueLimits) {
    this.#raft = new ChannelQueue(Channel.Raft, limits.raft_bytes);
    this.#rpc = new ChannelQueue(Channel.Rpc, limits.rpc_bytes);
    this.#snapshot = new ChannelQueue(Channel.Snapshot, limits.snapshot_bytes);
  }

  /** False: the channel's queue is full. An empty queue takes any frame. */
  push(channel: Channel, frame: Uint8Array): boolean {
    if (channel === Channel.Raft) return this.#raft.push(frame);
    return channel === Channel.Rpc ? this.#rpc.push(frame) : this.#snapshot.push(frame);
  }

  get bytes(): number {
    return this.#raft.bytes + this.#rpc.bytes + this.#snapshot.bytes;
  }

  clear(): void {
    this.#raft.clear();
    this.#rpc.clear();
    this.#snapshot.clear();
    this.#sinceSnapshot_bytes = 0;
  }

  /**
   * Writes fragments into `target` from its start and returns where they end. Stops when nothing may go or when
   * another whole fragment might not fit. `credit` is how many bytes may be sent ahead of the peer before Snapshot has
   * to hold back.
   */
  fill(target: Buffer, room: number, credit: number): number {
    const limit = Math.min(room, target.length);
    let at = 0;
    while (at < limit && target.length - at >= FRAGMENT_BYTES) {
      const queue = this.#next(credit - at);
      if (queue === null) break;
      const end = queue.writeFragment(target, at);
      if (queue === this.#snapshot) this.#sinceSnapshot_bytes = 0;
      else if (!this.#snapshot.empty) this.#sinceSnapshot_bytes += end - at;
      at = end;
    }
    return at;
  }

  #next(credit: number): ChannelQueue | null {
    if (!this.#snapshot.empty && this.#sinceSnapshot_bytes >= SNAPSHOT_SHARE_BYTES) return this.#snapshot;
    const first = this.#rpcTurn ? this.#rpc : this.#raft;
    const second = this.#rpcTurn ? this.#raft : this.#rpc;
    if (!first.empty) {
      this.#rpcTurn = !this.#rpcTurn;
      return first;
    }
    if (!second.empty) return second;
    return !this.#snapshot.empty && credit > 0 ? this.#snapshot : null;
  }
}

class ChannelQueue {
  readonly #channel: Channel;
  readonly #limit_bytes: number;
  #frames: Uint8Array[] = [];
  #head = 0;
  /** How much of the first frame has gone. */
  #offset = 0;
  bytes = 0;

  constructor(channel: Channel, limit_bytes: number) {
    this.#channel = channel;
    this.#limit_bytes = limit_bytes;
  }

  get empty(): boolean {
    return this.#head === this.#frames.length;
  }

  push(frame: Uint8Array): boolean {
    const bytes = frame.length + FRAME_OVERHEAD_BYTES;
    if (this.bytes > 0 && this.bytes + bytes > this.#limit_bytes) return false;
    this.#frames.push(frame);
    this.bytes += bytes;
    return true;
  }

  writeFragment(target: Buffer, at: number): number {
    const frame = this.#frames[this.#head]!;
    const length = Math.min(frame.length - this.#offset, FRAGMENT_PAYLOAD_BYTES);
    const end = writeFragment(target, at, this.#channel, frame, this.#offset, length);
    this.#offset += length;
    this.bytes -= end - at - FRAGMENT_HEADER_BYTES;
    if (this.#offset === frame.length) this.#shift();
    return end;
  }

  #shift(): void {
    this.bytes -= FRAME_OVERHEAD_BYTES;
    this.#offset = 0;
    this.#head++;
    if (this.#head === this.#frames.length) {
      this.#frames.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    } else {
      this.#frames[this.#head - 1] = NOTHING;
    }
  }

  clear(): void {
    this.#frames = [];
    this.#head = 0;
    this.#offset = 0;
    this.bytes = 0;
  }
}

/** Takes the place of a frame that has gone, so that its memory can go too. */
const NOTHING = new Uint8Array(0);
