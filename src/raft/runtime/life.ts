/**
 * Whether a replica takes part, and how that ends. It is told to stop; or its files turn out to be damaged, and it ends
 * alone, whoever found that; or the node's disk fails, and with it the node (F33). In each case it does nothing more, from
 * that moment on: it sends, votes, acknowledges and writes nothing, and everyone who waits is answered.
 */
import { isDamage } from './damage.js';
import type { EventSink } from './environment.js';

export interface LifeOptions {
  /** Nothing more may reach the engine. */
  readonly freeze: () => void;
  /** Whoever waits here must not wait any longer. */
  readonly abandon: () => void;
  readonly changed: () => void;
  /** The node can't go on. */
  readonly fatal: (error: Error) => void;
  readonly event: EventSink;
}

export class Life {
  readonly #options: LifeOptions;
  #damage: string | null = null;
  #stopped = false;
  #failed = false;

  constructor(options: LifeOptions) {
    this.#options = options;
  }

  /** Neither stopped nor damaged. */
  get active(): boolean {
    return !this.#stopped && this.#damage === null;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** What was found, or null. */
  get damage(): string | null {
    return this.#damage;
  }

  /** An invariant that fails, or files that can't be trusted, end this replica, not its neighbours on the node. */
  markDamaged(error: Error): void {
    if (!this.active) return;
    this.#damage = error.message;
    this.#options.freeze();
    this.#options.event('error', `replica is damaged and stops: ${error.message}`, { stack: error.stack });
    this.#options.abandon();
    this.#options.changed();
  }

  /** Of its engine: damaged files end this replica, any other failure is the disk's, and so the node's. */
  engineFailed(error: Error): void {
    if (!this.active) return;
    if (isDamage(error)) this.markDamaged(error);
    else this.fatal(error);
  }

  /** The node has to end. Until it has, this replica does nothing any more. */
  fatal(error: Error): void {
    if (this.#failed || this.#stopped) return;
    this.#failed = true;
    this.#damage ??= error.message;
    this.#options.freeze();
    this.#options.abandon();
    this.#options.fatal(error);
  }

  stop(): void {
    this.#stopped = true;
    this.#options.abandon();
  }
}
