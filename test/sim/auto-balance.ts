/**
 * An operator who leaves balancing to the cluster, with limits so small that a minute of load is enough, and has replicas of nodes
 * that stay away made anew; who changes his mind about both; and who balances by hand, or looks what that would do. And load that
 * there is something to balance: reads of keys that one shard has. They may be stale, so that they cost next to nothing.
 */
import type { AdminService, Answer } from '../../src/kv/server/index.js';
import { containsSlot, slotOfKey } from '../../src/shardctrl/index.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import { SHOWN_ONLY_PAUSE_MS } from './invariants/books.js';
import type { OpenCalls } from './open-calls.js';
import { EXPECTED_OF_DRY_RUNS, EXPECTED_OF_PLANS } from './plan-answers.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

export interface AutoBalanceOptions {
  readonly scheduler: SimScheduler;
  readonly nodes: readonly SimNode[];
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly failed: (what: string) => void;
  readonly calls: OpenCalls;
}

const TIMEOUT_MS = 4_000;
const LIMITS_PERCENT = [10, 10, 20, 50] as const;
const HOLDS_S = [1, 2, 5] as const;
const REBUILD_AFTER_MS: readonly (number | null)[] = [1_000, 1_000, 4_000, null];

/** With a beat a second this is six times what counts as too little to compare: nodes that are away, or host none of it, take none. */
const READS_A_BEAT = 300;
const HOT_KEYS = 12;
/** Of these some are in any shard. */
const NAMES: readonly Buffer[] = Array.from({ length: 300 }, (_, i) => Buffer.from(`hot/${i}`));
/** Longer than a look at the balance takes to come, and shorter than what it remembers. */
const HOT_MS = [20_000, 60_000] as const;
const READ = { kind: 'get', consistency: 'stale', maxStaleness_ms: null } as const;
const CONTEXT = { timeout_ms: 500, noForward: true, requestId: 'heat' };
const NOBODY = (): void => {};

export class AutoBalance {
  readonly #options: AutoBalanceOptions;
  readonly #random: SimRandom;
  /** Nothing is balanced by itself soon after somebody has balanced by hand: so some runs see the one, some the other. */
  readonly #byHand: boolean;
  #isSet = false;
  #hot: readonly Buffer[] = [];
  #hotUntil_ms = 0;

  constructor(options: AutoBalanceOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#byHand = options.random.chance(0.4);
  }

  begin(): void {
    const random = this.#random;
    const dice = random.next();
    if (!this.#isSet || dice < 0.1) this.#set();
    else if (dice < 0.35) this.#allowRebuilds();
    else if (dice < 0.5) this.#ask('tell of the balance', (admin) => admin.balance(TIMEOUT_MS));
    else if (dice < 0.7 || !this.#byHand) this.#show();
    else this.#ask('balance', (admin) => admin.startBalance({ dry_run: false }, TIMEOUT_MS));
  }

  #set(): void {
    const random = this.#random;
    const settings = {
      auto: random.chance(0.9),
      limit_percent: random.pick(LIMITS_PERCENT),
      hold_s: random.pick(HOLDS_S),
    };
    this.#ask(
      `set ${JSON.stringify(settings)}`,
      (admin) => admin.setBalance(settings, TIMEOUT_MS),
      () => {
        this.#isSet = true;
      },
    );
  }

  #allowRebuilds(): void {
    const rebuildAfter_ms = this.#random.pick(REBUILD_AFTER_MS);
    this.#ask(`rebuild after ${rebuildAfter_ms} ms`, (admin) => admin.changeSettings({ rebuildAfter_ms }, TIMEOUT_MS));
  }

  #show(): void {
    const request = { dry_run: true, max_pause_ms: SHOWN_ONLY_PAUSE_MS };
    this.#ask(
      'show what balancing would do',
      (admin) => admin.startBalance(request, TIMEOUT_MS),
      ({ state }) => {
        if (state !== 'planned') this.#options.failed(`a dry run of a balance is ${state}`);
      },
      EXPECTED_OF_DRY_RUNS,
    );
  }

  #ask<T>(
    what: string,
    call: (admin: AdminService) => Promise<Answer<T>>,
    done: (value: T) => void = () => {},
    expected: ReadonlySet<string> = EXPECTED_OF_PLANS,
  ): void {
    const { nodes, trace, failed } = this.#options;
    const node = this.#random.pick(nodes);
    const admin = node.node?.admin;
    if (admin === undefined) return;
    trace.add('nemesis', `asks ${node.id} to ${what}`);
    node.clock?.run(() => {
      void this.#options.calls.track(call(admin), TIMEOUT_MS).then((answer) => {
        trace.add('nemesis', answer.ok ? `done: ${what}` : `refused: ${answer.error.code}`);
        if (answer.ok) done(answer.value);
        else if (!expected.has(answer.error.code))
          failed(`to ${what} was refused with ${answer.error.code}: ${answer.error.detail}`);
      });
    });
  }

  // ------------------------------------------------------------------------------------------------------------- the load

  /** Reads of hot keys come to a node; to each of them in turn, since what a process has counted goes with it. */
  heat(): void {
    const { nodes, scheduler } = this.#options;
    const node = this.#random.pick(nodes);
    const kv = node.node?.kv;
    if (kv === undefined) return;
    if (scheduler.now_ms >= this.#hotUntil_ms) this.#choose(node);
    const keys = this.#hot;
    if (keys.length === 0) return;
    node.clock?.run(() => {
      for (let i = 0; i < READS_A_BEAT; i++) kv.execute({ ...READ, key: keys[i % keys.length]! }, CONTEXT, NOBODY);
    });
  }

  #choose(node: SimNode): void {
    const shards = (node.node?.maps.map?.shards ?? []).filter(({ slots }) => slots.length > 0);
    if (shards.length === 0) return;
    const { id, slots } = this.#random.pick(shards);
    const held = NAMES.filter((name) => containsSlot(slots, slotOfKey(name)));
    this.#hot = this.#random.shuffle(held).slice(0, HOT_KEYS);
    this.#hotUntil_ms = this.#options.scheduler.now_ms + this.#random.between(...HOT_MS);
    this.#options.trace.add('nemesis', `${this.#hot.length} keys of s${id} are read again and again`);
  }
}
