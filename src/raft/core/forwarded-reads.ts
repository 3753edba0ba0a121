/**
 * ReadIndex at a follower: it asks the leader. All requests that wait share one question; what arrives while it is in
 * flight joins the next one. Messages get lost, so the question is repeated until it is answered or the leader changes.
 *
 * Numbers start at a random one: an answer to a question from before a restart must not pass for an answer to a new one.
 */

const NUMBER_RANGE = 2 ** 48;
const WAITING_MAX = 65_536;

export class ForwardedReads {
  #waiting: number[] = [];
  #asked: number[] | null = null;
  #number: number;
  #ticks = 0;

  constructor(random: () => number) {
    this.#number = Math.floor(random() * NUMBER_RANGE);
  }

  /** A question could be sent. */
  get due(): boolean {
    return this.#asked === null && this.#waiting.length > 0;
  }

  add(context: number): boolean {
    if (this.#waiting.length >= WAITING_MAX) return false;
    this.#waiting.push(context);
    return true;
  }

  /** Returns the number of the question. */
  ask(): number {
    this.#asked = this.#waiting;
    this.#waiting = [];
    this.#ticks = 0;
    return ++this.#number;
  }

  /** The contexts that the answer is for; null: it is an answer to another question. */
  answered(number: number): readonly number[] | null {
    if (this.#asked === null || number !== this.#number) return null;
    const contexts = this.#asked;
    this.#asked = null;
    return contexts;
  }

  /** The number of the question that has to be repeated after `every` ticks without an answer; 0: none. */
  tick(every: number): number {
    if (this.#asked === null) return 0;
    this.#ticks++;
    if (this.#ticks < every) return 0;
    this.#ticks = 0;
    return this.#number;
  }

  /** The leader is lost: the contexts of all requests. */
  drain(): readonly number[] {
    const lost = this.#asked === null ? this.#waiting : this.#asked.concat(this.#waiting);
    this.#asked = null;
    this.#waiting = [];
    return lost;
  }
}
