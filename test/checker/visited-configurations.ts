/**
 * Configurations that were searched, or are being searched: the placed operations and the state (Lowe's memory). How
 * many open operations of each group were used, and what the state costs, is compared, not matched: whoever has used
 * fewer can do all that one who has used more can.
 */
export class VisitedConfigurations {
  readonly #known = new Map<string, (readonly number[])[]>();

  /** False if this configuration, or one that is at least as good, was added before. */
  add(placed: string, state: string, cost: number, used: readonly number[]): boolean {
    const name = `${placed} ${state}`;
    const known = this.#known.get(name);
    if (known === undefined) {
      this.#known.set(name, [[cost, ...used]]);
      return true;
    }
    const asGood = (other: readonly number[]): boolean =>
      other[0]! <= cost && used.every((count, group) => other[group + 1]! <= count);
    if (known.some(asGood)) return false;
    known.push([cost, ...used]);
    return true;
  }
}
