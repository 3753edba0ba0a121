/**
 * One verification from its beginning to its end: first the receipts of a plan, where one is asked for, then shards, as many at
 * a time as have no node in common. It lives in the memory of the node that was asked for it, and ends with that node:
 * nothing is lost by that but the work, for nothing has been changed.
 */
import type { Clock, GroupId, NodeId } from '../../../raft/index.js';
import type { ShardMap } from '../../../shardctrl/index.js';
import type { VerifyRequest, VerifySummary, VerifyView } from '../api.js';
import { type AuditedPlan, PlanVerification, type PlanVerificationOptions } from './plan-verification.js';
import { type ShardTask, ShardVerification, type ShardVerificationOptions } from './shard-verification.js';

const MIB = 1024 * 1024;

export interface VerifyRunOptions extends ShardVerificationOptions, PlanVerificationOptions {
  readonly clock: Clock;
}

export interface VerifyCourse {
  readonly id: string;
  readonly request: VerifyRequest;
  readonly map: ShardMap;
  /** Shards whose records are read. */
  readonly shards: readonly GroupId[];
  /** null: none is asked for. */
  readonly plan: AuditedPlan | null;
}

export class VerifyRun {
  readonly #course: VerifyCourse;
  readonly #options: VerifyRunOptions;
  readonly #plan: PlanVerification | null;
  #shards: readonly ShardVerification[] = [];
  #state: VerifyView['state'] = 'running';
  #reason: string | null = null;
  readonly #started_ms: number;
  #ended_ms: number | null = null;

  constructor(course: VerifyCourse, options: VerifyRunOptions) {
    this.#course = course;
    this.#options = options;
    this.#started_ms = options.clock.wall_ms();
    this.#plan = course.plan === null ? null : new PlanVerification(course.plan, options);
    this.#shards = this.#tasks().map((task) => new ShardVerification(task, options));
  }

  get id(): string {
    return this.#course.id;
  }

  get over(): boolean {
    return this.#state !== 'running';
  }

  /** Never rejects. */
  async run(): Promise<void> {
    try {
      await this.#carryOut();
      if (this.#state === 'running') this.#state = 'done';
    } catch (error) {
      this.#state = 'failed';
      this.#reason = error instanceof Error ? error.message : String(error);
    }
    this.#ended_ms = this.#options.clock.wall_ms();
  }

  async #carryOut(): Promise<void> {
    const plan = this.#plan;
    if (plan !== null) {
      await plan.readReceipts();
      // What must be gone is known only now.
      this.#shards = this.#tasks().map((task) => new ShardVerification(task, this.#options));
    }
    await this.#allShards();
    if (plan === null || this.over) return;
    for (const { task, reports } of this.#shards) plan.judgeShard(task.shard, reports);
    if (!(await plan.stoodStill())) for (const shard of this.#shards) shard.forget('remains');
  }

  /** For a plan every shard is looked at: each slot must have one owner. */
  #tasks(): readonly ShardTask[] {
    const { id, request, map, shards, plan } = this.#course;
    return map.shards
      .filter((shard) => plan !== null || shards.includes(shard.id))
      .map((shard) => ({
        shard: shard.id,
        nodes: shard.members.map(({ node }) => node),
        token: `${id}/s${shard.id}`,
        records: shards.includes(shard.id),
        gone: this.#plan?.goneFrom(shard.id) ?? [],
        bytesPerS: request.mib_per_s * MIB,
        giveUp_ms: request.give_up_ms,
      }));
  }

  async #allShards(): Promise<void> {
    const waiting = [...this.#shards];
    const busy = new Set<NodeId>();
    const running = new Set<Promise<void>>();
    while (!this.over) {
      const next = waiting.find(({ task }) => !task.nodes.some((node) => busy.has(node)));
      if (next !== undefined) {
        waiting.splice(waiting.indexOf(next), 1);
        const { nodes } = next.task;
        for (const node of nodes) busy.add(node);
        const work: Promise<void> = next.run().finally(() => {
          for (const node of nodes) busy.delete(node);
          running.delete(work);
        });
        running.add(work);
      } else if (running.size === 0) return;
      else await Promise.race(running);
    }
    await Promise.allSettled(running);
  }

  /** What is under way lets go; no effect once it is over. */
  cancel(): void {
    if (this.over) return;
    this.#state = 'cancelled';
    this.#plan?.cancel();
    for (const shard of this.#shards) shard.cancel();
  }

  get #result(): VerifyView['result'] {
    if (this.#state === 'running') return null;
    const differ =
      this.#shards.some(({ differences }) => differences.length > 0) || (this.#plan?.differences.length ?? 0) > 0;
    if (differ) return 'differences';
    const complete = this.#shards.every((shard) => shard.complete) && this.#plan?.complete !== false;
    return complete && this.#state === 'done' ? 'clean' : 'incomplete';
  }

  get summary(): VerifySummary {
    const started = new Date(this.#started_ms).toISOString();
    return { id: this.id, state: this.#state, result: this.#result, started };
  }

  view(): VerifyView {
    return {
      ...this.summary,
      ...(this.#reason === null ? {} : { reason: this.#reason }),
      ended: this.#ended_ms === null ? null : new Date(this.#ended_ms).toISOString(),
      mib_per_s: this.#course.request.mib_per_s,
      shards: this.#shards.map((shard) => shard.view()),
      plan: this.#plan?.view() ?? null,
    };
  }
}
