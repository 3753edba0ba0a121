/**
 * Proposals on their way to the core, and when they go there.
 *
 * An append costs almost the same for fifty entries as for one: a record and a sync on every replica, a frame to each and its
 * answer. So what arrives while an append is in flight becomes the next one (architecture decision 6). And where many
 * clients ask again as soon as they have their answers, the first to come back would take an append for themselves: so
 * proposals also wait, for a moment, until as many are here as there lately were clients at once (the idea of PostgreSQL's
 * `commit_delay` and `commit_siblings`, with the siblings measured).
 *
 * Clients that ask at times of their own must not wait for a crowd that does not come: a wait that ends without it lets the
 * next appends go at once, four times as many as the last time; one that ends with it, half as many.
 */
import type { Clock, Timer } from '../ports.js';
import type { ProposalRefusal, ProposalWaiter } from './pending-proposals.js';

export interface Proposal {
  readonly data: Uint8Array;
  readonly waiter: ProposalWaiter;
}

/** More than this waits for nothing. */
const HELD_BYTES = 256 * 1024;
/** What an entry without data costs here. */
const OVERHEAD_BYTES = 32;
/** How long proposals wait for company. */
const GATHER_MS = 2;
/** With fewer clients at once than this there is little to share. */
const CROWD_MIN = 6;
/** After waits in vain, so many appends go at once. */
const AT_ONCE_MAX = 64;

export class ProposalInbox {
  readonly #clock: Clock;
  readonly #wake: () => void;
  #waiting: Proposal[] = [];
  #bytes = 0;
  /** Most proposals at once, here and unanswered, since the last append left, and in the time before that. */
  #crowd = 0;
  #crowdBefore = 0;
  #gathering: Timer | null = null;
  #waitedInVain = false;
  /** So many appends go without waiting for company; and so many will after the next wait in vain. */
  #atOnce = 0;
  #nextAtOnce = 1;

  /** `wake` is called when those who waited for company should be asked for again. */
  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  add(data: Uint8Array, waiter: ProposalWaiter): void {
    this.#waiting.push({ data, waiter });
    this.#bytes += data.length + OVERHEAD_BYTES;
  }

  /**
   * The next append, or none if it is not time for it. `unanswered`: proposals of earlier ones that still wait for their
   * answers. `appending`: an append is in flight.
   */
  take(unanswered: number, appending: boolean): Proposal[] {
    if (this.empty) return [];
    this.#crowd = Math.max(this.#crowd, this.#waiting.length + unanswered);
    if (this.#bytes < HELD_BYTES && (appending || this.#gather())) return [];
    this.#learn();
    this.#crowdBefore = this.#crowd;
    this.#crowd = this.#waiting.length + unanswered;
    return this.drain();
  }

  /** True: they wait for company. */
  #gather(): boolean {
    const crowd = Math.max(this.#crowd, this.#crowdBefore);
    if (crowd < CROWD_MIN || this.#waiting.length >= crowd) return false;
    if (this.#atOnce > 0 || this.#waitedInVain) return false;
    this.#gathering ??= this.#clock.after(GATHER_MS, () => {
      this.#gathering = null;
      this.#waitedInVain = true;
      this.#wake();
    });
    return true;
  }

  /** An append leaves: was it worth waiting for? */
  #learn(): void {
    if (this.#waitedInVain) {
      this.#atOnce = this.#nextAtOnce;
      this.#nextAtOnce = Math.min(4 * this.#nextAtOnce, AT_ONCE_MAX);
    } else if (this.#gathering !== null) this.#nextAtOnce = Math.max(1, this.#nextAtOnce / 2);
    else if (this.#atOnce > 0) this.#atOnce--;
  }

  refuseAll(reason: ProposalRefusal): void {
    for (const { waiter } of this.drain()) waiter.refused(reason);
  }

  /** Whatever waits, at once. */
  drain(): Proposal[] {
    this.#gathering?.cancel();
    this.#gathering = null;
    this.#waitedInVain = false;
    const drained = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    return drained;
  }
}
