/**
 * What operators ask of verifications. A run lives on the node that was asked to begin it, and its id tells which one that is:
 * any other node passes questions on. A node carries on one of its own at a time, and remembers the last ones until it ends.
 */
import { z } from 'zod';
import type { Clock, EventSink, GroupId, NodeId, Random } from '../../../raft/index.js';
import { parseShardName, type ShardMap, type ShardPort } from '../../../shardctrl/index.js';
import type { Answer, ApiError, VerifyRequest, VerifyRunsView, VerifySummary, VerifyView } from '../api.js';
import type { ControllerCaller } from '../controller-caller.js';
import { callJson, handleJson } from '../json-rpc.js';
import type { MapKeeper } from '../map-keeper.js';
import { noShard } from '../members-admin.js';
import { Method, type Rpc } from '../rpc.js';
import type { ShardCaller } from '../shard-caller.js';
import { type LeaderAnswer, leaderAnswers, type ShardQuery } from '../shard-schemas.js';
import type { AuditedPlan } from './plan-verification.js';
import { VerifyRun } from './verify-run.js';
import { type ViewAnswer, type ViewCall, viewAnswerSchema } from './view-schemas.js';
import type { ViewService } from './view-service.js';

const RUNS_KEPT = 20;
const LIST_MS = 1_000;
/** A node's name, and what its runs have been numbered with. */
const RUN_ID = /^(.+)-([0-9a-z]{8})$/;

const requestSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('show'), id: z.string() }),
  z.object({ op: z.literal('cancel'), id: z.string() }),
  z.object({ op: z.literal('list') }),
]);
type Request = z.infer<typeof requestSchema>;

/** Between nodes of one cluster: the shapes are those of the API. null: there is no such run. */
const shownSchema = z.custom<VerifyView | null>((value) => typeof value === 'object');
const listedSchema = z.custom<readonly VerifySummary[]>((value) => Array.isArray(value));

export interface VerifyAdminOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  readonly rpc: Rpc;
  readonly maps: MapKeeper;
  readonly controller: ControllerCaller;
  readonly caller: ShardCaller;
  readonly shards: Pick<ShardPort, 'remains'>;
  /** Of this node. */
  readonly views: ViewService;
  readonly down: (node: NodeId) => boolean;
  readonly event: EventSink;
  readonly failed: (error: unknown) => void;
}

type Failure = { readonly ok: false; readonly error: ApiError };
const fail = (code: ApiError['code'], detail: string): Failure => ({ ok: false, error: { code, detail } });

const AWAY = fail('unavailable', 'the controller did not answer in time: a majority of its members may be away');

export class VerifyAdmin {
  readonly #options: VerifyAdminOptions;
  /** The oldest first. */
  readonly #runs: VerifyRun[] = [];
  /** A run is being begun: another one must not be. */
  #beginning = false;

  constructor(options: VerifyAdminOptions) {
    this.#options = options;
    handleJson(options.rpc, Method.Verify, requestSchema, async (request) => this.#here(request), options.failed);
  }

  // ----------------------------------------------------------------------------------------------------------- begin

  async start(request: VerifyRequest, timeout_ms: number): Promise<Answer<VerifyView>> {
    const active = this.#runs.find((run) => !run.over);
    if (active !== undefined || this.#beginning) {
      const which = active === undefined ? 'one that is just being begun' : active.id;
      return fail('conflict', `${this.#options.self} is at a verification already: ${which}; one at a time`);
    }
    this.#beginning = true;
    try {
      const begun = await this.#begin(request, timeout_ms);
      if (!begun.ok) return begun;
      const run = begun.value;
      this.#runs.push(run);
      if (this.#runs.length > RUNS_KEPT) this.#runs.shift();
      run.run().then(() => this.#tell(run), this.#options.failed);
      return { ok: true, value: run.view() };
    } finally {
      this.#beginning = false;
    }
  }

  async #begin(request: VerifyRequest, timeout_ms: number): Promise<Answer<VerifyRun>> {
    const newest = await this.#options.controller.map(null, timeout_ms);
    if (newest === null || newest === 'missing') return AWAY;
    const plan = request.plan === null ? null : await this.#planOf(request.plan, timeout_ms);
    if (plan?.ok === false) return plan;
    const map = plan?.value.map ?? newest.map;
    const shards = shardsOf(request, map);
    if (!shards.ok) return shards;
    const course = { id: this.#newId(), request, map, shards: shards.value, plan: plan?.value ?? null };
    const { clock, controller, shards: port, down } = this.#options;
    const run = new VerifyRun(course, {
      clock,
      controller,
      down,
      ask: (node, call, limit_ms) => this.#ask(node, call, limit_ms),
      mark: (shard, token, limit_ms) => this.#mark(shard, token, limit_ms),
      remains: (shard, members, limit_ms) => port.remains(shard, members, limit_ms),
    });
    return { ok: true, value: run };
  }

  #newId(): string {
    const { self, random } = this.#options;
    const name = Array.from({ length: 8 }, () => Math.floor(random.next() * 36).toString(36)).join('');
    return `${self}-${name}`;
  }

  /** Nothing may be said of slots that are on their way. */
  async #planOf(id: string, timeout_ms: number): Promise<Answer<AuditedPlan>> {
    const audit = await this.#options.controller.audit(id, timeout_ms);
    if (audit === null) return AWAY;
    const { plan, map, running } = audit;
    if (plan === null || map === null) return fail('not_found', `there is no plan ${id}`);
    if (plan.forgotten) return fail('not_found', `plan ${id} is so old that its receipts are no longer kept`);
    if (running !== null) {
      const detail = `plan ${running} is not over: receipts are verified while no slots move`;
      return fail('conflict', detail);
    }
    return { ok: true, value: { ...audit, plan, map } };
  }

  async #ask(node: NodeId, call: ViewCall, timeout_ms: number): Promise<ViewAnswer | null> {
    const { self, rpc, views } = this.#options;
    if (node === self) return views.answer(call);
    const called = await callJson(rpc, node, Method.View, call, viewAnswerSchema, timeout_ms);
    return called.kind === 'answer' ? called.value : null;
  }

  #mark(shard: GroupId, token: string, timeout_ms: number): Promise<number> {
    const query: ShardQuery = { kind: 'mark', shard, token };
    return this.#options.caller.ask(
      shard,
      Method.ShardQuery,
      query,
      leaderAnswers.index,
      async (service) => (await service.query(query)) as LeaderAnswer<number>,
      timeout_ms,
      MARK_ATTEMPT_MS,
    );
  }

  #tell(run: VerifyRun): void {
    const { id, state, result } = run.summary;
    const level = result === 'differences' ? 'error' : result === 'clean' ? 'info' : 'warn';
    const first = firstTrouble(run.view());
    this.#options.event(level, 'a verification has ended', { verification: id, state, result, ...first });
  }

  // ------------------------------------------------------------------------------------------------------- afterwards

  show(id: string, timeout_ms: number): Promise<Answer<VerifyView>> {
    return this.#atItsNode({ op: 'show', id }, timeout_ms);
  }

  cancel(id: string, timeout_ms: number): Promise<Answer<VerifyView>> {
    return this.#atItsNode({ op: 'cancel', id }, timeout_ms);
  }

  async #atItsNode(request: Extract<Request, { id: string }>, timeout_ms: number): Promise<Answer<VerifyView>> {
    const { self, rpc, maps } = this.#options;
    const { id } = request;
    const node = RUN_ID.exec(id)?.[1];
    if (node === undefined) return fail('not_found', `there is no verification ${id}`);
    if (node === self) return shown(id, node, this.#here(request) as VerifyView | null);
    if (maps.map?.nodes.some((known) => known.id === node) !== true) {
      return fail('not_found', `${node}, which carried on verification ${id}, is no node of the cluster`);
    }
    const called = await callJson(rpc, node, Method.Verify, request, shownSchema, timeout_ms);
    if (called.kind !== 'answer') {
      return fail(
        'unavailable',
        `${node}, which carries on verification ${id}, does not answer; if it has ended, verify again`,
      );
    }
    return shown(id, node, called.value);
  }

  /** Of all nodes. */
  async list(timeout_ms: number): Promise<Answer<VerifyRunsView>> {
    const { self, rpc, maps, down } = this.#options;
    const silent: NodeId[] = [];
    const others = (maps.map?.nodes ?? []).map(({ id }) => id).filter((id) => id !== self);
    const said = await Promise.all(
      others.map(async (node) => {
        const limit_ms = Math.min(LIST_MS, timeout_ms);
        const called = down(node)
          ? null
          : await callJson(rpc, node, Method.Verify, { op: 'list' }, listedSchema, limit_ms);
        if (called?.kind === 'answer') return called.value;
        silent.push(node);
        return [];
      }),
    );
    const runs = [this.#summaries(), ...said].flat();
    runs.sort((a, b) => (a.started < b.started ? 1 : -1));
    return { ok: true, value: { runs, silent: silent.sort() } };
  }

  #summaries(): VerifySummary[] {
    return this.#runs.map((run) => run.summary);
  }

  #here(request: Request): VerifyView | null | readonly VerifySummary[] {
    if (request.op === 'list') return this.#summaries();
    const run = this.#runs.find(({ id }) => id === request.id);
    if (run === undefined) return null;
    if (request.op === 'cancel') run.cancel();
    return run.view();
  }

  close(): void {
    for (const run of this.#runs) run.cancel();
  }
}

const MARK_ATTEMPT_MS = 3_000;

/** What whoever reads the node's log should see at once. */
function firstTrouble({ shards, plan }: VerifyView): Readonly<Record<string, unknown>> {
  const [difference] = [...(plan?.differences ?? []), ...shards.flatMap((shard) => shard.differences)];
  const missed = shards.flatMap(({ id, replicas }) =>
    replicas.flatMap(({ node, state, detail }) => (state === 'read' ? [] : [`${id} on ${node}: ${detail}`])),
  );
  const [unread = plan?.unchecked[0]] = missed;
  return { ...(difference === undefined ? {} : { difference }), ...(unread === undefined ? {} : { unread }) };
}

function shown(id: string, node: NodeId, view: VerifyView | null): Answer<VerifyView> {
  if (view !== null) return { ok: true, value: view };
  return fail('not_found', `${node} knows no verification ${id}: it has started again since, or has forgotten it`);
}

/** Those whose records are read; with a plan, none but those that are named. */
function shardsOf({ shards, plan }: VerifyRequest, map: ShardMap): Answer<readonly GroupId[]> {
  const known = map.shards.map(({ id }) => id);
  if (shards.length === 0) return { ok: true, value: plan === null ? known : [] };
  const ids: GroupId[] = [];
  for (const name of shards) {
    const id = parseShardName(name);
    if (id === null || !known.includes(id)) return { ok: false, error: noShard(name, map) };
    ids.push(id);
  }
  return { ok: true, value: ids };
}
