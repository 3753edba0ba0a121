/**
 * What has been handed out to be made durable and is not acknowledged yet, oldest first.
 *
 * Each write remembers which part of the log it will make durable. A truncation takes that back: a late acknowledgement
 * of entries that have been replaced since must not count for the new ones (F9, the ABA race). It also holds messages
 * which promise what an earlier write is still making durable.
 */
import type { Message, Term } from './types.js';

export interface PendingWrite {
  readonly seq: number;
  /** The log is durable up to here with this write; 0: it says nothing about the log. */
  last: number;
  /** The term in which it records our vote for ourselves; 0: it does not. */
  readonly ownVote: Term | 0;
  /** Index of the snapshot it installs; 0: none. */
  readonly snapshot: number;
  /** Messages that became due later and need this write, but no further one. */
  held: readonly Message[] | null;
}

export class WriteQueue {
  readonly #writes: PendingWrite[] = [];
  #seq = 0;

  get idle(): boolean {
    return this.#writes.length === 0;
  }

  /** Returns the number of the write. */
  push(last: number, ownVote: Term | 0, snapshot: number): number {
    const seq = ++this.#seq;
    this.#writes.push({ seq, last, ownVote, snapshot, held: null });
    return seq;
  }

  /** The messages go when all that is in the queue now is durable. Only while not idle. */
  hold(messages: readonly Message[]): void {
    const newest = this.#writes[this.#writes.length - 1] as PendingWrite;
    newest.held = newest.held === null ? messages : newest.held.concat(messages);
  }

  /** The log's entries from `from` on are replaced. */
  truncated(from: number): void {
    for (const write of this.#writes) write.last = Math.min(write.last, from - 1);
  }

  /** The log restarts after a snapshot: no earlier write says anything about the new one. */
  restarted(): void {
    for (const write of this.#writes) write.last = 0;
  }

  /** Takes the oldest write if its number is at most `seq`. */
  shiftTo(seq: number): PendingWrite | null {
    if (seq > this.#seq) throw new Error(`invariant: write ${seq} acknowledged, but only ${this.#seq} handed out`);
    const oldest = this.#writes[0];
    if (oldest === undefined || oldest.seq > seq) return null;
    this.#writes.shift();
    return oldest;
  }
}
