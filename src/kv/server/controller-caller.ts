/**
 * Asks the controller, from any node: proposals go to its leader, questions to any member that can make sure its answer
 * is up to date. Nodes that host no member learn maps this way.
 */
import { z } from 'zod';
import type { Clock, NodeId, ReplicaHost } from '../../raft/index.js';
import {
  type AuditedReceipt,
  type ClusterSettings,
  CONTROLLER_GROUP,
  type ControllerCommand,
  type ControllerResult,
  type ControllerStateMachine,
  completedSettings,
  encodeControllerCommand,
  isNormalized,
  type MemberChange,
  type PlanPace,
  type PlanState,
  type ShardMap,
  type SlotRanges,
  type StoredReceipt,
  WEIGHT_DEFAULT,
} from '../../shardctrl/index.js';
import { callJson, pack, unpack } from './json-rpc.js';
import type { Leaders } from './leaders.js';
import type { PlanReport } from './plan-view.js';
import { Method, type Rpc } from './rpc.js';
import type { StampClock } from './stamp-clock.js';
import { auditOf, type PlanAudit } from './verify/controller-audit.js';
import { delay, propose, readBarrier, within } from './waiting.js';

export const CONTROLLER = CONTROLLER_GROUP;
const PAUSE_MS = 50;
const ATTEMPT_MS = 2_000;

export type ControllerAnswer =
  /** `report`: of the plan that was started or steered. */
  | { readonly kind: 'result'; readonly result: ControllerResult; readonly report: PlanReport | null }
  /** Certainly not carried out. */
  | { readonly kind: 'unavailable' }
  /** May or may not have been. */
  | { readonly kind: 'unknown' };

export interface MapAnswer {
  readonly map: ShardMap;
  readonly retired: readonly number[];
}

export interface MembersAnswer {
  readonly map: ShardMap;
  readonly changes: readonly MemberChange[];
  readonly settings: ClusterSettings;
}

export interface ReceiptsAnswer {
  readonly plan: PlanState | null;
  readonly receipts: readonly StoredReceipt[];
}

const whole = z.int().min(0);
const members = z.array(z.object({ node: z.string(), replica: whole }));
const groupMembers = {
  members,
  joining: members,
  replicas: whole,
  asFounded: z.boolean(),
  pinned: z.boolean(),
  avoids: z.array(z.string()).default([]),
};

/** Whoever routes by a map must be able to rely on its shape. */
const mapAnswerSchema: z.ZodType<MapAnswer> = z.object({
  map: z.object({
    clusterId: z.string(),
    epoch: whole,
    shards: z.array(
      z.object({
        id: whole,
        slots: z.custom<SlotRanges>(
          (slots) => Array.isArray(slots) && slots.every((range) => Array.isArray(range)) && isNormalized(slots),
        ),
        ...groupMembers,
        weight: z.number().default(WEIGHT_DEFAULT),
      }),
    ),
    controller: z.object(groupMembers),
    draining: z.array(z.string()),
    gone: z.array(z.string()),
    nodes: z.array(
      z.object({
        id: z.string(),
        http: z.string(),
        peer: z.string(),
        labels: z.record(z.string(), z.string()),
        incarnation: z.string(),
      }),
    ),
  }),
  retired: z.array(whole),
});

const requestSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('propose'), command: z.unknown() }),
  z.object({ op: z.literal('map'), epoch: z.number().nullable() }),
  z.object({ op: z.literal('plan'), id: z.string().nullable() }),
  z.object({ op: z.literal('receipts'), id: z.string(), after: whole, limit: whole }),
  z.object({ op: z.literal('members') }),
  z.object({ op: z.literal('pace') }),
  z.object({ op: z.literal('audit'), plan: z.string() }),
  z.object({ op: z.literal('audited_receipts'), plan: z.string(), first: whole, limit: whole }),
]);
type Request = z.infer<typeof requestSchema>;

const answerSchema = z.union([
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), leader: z.string().nullable(), unknown: z.boolean() }),
]);
type Answer = z.infer<typeof answerSchema>;

export interface ControllerCallerOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  readonly leaders: Leaders;
  readonly members: () => readonly NodeId[];
  readonly stamp: StampClock;
  readonly failed: (error: unknown) => void;
}

export class ControllerCaller {
  readonly #options: ControllerCallerOptions;

  constructor(options: ControllerCallerOptions) {
    this.#options = options;
    options.rpc.handle(Method.Controller, (_from, body, reply) => {
      const parsed = requestSchema.safeParse(unpack(body));
      if (!parsed.success) return;
      this.#here(parsed.data).then((answer) => reply(pack(answer)), options.failed);
    });
  }

  async propose(command: ControllerCommand, timeout_ms: number): Promise<ControllerAnswer> {
    const answer = await this.#ask({ op: 'propose', command }, timeout_ms);
    if (answer === null) return { kind: 'unavailable' };
    if (!answer.ok) return { kind: 'unknown' };
    return { kind: 'result', ...(answer.value as { result: ControllerResult; report: PlanReport | null }) };
  }

  /** `epoch` null: the newest. Null: no answer in time, or no such epoch (`missing`). */
  async map(epoch: number | null, timeout_ms: number): Promise<MapAnswer | 'missing' | null> {
    const answer = await this.#ask({ op: 'map', epoch }, timeout_ms);
    if (answer === null || !answer.ok) return null;
    if (answer.value === null) return 'missing';
    const parsed = mapAnswerSchema.safeParse(answer.value);
    return parsed.success ? parsed.data : null;
  }

  /** The newest map with the changes of members that are under way, and what is set; null: no answer in time. */
  async members(timeout_ms: number): Promise<MembersAnswer | null> {
    const answer = await this.#ask({ op: 'members' }, timeout_ms);
    if (answer === null || !answer.ok || answer.value === null) return null;
    const { map, changes, settings } = answer.value as Partial<MembersAnswer> & Omit<MembersAnswer, 'settings'>;
    return { map, changes, settings: completedSettings(settings) };
  }

  async plan(id: string | null, timeout_ms: number): Promise<PlanReport | null> {
    const answer = await this.#ask({ op: 'plan', id }, timeout_ms);
    return answer === null || !answer.ok ? null : (answer.value as PlanReport);
  }

  /** Of a plan, those that follow the first `after`; `plan` null: there is none of that id. Null: no answer in time. */
  async receipts(id: string, after: number, limit: number, timeout_ms: number): Promise<ReceiptsAnswer | null> {
    const answer = await this.#ask({ op: 'receipts', id, after, limit }, timeout_ms);
    return answer === null || !answer.ok ? null : (answer.value as ReceiptsAnswer);
  }

  /** How fast the newest plan went; null: none has moved anything yet, or nobody says so in time. */
  async pace(timeout_ms: number): Promise<PlanPace | null> {
    const answer = await this.#ask({ op: 'pace' }, timeout_ms);
    return answer === null || !answer.ok ? null : (answer.value as PlanPace | null);
  }

  /** For the verification of a plan; null: no answer in time. */
  async audit(plan: string, timeout_ms: number): Promise<PlanAudit | null> {
    const answer = await this.#ask({ op: 'audit', plan }, timeout_ms);
    return answer === null || !answer.ok ? null : (answer.value as PlanAudit);
  }

  /** For the verification of a plan: its receipts from number `first` on (from 1); null: no answer in time. */
  async auditedReceipts(
    plan: string,
    first: number,
    limit: number,
    timeout_ms: number,
  ): Promise<readonly AuditedReceipt[] | null> {
    const answer = await this.#ask({ op: 'audited_receipts', plan, first, limit }, timeout_ms);
    return answer === null || !answer.ok ? null : (answer.value as readonly AuditedReceipt[]);
  }

  /** null: certainly not carried out. `ok: false`: unknown. */
  async #ask(request: Request, timeout_ms: number): Promise<Answer | null> {
    const { clock, leaders, members, rpc, self } = this.#options;
    const deadline = clock.monotonic_ms() + timeout_ms;
    for (let attempt = 1; ; attempt++) {
      // A proposal is made once and waited for; a question is asked elsewhere after a while.
      const patience_ms = request.op === 'propose' ? timeout_ms : ATTEMPT_MS;
      const left_ms = Math.max(1, Math.min(patience_ms, deadline - clock.monotonic_ms()));
      const to = leaders.candidate(CONTROLLER, members(), attempt);
      let answer: Answer | null = null;
      if (to === self) {
        answer = await within(clock, this.#here(request), left_ms, LOST);
      } else if (to !== null) {
        const called = await callJson(rpc, to, Method.Controller, request, answerSchema, left_ms);
        answer = called.kind === 'answer' ? called.value : called.kind === 'lost' ? LOST : null;
        if (answer?.ok !== true) leaders.wrong(CONTROLLER, to);
      }
      if (answer?.ok === true) return answer;
      if (request.op === 'propose' && answer?.unknown === true) return answer;
      if (answer?.leader != null) leaders.hint(CONTROLLER, answer.leader);
      if (clock.monotonic_ms() + PAUSE_MS >= deadline) return null;
      await delay(clock, PAUSE_MS);
    }
  }

  async #here(request: Request): Promise<Answer> {
    const { host, clock, stamp } = this.#options;
    const replica = host.get(CONTROLLER);
    if (replica === undefined || replica.damage !== null) return { ok: false, leader: null, unknown: false };
    const elsewhere: Answer = { ok: false, leader: replica.leaderNode, unknown: false };
    if (request.op === 'propose') {
      if (!replica.leads) return elsewhere;
      const machine = replica.machine as ControllerStateMachine;
      const command = encodeControllerCommand(request.command as ControllerCommand, stamp.next(machine.clock_ms));
      const proposed = await propose(replica, command);
      if (proposed.kind === 'refused') return elsewhere;
      if (proposed.kind === 'unknown') return { ...elsewhere, unknown: true };
      const result = proposed.result as ControllerResult;
      const plan = planOf(request.command as ControllerCommand, result);
      return { ok: true, value: { result, report: plan === null ? null : reportOf(machine, plan) } };
    }
    if (!(await readBarrier(replica, clock, ATTEMPT_MS))) return elsewhere;
    const machine = replica.machine as ControllerStateMachine;
    if (request.op === 'plan') return { ok: true, value: reportOf(machine, request.id) };
    if (request.op === 'receipts') {
      const receipts = machine.receipts(request.id, request.after, request.limit);
      return { ok: true, value: { plan: machine.plan(request.id), receipts } satisfies ReceiptsAnswer };
    }
    if (request.op === 'pace') return { ok: true, value: machine.pace() };
    if (request.op === 'audit') return { ok: true, value: auditOf(machine, request.plan) };
    if (request.op === 'audited_receipts') {
      return { ok: true, value: machine.auditedReceipts(request.plan, request.first, request.limit) };
    }
    if (request.op === 'members') {
      const newest = machine.map();
      if (newest === null) return { ok: true, value: null };
      const [changes, settings] = [machine.changes(), machine.settings()];
      return { ok: true, value: { map: newest, changes, settings } satisfies MembersAnswer };
    }
    const map = request.epoch === null ? machine.map() : machine.mapAt(request.epoch);
    return { ok: true, value: map === null ? null : ({ map, retired: machine.retired() } satisfies MapAnswer) };
  }
}

/** The plan that a command has started or steered. */
function planOf(command: ControllerCommand, result: ControllerResult): string | null {
  if (result.kind === 'plan_started') return result.plan;
  return command.kind === 'plan_control' && result.kind === 'ok' ? command.plan : null;
}

/** `id` null: of the latest plan. */
function reportOf(machine: ControllerStateMachine, id: string | null): PlanReport {
  const plan = id === null ? machine.latestPlan() : machine.plan(id);
  return { plan, batches: machine.batches(), history: machine.history() };
}

const LOST: Answer = { ok: false, leader: null, unknown: true };
