/**
 * Requests and answers between nodes, over the peer stream. A call ends in exactly one of three ways, and the difference
 * is what makes retries safe: answered, certainly not delivered, or unknown.
 *
 * frame := version:u8(1) kind:u8 method:u8 session:u32le id:u32le body       kind: 0 request, 1 reply
 *
 * The session is drawn at random when a process starts: a late answer to a call of its predecessor on the same node must
 * not be taken for the answer to a new call with the same number.
 */
import { Channel, type Clock, type NodeId, type Random, type Timer, type Transport } from '../../raft/index.js';

const VERSION = 1;
const REQUEST = 0;
const REPLY = 1;
const HEADER_BYTES = 11;
const SWEEP_MS = 50;
/** Of answers to one peer that wait for the connection to it. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;

export const Method = {
  Hello: 1,
  Write: 2,
  Get: 3,
  List: 4,
  SlotCommand: 5,
  Copy: 6,
  Page: 7,
  ShardQuery: 8,
  Controller: 9,
  NodeStatus: 10,
  NodeReport: 11,
  Members: 12,
  Load: 13,
  Balance: 14,
  View: 15,
  Verify: 16,
} as const;
export type Method = (typeof Method)[keyof typeof Method];

export type CallResult =
  | { readonly kind: 'reply'; readonly body: Buffer }
  /** Never reached the peer. */
  | { readonly kind: 'unsent' }
  /** May have been carried out. */
  | { readonly kind: 'lost' };

const LOST: CallResult = { kind: 'lost' };

export type Reply = (body: Uint8Array) => void;
export type Handler = (from: NodeId, body: Buffer, reply: Reply) => void;

interface Held {
  readonly frames: Buffer[];
  bytes: number;
}

interface Call {
  readonly to: NodeId;
  readonly deadline_ms: number;
  readonly done: (result: CallResult) => void;
}

export class Rpc {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #handlers = new Map<number, Handler>();
  readonly #calls = new Map<number, Call>();
  /** Each direction has a stream of its own: a peer whose request has come may not be connected to yet, or not any more. */
  readonly #held = new Map<NodeId, Held>();
  readonly #connected = new Set<NodeId>();
  readonly #session: number;
  #nextId = 1;
  #sweeper: Timer | null = null;
  #closed = false;

  constructor(transport: Transport, clock: Clock, random: Random) {
    this.#session = Math.floor(random.next() * 2 ** 32) >>> 0;
    this.#transport = transport;
    this.#clock = clock;
    transport.onFrame(Channel.Rpc, (from, frame) => this.#onFrame(from, frame));
    transport.onPeer((peer, event) => {
      if (event.kind === 'up') {
        this.#connected.add(peer);
        this.#sendHeld(peer);
        return;
      }
      this.#connected.delete(peer);
      this.#failAll(peer);
      // Whoever asked is no more, or none of us.
      if (event.kind !== 'lost') this.#held.delete(peer);
    });
  }

  get self(): NodeId {
    return this.#transport.self;
  }

  handle(method: Method, handler: Handler): void {
    this.#handlers.set(method, handler);
  }

  /** Calls `done` exactly once, not before it returns. */
  call(to: NodeId, method: Method, body: Uint8Array, timeout_ms: number, done: (result: CallResult) => void): void {
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) >>> 0;
    const taken =
      !this.#closed && this.#transport.send(to, Channel.Rpc, frameOf(REQUEST, method, this.#session, id, body));
    if (!taken) {
      this.#clock.soon(() => done({ kind: 'unsent' }));
      return;
    }
    this.#calls.set(id, { to, deadline_ms: this.#clock.monotonic_ms() + timeout_ms, done });
    this.#sweeper ??= this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  ask(to: NodeId, method: Method, body: Uint8Array, timeout_ms: number): Promise<CallResult> {
    return new Promise((resolve) => this.call(to, method, body, timeout_ms, resolve));
  }

  #onFrame(from: NodeId, frame: Buffer): void {
    if (this.#closed || frame.length < HEADER_BYTES || frame[0] !== VERSION) return;
    const method = frame[2]!;
    const session = frame.readUInt32LE(3);
    const id = frame.readUInt32LE(7);
    const body = frame.subarray(HEADER_BYTES);
    if (frame[1] === REQUEST) {
      this.#handlers.get(method)?.(from, body, (answer) => {
        if (!this.#closed) this.#reply(from, frameOf(REPLY, method, session, id, answer));
      });
      return;
    }
    const call = this.#calls.get(id);
    if (frame[1] !== REPLY || session !== this.#session || call === undefined || call.to !== from) return;
    this.#calls.delete(id);
    call.done({ kind: 'reply', body });
  }

  #reply(to: NodeId, frame: Buffer): void {
    // While connected, what is not taken is too much: the asker's deadline ends the call.
    if (this.#transport.send(to, Channel.Rpc, frame) || this.#connected.has(to)) return;
    const held = this.#held.get(to) ?? { frames: [], bytes: 0 };
    if (held.bytes + frame.length > HELD_BYTES_MAX) return;
    held.frames.push(frame);
    held.bytes += frame.length;
    this.#held.set(to, held);
  }

  /** An answer that comes too late finds no call. */
  #sendHeld(peer: NodeId): void {
    const held = this.#held.get(peer);
    this.#held.delete(peer);
    for (const frame of held?.frames ?? []) this.#transport.send(peer, Channel.Rpc, frame);
  }

  /** One timer for all calls: a deadline is kept to within a sweep. */
  #sweep(): void {
    this.#sweeper = null;
    const now = this.#clock.monotonic_ms();
    for (const [id, call] of this.#calls) {
      if (call.deadline_ms > now) continue;
      this.#calls.delete(id);
      call.done(LOST);
    }
    if (this.#calls.size > 0 && !this.#closed) this.#sweeper = this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  #failAll(peer: NodeId): void {
    // A call that is made because another one was lost is none of those that the peer took with it.
    for (const [id, call] of [...this.#calls]) {
      if (call.to !== peer || !this.#calls.delete(id)) continue;
      call.done(LOST);
    }
  }

  close(): void {
    this.#closed = true;
    this.#sweeper?.cancel();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#held.clear();
    for (const call of calls) call.done(LOST);
  }
}

function frameOf(kind: number, method: number, session: number, id: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame[0] = VERSION;
  frame[1] = kind;
  frame[2] = method;
  frame.writeUInt32LE(session, 3);
  frame.writeUInt32LE(id, 7);
  frame.set(body, HEADER_BYTES);
  return frame;
}
