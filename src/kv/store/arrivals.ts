/**
 * Of slots that are imported into nothing: up to which key they have been filled. The bulk of a copy comes in order of keys, so
 * what lies behind the last one is not here yet, and need not be looked up. Only in memory: whoever has restarted since the
 * import began looks up each key, and comes to the same.
 */
export class Arrivals {
  /** In one character a byte, which compare as bytes do; empty: none yet. No key is empty. */
  readonly #lastKeys = new Map<number, string>();

  /** An import begins: the slot has no records. From now on they come one after the other, through `isNew`. */
  open(slot: number): void {
    this.#lastKeys.set(slot, '');
  }

  close(slot: number): void {
    this.#lastKeys.delete(slot);
  }

  /** True: the slot has no record of this key, which is the last one from now on. False: it may have one. */
  isNew(slot: number, key: Buffer): boolean {
    const last = this.#lastKeys.get(slot);
    if (last === undefined) return false;
    const text = key.toString('latin1');
    if (last >= text) return false;
    this.#lastKeys.set(slot, text);
    return true;
  }
}
