/**
 * Configurations that were searched, or are being searched: the placed operations and the state (Lowe's memory). How
 * many open operations of each group were used is compared, not matched: whoever has used fewer can do all that one who
 * has used more can.
 */
export class VisitedConfigurations {
  readonly #used = new Map<string, (readonly number[])[]>();

  /** False if this configuration, or one that is at least as good, was added before. */
  add(placed: string, state: string, used: readonly number[]): boolean {
    const name = `${placed} ${state}`;
    const known = this.#used.get(name);
    if (known === undefined) {
      this.#used.set(name, used.length === 0 ? NONE : [used.slice()]);
      return true;
    }
    if (used.length === 0 || known.some((other) => other.every((count, group) => count <= used[group]!))) return false;
    known.push(used.slice());
    return true;
  }
}

const NONE: (readonly number[])[] = [];
