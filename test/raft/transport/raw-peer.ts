/** The protocol spoken by hand, to say to a transport what no transport would say, and to see exactly what one sends. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Channel } from '../../../src/raft/index.js';
import { encodeAnswer, encodeHello, GreetingReader } from '../../../src/raft/transport/handshake.js';
import { FrameParser, writeFragment } from '../../../src/raft/transport/wire-frame.js';
import { until } from './tcp-world.js';

/** One whole frame as a single fragment. */
export function fragment(channel: Channel, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + payload.length);
  writeFragment(out, 0, channel, payload, 0, payload.length);
  return out;
}

/** A client that has dialled and seen `received` since. */
export class RawClient {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  closed = false;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port });
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  /** Passes the handshake as the node `node`; without a target it only asks who is there. */
  async greet(node: string, target: string | null, clusterId: string | null = 'c1'): Promise<void> {
    this.socket.write(encodeHello({ clusterId, node, incarnation: 'raw', target }));
    await until(() => this.received.length > 0, 'an answer to the hello');
  }

  ended(): Promise<void> {
    return until(() => this.closed, 'the connection to be closed');
  }
}

/** A peer that accepts, answers as told and acknowledges only when told. */
export class RawServer {
  readonly frames: { readonly channel: Channel; readonly bytes: number }[] = [];
  readonly sockets: Socket[] = [];
  received_bytes = 0;
  readonly #server: Server;
  readonly #node: string;
  readonly #greeting: Buffer | null;
  readonly #parsers: FrameParser[] = [];

  private constructor(node: string, greeting: Buffer | null) {
    this.#node = node;
    this.#greeting = greeting;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** `greeting` replaces the answer that a healthy peer would give. */
  static async open(node: string, greeting: Buffer | null = null): Promise<RawServer> {
    const server = new RawServer(node, greeting);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return `127.0.0.1:${address.port}`;
  }

  #accept(socket: Socket): void {
    this.sockets.push(socket);
    socket.on('error', () => {});
    const reader = new GreetingReader();
    const parser = new FrameParser(64 * 1024 * 1024, (channel, frame) => {
      this.frames.push({ channel, bytes: frame.length });
    });
    this.#parsers.push(parser);
    let greeted = false;
    socket.on('data', (chunk) => {
      if (greeted) {
        this.received_bytes += chunk.length;
        parser.push(chunk);
      } else if (reader.push(chunk) !== null) {
        greeted = true;
        const identity = { clusterId: 'c1', node: this.#node, incarnation: 'raw' };
        socket.write(this.#greeting ?? encodeAnswer({ ...identity, refusal: null, maxFrame_bytes: 64 * 1024 * 1024 }));
      }
    });
  }

  acknowledge(bytes: number): void {
    const count = Buffer.alloc(8);
    count.writeBigUInt64LE(BigInt(bytes));
    this.sockets.at(-1)!.write(count);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
