/** Links through TCP proxies in this process: one in front of each node's peer port, which the node advertises as its own. */
import { createServer, type Server } from 'node:net';
import type { SimRandom } from '../../sim/fakes/random.js';
import { type Direction, directionName, FAIR, type Links, type Weather } from './links.js';
import { ProxiedConnection } from './proxied-connection.js';

export interface ProxiedNode {
  readonly id: string;
  /** Where its proxy listens. */
  readonly proxyPort: number;
  /** Where the node itself listens. */
  readonly peerPort: number;
}

const HOST = '127.0.0.1';

export class ProxyLinks implements Links {
  readonly kind = 'proxy';
  readonly shapes = true;
  readonly #weather = new Map<string, Weather>();
  readonly #connections = new Set<ProxiedConnection>();
  readonly #servers: Server[] = [];
  readonly #random: SimRandom;

  private constructor(random: SimRandom) {
    this.#random = random;
  }

  static async open(nodes: readonly ProxiedNode[], random: SimRandom): Promise<ProxyLinks> {
    const links = new ProxyLinks(random);
    try {
      for (const node of nodes) await links.#listen(node);
    } catch (error) {
      await links.close();
      throw error;
    }
    return links;
  }

  async #listen({ id, proxyPort, peerPort }: ProxiedNode): Promise<void> {
    const server = createServer((socket) => {
      this.#connections.add(
        new ProxiedConnection(socket, {
          target: id,
          host: HOST,
          port: peerPort,
          weather: (direction) => this.#weather.get(directionName(direction)) ?? FAIR,
          chance: () => this.#random.next(),
          closed: (connection) => this.#connections.delete(connection),
        }),
      );
    });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(proxyPort, HOST, resolve);
    });
  }

  async set(directions: readonly Direction[], weather: Partial<Weather>): Promise<void> {
    for (const direction of directions) {
      const name = directionName(direction);
      this.#weather.set(name, { ...(this.#weather.get(name) ?? FAIR), ...weather });
    }
    this.#changed();
  }

  async heal(): Promise<void> {
    this.#weather.clear();
    this.#changed();
  }

  #changed(): void {
    for (const connection of this.#connections) connection.flush();
  }

  async close(): Promise<void> {
    for (const connection of [...this.#connections]) connection.end();
    await Promise.all(this.#servers.map((server) => new Promise<void>((done) => server.close(() => done()))));
  }
}
