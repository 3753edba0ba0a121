/**
 * Simulated time. One scheduler holds everything that is going to happen, ordered by time and, at the same time, by the order
 * in which it was asked for. It runs one event, lets every promise that the event has set off run to its end, and only
 * then takes the next: so production code with `await` in it behaves the same on every run.
 *
 * How promises are drained: Node empties its queues of ticks and microtasks between any two `setImmediate` callbacks of one
 * turn of its loop. Each event therefore runs in an immediate of its own; they are queued by the batch because a turn of the
 * loop costs some 0.7 µs and an immediate only 0.07. Code in the simulation must not wait for anything but promises:
 * timers, I/O and threads would end at a time of their own.
 */
import type { Clock, Timer } from '../../../src/raft/index.js';

class SimEvent implements Timer {
  readonly at_ms: number;
  readonly seq: number;
  /** null: cancelled, or done. */
  run: (() => void) | null;

  constructor(at_ms: number, seq: number, run: () => void) {
    this.at_ms = at_ms;
    this.seq = seq;
    this.run = run;
  }

  cancel(): void {
    this.run = null;
  }
}

const BATCH = 32;

export class SimScheduler {
  readonly #heap: SimEvent[] = [];
  #now_ms = 0;
  #seq = 0;
  #running = false;
  /** Events run so far. */
  steps = 0;

  /** Milliseconds of true time since the simulation began; no node sees it. */
  get now_ms(): number {
    return this.#now_ms;
  }

  get idle(): boolean {
    return this.#peek() === null;
  }

  /** At `at_ms`, or now if that is past. */
  at(at_ms: number, run: () => void): Timer {
    const event = new SimEvent(Math.max(at_ms, this.#now_ms), this.#seq++, run);
    this.#push(event);
    return event;
  }

  after(delay_ms: number, run: () => void): Timer {
    return this.at(this.#now_ms + Math.max(0, delay_ms), run);
  }

  /** Runs everything up to and including `at_ms`. Rejects with what an event throws. */
  async runUntil(at_ms: number): Promise<void> {
    await this.#run(() => (this.#peek()?.at_ms ?? Number.POSITIVE_INFINITY) <= at_ms);
    this.#now_ms = Math.max(this.#now_ms, at_ms);
  }

  /** Runs for that long. */
  runFor(duration_ms: number): Promise<void> {
    return this.runUntil(this.#now_ms + duration_ms);
  }

  /**
   * Runs as long as the condition holds, which is asked before each event. False: it still held at `until_ms`, or nothing
   * was left to do.
   */
  async runWhile(condition: () => boolean, until_ms: number = Number.POSITIVE_INFINITY): Promise<boolean> {
    let done = false;
    await this.#run(() => {
      done = !condition();
      const next = this.#peek();
      return !done && next !== null && next.at_ms <= until_ms;
    });
    if (!done && until_ms < Number.POSITIVE_INFINITY) this.#now_ms = Math.max(this.#now_ms, until_ms);
    return done;
  }

  /** Resolves the first time `more` says no, rejects with what an event throws. */
  #run(more: () => boolean): Promise<void> {
    if (this.#running) throw new Error('invariant: the scheduler runs already');
    this.#running = true;
    return new Promise<void>((resolve, reject) => {
      // Immediates that are left over when a run ends must not step the next one.
      let ended = false;
      const end = (): void => {
        ended = true;
        this.#running = false;
      };
      const step = (): void => {
        if (ended) return;
        try {
          if (more()) {
            this.#step();
            return;
          }
          end();
          resolve();
        } catch (error) {
          end();
          reject(error);
        }
      };
      const batch = (): void => {
        if (ended) return;
        for (let i = 0; i < BATCH; i++) setImmediate(step);
        setImmediate(batch);
      };
      batch();
    });
  }

  #step(): void {
    const event = this.#pop();
    this.#now_ms = event.at_ms;
    this.steps++;
    const run = event.run!;
    event.run = null;
    run();
  }

  // ----------------------------------------------------------------------------------------------------------- binary heap

  /** The next event that was not cancelled. */
  #peek(): SimEvent | null {
    while (this.#heap.length > 0) {
      const top = this.#heap[0]!;
      if (top.run !== null) return top;
      this.#pop();
    }
    return null;
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): SimEvent {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.seq < b.seq);
}

export interface SimClockOptions {
  /** What the node's wall clock shows at true time 0. */
  readonly wall_ms?: number;
  /** How fast the node's clocks run: 1.01 is one percent too fast. */
  readonly rate?: number;
}

/** A timer of a process: may still be cancelled when it was due but the process is paused. */
class ClockTimer implements Timer {
  readonly #event: Timer;
  #run: (() => void) | null;

  constructor(scheduler: SimScheduler, clock: SimClock, delay_ms: number, run: () => void) {
    this.#run = run;
    this.#event = scheduler.after(delay_ms, () => clock.run(() => this.#run?.()));
  }

  cancel(): void {
    this.#run = null;
    this.#event.cancel();
  }
}

/** The end of a process amid what it does, not between one thing and the next. */
export interface Interruption {
  /** What it still does undisturbed. */
  readonly after: number;
  /** How many of the promises' continuations that the next thing sets off still run; null: nor does that thing happen. */
  readonly continuations: number | null;
  /** Must stop this clock. */
  readonly die: () => void;
}

/** In that many turns of the queue of microtasks, which is how far `await`s are apart; at once, if none. */
function inMicrotasks(count: number, run: () => void): void {
  if (count === 0) run();
  else queueMicrotask(() => inMicrotasks(count - 1, run));
}

/** Where the simulated wall clocks start: 2024-01-01. */
export const SIM_EPOCH_ms = 1_704_067_200_000;

/**
 * The clock of one run of one process. A paused process (SIGSTOP) runs nothing while its clocks go on; what was due comes in
 * order when it resumes. A stopped one (it has died) never runs anything again: a restarted process gets a new clock.
 */
export class SimClock implements Clock {
  readonly #scheduler: SimScheduler;
  #rate: number;
  #rateSince_ms: number;
  #monotonicBase_ms: number;
  /** Wall minus monotonic. */
  #wallOffset_ms: number;
  #paused = false;
  /** What the monotonic clock showed when the machine fell asleep. */
  #asleep_ms: number | null = null;
  #stopped = false;
  /** How often the process has done anything. */
  runs = 0;
  #interruption: Interruption | null = null;
  /** Of `runs`: when it strikes. */
  #interruptedRun = 0;
  #held: (() => void)[] = [];

  constructor(scheduler: SimScheduler, options: SimClockOptions = {}) {
    this.#scheduler = scheduler;
    this.#rate = options.rate ?? 1;
    this.#rateSince_ms = scheduler.now_ms;
    // A clock that starts late has run at its own rate from the beginning, as the node's hardware did.
    this.#monotonicBase_ms = scheduler.now_ms * this.#rate;
    this.#wallOffset_ms = options.wall_ms ?? SIM_EPOCH_ms;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  monotonic_ms(): number {
    return this.#monotonicBase_ms + (this.#scheduler.now_ms - this.#rateSince_ms) * this.#rate;
  }

  wall_ms(): number {
    return Math.floor(this.#wallOffset_ms + this.monotonic_ms());
  }

  after(delay_ms: number, run: () => void): Timer {
    return new ClockTimer(this.#scheduler, this, delay_ms / this.#rate, run);
  }

  soon(run: () => void): void {
    this.#scheduler.after(0, () => this.run(run));
  }

  /** Something happens to the process now: at once, or when it resumes, or never if it is dead. */
  run(what: () => void): void {
    if (this.#stopped) return;
    if (this.#paused) {
      this.#held.push(what);
      return;
    }
    this.runs++;
    if (this.#interruption !== null && this.runs > this.#interruptedRun) this.#runAndDie(what, this.#interruption);
    else what();
  }

  /**
   * All that ever reaches a process goes through `run`: timers, frames, answers of its disk and of its engines. So the
   * process may be made to die at any `await`: before one of them, right after it, or some continuations later. What runs
   * after that in the same step runs in a process that is gone: its ports take nothing from it any more.
   */
  interrupt(interruption: Interruption | null): void {
    this.#interruption = interruption;
    this.#interruptedRun = this.runs + (interruption?.after ?? 0);
  }

  #runAndDie(what: () => void, { continuations, die }: Interruption): void {
    this.#interruption = null;
    if (continuations !== null) what();
    inMicrotasks(continuations ?? 0, () => {
      if (!this.#stopped) die();
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const what of held) this.#scheduler.after(0, () => this.run(what));
  }

  /** The machine sleeps: its processes are paused, and the monotonic clock stands still while the wall clock goes on. */
  suspend(): void {
    this.#asleep_ms = this.monotonic_ms();
    this.pause();
  }

  wake(): void {
    if (this.#asleep_ms === null) return;
    const slept_ms = this.monotonic_ms() - this.#asleep_ms;
    this.#asleep_ms = null;
    this.#monotonicBase_ms -= slept_ms;
    this.#wallOffset_ms += slept_ms;
    this.resume();
  }

  stop(): void {
    this.#stopped = true;
    this.#held = [];
  }

  /** From now on both clocks run at this rate. Timers that are set keep their time. */
  setRate(rate: number): void {
    this.#monotonicBase_ms = this.monotonic_ms();
    this.#rateSince_ms = this.#scheduler.now_ms;
    this.#rate = rate;
  }

  /** The wall clock is set forward or back; the monotonic clock does not notice. */
  jumpWall(by_ms: number): void {
    this.#wallOffset_ms += by_ms;
  }
}
