/**
 * One question on a connection of its own: who listens at an address? A hello without a target, the answer, the end. It
 * makes this node no peer of the one it asks; whoever wants to be one dials it by name.
 */
import type { Socket } from 'node:net';
import type { Discovered, Timer } from '../ports.js';
import {
  decodeAnswer,
  encodeHello,
  type Greeting,
  GreetingReader,
  PROTOCOL_VERSION,
  refusalText,
  refuseIdentity,
} from './handshake.js';
import type { LinkContext, TransportEvent } from './link-context.js';
import { MalformedFrame } from './malformed-frame.js';
import { dial, parseAddress } from './tcp-sockets.js';

export class Discovery {
  /** Who is there, or null: nobody answered in time, was refused, or was no node of this protocol version. Never rejects. */
  readonly result: Promise<Discovered | null>;
  readonly #context: LinkContext;
  readonly #address: string;
  readonly #reader = new GreetingReader();
  #socket: Socket | null = null;
  #deadline: Timer | null = null;
  #resolve: (found: Discovered | null) => void = () => {};

  /** Dials at once. */
  constructor(context: LinkContext, address: string) {
    this.#context = context;
    this.#address = address;
    this.result = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#dial();
  }

  /** Nobody wants to know any more. */
  cancel(): void {
    this.#end(null);
  }

  #dial(): void {
    const { clock, limits, counters, tls } = this.#context;
    const to = parseAddress(this.#address);
    if (to === null) {
      this.#report('outbound_broken', `not an address: ${this.#address}`);
      this.#end(null);
      return;
    }
    counters.dials++;
    const { socket, ready } = dial(to, tls);
    this.#socket = socket;
    this.#deadline = clock.after(limits.handshake_ms, () => this.#end(null));
    socket.on('error', () => {
      // 'close' follows and says all that matters.
    });
    socket.once(ready, () => socket.write(encodeHello({ ...this.#context.identity(), target: null })));
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.once('close', () => this.#end(null));
  }

  #onData(chunk: Buffer): void {
    if (this.#socket === null) return;
    try {
      const greeting = this.#reader.push(chunk);
      if (greeting !== null) this.#end(this.#read(greeting));
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.#context.counters.malformed++;
      this.#report('outbound_broken', error.message);
      this.#end(null);
    }
  }

  /** Throws `MalformedFrame`. */
  #read(greeting: Greeting): Discovered | null {
    if (greeting.version !== PROTOCOL_VERSION) {
      const detail = `${this.#address} speaks protocol version ${greeting.version}, we speak ${PROTOCOL_VERSION}`;
      return this.#refused(refusalText({ name: 'unknown_version', detail }), null);
    }
    const { refusal, node, incarnation, clusterId } = decodeAnswer(greeting.body);
    const why = refusal ?? refuseIdentity(this.#context.identity(), { node, incarnation, clusterId }, null);
    return why === null ? { node, incarnation, clusterId } : this.#refused(refusalText(why), node);
  }

  #refused(reason: string, node: string | null): null {
    this.#context.counters.refusals++;
    this.#report('outbound_refused', reason, node);
    return null;
  }

  #end(found: Discovered | null): void {
    this.#deadline?.cancel();
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
    this.#resolve(found);
  }

  #report(name: TransportEvent['name'], reason: string, node: string | null = null): void {
    this.#context.report({ name, node, remote: this.#address, reason });
  }
}
