/** What operators ask about the load of slots and keys, and about the balance of shards. */
import type { NodeId } from '../../raft/index.js';
import {
  type ControllerCommand,
  type PlanLimits,
  type ShardMap,
  type SlotMove,
  type Standing,
  shardName,
} from '../../shardctrl/index.js';
import type {
  Answer,
  ApiError,
  BalanceSettingsRequest,
  BalanceSettingsView,
  BalanceView,
  HotReport,
  PlanRequest,
  PlanView,
} from './api.js';
import type { BalanceService } from './balance-service.js';
import { balanceSentence, balanceView } from './balance-view.js';
import type { ControllerCaller } from './controller-caller.js';
import { hotReport } from './hot-view.js';
import type { LoadService } from './load-service.js';
import { limitsOf, type PlanDrafts } from './plan-drafts.js';

export interface BalanceAdminOptions {
  readonly loads: LoadService;
  readonly balance: BalanceService;
  readonly controller: Pick<ControllerCaller, 'propose'>;
  readonly drafts: PlanDrafts;
  /** Nodes that are down, as this one sees it. */
  readonly down: () => readonly NodeId[];
  /** Has the controller start a plan, and gives the plan. */
  readonly start: (command: ControllerCommand, timeout_ms: number) => Promise<Answer<PlanView>>;
}

type Failure = { readonly ok: false; readonly error: ApiError };
const fail = (code: ApiError['code'], detail: string): Failure => ({ ok: false, error: { code, detail } });

const AWAY_DETAIL = 'the controller did not answer in time: a majority of its members may be away';
const AWAY = fail('unavailable', AWAY_DETAIL);
/** A node that takes longer is left out; the rest is shown. */
const GATHER_MS = 1_000;

export class BalanceAdmin {
  readonly #options: BalanceAdminOptions;

  constructor(options: BalanceAdminOptions) {
    this.#options = options;
  }

  async hot(map: ShardMap, limit: number, timeout_ms: number): Promise<Answer<HotReport>> {
    const gather_ms = Math.max(1, Math.min(GATHER_MS, timeout_ms - 100));
    const load = await this.#options.loads.gather(map, { sizes: false }, gather_ms);
    return { ok: true, value: hotReport(map, load, limit) };
  }

  async balance(timeout_ms: number): Promise<Answer<BalanceView>> {
    const standing = await this.#options.balance.ask(timeout_ms);
    if (standing === null) return AWAY;
    const plan = await this.#draft(standing, limitsOf({}), timeout_ms);
    return plan.ok ? { ok: true, value: balanceView(standing, plan.value) } : plan;
  }

  /** As a dry run shows it; `warnings` say why there is nothing to move. */
  #draft(standing: Standing, limits: PlanLimits, timeout_ms: number): Promise<Answer<PlanView>> {
    const moves = movesOf(standing);
    const warnings = moves.length === 0 ? [`nothing to move: ${balanceSentence(standing)}`] : [];
    return this.#options.drafts.balance(moves, warnings, limits, timeout_ms);
  }

  async start(request: PlanRequest, timeout_ms: number): Promise<Answer<PlanView>> {
    const standing = await this.#options.balance.ask(timeout_ms);
    if (standing === null) return AWAY;
    if (standing.assessment === null) return fail('unavailable', `${balanceSentence(standing)}: try again`);
    const moves = movesOf(standing);
    const limits = limitsOf(request);
    if (request.dry_run || moves.length === 0) return this.#draft(standing, limits, timeout_ms);
    const { worst } = standing.assessment;
    const cause = worst === null ? '' : `asked for by an operator: ${shardName(worst.shard)} was overloaded`;
    const { start, down } = this.#options;
    return start({ kind: 'balance', moves: [...moves], auto: false, cause, downNodes: down(), ...limits }, timeout_ms);
  }

  async set(request: BalanceSettingsRequest, timeout_ms: number): Promise<Answer<BalanceSettingsView>> {
    const answer = await this.#options.controller.propose({ kind: 'balance_settings', ...request }, timeout_ms);
    if (answer.kind === 'unavailable') return fail('no_leader', AWAY_DETAIL);
    if (answer.kind === 'unknown') {
      return fail('outcome_unknown', 'the controller did not confirm the settings: look at GET /v1/admin/balance');
    }
    const { result } = answer;
    if (result.kind === 'balance_settings') return { ok: true, value: result.settings };
    if (result.kind === 'malformed') return fail('invalid_argument', result.detail);
    if (result.kind === 'not_initialised') return fail('unavailable', 'the cluster is being made');
    return fail('internal', `unexpected answer of the controller: ${result.kind}`);
  }
}

const movesOf = ({ assessment }: Standing): readonly SlotMove[] => assessment?.moves ?? [];
