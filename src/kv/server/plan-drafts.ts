/**
 * Plans that are not started yet: what an operator asked for in the controller's terms, what slots hold, and for a dry run
 * what the plan would be and how long it would take.
 */
import type { Clock, NodeId } from '../../raft/index.js';
import {
  DRIVER_DEFAULTS,
  type Drafted,
  draftBalance,
  draftMove,
  draftReshard,
  forecastOf,
  intersectSlots,
  MAX_PAUSE_DEFAULT_MS,
  PACE_DEFAULT,
  type PlanLimits,
  parseShardName,
  type ReshardWish,
  type ShardMap,
  type ShardPort,
  type ShareBy,
  type SlotFigures,
  type SlotMove,
  type SlotRanges,
  SlotSizes,
  shardName,
} from '../../shardctrl/index.js';
import type { Answer, ApiError, PlanRequest, PlanView, ReshardRequest } from './api.js';
import type { ControllerCaller, MapAnswer } from './controller-caller.js';
import { draftView } from './plan-view.js';
import { takeCensus } from './slot-census.js';

/** So long a dry run waits for shards that do not tell what their slots hold, where it can do without. */
const PATIENCE_MS = 2_000;

export interface PlanDraftsOptions {
  readonly clock: Clock;
  readonly shards: Pick<ShardPort, 'slotStats'>;
  readonly controller: Pick<ControllerCaller, 'pace'>;
  /** As the controller has it now, with the ids of shards that are gone. */
  readonly map: (timeout_ms: number) => Promise<Answer<MapAnswer>>;
  /** Nodes that are down, as this one sees it. */
  readonly down: () => readonly NodeId[];
}

const ok = <T>(value: T): Answer<T> => ({ ok: true, value });
const fail = (error: ApiError): { readonly ok: false; readonly error: ApiError } => ({ ok: false, error });

/** What a plan is held to; what was left unsaid is what holds by default. */
export const limitsOf = ({ max_pause_ms, max_rate_bytes }: Omit<PlanRequest, 'dry_run'>): PlanLimits => ({
  max_pause_ms: max_pause_ms ?? MAX_PAUSE_DEFAULT_MS,
  maxRate: max_rate_bytes ?? null,
});

/** The names in a request, read. */
export function wishOf(request: ReshardRequest): Answer<ReshardWish> {
  const { shards, replicas = null, by = 'slots', weights = {}, exclude_shards = [], exclude_nodes = [] } = request;
  const names = [...exclude_shards, ...Object.keys(weights)];
  const wrong = names.find((name) => parseShardName(name) === null);
  if (wrong !== undefined) {
    return fail({ code: 'invalid_argument', detail: `"${wrong}" is not the name of a shard like s1` });
  }
  return ok({
    shards,
    replicas,
    by,
    weights: Object.entries(weights).map(([name, weight]) => [parseShardName(name)!, weight] as const),
    excludeShards: exclude_shards.map((name) => parseShardName(name)!),
    excludeNodes: exclude_nodes,
  });
}

/** What a draft is made from, beside what is asked for. */
interface Basis {
  readonly map: ShardMap;
  readonly figures: SlotFigures;
  readonly limits: PlanLimits;
}

export class PlanDrafts {
  readonly #options: PlanDraftsOptions;

  constructor(options: PlanDraftsOptions) {
    this.#options = options;
  }

  async reshard(wish: ReshardWish, limits: PlanLimits, timeout_ms: number): Promise<Answer<PlanView>> {
    const deadline_ms = this.#deadline_ms(timeout_ms);
    const answer = await this.#options.map(timeout_ms);
    if (!answer.ok) return answer;
    const { map, retired } = answer.value;
    const nextShard = Math.max(0, ...retired, ...map.shards.map((shard) => shard.id)) + 1;
    const figures = await this.#census(map, deadline_ms, wish.by ?? 'slots');
    const silent = whoIsSilent(map, wish, figures);
    if (silent !== null) return silent;
    return this.#view(
      draftReshard(map, nextShard, { ...wish, downNodes: this.#options.down(), figures }),
      { map, figures, limits },
      deadline_ms,
    );
  }

  /** Fails with `unknown` where there is no such shard. */
  async move(
    slots: SlotRanges,
    to: number,
    limits: PlanLimits,
    timeout_ms: number,
    unknown: (map: ShardMap) => ApiError,
  ): Promise<Answer<PlanView>> {
    const deadline_ms = this.#deadline_ms(timeout_ms);
    const answer = await this.#options.map(timeout_ms);
    if (!answer.ok) return answer;
    const { map } = answer.value;
    if (!map.shards.some((shard) => shard.id === to)) return fail(unknown(map));
    const figures = await this.#census(map, deadline_ms, 'slots');
    return this.#view(draftMove(map, slots, to, this.#options.down(), figures), { map, figures, limits }, deadline_ms);
  }

  /** Of moves that the controller's leader has found due. `warnings`: what is to be said of them beside. */
  async balance(
    moves: readonly SlotMove[],
    warnings: readonly string[],
    limits: PlanLimits,
    timeout_ms: number,
  ): Promise<Answer<PlanView>> {
    const deadline_ms = this.#deadline_ms(timeout_ms);
    const answer = await this.#options.map(timeout_ms);
    if (!answer.ok) return answer;
    const { map } = answer.value;
    const figures = await this.#census(map, deadline_ms, 'slots');
    const view = await this.#view(
      draftBalance(map, moves, this.#options.down(), figures),
      { map, figures, limits },
      deadline_ms,
    );
    return view.ok ? ok({ ...view.value, warnings: [...warnings, ...(view.value.warnings ?? [])] }) : view;
  }

  /** What goes with the command that starts the plan; null: it does not go by what slots hold. */
  async figures(wish: ReshardWish, timeout_ms: number): Promise<Answer<SlotFigures | null>> {
    const { by = 'slots' } = wish;
    if (by === 'slots') return ok(null);
    const deadline_ms = this.#deadline_ms(timeout_ms);
    const answer = await this.#options.map(timeout_ms);
    if (!answer.ok) return answer;
    const { map } = answer.value;
    const figures = await this.#census(map, deadline_ms, by);
    return whoIsSilent(map, wish, figures) ?? ok(figures);
  }

  #deadline_ms(timeout_ms: number): number {
    return this.#options.clock.monotonic_ms() + timeout_ms;
  }

  #left_ms(deadline_ms: number): number {
    return Math.max(1, deadline_ms - this.#options.clock.monotonic_ms());
  }

  /** The rest of the time is for what comes after it. */
  #census(map: ShardMap, deadline_ms: number, by: ShareBy): Promise<SlotFigures> {
    const { clock, shards } = this.#options;
    const half_ms = this.#left_ms(deadline_ms) / 2;
    return takeCensus({ clock, shards }, map, by === 'slots' ? Math.min(half_ms, PATIENCE_MS) : half_ms);
  }

  async #view(drafted: Drafted, { map, figures, limits }: Basis, deadline_ms: number): Promise<Answer<PlanView>> {
    if (!drafted.ok) return fail({ code: 'plan_impossible', detail: drafted.missing });
    const { draft } = drafted;
    const { controller, clock } = this.#options;
    const sizes = new SlotSizes(figures);
    const pace = (await controller.pace(Math.min(PATIENCE_MS, this.#left_ms(deadline_ms)))) ?? PACE_DEFAULT;
    const forecast = forecastOf(draft.moves, sizes, pace, DRIVER_DEFAULTS, limits);
    return ok(draftView(draft, { map, sizes, pace, limits, forecast, now_ms: clock.wall_ms() }));
  }
}

/** null: all have told that matter. */
function whoIsSilent(map: ShardMap, wish: ReshardWish, { unknown }: SlotFigures): ReturnType<typeof fail> | null {
  const { by = 'slots', excludeShards = [] } = wish;
  const silent = map.shards
    .filter(({ id, slots }) => !excludeShards.includes(id) && intersectSlots(slots, unknown).length > 0)
    .map(({ id }) => shardName(id));
  if (by === 'slots' || silent[0] === undefined) return null;
  const detail = `${silent.join(', ')} did not tell in time how many ${by} each slot holds: try again, exclude ${silent.length === 1 ? 'it' : 'them'}, or share out slots`;
  return fail({ code: 'unavailable', detail, shard: silent[0] });
}
