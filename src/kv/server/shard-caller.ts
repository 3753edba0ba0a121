/**
 * Asks a shard's leader, wherever it is, again and again until it answers or the time is over. Only for commands that may
 * be repeated: all of the controller's driver are.
 */
import type { z } from 'zod';
import type { Clock, GroupId, NodeId } from '../../raft/index.js';
import { ShardUnavailable, type SlotAnswer } from '../../shardctrl/index.js';
import { callJson } from './json-rpc.js';
import type { Leaders } from './leaders.js';
import type { MapKeeper } from './map-keeper.js';
import { Method, type Rpc } from './rpc.js';
import { type LeaderAnswer, leaderAnswers } from './shard-schemas.js';
import type { ShardService } from './shard-service.js';
import { delay, within } from './waiting.js';

const PAUSE_MS = 25;

export interface ShardCallerOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly rpc: Rpc;
  readonly maps: MapKeeper;
  readonly leaders: Leaders;
  /** This node's own service, for shards that it leads itself. */
  readonly local: () => ShardService;
}

export class ShardCaller {
  readonly #options: ShardCallerOptions;

  constructor(options: ShardCallerOptions) {
    this.#options = options;
  }

  /** What this node says for the shards that it hosts. */
  get local(): ShardService {
    return this.#options.local();
  }

  /** Rejects with `ShardUnavailable`. `attempt_ms` bounds one try, `timeout_ms` all of them. */
  async ask<T>(
    shard: GroupId,
    method: Method,
    request: unknown,
    answer: z.ZodType<LeaderAnswer<T>>,
    here: (service: ShardService) => Promise<LeaderAnswer<T>>,
    timeout_ms: number,
    attempt_ms = timeout_ms,
  ): Promise<T> {
    const { clock, leaders, maps, self, rpc } = this.#options;
    const deadline = clock.monotonic_ms() + timeout_ms;
    for (let attempt = 1; ; attempt++) {
      const left_ms = Math.min(attempt_ms, deadline - clock.monotonic_ms());
      const to = leaders.candidate(shard, maps.membersOf(shard), attempt);
      let answered: LeaderAnswer<T> | null = null;
      if (to === self) {
        answered = await within(clock, here(this.local), Math.max(1, left_ms), null);
      } else if (to !== null) {
        const called = await callJson(rpc, to, method, request, answer, Math.max(1, left_ms));
        answered = called.kind === 'answer' ? called.value : null;
        if (answered === null || !answered.ok) leaders.wrong(shard, to);
      }
      if (answered?.ok === true) return answered.value;
      const hint = answered?.leader ?? null;
      const hinted = hint !== null && hint !== to;
      if (hinted) leaders.hint(shard, hint);
      if (clock.monotonic_ms() + PAUSE_MS >= deadline) {
        throw new ShardUnavailable(`shard s${shard} did not answer within ${timeout_ms} ms`);
      }
      // Once: two that name each other must not be asked without end. Slots may be frozen meanwhile.
      if (!hinted || attempt > 1) await delay(clock, PAUSE_MS);
    }
  }

  /** Puts commands into the shard's log one behind the other: a page, Install, or both. */
  page(shard: GroupId, commands: readonly Buffer[], timeout_ms: number): Promise<SlotAnswer> {
    const request = { shard, commands: commands.map((command) => new Uint8Array(command)) };
    return this.ask(
      shard,
      Method.Page,
      request,
      leaderAnswers.slotCommand,
      (service) => service.page(request),
      timeout_ms,
      1_000,
    );
  }
}
