/** No process ever goes back to an older map (F59): who waits for an epoch, or has been told one, relies on it. */
export interface MapHolder {
  readonly id: string;
  readonly node: { readonly maps: { readonly epoch: number } } | null;
}

export class EpochsGrow {
  readonly #highest = new WeakMap<object, number>();

  /** null: holds. */
  check(holders: readonly MapHolder[]): string | null {
    for (const { id, node } of holders) {
      if (node === null) continue;
      const { epoch } = node.maps;
      const before = this.#highest.get(node.maps) ?? 0;
      if (epoch < before) return `epochs grow: ${id} went back from epoch ${before} to ${epoch}`;
      if (epoch > before) this.#highest.set(node.maps, epoch);
    }
    return null;
  }
}
