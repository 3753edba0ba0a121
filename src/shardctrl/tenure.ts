/**
 * One stay in office of the driver: from `start` to `stop`. Everything the driver awaits goes through here, so that
 * after the end no answer that still comes can have an effect, and no further command is sent (F57).
 */
import type { Clock, Timer } from '../raft/index.js';
import type { ControllerCommand, ControllerResult } from './commands.js';
import type { ControllerPort, DriverEvents } from './driver-ports.js';
import type { DriverSettings } from './driver-settings.js';
import { isOver, type PlanId, type PlanState } from './plan.js';
import { type ShardPort, ShardUnavailable } from './shard-port.js';

/** Thrown into the driver's tasks once they are no longer in office. */
export class TenureOver extends Error {
  override readonly name = 'TenureOver';
}

/** Somebody who asks shards; told when they do not answer, so that others may take its place meanwhile. */
export interface Asker {
  stalled(stalled: boolean): void;
}

export interface Patience {
  /** Monotonic; null: as long as it takes. */
  readonly until_ms: number | null;
  /** Looked at between attempts, and whenever the controller's state changes. */
  readonly enough: () => boolean;
}

const NEVER = (): boolean => false;
export const FOREVER: Patience = { until_ms: null, enough: NEVER };

export interface TenureParts {
  readonly clock: Clock;
  readonly shards: ShardPort;
  readonly controller: ControllerPort;
  readonly event: DriverEvents;
  readonly settings: DriverSettings;
}

export class Tenure {
  readonly clock: Clock;
  readonly shards: ShardPort;
  readonly controller: ControllerPort;
  readonly event: DriverEvents;
  readonly settings: DriverSettings;
  #over = false;
  readonly #timers = new Set<Timer>();

  constructor(parts: TenureParts) {
    this.clock = parts.clock;
    this.shards = parts.shards;
    this.controller = parts.controller;
    this.event = parts.event;
    this.settings = parts.settings;
  }

  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  /** Throws `TenureOver` if it is. */
  check(): void {
    if (this.#over) throw new TenureOver();
  }

  /** Never resolves if the tenure ends before. */
  sleep(delay_ms: number): Promise<void> {
    this.check();
    return new Promise((resolve) => {
      const timer = this.clock.after(delay_ms, () => {
        this.#timers.delete(timer);
        resolve();
      });
      this.#timers.add(timer);
    });
  }

  /** Waiting time before attempt `attempt` + 1. */
  backOff_ms(attempt: number): number {
    const { backOffFirst_ms, backOffLast_ms } = this.settings;
    return Math.min(backOffLast_ms, backOffFirst_ms * 2 ** Math.min(attempt - 1, 30));
  }

  /** Until it is applied: a command may well be in the log twice then. */
  async propose(command: ControllerCommand): Promise<ControllerResult> {
    for (let attempt = 1; ; attempt++) {
      this.check();
      const proposed = await this.controller.propose(command);
      this.check();
      if (proposed.kind === 'applied') return proposed.result;
      await this.sleep(this.backOff_ms(attempt));
    }
  }

  /**
   * Asks until there is an answer; null when patience has run out, also while a call is under way: nobody waits for a long copy
   * whose plan was cancelled. A call that was not answered may have been carried out, or be yet: only what may be repeated
   * may be asked.
   */
  async ask<T>(
    asker: Asker,
    call: (timeout_ms: number) => Promise<T>,
    patience: Patience = FOREVER,
    timeout_ms: number = this.settings.call_timeout_ms,
  ): Promise<T | null> {
    for (let attempt = 1; ; attempt++) {
      this.check();
      const left_ms = this.#left_ms(patience);
      if (left_ms <= 0 || patience.enough()) return null;
      const limit_ms = Math.min(timeout_ms, left_ms);
      const answer = await this.#once(() => call(limit_ms), patience.enough);
      this.check();
      if (answer === 'enough') return null;
      // A call that was cut short tells nothing of the shard: it may only be late for a pause of some milliseconds.
      if (answer !== null || 2 * limit_ms >= this.settings.call_timeout_ms) asker.stalled(answer === null);
      if (answer !== null) return answer.value;
      await this.sleep(Math.max(0, Math.min(this.backOff_ms(attempt), this.#left_ms(patience))));
    }
  }

  /** null: no answer. */
  async #once<T>(call: () => Promise<T>, enough: Patience['enough']): Promise<{ readonly value: T } | 'enough' | null> {
    let unsubscribe = (): void => undefined;
    try {
      const answer = call().then((value) => ({ value }));
      if (enough === NEVER) return await answer;
      const stop = new Promise<'enough'>((resolve) => {
        unsubscribe = this.controller.onChange(() => {
          if (enough()) resolve('enough');
        });
      });
      return await Promise.race([answer, stop]);
    } catch (error) {
      if (error instanceof ShardUnavailable) return null;
      throw error;
    } finally {
      unsubscribe();
    }
  }

  #left_ms(patience: Patience): number {
    return patience.until_ms === null ? Number.POSITIVE_INFINITY : patience.until_ms - this.clock.monotonic_ms();
  }

  /** The plan, if it still runs. */
  planOf(id: PlanId): PlanState | null {
    const plan = this.controller.state().runningPlan();
    return plan === null || plan.id !== id || isOver(plan) ? null : plan;
  }

  /** True once the plan starts nothing more: it failed, was cancelled, or is over. */
  windingUp(id: PlanId): boolean {
    const plan = this.planOf(id);
    return plan === null || plan.ending !== null;
  }
}
