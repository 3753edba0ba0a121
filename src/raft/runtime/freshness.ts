/**
 * As of when a replica's state is up to date: it has applied all that was committed at that moment. Its leader says now and
 * then how far that is; each such word counts from when the state is there.
 */

/** Words that wait: one for each tick, so a state that has more of them to wait for is older than anybody wants to see. */
const WAITING_MAX = 1024;

interface Word {
  readonly index: number;
  readonly at_ms: number;
}

export class Freshness {
  /** Not applied yet; both `index` and `at_ms` ascend. */
  readonly #waiting: Word[] = [];
  #asOf_ms = Number.NEGATIVE_INFINITY;

  /**
   * Nothing that was committed at `at_ms` lies beyond `index`; the state has everything up to `applied`. Words that this
   * satisfies make room here, for there may be nobody who asks how old the state is.
   */
  note(index: number, at_ms: number, applied: number): void {
    this.asOf_ms(applied);
    const waiting = this.#waiting;
    if (at_ms <= (waiting.at(-1)?.at_ms ?? this.#asOf_ms)) return;
    // A newer word that asks for no more, perhaps of another leader, is worth more.
    while (waiting.length > 0 && waiting.at(-1)!.index >= index) waiting.pop();
    if (waiting.length < WAITING_MAX) waiting.push({ index, at_ms });
  }

  /** For a state that has everything up to `applied`; -Infinity: not known. */
  asOf_ms(applied: number): number {
    const waiting = this.#waiting;
    let done = 0;
    while (done < waiting.length && waiting[done]!.index <= applied) this.#asOf_ms = waiting[done++]!.at_ms;
    if (done > 0) waiting.splice(0, done);
    return this.#asOf_ms;
  }
}
