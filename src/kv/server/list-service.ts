/**
 * A list over all shards: each shard gives a page and says which slots it speaks for; shards are asked until every slot is
 * covered once (`list-coverage.ts`), also across a reshard (F65).
 */
import { z } from 'zod';
import type { Clock, GroupId, NodeId, ReplicaHost } from '../../raft/index.js';
import { countSlots, intersectSlots, shardName } from '../../shardctrl/index.js';
import type { KvStateMachine, ListPage, ListRequest } from '../store/index.js';
import type { ApiError, ListOutcome, ListRangeRequest, RequestContext } from './api.js';
import type { ClusterClock } from './cluster-clock.js';
import { callJson, handleJson } from './json-rpc.js';
import type { Leaders } from './leaders.js';
import { ListCoverage } from './list-coverage.js';
import type { MapKeeper } from './map-keeper.js';
import { onState } from './on-state.js';
import { STALE_LIMIT_MS } from './router.js';
import { Method, type Rpc } from './rpc.js';
import { delay, readBarrier, within } from './waiting.js';

/** A page may end early at this size (http-api.md). */
const PAGE_BYTES = 4 * 1024 * 1024;
const RETRY_MS = 25;
/** One shard of many is read for at least so much. */
const SHARE_BYTES_MIN = 512 * 1024;
/** One try of one shard. */
const ATTEMPT_MS = 2_000;
/** Each holds some pages in memory while it is under way. */
const LISTS_MAX = 256;

export interface ListServiceOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly clusterClock: ClusterClock;
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  readonly maps: MapKeeper;
  readonly leaders: Leaders;
  readonly failed: (error: unknown) => void;
}

interface ShardList {
  readonly shard: number;
  readonly request: ListRequest;
  /** null: linearizable. */
  readonly maxStaleness_ms: number | null;
  readonly timeout_ms: number;
}

const bytes = z.instanceof(Uint8Array).transform((b) => Buffer.from(b.buffer, b.byteOffset, b.byteLength));

const requestSchema: z.ZodType<ShardList> = z.object({
  shard: z.number(),
  request: z.object({
    start: bytes,
    end: bytes.nullable(),
    limit: z.number(),
    maxBytes: z.number(),
    keysOnly: z.boolean(),
  }),
  maxStaleness_ms: z.number().nullable(),
  timeout_ms: z.number(),
});

/** null: this replica cannot say now. */
const pageSchema: z.ZodType<ListPage | null> = z
  .object({
    items: z.array(
      z.object({
        key: bytes,
        value: bytes,
        contentType: z.string(),
        revision: z.number(),
        version: z.number(),
        expires_ms: z.number(),
      }),
    ),
    served: z.array(z.tuple([z.number(), z.number()])),
    next: bytes.nullable(),
  })
  .nullable();

export class ListService {
  readonly #options: ListServiceOptions;
  #open = 0;

  constructor(options: ListServiceOptions) {
    this.#options = options;
    handleJson(options.rpc, Method.List, requestSchema, (request) => this.#listHere(request), options.failed);
  }

  async list(request: ListRangeRequest, context: RequestContext): Promise<ListOutcome> {
    if (this.#open >= LISTS_MAX) {
      return {
        kind: 'failed',
        error: { code: 'overloaded', detail: `${this.#open} lists are under way on this node` },
      };
    }
    this.#open++;
    try {
      return await this.#list(request, context);
    } finally {
      this.#open--;
    }
  }

  async #list(request: ListRangeRequest, context: RequestContext): Promise<ListOutcome> {
    const { clock } = this.#options;
    const deadline = clock.monotonic_ms() + context.timeout_ms;
    const coverage = new ListCoverage();
    for (let attempt = 1; ; attempt++) {
      const silent = await this.#ask(request, coverage, attempt, deadline);
      if (coverage.complete) return this.#merged(coverage, request.limit);
      if (clock.monotonic_ms() + RETRY_MS >= deadline) {
        return { kind: 'failed', error: this.#error(coverage, silent, context) };
      }
      await delay(clock, RETRY_MS);
    }
  }

  /** Asks every shard that owns slots which are still missing. Returns those that gave no page. */
  async #ask(
    request: ListRangeRequest,
    coverage: ListCoverage,
    attempt: number,
    deadline: number,
  ): Promise<readonly GroupId[]> {
    const { map } = this.#options.maps;
    if (map === null || deadline <= this.#options.clock.monotonic_ms()) return [];
    const { start, end, limit, keysOnly, consistency } = request;
    const maxStaleness_ms =
      consistency === 'stale' ? Math.min(request.maxStaleness_ms ?? STALE_LIMIT_MS, STALE_LIMIT_MS) : null;
    // Keys are spread evenly: of many shards each holds a small part of the page, and what is read beyond is thrown away.
    const maxBytes = Math.min(PAGE_BYTES, Math.max(SHARE_BYTES_MIN, Math.ceil((2 * PAGE_BYTES) / map.shards.length)));
    const range: ListRequest = { start, end, limit: limit + 1, maxBytes, keysOnly };
    const silent: GroupId[] = [];
    const asked = map.shards.filter(({ slots }) => intersectSlots(slots, coverage.missing).length > 0);
    await Promise.all(
      asked.map(async ({ id }) => {
        const page = await this.#pageOf({ shard: id, request: range, maxStaleness_ms }, attempt, deadline);
        if (page === null) silent.push(id);
        else coverage.add(page);
      }),
    );
    return silent;
  }

  async #pageOf(asked: Omit<ShardList, 'timeout_ms'>, attempt: number, deadline: number): Promise<ListPage | null> {
    const { clock, host, rpc, maps, leaders, self, failed } = this.#options;
    const list = (): ShardList => {
      return { ...asked, timeout_ms: Math.max(1, Math.min(ATTEMPT_MS, deadline - clock.monotonic_ms())) };
    };
    const { shard } = asked;
    if (attempt % 2 === 1 && host.get(shard) !== undefined) {
      const here = list();
      // What is wrong here (F38) may be right on another replica.
      const page = await within(clock, this.#listHere(here), here.timeout_ms, null).catch((error: unknown) => {
        failed(error);
        return null;
      });
      if (page !== null || clock.monotonic_ms() >= deadline) return page;
    }
    const others = maps.membersOf(shard).filter((node) => node !== self);
    const leader = leaders.known(shard);
    // The leader first; but any member can answer, and it may be the leader that this node does not reach.
    const ask = leader !== null && leader !== self && attempt <= 2;
    const to = ask ? leader : others[attempt % Math.max(1, others.length)];
    if (to === undefined) return null;
    const there = list();
    const called = await callJson(rpc, to, Method.List, there, pageSchema, there.timeout_ms);
    return called.kind === 'answer' ? called.value : null;
  }

  async #listHere(list: ShardList): Promise<ListPage | null> {
    const replica = this.#options.host.get(list.shard);
    if (replica === undefined || replica.damage !== null) return null;
    const stale_ms = list.maxStaleness_ms;
    if (stale_ms === null || replica.staleness_ms() > stale_ms) {
      // A leader that no quorum has confirmed so lately asks it.
      if (stale_ms !== null && !replica.isLeader) return null;
      if (!(await readBarrier(replica, this.#options.clock, list.timeout_ms))) return null;
    }
    return onState(this.#options.host, replica, async (machine: KvStateMachine) => {
      await replica.settled();
      return machine.listPage(list.request);
    });
  }

  #merged(coverage: ListCoverage, limit: number): ListOutcome {
    const { items, next } = coverage.merge(limit, PAGE_BYTES);
    const now = this.#options.clusterClock.now_ms();
    return {
      kind: 'page',
      items: items.map((item) => ({
        ...item,
        expiresIn_ms: item.expires_ms === 0 ? null : Math.max(1, Math.ceil(item.expires_ms - now)),
      })),
      next,
    };
  }

  #error(coverage: ListCoverage, silent: readonly GroupId[], context: RequestContext): ApiError {
    const { maps, leaders } = this.#options;
    const { epoch } = maps;
    if (maps.map === null) {
      return { code: 'unavailable', detail: 'this node has no shard map: it does not hear from the controller', epoch };
    }
    if (silent.length === 0) {
      const count = countSlots(coverage.missing);
      return {
        code: 'slot_moving',
        detail: `${count} slots were on the move for all of ${context.timeout_ms} ms`,
        epoch,
      };
    }
    const headless = silent.filter((shard) => leaders.known(shard) === null);
    // They fell silent in any order. `shard` is one of them; the detail names all.
    const named = (headless.length > 0 ? headless : [...silent]).sort((a, b) => a - b);
    const shard = shardName(named[0]!);
    const names = named.map(shardName).join(', ');
    return headless.length > 0
      ? { code: 'no_leader', detail: `no leader for ${names}`, shard, epoch }
      : { code: 'unavailable', detail: `${names} did not answer within ${context.timeout_ms} ms`, shard, epoch };
  }
}
