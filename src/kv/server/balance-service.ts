/**
 * Asks the controller's leader, wherever it is, how the balance of shards stands: only it has been watching. It looks once more
 * when it is asked.
 */
import { z } from 'zod';
import type { Clock, ReplicaHost } from '../../raft/index.js';
import { type BalanceDriver, ShardUnavailable, type Standing } from '../../shardctrl/index.js';
import { CONTROLLER } from './controller-caller.js';
import { handleJson } from './json-rpc.js';
import { Method, type Rpc } from './rpc.js';
import type { ShardCaller } from './shard-caller.js';
import { type LeaderAnswer, leaderAnswers } from './shard-schemas.js';
import { readBarrier } from './waiting.js';

const BARRIER_MS = 1_000;
/** How long nodes have to say what they carry. */
const MEASURE_MS = 1_000;
/** One try; the leader may be another one by then. */
const ATTEMPT_MS = 2_500;

export interface BalanceServiceOptions {
  readonly clock: Clock;
  readonly host: Pick<ReplicaHost, 'get'>;
  readonly rpc: Rpc;
  readonly caller: ShardCaller;
  /** This node's own; null: it does not lead the controller. */
  readonly driver: () => BalanceDriver | null;
  readonly failed: (error: unknown) => void;
}

const requestSchema = z.object({ measure_ms: z.number() });

export class BalanceService {
  readonly #options: BalanceServiceOptions;

  constructor(options: BalanceServiceOptions) {
    this.#options = options;
    const { rpc, failed } = options;
    handleJson(rpc, Method.Balance, requestSchema, ({ measure_ms }) => this.#here(measure_ms), failed);
  }

  /** As this node saw it last, if it leads the controller. */
  get last(): Standing | null {
    return this.#options.driver()?.last ?? null;
  }

  /** null: no answer in time. */
  async ask(timeout_ms: number): Promise<Standing | null> {
    const request = { measure_ms: Math.max(1, Math.min(MEASURE_MS, timeout_ms / 2)) };
    const { caller } = this.#options;
    const here = (): Promise<LeaderAnswer<Standing>> => this.#here(request.measure_ms);
    try {
      return await caller.ask(
        CONTROLLER,
        Method.Balance,
        request,
        leaderAnswers.standing,
        here,
        timeout_ms,
        ATTEMPT_MS,
      );
    } catch (error) {
      if (error instanceof ShardUnavailable) return null;
      throw error;
    }
  }

  /** After a barrier: what has just been set must be seen, and a leader that has been deposed must not speak. */
  async #here(measure_ms: number): Promise<LeaderAnswer<Standing>> {
    const { clock, host, driver } = this.#options;
    const replica = host.get(CONTROLLER);
    const own = driver();
    if (own !== null && replica?.leads === true && (await readBarrier(replica, clock, BARRIER_MS))) {
      const standing = await own.look(measure_ms);
      if (standing !== null) return { ok: true, value: standing };
    }
    return { ok: false, leader: replica?.leaderNode ?? null };
  }
}
