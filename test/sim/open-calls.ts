/** Calls of operators that may still have an effect: a plan must not begin when all has been found to be at rest. */
import type { SimScheduler } from './fakes/clock.js';

interface Call {
  /** Whoever was asked has given it up by then; or has died, and never says so. */
  readonly until_ms: number;
  over: boolean;
}

export class OpenCalls {
  readonly #scheduler: Pick<SimScheduler, 'now_ms'>;
  #calls: Call[] = [];

  constructor(scheduler: Pick<SimScheduler, 'now_ms'>) {
    this.#scheduler = scheduler;
  }

  /** The answer, as it is. */
  async track<T>(answer: Promise<T>, timeout_ms: number): Promise<T> {
    const call = { until_ms: this.#scheduler.now_ms + timeout_ms, over: false };
    this.#calls.push(call);
    try {
      return await answer;
    } finally {
      call.over = true;
    }
  }

  get none(): boolean {
    this.#calls = this.#calls.filter(({ until_ms, over }) => !over && until_ms > this.#scheduler.now_ms);
    return this.#calls.length === 0;
  }
}
