/**
 * Where nodes sit: a seat is a pair of addresses, and they outlive whoever has them. A node that has left makes room for one
 * with another name at the very same addresses; clients and probes know seats, not nodes.
 */
import type { NodePlace } from '../../e2e/local-cluster.js';

export class Seats {
  readonly #places: readonly NodePlace[];
  /** By number of the seat. */
  readonly #occupants = new Map<number, string>();

  constructor(places: readonly NodePlace[]) {
    this.#places = places;
  }

  /** Of all seats, taken or not. */
  get endpoints(): readonly string[] {
    return this.#places.map(({ http }) => `http://${http}`);
  }

  /** The first that nobody sits in; null: all are taken. */
  get vacant(): number | null {
    const free = this.#places.findIndex((_, number) => !this.#occupants.has(number));
    return free === -1 ? null : free;
  }

  placeOf(number: number): NodePlace {
    const place = this.#places[number];
    if (place === undefined) throw new Error(`invariant: there is no seat ${number}`);
    return place;
  }

  /** Where other nodes dial those that sit here now. */
  get peers(): readonly string[] {
    return [...this.#occupants.keys()].map((number) => {
      const { peer, advertisedPeer = peer } = this.placeOf(number);
      return advertisedPeer;
    });
  }

  sit(id: string, number: number): void {
    const other = this.#occupants.get(number);
    if (other !== undefined) throw new Error(`invariant: ${other} sits where ${id} is to sit`);
    this.#occupants.set(number, id);
  }

  leave(id: string): void {
    for (const [number, occupant] of this.#occupants) if (occupant === id) this.#occupants.delete(number);
  }

  /** null: it does not sit here. */
  seatOf(id: string): number | null {
    for (const [number, occupant] of this.#occupants) if (occupant === id) return number;
    return null;
  }
}
