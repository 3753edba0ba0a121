/**
 * Reshards with all that can be asked for beside a number of shards: by bytes or keys, with weights, without some shards and nodes,
 * slowly, or with pauses so short that imports are given up. And dry runs of the same, which must show what they are asked for
 * and change nothing: they ask for a pause that nobody else asks for, so that a plan with it gives them away (books.ts).
 */
import type { PlanView, ReshardRequest } from '../../src/kv/server/api.js';
import { type ShardMap, shardName } from '../../src/shardctrl/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import { SHOWN_ONLY_PAUSE_MS } from './invariants/books.js';
import { shownFault } from './invariants/shares.js';
import type { OpenCalls } from './open-calls.js';
import { EXPECTED_OF_DRY_RUNS, EXPECTED_OF_PLANS } from './plan-answers.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface PlanOptionsOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  /** What plans may be held to; null: nothing. */
  readonly pauses_ms: readonly (number | null)[];
  /** Disks take long for each step: batches that go one by one, as they do where a rate is set, would go on beyond the calm. */
  readonly slowDisks: boolean;
  readonly failed: (what: string) => void;
  readonly calls: OpenCalls;
}

const TIMEOUT_MS = 5_000;
/** Mostly somebody else's plan runs, or something is away: it is asked again as soon as that may be over. */
const AGAIN: ReadonlySet<string> = new Set(['conflict', 'no_leader', 'unavailable']);
const RETRY_MS = 150;
const RETRIES = 40;
const WEIGHTS = [0.01, 0.3, 0.5, 1, 1, 2, 3.7, 100] as const;
/** Bytes a second; the largest slots hold 40,000 bytes. */
const RATES = [20_000, 100_000] as const;

export class PlanOptions {
  readonly #options: PlanOptionsOptions;
  readonly #random: SimRandom;
  #active = true;

  constructor(options: PlanOptionsOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  begin(): void {
    const map = this.#random.pick(this.#options.nodes).node?.maps.map;
    if (map === null || map === undefined) return;
    const wish = this.#wish(map);
    if (this.#random.chance(0.35)) this.#show(wish);
    else this.#start(wish, RETRIES);
  }

  end(): void {
    this.#active = false;
  }

  /** By a map that may be old: what is named may be gone, and what is to be made may be there already. */
  #wish(map: ShardMap): ReshardRequest {
    const random = this.#random;
    const shards = random.int(1, 4);
    const now = map.shards.map(({ id }) => shardName(id));
    const next = shardName(Math.max(...map.shards.map(({ id }) => id)) + 1);
    const max_pause_ms = random.pick(this.#options.pauses_ms);
    const known = shards > now.length ? [...now, next] : now;
    const weighed = random.chance(0.5) ? random.shuffle(known).slice(0, random.int(1, 2)) : [];
    const excluded = random.chance(0.4) ? [random.pick(now)] : [];
    return {
      shards,
      dry_run: false,
      by: random.pick(['slots', 'bytes', 'keys'] as const),
      ...(weighed.length === 0
        ? {}
        : { weights: Object.fromEntries(weighed.map((name) => [name, random.pick(WEIGHTS)])) }),
      ...(excluded.length === 0 ? {} : { exclude_shards: excluded }),
      ...(random.chance(0.25) ? { exclude_nodes: [random.pick(map.nodes).id] } : {}),
      ...(random.chance(0.2) && !this.#options.slowDisks ? { max_rate_bytes: random.pick(RATES) } : {}),
      ...(max_pause_ms === null ? {} : { max_pause_ms }),
    };
  }

  #show(wish: ReshardRequest): void {
    const request = { ...wish, dry_run: true, max_pause_ms: SHOWN_ONLY_PAUSE_MS };
    this.#ask(request, (view) => {
      const wrong = shownFault(request, view);
      if (wrong !== null) this.#options.failed(`a dry run of ${JSON.stringify(request)}: ${wrong}`);
    });
  }

  #start(wish: ReshardRequest, retries: number): void {
    const { scheduler, trace } = this.#options;
    const again = (): void => {
      if (this.#active && retries > 0) scheduler.after(RETRY_MS, () => this.#start(wish, retries - 1));
    };
    this.#ask(wish, ({ id }) => trace.add('nemesis', `plan ${id} starts`), again);
  }

  #ask(request: ReshardRequest, done: (view: PlanView) => void, again: () => void = () => {}): void {
    const { nodes, trace, failed } = this.#options;
    const node = this.#random.pick(nodes);
    const admin = node.node?.admin;
    if (admin === undefined) return again();
    const what = JSON.stringify(request);
    const expected = request.dry_run ? EXPECTED_OF_DRY_RUNS : EXPECTED_OF_PLANS;
    trace.add('nemesis', `asks ${node.id} for ${what}`);
    node.clock?.run(() => {
      void this.#options.calls.track(admin.reshard(request, TIMEOUT_MS), TIMEOUT_MS).then((answer) => {
        if (answer.ok) return done(answer.value);
        const { code, detail } = answer.error;
        trace.add('nemesis', `refused: ${code}`);
        if (!expected.has(code)) failed(`${what} was refused with ${code}: ${detail}`);
        else if (AGAIN.has(code)) again();
      });
    });
  }
}
