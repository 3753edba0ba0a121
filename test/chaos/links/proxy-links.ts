/**
 * Links through TCP proxies in this process: one in front of each place where a node can be, at the address that whoever is there
 * advertises as its own. At a place where nobody is, nobody is reached.
 */
import { createServer, type Server } from 'node:net';
import type { SimRandom } from '../../sim/fakes/random.js';
import { type Direction, directionName, directionOf, FAIR, type Links, touches, type Weather } from './links.js';
import { ProxiedConnection } from './proxied-connection.js';

export interface ProxiedPlace {
  /** Where its proxy listens. */
  readonly proxyPort: number;
  /** Where a node itself listens. */
  readonly peerPort: number;
}

const HOST = '127.0.0.1';

export class ProxyLinks implements Links {
  readonly kind = 'proxy';
  readonly shapes = true;
  readonly #weather = new Map<string, Weather>();
  readonly #connections = new Set<ProxiedConnection>();
  readonly #servers: Server[] = [];
  /** Who is where, by number of the place. */
  readonly #occupants = new Map<number, string>();
  readonly #random: SimRandom;

  private constructor(random: SimRandom) {
    this.#random = random;
  }

  static async open(places: readonly ProxiedPlace[], random: SimRandom): Promise<ProxyLinks> {
    const links = new ProxyLinks(random);
    try {
      for (const [number, place] of places.entries()) await links.#listen(number, place);
    } catch (error) {
      await links.close();
      throw error;
    }
    return links;
  }

  async #listen(number: number, { proxyPort, peerPort }: ProxiedPlace): Promise<void> {
    const server = createServer((socket) => {
      const target = this.#occupants.get(number);
      if (target === undefined) {
        socket.resetAndDestroy();
        return;
      }
      this.#connections.add(
        new ProxiedConnection(socket, {
          target,
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

  sit(id: string, place: number): void {
    this.#occupants.set(place, id);
  }

  leave(id: string): void {
    for (const [place, occupant] of this.#occupants) if (occupant === id) this.#occupants.delete(place);
    for (const name of this.#weather.keys()) if (touches(id, directionOf(name))) this.#weather.delete(name);
    // What is held back of what it said must not be taken for the word of whoever comes next.
    for (const connection of [...this.#connections]) {
      if (connection.target === id || connection.from === id) connection.end();
    }
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
