/**
 * The operations that are still to be placed, as Lowe's doubly linked list of calls and returns in order of time: what
 * may come next are the calls before the first return. Removal and its undoing are constant time.
 */
import type { Task } from './model.js';

export class PendingSet {
  /** Event 2i is the call of task i, 2i + 1 its return; `#head` comes before all, also stands for the end. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #head: number;
  /** One bit a placed task. */
  readonly #placed: Int32Array;
  readonly #returns: Float64Array;
  /** The last word of `#placed` that has a bit set, or -1. */
  #highWord = -1;
  size: number;

  /** Tasks in order of their calls, all with returns. */
  constructor(tasks: readonly Task[]) {
    const count = tasks.length;
    this.size = count;
    this.#head = 2 * count;
    this.#next = new Int32Array(2 * count + 1);
    this.#previous = new Int32Array(2 * count + 1);
    this.#placed = new Int32Array((count >> 5) + 1);
    this.#returns = Float64Array.from(tasks, ({ op }) => op.return!);
    const timeOf = (event: number): number =>
      (event & 1) === 0 ? tasks[event >> 1]!.op.call : this.#returns[event >> 1]!;
    // At equal times calls come before returns: equal times are concurrent.
    const events = Array.from({ length: 2 * count }, (_, event) => event).sort(
      (a, b) => timeOf(a) - timeOf(b) || (a & 1) - (b & 1) || a - b,
    );
    let last = this.#head;
    for (const event of events) {
      this.#next[last] = event;
      this.#previous[event] = last;
      last = event;
    }
    this.#next[last] = this.#head;
    this.#previous[this.#head] = last;
  }

  has(task: number): boolean {
    return (this.#placed[task >> 5]! & (1 << (task & 31))) === 0;
  }

  remove(task: number): void {
    this.#unlink(2 * task);
    this.#unlink(2 * task + 1);
    this.#placed[task >> 5]! |= 1 << (task & 31);
    this.#highWord = Math.max(this.#highWord, task >> 5);
    this.size--;
  }

  /** In the reverse order of removals. */
  restore(task: number): void {
    this.#link(2 * task + 1);
    this.#link(2 * task);
    this.#placed[task >> 5]! &= ~(1 << (task & 31));
    while (this.#highWord >= 0 && this.#placed[this.#highWord] === 0) this.#highWord--;
    this.size++;
  }

  /** Tasks called before the first return. */
  candidates(): number[] {
    const found: number[] = [];
    for (let event = this.#next[this.#head]!; (event & 1) === 0 && event !== this.#head; event = this.#next[event]!) {
      found.push(event >> 1);
    }
    return found;
  }

  /** The time of the first return; infinity if nothing is pending. */
  get firstReturn(): number {
    let event = this.#next[this.#head]!;
    while ((event & 1) === 0 && event !== this.#head) event = this.#next[event]!;
    return event === this.#head ? Number.POSITIVE_INFINITY : this.#returns[event >> 1]!;
  }

  /** Names the set exactly: all tasks before the first pending one are placed, none beyond the highest word. */
  fingerprint(): string {
    const first = this.#next[this.#head]! >> 1;
    let text = String(first);
    for (let word = first >> 5; word <= this.#highWord; word++) text += `,${this.#placed[word]!.toString(36)}`;
    return text;
  }

  #unlink(event: number): void {
    this.#next[this.#previous[event]!] = this.#next[event]!;
    this.#previous[this.#next[event]!] = this.#previous[event]!;
  }

  #link(event: number): void {
    this.#next[this.#previous[event]!] = event;
    this.#previous[this.#next[event]!] = event;
  }
}
