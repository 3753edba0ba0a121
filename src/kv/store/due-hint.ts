/**
 * Below which time no expiry row can be due: what lets an idle shard look for due keys without reading anything, and lets
 * a busy one skip the rows that went before. A hint of this process, not part of the state.
 *
 * A row that was applied just before a scan may not be in the engine yet and be missed by it; so what came in since the
 * previous scan counts for the next one as well.
 */
export class DueHint {
  #from_ms = 0;
  /** The earliest among the rows that came since the latest scan began. */
  #recent_ms = Number.POSITIVE_INFINITY;
  #scanning = false;

  /** A row that expires at `time_ms` was written. */
  lower(time_ms: number): void {
    if (time_ms < this.#recent_ms) this.#recent_ms = time_ms;
  }

  mayBeDue(now_ms: number): boolean {
    return !this.#scanning && Math.min(this.#from_ms, this.#recent_ms) <= now_ms;
  }

  /** Where to begin; null: nothing can be due at `now_ms`, or a scan is under way. */
  begin(now_ms: number): number | null {
    if (!this.mayBeDue(now_ms)) return null;
    this.#scanning = true;
    this.#from_ms = Math.min(this.#from_ms, this.#recent_ms);
    return this.#from_ms;
  }

  /** The rows that had come before the scan; call when it begins. */
  takeRecent(): number {
    const recent_ms = this.#recent_ms;
    this.#recent_ms = Number.POSITIVE_INFINITY;
    return recent_ms;
  }

  /** `from_ms`: nothing below it is left; Infinity: nothing at all. */
  end(from_ms: number): void {
    this.#scanning = false;
    this.#from_ms = from_ms;
  }
}
