/**
 * Log entries that a node's leaders keep in memory for followers on their way back, beyond what every group may keep: one
 * bound for all groups of the node together, since after a failure many of them stream at once.
 */
export class LogReserve {
  readonly #limit_bytes: number;
  readonly #taken = new Map<object, number>();
  #sum_bytes = 0;

  constructor(limit_bytes: number) {
    this.#limit_bytes = limit_bytes;
  }

  /** `bytes` is all that the holder has then. False: there is not so much left, and it has what it had. */
  take(holder: object, bytes: number): boolean {
    const sum = this.#sum_bytes - (this.#taken.get(holder) ?? 0) + bytes;
    if (sum > this.#limit_bytes) return false;
    this.#sum_bytes = sum;
    this.#taken.set(holder, bytes);
    return true;
  }

  release(holder: object): void {
    const bytes = this.#taken.get(holder);
    if (bytes === undefined) return;
    this.#sum_bytes -= bytes;
    this.#taken.delete(holder);
  }
}
