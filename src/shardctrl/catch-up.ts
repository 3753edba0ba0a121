/**
 * Whether a newcomer gets anywhere, from what its group's leader says of it now and then. Not time counts but progress: a large
 * snapshot over a slow link takes as long as it takes. Only time in which somebody looked counts: a group that had no leader
 * for a while has told nothing.
 */
import type { NewcomerProgress } from './member-change.js';

/** The most that one look adds. */
const BETWEEN_LOOKS_MAX_MS = 2_000;
/** Snapshots that began and came to nothing, one after the other: the next one will not come further. */
const ATTEMPTS_MAX = 5;

export class CatchUp {
  #seen: NewcomerProgress | null = null;
  #term = 0;
  #looked_ms: number | null = null;
  /** Counts what passed between looks. */
  #now_ms = 0;
  #moved_ms = 0;
  #matched_ms = 0;
  #closer_ms = 0;
  #leastBehind = Number.POSITIVE_INFINITY;
  #mostFrames = 0;
  #attempts = 0;

  note(seen: NewcomerProgress, term: number, now_ms: number): void {
    this.#now_ms += Math.min(BETWEEN_LOOKS_MAX_MS, now_ms - (this.#looked_ms ?? now_ms));
    this.#looked_ms = now_ms;
    const before = this.#seen;
    this.#seen = seen;
    // Another leader begins anew with what it knows, and with its snapshot.
    if (before === null || term !== this.#term) this.#begin(term);
    else {
      if (seen.match > before.match) {
        this.#moved_ms = this.#matched_ms = this.#now_ms;
        this.#attempts = 0;
      } else if (seen.frames < before.frames) this.#attempts++;
      if (seen.frames > before.frames) this.#moved_ms = this.#now_ms;
    }
    // It has all there is: whatever the change still waits for, it is not this one.
    if (seen.behind === 0) this.#moved_ms = this.#matched_ms = this.#closer_ms = this.#now_ms;
    if (seen.behind < this.#leastBehind || seen.frames > this.#mostFrames) this.#closer_ms = this.#now_ms;
    this.#leastBehind = Math.min(this.#leastBehind, seen.behind);
    this.#mostFrames = Math.max(this.#mostFrames, seen.frames);
  }

  #begin(term: number): void {
    this.#term = term;
    this.#moved_ms = this.#matched_ms = this.#closer_ms = this.#now_ms;
    this.#leastBehind = Number.POSITIVE_INFINITY;
    this.#mostFrames = this.#attempts = 0;
  }

  /** Nothing has arrived for so long, or nothing but the beginnings of snapshots. */
  isStuck(patience_ms: number): boolean {
    if (this.#now_ms - this.#moved_ms >= patience_ms) return true;
    return this.#attempts >= ATTEMPTS_MAX && this.#now_ms - this.#matched_ms >= patience_ms;
  }

  /** It may get something, but the others write as fast. */
  isLagging(patience_ms: number): boolean {
    return this.#now_ms - this.#closer_ms >= patience_ms;
  }
}
