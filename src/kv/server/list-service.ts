/**
 * A list over all shards: each shard gives a page and says which slots it speaks for; the pages are merged only when every
 * slot is covered exactly once, so that a key that is there throughout appears exactly once, also across a reshard (F65).
 */
import { z } from 'zod';
import type { Clock, NodeId, ReplicaHost } from '../../raft/index.js';
import { countSlots, SLOT_COUNT, type SlotRanges, unionSlots } from '../../shardctrl/index.js';
import type { KvStateMachine, ListItem, ListPage, ListRequest } from '../store/index.js';
import type { ApiError, ListedItem, ListOutcome, ListRangeRequest, RequestContext } from './api.js';
import type { ClusterClock } from './cluster-clock.js';
import { callJson, handleJson } from './json-rpc.js';
import type { Leaders } from './leaders.js';
import type { MapKeeper } from './map-keeper.js';
import { STALE_LIMIT_MS } from './router.js';
import { Method, type Rpc } from './rpc.js';
import { delay, readBarrier } from './waiting.js';

/** A page may end early at this size (http-api.md). */
const PAGE_BYTES = 4 * 1024 * 1024;
const RETRY_MS = 25;

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

  constructor(options: ListServiceOptions) {
    this.#options = options;
    handleJson(options.rpc, Method.List, requestSchema, (request) => this.#listHere(request), options.failed);
  }

  async list(request: ListRangeRequest, context: RequestContext): Promise<ListOutcome> {
    const { clock, maps } = this.#options;
    const deadline = clock.monotonic_ms() + context.timeout_ms;
    for (let attempt = 1; ; attempt++) {
      const left_ms = deadline - clock.monotonic_ms();
      const pages = left_ms > 0 && maps.map !== null ? await this.#pages(request, attempt, left_ms) : null;
      if (pages !== null && coversAllOnce(pages)) return this.#merge(pages, request.limit);
      if (clock.monotonic_ms() + RETRY_MS >= deadline) return { kind: 'failed', error: this.#error(pages, context) };
      await delay(clock, RETRY_MS);
    }
  }

  /** null where at least one shard gave no page. */
  async #pages(request: ListRangeRequest, attempt: number, left_ms: number): Promise<ListPage[] | null> {
    const shards = this.#options.maps.map!.shards.filter((shard) => shard.slots.length > 0);
    const maxStaleness_ms =
      request.consistency === 'stale' ? Math.min(request.maxStaleness_ms ?? STALE_LIMIT_MS, STALE_LIMIT_MS) : null;
    const pages = await Promise.all(
      shards.map(({ id }) =>
        this.#pageOf(
          {
            shard: id,
            request: {
              start: request.start,
              end: request.end,
              limit: request.limit + 1,
              maxBytes: PAGE_BYTES,
              keysOnly: request.keysOnly,
            },
            maxStaleness_ms,
            timeout_ms: Math.min(left_ms, 2_000),
          },
          attempt,
        ),
      ),
    );
    return pages.every((page) => page !== null) ? pages : null;
  }

  async #pageOf(list: ShardList, attempt: number): Promise<ListPage | null> {
    const { host, rpc, maps, leaders, self } = this.#options;
    if (attempt % 2 === 1 && host.get(list.shard) !== undefined) {
      const page = await this.#listHere(list);
      if (page !== null) return page;
    }
    const others = maps.membersOf(list.shard).filter((node) => node !== self);
    const leader = leaders.known(list.shard);
    const to = leader !== null && leader !== self ? leader : others[attempt % Math.max(1, others.length)];
    if (to === undefined) return null;
    const called = await callJson(rpc, to, Method.List, list, pageSchema, list.timeout_ms);
    return called.kind === 'answer' ? called.value : null;
  }

  async #listHere(list: ShardList): Promise<ListPage | null> {
    const replica = this.#options.host.get(list.shard);
    if (replica === undefined || replica.damage !== null) return null;
    if (list.maxStaleness_ms !== null) {
      if (replica.staleness_ms() > list.maxStaleness_ms) return null;
    } else if (!(await readBarrier(replica, this.#options.clock, list.timeout_ms))) {
      return null;
    }
    await replica.settled();
    return (replica.machine as KvStateMachine).listPage(list.request);
  }

  /** Beyond the first key that some shard has not reached, another page may still put a key in between: stop there. */
  #merge(pages: readonly ListPage[], limit: number): ListOutcome {
    let bound: Buffer | null = null;
    for (const { next } of pages) if (next !== null && (bound === null || next.compare(bound) < 0)) bound = next;
    const reached = (item: ListItem): boolean => bound === null || item.key.compare(bound) < 0;
    const all = pages.flatMap((page) => page.items.filter(reached)).sort((a, b) => a.key.compare(b.key));
    const items: ListedItem[] = [];
    const now = this.#options.clusterClock.now_ms();
    let size = 0;
    let next: Buffer | null = bound;
    for (const item of all) {
      size += item.key.length + item.value.length;
      if (items.length === limit || (items.length > 0 && size > PAGE_BYTES)) {
        next = item.key;
        break;
      }
      const expiresIn_ms = item.expires_ms === 0 ? null : Math.max(1, Math.ceil(item.expires_ms - now));
      items.push({ ...item, expiresIn_ms });
    }
    return { kind: 'page', items, next };
  }

  #error(pages: readonly ListPage[] | null, context: RequestContext): ApiError {
    const epoch = this.#options.maps.epoch;
    if (this.#options.maps.map === null) {
      return { code: 'unavailable', detail: 'this node has no shard map: it does not hear from the controller', epoch };
    }
    if (pages !== null) {
      return { code: 'slot_moving', detail: `slots were on the move for all of ${context.timeout_ms} ms`, epoch };
    }
    const missing = this.#options.maps.map.shards.filter(
      (shard) => shard.slots.length > 0 && this.#options.leaders.known(shard.id) === null,
    );
    const names = missing.map((shard) => `s${shard.id}`).join(', ');
    return missing.length > 0
      ? { code: 'no_leader', detail: `no leader for ${names}`, shard: names, epoch }
      : { code: 'unavailable', detail: `not every shard answered within ${context.timeout_ms} ms`, epoch };
  }
}

function coversAllOnce(pages: readonly ListPage[]): boolean {
  let union: SlotRanges = [];
  let total = 0;
  for (const page of pages) {
    union = unionSlots(union, page.served);
    total += countSlots(page.served);
  }
  return total === SLOT_COUNT && countSlots(union) === SLOT_COUNT;
}
