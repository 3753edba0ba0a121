/** What happened, line by line: the same seed gives the same lines, byte for byte. Kept as a digest, and whole if asked. */
import { createHash } from 'node:crypto';
import type { SimScheduler } from './fakes/clock.js';

const TAIL_LINES = 200;
const CHECKOUT = process.cwd();

export class Trace {
  readonly #scheduler: SimScheduler;
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  readonly #keepAll: boolean;
  count = 0;

  constructor(scheduler: SimScheduler, keepAll: boolean) {
    this.#scheduler = scheduler;
    this.#keepAll = keepAll;
  }

  /** Throws where it names a place of this machine, as a stack does: elsewhere the same seed would have another trace. */
  add(who: string, what: string): void {
    if (what.includes(CHECKOUT)) throw new Error(`a trace names the checkout: ${what}`);
    const line = `${this.#scheduler.now_ms.toFixed(3)} ${who} ${what}`;
    this.count++;
    this.#hash.update(line);
    this.#hash.update('\n');
    this.#lines.push(line);
    if (!this.#keepAll && this.#lines.length > 2 * TAIL_LINES) this.#lines.splice(0, TAIL_LINES);
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Ends the trace. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}
