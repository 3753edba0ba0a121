/**
 * Somebody who pauses, resumes and cancels the plan that runs, at whatever step it is. Whoever pauses also resumes, at the
 * latest in the calm: else the plan would never end.
 */
import type { PlanAction } from '../../src/kv/server/api.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface OperatorOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly failed: (what: string) => void;
}

/** What may be answered while a cluster suffers; and to who comes too late: the plan is over, or being ended. */
const EXPECTED: ReadonlySet<string> = new Set(['no_leader', 'unavailable', 'outcome_unknown', 'conflict']);
const TIMEOUT_MS = 3_000;
const RESUME_EVERY_MS = 500;

export class Operator {
  readonly #options: OperatorOptions;
  #calm = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  begin(): void {
    if (!this.#calm) this.#steer(this.#options.random.pick(['pause', 'pause', 'resume', 'resume', 'cancel'] as const));
  }

  #steer(action: PlanAction): void {
    const { nodes, random, scheduler, trace } = this.#options;
    const node = random.pick(nodes);
    const admin = node.node?.admin;
    if (admin === undefined) return;
    node.clock?.run(() => {
      void admin.plan(null, TIMEOUT_MS).then((found) => {
        if (!found.ok || !['running', 'paused'].includes(found.value.state)) return undefined;
        const { id } = found.value;
        trace.add('nemesis', `asks ${node.id} to ${action} plan ${id}`);
        // A plan that stands still shows nothing.
        if (action === 'pause') scheduler.after(random.between(100, 3_000), () => this.#steer('resume'));
        return admin.steerPlan(id, action, TIMEOUT_MS).then((answer) => {
          if (answer.ok) trace.add('nemesis', `plan ${id} is ${answer.value.state}`);
          else if (!EXPECTED.has(answer.error.code))
            this.#options.failed(
              `to ${action} plan ${id} was refused with ${answer.error.code}: ${answer.error.detail}`,
            );
        });
      });
    });
  }

  /** A pause may be on its way still. */
  calm(): void {
    this.#calm = true;
    this.#steer('resume');
    this.#options.scheduler.after(RESUME_EVERY_MS, () => this.calm());
  }
}
