/**
 * Watches the balance of shards on the controller's leader: measures every few seconds, remembers since when some shard has been
 * overloaded, and, where the settings say `auto`, has the moves carried out. What it remembers is gone with its office: the
 * next one waits once more for as long as the settings say.
 *
 * It acts only where all is calm, since moves cost something and nothing is lost by waiting: no plan runs, no members
 * change, every node is healthy and every shard has said what it carries.
 */
import type { Clock, GroupId, NodeId, Timer } from '../raft/index.js';
import { type Assessment, assess, type Carried } from './balance.js';
import { AUTO_PAUSE_MS, type BalanceSettings } from './balance-settings.js';
import type { ControllerCommand } from './commands.js';
import type { ControllerProposed, DriverEvents } from './driver-ports.js';
import type { MemberChange } from './member-change.js';
import type { PlanState } from './plan.js';
import type { SlotMove } from './planner.js';
import type { ClusterSettings } from './settings.js';
import type { ShardMap } from './shard-map.js';

/** What all slots carry, as far as it is known. */
export interface Measured extends Carried {
  /** Shards that have not said what they carry. */
  readonly silent: readonly GroupId[];
}

export interface LoadPort {
  /** Never rejects: who does not answer within `timeout_ms` is silent. */
  measure(map: ShardMap, timeout_ms: number): Promise<Measured>;
}

/** The local replica's state; `ControllerStateMachine` is one. */
export interface BalanceControllerView {
  map(): ShardMap | null;
  runningPlan(): PlanState | null;
  changes(): readonly MemberChange[];
  settings(): ClusterSettings;
  /** When shards were last balanced, milliseconds since 1970; null: never. */
  lastBalance_ms(): number | null;
}

export interface BalanceDriverOptions {
  readonly clock: Clock;
  readonly loads: LoadPort;
  /** Of this node, which leads the controller and has applied an entry of its own term. */
  readonly state: () => BalanceControllerView;
  readonly propose: (command: ControllerCommand) => Promise<ControllerProposed>;
  readonly event: DriverEvents;
  readonly healthy: (node: NodeId) => boolean;
  /** Makes sure that this node still leads the controller. */
  readonly confirm: () => Promise<boolean>;
  /** In words, for the plan that comes of it. */
  readonly explain: (standing: Standing) => string;
}

/** How things stood when somebody looked last. */
export interface Standing {
  readonly settings: BalanceSettings;
  /** null: some shards have not said what they carry. */
  readonly assessment: Assessment | null;
  readonly silent: readonly GroupId[];
  /** How long some shard has been overloaded without a break, as far as this leader knows; null: none is. */
  readonly overloaded_ms: number | null;
}

const LOOK_EVERY_MS = 10_000;
const MEASURE_MS = 2_000;
/** For how long its plans may freeze a slot. Nobody is there to allow more where disks are slow: it must not fail for that again and again. */
const FROZEN_MS_MAX = 1_000;

/** Overloaded for long enough that it counts. */
export const isHeld = ({ settings, overloaded_ms }: Standing): boolean =>
  overloaded_ms !== null && overloaded_ms >= settings.hold_s * 1_000;

export class BalanceDriver {
  readonly #options: BalanceDriverOptions;
  #timer: Timer | null = null;
  #office = 0;
  #running = false;
  #overloadedSince_ms: number | null = null;
  #last: Standing | null = null;

  constructor(options: BalanceDriverOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#schedule(++this.#office);
  }

  /** At once: nothing is proposed any more, and nothing is remembered. */
  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#overloadedSince_ms = null;
    this.#last = null;
  }

  /** null: nobody has looked yet. */
  get last(): Standing | null {
    return this.#last;
  }

  #schedule(office: number): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#round(office).then(
        () => this.#again(office),
        (error: unknown) => {
          this.#options.event('error', 'watching the balance stumbled; it goes on', { error });
          this.#again(office);
        },
      );
    });
  }

  #again(office: number): void {
    if (this.#isIn(office)) this.#schedule(office);
  }

  #isIn(office: number): boolean {
    return this.#running && this.#office === office;
  }

  async #round(office: number): Promise<void> {
    const standing = await this.look(MEASURE_MS);
    if (!this.#isIn(office) || standing === null) return;
    const moves = this.#due(standing);
    if (moves === null || !(await this.#options.confirm()) || !this.#isIn(office)) return;
    const cause = this.#options.explain(standing);
    const limits = { max_pause_ms: FROZEN_MS_MAX, auto: true };
    const proposed = await this.#options.propose({ kind: 'balance', moves: [...moves], cause, ...limits });
    if (proposed.kind === 'applied' && proposed.result.kind === 'plan_started') {
      this.#options.event('info', 'shards are being balanced', { plan: proposed.result.plan, cause });
    }
  }

  /** How things stand now; null: there is no cluster yet, or this driver does not run. */
  async look(timeout_ms: number): Promise<Standing | null> {
    const { clock, loads, state } = this.#options;
    const office = this.#office;
    const map = state().map();
    if (!this.#running || map === null) return null;
    const measured = await loads.measure(map, timeout_ms);
    if (!this.#isIn(office)) return null;
    const settings = state().settings().balance;
    const silent = measured.silent.filter((id) =>
      map.shards.some((shard) => shard.id === id && shard.slots.length > 0),
    );
    const limit = settings.limit_percent / 100;
    const carriers = map.shards.map(({ id, slots, weight }) => ({ id, slots, weight }));
    const assessment = silent.length > 0 ? null : assess(carriers, measured, limit);
    // While slots are on their way nothing is said that will be true when they have arrived.
    if (state().runningPlan() !== null || assessment?.worst === null) this.#overloadedSince_ms = null;
    else if (assessment !== null) this.#overloadedSince_ms ??= clock.monotonic_ms();
    const since_ms = this.#overloadedSince_ms;
    const overloaded_ms = since_ms === null ? null : clock.monotonic_ms() - since_ms;
    this.#last = { settings, assessment, silent, overloaded_ms };
    return this.#last;
  }

  /** The moves that are to be carried out without being asked for; null: none, or not now. */
  #due(standing: Standing): readonly SlotMove[] | null {
    const { settings, assessment } = standing;
    if (!settings.auto || !isHeld(standing) || assessment === null || assessment.moves.length === 0) return null;
    return this.#isCalm() ? assessment.moves : null;
  }

  #isCalm(): boolean {
    const { clock, state, healthy } = this.#options;
    const view = state();
    const map = view.map();
    if (map === null || view.runningPlan() !== null || view.changes().length > 0 || map.draining.length > 0)
      return false;
    if (!map.nodes.every((node) => healthy(node.id))) return false;
    const last_ms = view.lastBalance_ms();
    return last_ms === null || clock.wall_ms() - last_ms >= AUTO_PAUSE_MS;
  }
}
