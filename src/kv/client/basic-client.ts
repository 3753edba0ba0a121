/**
 * The client without the map: keys and cluster calls as methods. It knows how requests look; when and where they are sent
 * (again) is the caller's business (`retrying-caller.ts`), who leads what the directory's (`leader-directory.ts`).
 */
import type {
  BalanceSettingsView,
  BalanceView,
  ClusterView,
  HotView,
  LeaderView,
  LocateView,
  MapView,
  MembersView,
  NodeView,
  PlanView,
  ReceiptsView,
  ReceiptView,
  SettingsView,
  VerifyRunsView,
  VerifyView,
} from '../server/api.js';
import { readDeleted, readFound, readPage, readStored, readView } from './answers.js';
import { type AxiosSend, createAxiosSend } from './axios-send.js';
import { QuorateError } from './errors.js';
import { checkHeaderValues } from './header-values.js';
import { encodeBytes, encodeKeyPath, type KeyInput, keyBytes } from './key-path.js';
import { LeaderDirectory, type SlotMath } from './leader-directory.js';
import { type Call, RetryingCaller, type Safety } from './retrying-caller.js';
import { drawIdempotencyKey, systemClock, systemRandom } from './system-ports.js';
import type {
  BalanceOptions,
  BalanceSettingsOptions,
  BasicClientOptions,
  CallOptions,
  ChangeMembersOptions,
  GetResult,
  ListedKey,
  ListedPage,
  ListOptions,
  MoveOptions,
  PlanAction,
  PutOptions,
  PutResult,
  ReadOptions,
  ReshardOptions,
  SettingsOptions,
  VerifyOptions,
  WriteOptions,
} from './types.js';

const TIMEOUT_MS_DEFAULT = 10_000;
const TIMEOUT_MS_MAX = 300_000;

export type PlanHistory = readonly { readonly id: string; readonly state: string; readonly created: string }[];

function checkEndpoint(endpoint: string): string {
  if (!/^https?:\/\/[^/]/.test(endpoint) || !URL.canParse(endpoint)) {
    throw new RangeError(`endpoint ${JSON.stringify(endpoint)}: must look like http://127.0.0.1:7001`);
  }
  return endpoint.replace(/\/+$/, '');
}

function readQuery({ consistency, maxStaleness_ms }: ReadOptions): string[] {
  return [
    ...(consistency === undefined ? [] : [`consistency=${consistency}`]),
    ...(maxStaleness_ms === undefined ? [] : [`max_staleness=${maxStaleness_ms}ms`]),
  ];
}

/** Goes to the endpoints given, in turn; nodes pass its requests on. Has the same methods and retries as `QuorateClient`. */
export class BasicClient {
  readonly #options: BasicClientOptions;
  readonly #timeout_ms: number;
  readonly #directory: LeaderDirectory;
  readonly #caller: RetryingCaller;
  readonly #ownSend: AxiosSend | null;

  /** @throws RangeError for endpoints that are no URLs, or a timeout out of range */
  constructor(options: BasicClientOptions, slots: SlotMath | null = null) {
    if (options.endpoints.length === 0) throw new RangeError('endpoints: at least one is needed');
    const clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    this.#options = options;
    this.#timeout_ms = options.timeout_ms ?? TIMEOUT_MS_DEFAULT;
    this.#directory = new LeaderDirectory({
      endpoints: [...new Set(options.endpoints.map(checkEndpoint))],
      now_ms: () => clock.monotonic_ms(),
      chance: () => random.next(),
      slots,
    });
    this.#ownSend = options.send === undefined ? createAxiosSend() : null;
    const send = options.send ?? this.#ownSend?.send;
    if (send === undefined) throw new Error('invariant: a client has a way to send');
    this.#caller = new RetryingCaller({
      send,
      clock,
      random,
      directory: this.#directory,
      failFast: options.failFast ?? false,
    });
  }

  /**
   * Stores a value. Text is stored as its UTF-8.
   * @throws QuorateError `precondition_failed` (with the key's revision now), or any other refusal
   * @throws OutcomeUnknown
   */
  async put(key: KeyInput, value: string | Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    const { ttl, contentType } = options;
    const query = ttl === undefined ? [] : [`ttl=${typeof ttl === 'number' ? `${ttl}ms` : encodeURIComponent(ttl)}`];
    const headers = { 'Content-Type': contentType ?? 'application/octet-stream' };
    const body = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    return readStored(await this.#write('PUT', key, options, { query, headers, body }));
  }

  /** null: there is no such key. */
  async get(key: KeyInput, options: ReadOptions = {}): Promise<GetResult | null> {
    const { path, query, slot } = this.#locateKey(key);
    try {
      return readFound(await this.#read(path, [...query, ...readQuery(options)], options, slot));
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'key_not_found') return null;
      throw error;
    }
  }

  /**
   * null: there was no such key.
   * @throws QuorateError @throws OutcomeUnknown
   */
  async delete(key: KeyInput, options: WriteOptions = {}): Promise<{ readonly revision: string } | null> {
    try {
      return readDeleted(await this.#write('DELETE', key, options, { query: [], headers: {} }));
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'key_not_found') return null;
      throw error;
    }
  }

  /** One page, in byte order of the keys. Only a missing cursor means the end. */
  async listPage(options: ListOptions & { readonly cursor?: string } = {}): Promise<ListedPage> {
    const { prefix, start, end, limit, keysOnly, cursor } = options;
    const query = readQuery(options);
    for (const [name, bound] of Object.entries({ prefix, start, end })) {
      if (bound !== undefined) query.push(`${name}=${encodeBytes(keyBytes(bound))}`);
    }
    if (limit !== undefined) query.push(`limit=${limit}`);
    if (keysOnly === true) query.push('keys_only=true');
    if (cursor !== undefined) query.push(`cursor=${encodeURIComponent(cursor)}`);
    return readPage(await this.#read('/v1/kv', query, options, null));
  }

  /** Page after page. Not a snapshot: a key that is there throughout appears exactly once. */
  async *listPages(options: ListOptions = {}): AsyncGenerator<readonly ListedKey[], void, void> {
    let cursor: string | null = null;
    do {
      const page: ListedPage = await this.listPage(cursor === null ? options : { ...options, cursor });
      yield page.items;
      cursor = page.cursor;
    } while (cursor !== null);
  }

  /** Key after key. */
  async *list(options: ListOptions = {}): AsyncGenerator<ListedKey, void, void> {
    for await (const items of this.listPages(options)) yield* items;
  }

  async cluster(options: CallOptions = {}): Promise<ClusterView> {
    const view = readView<ClusterView>(await this.#read('/v1/cluster', [], options, null), 'shards');
    this.#directory.learn(view);
    return view;
  }

  /** `epoch`: an earlier map. `waitEpoch`: once the map has reached it, or after at most 10 s the map as it is. */
  async map(options: CallOptions & { readonly epoch?: number; readonly waitEpoch?: number } = {}): Promise<MapView> {
    const query = [
      ...(options.epoch === undefined ? [] : [`epoch=${options.epoch}`]),
      ...(options.waitEpoch === undefined ? [] : [`wait_epoch=${options.waitEpoch}`]),
    ];
    return readView<MapView>(await this.#read('/v1/cluster/map', query, options, null), 'shards');
  }

  async locate(key: KeyInput, options: CallOptions = {}): Promise<LocateView> {
    const query = [`key=${encodeBytes(keyBytes(key))}`];
    return readView<LocateView>(await this.#read('/v1/cluster/locate', query, options, null, false), 'slot');
  }

  /** Plans, and unless `dryRun` starts. Never sent twice: after `OutcomeUnknown` ask `planStatus()`. */
  async reshard(wish: ReshardOptions): Promise<PlanView> {
    const {
      shards,
      replicas,
      dryRun,
      maxPause_ms,
      maxRate_bytes,
      by,
      weights,
      excludeShards,
      excludeNodes,
      ...options
    } = wish;
    const limits = { max_pause_ms: maxPause_ms, max_rate_bytes: maxRate_bytes };
    const parts = { by, weights, exclude_shards: excludeShards, exclude_nodes: excludeNodes };
    const body = { shards, replicas, dry_run: dryRun ?? false, ...limits, ...parts };
    return this.#plan('/v1/admin/reshard', body, options);
  }

  async move({ slots, to, dryRun, maxPause_ms, maxRate_bytes, ...options }: MoveOptions): Promise<PlanView> {
    const limits = { max_pause_ms: maxPause_ms, max_rate_bytes: maxRate_bytes };
    return this.#plan('/v1/admin/move', { slots, to, dry_run: dryRun, ...limits }, options);
  }

  async planAction(id: string, action: PlanAction, options: CallOptions = {}): Promise<PlanView> {
    return this.#plan(`/v1/admin/reshard/${encodeURIComponent(id)}/${action}`, {}, options);
  }

  /** Without an id: the latest plan, and the history. null: there has never been one, or none of that id. */
  async planStatus(
    id?: string,
    options: CallOptions = {},
  ): Promise<(PlanView & { readonly history?: PlanHistory }) | null> {
    const path = id === undefined ? '/v1/admin/reshard' : `/v1/admin/reshard/${encodeURIComponent(id)}`;
    try {
      return readView<PlanView>(await this.#read(path, [], options, null), 'moves');
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return null;
      throw error;
    }
  }

  /** What the batches of a plan have proved so far, oldest first. */
  async planReceipts(id: string, options: CallOptions = {}): Promise<readonly ReceiptView[]> {
    const path = `/v1/admin/reshard/${encodeURIComponent(id)}/receipts`;
    const receipts: ReceiptView[] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: ReceiptsView = readView<ReceiptsView>(
        await this.#read(path, [`after=${after}`], options, null),
        'receipts',
      );
      receipts.push(...page.receipts);
      after = page.next;
    }
    return receipts;
  }

  /** The slots and keys that are asked for most: `limit` of each at most, 10 by default. */
  async hot({ limit, ...options }: CallOptions & { readonly limit?: number } = {}): Promise<HotView> {
    const query = limit === undefined ? [] : [`limit=${limit}`];
    return readView<HotView>(await this.#read('/v1/cluster/hot', query, options, null), 'slots');
  }

  /** What shards carry, and what would be done about it. */
  async balanceStatus(options: CallOptions = {}): Promise<BalanceView> {
    return readView<BalanceView>(await this.#read('/v1/admin/balance', [], options, null), 'plan');
  }

  /**
   * Relieves overloaded shards. Where there is nothing to move, nothing is started and the plan's state is `planned`. Never
   * sent twice, as `reshard`.
   */
  async balance({ dryRun, maxPause_ms, maxRate_bytes, ...options }: BalanceOptions = {}): Promise<PlanView> {
    const limits = { max_pause_ms: maxPause_ms, max_rate_bytes: maxRate_bytes };
    return this.#plan('/v1/admin/balance', { dry_run: dryRun ?? false, ...limits }, options);
  }

  /** What is left out stays as it is. */
  async setBalance({ auto, limitPercent, hold_s, ...options }: BalanceSettingsOptions): Promise<BalanceSettingsView> {
    const body = { auto, limit_percent: limitPercent, hold_s };
    const response = await this.#command('PUT', '/v1/admin/balance', body, 'repeatable', options);
    return readView<BalanceSettingsView>(response, 'auto');
  }

  /** `peer`: `host:port` of a node that runs and belongs to no cluster yet. The node as the cluster knows it then. */
  async addNode(peer: string, options: CallOptions = {}): Promise<NodeView> {
    return readView<NodeView>(await this.#command('POST', '/v1/admin/nodes', { peer }, 'repeatable', options), 'state');
  }

  /**
   * Begins to move the node's replicas off; once none is left it leaves for good, and `cluster()` does not show it any more.
   * @throws QuorateError `not_found` also for a node that has left already
   */
  async removeNode(id: string, options: CallOptions = {}): Promise<NodeView> {
    const path = `/v1/admin/nodes/${encodeURIComponent(id)}`;
    return readView<NodeView>(await this.#command('DELETE', path, null, 'repeatable', options), 'state');
  }

  /** The members of a shard, and where a change of them is. */
  async members(shard: string, options: CallOptions = {}): Promise<MembersView> {
    const path = `/v1/admin/shards/${encodeURIComponent(shard)}/members`;
    return readView<MembersView>(await this.#read(path, [], options, null), 'members');
  }

  /** Begins the change; `members()` tells how far it is. Never sent twice: after `OutcomeUnknown` look there first. */
  async changeMembers(shard: string, { add, remove, ...options }: ChangeMembersOptions): Promise<MembersView> {
    const path = `/v1/admin/shards/${encodeURIComponent(shard)}/members`;
    return readView<MembersView>(await this.#command('POST', path, { add, remove }, 'once', options), 'members');
  }

  /** Resolves once `to`, a member, leads the shard. */
  async transferLeader(shard: string, to: string, options: CallOptions = {}): Promise<LeaderView> {
    const path = `/v1/admin/shards/${encodeURIComponent(shard)}/transfer-leader`;
    return readView<LeaderView>(await this.#command('POST', path, { to }, 'repeatable', options), 'leader');
  }

  /** What is set for the whole cluster. */
  async settings(options: CallOptions = {}): Promise<SettingsView> {
    return readView<SettingsView>(await this.#read('/v1/admin/settings', [], options, null), 'rebuild_after');
  }

  /** In force once it resolves. */
  async changeSettings({ rebuildAfter, ...options }: SettingsOptions): Promise<SettingsView> {
    const body = { rebuild_after: rebuildAfter };
    const response = await this.#command('PUT', '/v1/admin/settings', body, 'repeatable', options);
    return readView<SettingsView>(response, 'rebuild_after');
  }

  /** Begins a verification; `verification()` tells how far it is. Never sent twice: after `OutcomeUnknown` see `verifications()`. */
  async verify({ shards, plan, mibPerS, giveUp_ms, ...options }: VerifyOptions = {}): Promise<VerifyView> {
    const body = { shards, plan, mib_per_s: mibPerS, give_up_ms: giveUp_ms };
    return readView<VerifyView>(await this.#command('POST', '/v1/admin/verify', body, 'once', options), 'state');
  }

  /** null: no node knows it, or the one that did has started again since. */
  async verification(id: string, options: CallOptions = {}): Promise<VerifyView | null> {
    try {
      const path = `/v1/admin/verify/${encodeURIComponent(id)}`;
      return readView<VerifyView>(await this.#read(path, [], options, null), 'state');
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return null;
      throw error;
    }
  }

  /** Those that nodes remember, newest first. */
  async verifications(options: CallOptions = {}): Promise<VerifyRunsView> {
    return readView<VerifyRunsView>(await this.#read('/v1/admin/verify', [], options, null), 'runs');
  }

  /** What it has found so far stays; again, or too late: no effect. */
  async cancelVerification(id: string, options: CallOptions = {}): Promise<VerifyView> {
    const path = `/v1/admin/verify/${encodeURIComponent(id)}/cancel`;
    return readView<VerifyView>(await this.#command('POST', path, {}, 'repeatable', options), 'state');
  }

  /** Ends idle connections. Calls in progress end as they may. */
  close(): void {
    this.#ownSend?.close();
  }

  #locateKey(key: KeyInput): { path: string; query: string[]; slot: number | null } {
    const bytes = keyBytes(key);
    const { path, base64url } = encodeKeyPath(bytes);
    return {
      path: `/v1/kv/${path}`,
      query: base64url ? ['enc=b64url'] : [],
      slot: this.#directory.slotOf(bytes),
    };
  }

  #timeoutOf(options: CallOptions): number {
    const timeout_ms = options.timeout_ms ?? this.#timeout_ms;
    if (!(timeout_ms > 0 && timeout_ms <= TIMEOUT_MS_MAX)) {
      throw new RangeError(`timeout_ms: must be above 0 and at most ${TIMEOUT_MS_MAX}`);
    }
    return timeout_ms;
  }

  #read(path: string, query: readonly string[], options: CallOptions, slot: number | null, waits = true) {
    const timeout_ms = this.#timeoutOf(options);
    return this.#caller.call({
      method: 'GET',
      path,
      query,
      headers: {},
      slot,
      safety: 'read',
      idempotencyKey: null,
      timeout_ms,
      waits,
    });
  }

  #write(
    method: 'PUT' | 'DELETE',
    key: KeyInput,
    options: PutOptions,
    parts: { readonly query: readonly string[]; readonly headers: Record<string, string>; readonly body?: Uint8Array },
  ) {
    checkHeaderValues(options);
    const { path, query, slot } = this.#locateKey(key);
    const { ifMatch, ifNoneMatch, idempotencyKey: given } = options;
    const idempotencyKey = given === false ? null : (given ?? drawIdempotencyKey(this.#options.random));
    const headers = { ...parts.headers };
    if (ifMatch !== undefined) headers['If-Match'] = ifMatch === '*' ? '*' : `"${ifMatch}"`;
    if (ifNoneMatch !== undefined) headers['If-None-Match'] = ifNoneMatch;
    if (idempotencyKey !== null) headers['Idempotency-Key'] = idempotencyKey;
    // "Must exist" and "must not exist" may come true again in between; a revision never does.
    const guarded = ifMatch !== undefined && ifMatch !== '*';
    const safety: Safety = idempotencyKey !== null ? 'keyed' : guarded ? 'guarded' : 'once';
    const call: Call = {
      method,
      path,
      query: [...query, ...parts.query],
      headers,
      ...(parts.body === undefined ? {} : { body: parts.body }),
      slot,
      safety,
      idempotencyKey,
      timeout_ms: this.#timeoutOf(options),
      waits: true,
    };
    return this.#caller.call(call);
  }

  async #plan(path: string, body: object, options: CallOptions): Promise<PlanView> {
    return readView<PlanView>(await this.#command('POST', path, body, 'once', options), 'moves');
  }

  #command(method: 'PUT' | 'POST' | 'DELETE', path: string, body: object | null, safety: Safety, options: CallOptions) {
    return this.#caller.call({
      method,
      path,
      query: [],
      headers: body === null ? {} : { 'Content-Type': 'application/json' },
      ...(body === null ? {} : { body: Buffer.from(JSON.stringify(body)) }),
      slot: null,
      safety,
      idempotencyKey: null,
      timeout_ms: this.#timeoutOf(options),
      waits: true,
    });
  }
}
