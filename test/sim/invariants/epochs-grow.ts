/** No process ever goes back to an older map (F59): who waits for an epoch, or has been told one, relies on it. */
export interface Maps {
  readonly epoch: number;
  /** The answer ends the subscription. */
  onChange(listener: () => void): () => void;
}

export interface MapHolder {
  readonly id: string;
  readonly node: { readonly maps: Maps } | null;
}

export class EpochsGrow {
  readonly #watched = new WeakSet<object>();
  #wrong: string | null = null;

  /** null: holds. */
  check(holders: readonly MapHolder[]): string | null {
    for (const { id, node } of holders) {
      if (node === null || this.#watched.has(node.maps)) continue;
      this.#watched.add(node.maps);
      this.#watch(id, node.maps);
    }
    return this.#wrong;
  }

  /** At each change: the next may follow at once, and hide what was wrong. */
  #watch(id: string, maps: Maps): void {
    let highest = maps.epoch;
    maps.onChange(() => {
      const { epoch } = maps;
      if (epoch < highest) this.#wrong ??= `epochs grow: ${id} went back from epoch ${highest} to ${epoch}`;
      highest = Math.max(highest, epoch);
    });
  }
}
