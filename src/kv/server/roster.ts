/**
 * The operations under way: added, removed and walked through, in no particular order.
 *
 * Not a `Set`, since each request comes and goes here. V8's hash tables are replaced as they fill with holes, and an old
 * table points to its successor. Once one of them has been promoted to the old generation, no minor collection frees any that
 * follows, nor the requests in it: a quarter of all that requests allocate lived until the next major collection.
 */
import type { Operation } from './operation.js';

export class Roster {
  readonly #places: Operation[] = [];

  get size(): number {
    return this.#places.length;
  }

  add(operation: Operation): void {
    if (operation.place >= 0) throw new Error('invariant: an operation is entered twice');
    operation.place = this.#places.length;
    this.#places.push(operation);
  }

  /** False: it is not here. */
  delete(operation: Operation): boolean {
    const { place } = operation;
    if (place < 0) return false;
    operation.place = -1;
    const last = this.#places.pop()!;
    if (last !== operation) {
      last.place = place;
      this.#places[place] = last;
    }
    return true;
  }

  /** As they are now: what comes or goes meanwhile does not matter to who walks through them. */
  all(): readonly Operation[] {
    return this.#places.slice();
  }

  clear(): void {
    for (const operation of this.#places) operation.place = -1;
    this.#places.length = 0;
  }
}
