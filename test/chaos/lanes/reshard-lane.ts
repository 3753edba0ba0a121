/**
 * Shards grow, shrink and give slots away, one plan after the other, whatever else goes on. A plan must end by itself; that
 * is waited for in the calm at the end, since under faults it may rightly take as long as they last.
 */
import { OutcomeUnknown, type PlanView, QuorateClient, QuorateError } from '../../../src/kv/client/index.js';
import type { SimRandom } from '../../sim/fakes/random.js';
import type { FaultSpan, Journal } from '../journal.js';
import { pause } from '../pause.js';
import type { ClusterWatch } from '../watch/cluster-watch.js';

const SHARDS_MAX = 5;
const SLOTS_MOVED_MAX = 500;
const SLOT_COUNT = 16_384;
const CALM_MS = { least: 500, most: 2_000 } as const;
const FOLLOW_EVERY_MS = 250;
const CALL_MS = 5_000;

export interface ReshardLaneOptions {
  readonly endpoints: readonly string[];
  readonly watch: ClusterWatch;
  readonly journal: Journal;
  readonly random: SimRandom;
  readonly signal: AbortSignal;
  /** Shards in the end, where the cluster is not ours: as many as there were. */
  readonly restore: boolean;
  /**
   * A node is lost for good. Then a plan that retires a shard waits a minute for that node's files to go before it says that it is
   * done; that all slots have moved is what can be asked of it in time.
   */
  readonly nodeLost: () => boolean;
}

const isOver = ({ state }: PlanView): boolean => state !== 'running' && state !== 'planned' && state !== 'paused';

const hasMoved = ({ moves }: PlanView): boolean => moves.every(({ phase }) => phase === 'done');

export class ReshardLane {
  readonly #options: ReshardLaneOptions;
  readonly #client: QuorateClient;
  readonly #began: number;
  #open: { readonly id: string; readonly span: FaultSpan } | null = null;

  constructor(options: ReshardLaneOptions) {
    this.#options = options;
    this.#client = new QuorateClient({ endpoints: options.endpoints, timeout_ms: CALL_MS });
    this.#began = options.watch.shards.length;
  }

  /** Until the signal says so; a plan may be under way then. */
  async run(): Promise<void> {
    const { random, signal } = this.#options;
    for (let round = 1; !signal.aborted; round++) {
      await pause(random.between(CALM_MS.least, CALM_MS.most), signal);
      if (signal.aborted) return;
      await this.#begin(random.fork(`reshard-${round}`));
      await this.#follow(signal, Number.POSITIVE_INFINITY);
    }
  }

  /** In the calm: the plan under way ends within the limit, and a cluster of others gets its number of shards back. */
  async finish(limit_ms: number): Promise<void> {
    const { watch, restore } = this.#options;
    await this.#adopt();
    await this.#follow(new AbortController().signal, limit_ms);
    if (this.#open === null && restore && watch.shards.length !== this.#began) {
      await this.#start(`back to ${this.#began} shards`, () => this.#client.reshard({ shards: this.#began }));
      await this.#follow(new AbortController().signal, limit_ms);
    }
    await this.#judgeOpen(limit_ms);
    this.#client.close();
  }

  async #judgeOpen(limit_ms: number): Promise<void> {
    if (this.#open === null) return;
    const { journal, nodeLost } = this.#options;
    const { id } = this.#open;
    const plan = await this.#client.planStatus(id).catch(() => null);
    if (plan !== null && nodeLost() && hasMoved(plan)) {
      journal.note(`plan ${id} has moved all its slots, and still waits for a lost node`);
      return;
    }
    const phases = plan?.moves.map(({ from, to, phase }) => `${from}→${to} ${phase}`).join(', ') ?? 'nobody knows it';
    journal.stall(`plan ${id} did not end within ${limit_ms / 1000} s of calm (${phases})`);
  }

  #begin(random: SimRandom): Promise<void> {
    const now = this.#options.watch.shards.map(({ id }) => id);
    if (now.length >= 2 && random.chance(0.3)) {
      const to = random.pick(now);
      const first = random.int(0, SLOT_COUNT - SLOTS_MOVED_MAX);
      const slots = `${first}-${first + random.int(1, SLOTS_MOVED_MAX - 1)}`;
      return this.#start(`move slots ${slots} to ${to}`, () => this.#client.move({ slots, to }));
    }
    const others = Array.from({ length: SHARDS_MAX }, (_, i) => i + 1).filter((count) => count !== now.length);
    const shards = random.pick(others);
    const what = `${shards > now.length ? 'grow' : 'shrink'} from ${now.length} to ${shards} shards`;
    return this.#start(what, () => this.#client.reshard({ shards }));
  }

  async #start(what: string, call: () => Promise<PlanView>): Promise<void> {
    const { journal } = this.#options;
    try {
      const plan = await call();
      const span = journal.begin('reshard', what, 'reshards');
      if (isOver(plan)) this.#end(span, plan);
      else this.#open = { id: plan.id, span };
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      // Whether it has begun is seen when the latest plan is asked for.
      if (error instanceof OutcomeUnknown) await this.#adopt();
      else journal.remark(`reshard refused: ${what}: ${error.code}: ${error.detail}`);
    }
  }

  /** A plan that runs although we were not told that it began. */
  async #adopt(): Promise<void> {
    if (this.#open !== null) return;
    const latest = await this.#client.planStatus().catch(() => null);
    if (latest === null || isOver(latest)) return;
    this.#open = { id: latest.id, span: this.#options.journal.begin('reshard', `plan ${latest.id}`, 'reshards') };
  }

  async #follow(signal: AbortSignal, limit_ms: number): Promise<void> {
    const end_ms = this.#options.journal.now() + limit_ms;
    while (this.#open !== null && !signal.aborted && this.#options.journal.now() < end_ms) {
      const { id, span } = this.#open;
      const plan = await this.#client.planStatus(id).catch(() => null);
      if (limit_ms !== Number.POSITIVE_INFINITY && plan !== null && this.#options.nodeLost() && hasMoved(plan)) return;
      if (plan !== null && isOver(plan)) {
        this.#end(span, plan);
        this.#open = null;
      } else await pause(FOLLOW_EVERY_MS, signal);
    }
  }

  #end(span: FaultSpan, plan: PlanView): void {
    this.#options.journal.end(span, plan.reason === undefined ? plan.state : `${plan.state}: ${plan.reason}`);
  }
}
