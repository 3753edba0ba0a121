/**
 * A connection from one node to another through a proxy. All nodes dial the one address that a node advertises, so who
 * has dialled is read from its greeting, which then goes on unchanged: that makes each direction of each pair controllable.
 */
import { connect, type Socket } from 'node:net';
import { decodeHello, GreetingReader } from '../../../src/raft/transport/handshake.js';
import { BytePipe } from './byte-pipe.js';
import type { Direction, Weather } from './links.js';

export interface ProxiedPorts {
  /** The node behind this proxy. */
  readonly target: string;
  readonly host: string;
  readonly port: number;
  readonly weather: (direction: Direction) => Weather;
  readonly chance: () => number;
  readonly closed: (connection: ProxiedConnection) => void;
}

export class ProxiedConnection {
  readonly #ports: ProxiedPorts;
  readonly #dialler: Socket;
  readonly #greeting = new GreetingReader();
  readonly #early: Buffer[] = [];
  #onward: Socket | null = null;
  #pipes: readonly BytePipe[] = [];
  #from: string | null = null;
  #ended = false;

  constructor(dialler: Socket, ports: ProxiedPorts) {
    this.#ports = ports;
    this.#dialler = dialler;
    dialler.setNoDelay(true);
    dialler.on('data', (chunk: Buffer) => this.#greet(chunk));
    dialler.on('error', () => this.end());
    dialler.on('close', () => this.end());
  }

  /** The node that dialled; null until its greeting has come. */
  get from(): string | null {
    return this.#from;
  }

  /** The node that was behind the proxy when this began. */
  get target(): string {
    return this.#ports.target;
  }

  #greet(chunk: Buffer): void {
    this.#early.push(chunk);
    try {
      const greeting = this.#greeting.push(chunk);
      if (greeting === null) return;
      this.#from = decodeHello(greeting.body).node;
    } catch {
      // No node speaks like that: whatever it is, it is not for this proxy.
      this.end();
      return;
    }
    this.#join(this.#from);
  }

  #join(from: string): void {
    const { target, host, port, weather, chance } = this.#ports;
    const onward = connect({ host, port, noDelay: true });
    this.#onward = onward;
    const reset = (): void => this.end();
    const there = new BytePipe(this.#dialler, onward, { weather: () => weather({ from, to: target }), chance, reset });
    const back = new BytePipe(onward, this.#dialler, {
      weather: () => weather({ from: target, to: from }),
      chance,
      reset,
    });
    this.#pipes = [there, back];
    this.#dialler.removeAllListeners('data');
    this.#dialler.on('data', (chunk: Buffer) => there.take(chunk));
    onward.on('data', (chunk: Buffer) => back.take(chunk));
    onward.on('error', reset);
    onward.on('close', reset);
    for (const chunk of this.#early.splice(0)) there.take(chunk);
  }

  /** The weather has changed. */
  flush(): void {
    for (const pipe of this.#pipes) pipe.flush();
  }

  /** Breaks it: both ends see a connection that was reset. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const pipe of this.#pipes) pipe.close();
    this.#dialler.resetAndDestroy();
    this.#onward?.resetAndDestroy();
    this.#ports.closed(this);
  }
}
