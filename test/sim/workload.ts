/**
 * Simulated clients: the production client, each with operations of its own drawn from the seed. What they did and saw
 * goes into the history; whether that is linearizable is the checker's business.
 */
import { OutcomeUnknown, QuorateClient, QuorateError } from '../../src/kv/client/index.js';
import { containsSlot, type SlotRanges, slotOfKey } from '../../src/shardctrl/index.js';
import type { Answer, Condition, HistoryRecorder, Invocation } from '../checker/history.js';
import { Acknowledged } from './acknowledged.js';
import type { Haste } from './ambush.js';
import type { SimScheduler } from './fakes/clock.js';
import type { SimRandom } from './fakes/random.js';
import type { SimHttp } from './sim-http.js';
import type { Trace } from './trace.js';

export interface WorkloadOptions {
  readonly scheduler: SimScheduler;
  readonly http: SimHttp;
  readonly endpoints: readonly string[];
  readonly random: SimRandom;
  readonly history: HistoryRecorder;
  readonly trace: Trace;
  /** How much earlier than by true time a key may expire: clocks jump, or run fast, in some runs. */
  readonly early_ms: () => number;
  /** By how much a stale read may miss its bound: by what a leader does not know yet, and clocks that run apart. */
  readonly late_ms: number;
  /** Bits have flipped on a disk: then a read may be answered with the checksum's error (F38). */
  readonly rotten: () => boolean;
  readonly failed: (what: string) => void;
}

export interface WorkloadStats {
  ok: number;
  refused: number;
  unknown: number;
  lists: number;
  stale: number;
  expired: number;
}

/** Keys that are written before the faults begin and never again: every list must show each of them once. */
export const FIXED_KEYS: readonly string[] = Array.from({ length: 60 }, (_, i) => `fixed/${i}`);
const FIXED_SLOTS: readonly number[] = FIXED_KEYS.map((key) => slotOfKey(Buffer.from(key)));

const BURST_WRITES = 12;
const BURST_BYTES = 40_000;
/** Each write of a burst is a client's of its own in the history: they overlap. */
const BURSTS = 200;
/** So are those of clients in haste. */
const HASTY = 1_000;
const HASTY_CLIENTS = 4;
/** That clients turn to in one go. */
const HASTY_KEYS = 3;

/** What every other stale read allows, and what the product allows of itself. */
const STALE_MAX_MS = 1_000;
const STALE_LIMIT_MS = 10_000;

/** How much later than its time a key must be gone, also when leaders fell. */
const FORGOTTEN_MS = 30_000;

/** Certainly not applied: a client may be told so when a majority is away for longer than its patience. */
const REFUSALS: ReadonlySet<string> = new Set(['no_leader', 'slot_moving', 'unavailable', 'overloaded']);

function conditionOf(options: { readonly ifMatch?: string; readonly ifNoneMatch?: '*' }): Condition {
  if (options.ifMatch !== undefined) return { kind: 'revision', revision: Number(options.ifMatch) };
  return options.ifNoneMatch === undefined ? { kind: 'none' } : { kind: 'absent' };
}

const hostOf = (endpoint: string): string => new URL(endpoint).hostname;

export class Workload {
  readonly stats: WorkloadStats = { ok: 0, refused: 0, unknown: 0, lists: 0, stale: 0, expired: 0 };
  readonly #options: WorkloadOptions;
  readonly #random: SimRandom;
  readonly #clients: QuorateClient[] = [];
  /** Keys that clients contend for. */
  readonly contended: readonly string[];
  readonly #clientCount: number;
  readonly #think_ms: number;
  /** By key, what was ever to be written: what a stale read may show. */
  readonly #written = new Map<string, Set<string>>();
  readonly #acknowledged = new Acknowledged();
  readonly #bursts: boolean;
  readonly #hasty: SimRandom;
  readonly #hastyClients: readonly QuorateClient[];
  readonly #knowers = new Map<string, QuorateClient>();
  #hastyOperations = 0;
  #running = true;
  #open = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#random = options.random.fork('workload');
    const random = this.#random;
    // Some share a slot, by their hash tag.
    this.contended = Array.from({ length: random.int(2, 10) }, (_, i) => (random.chance(0.4) ? `{t}k${i}` : `k${i}`));
    this.#clientCount = random.int(3, 8);
    // Operations a second of all clients together. Busier is not better: a seed costs CPU by the operation.
    this.#think_ms = (1_000 * this.#clientCount) / random.between(5, 22);
    this.#bursts = random.chance(0.15);
    this.#hasty = random.fork('haste');
    this.#hastyClients = Array.from({ length: HASTY_CLIENTS }, (_, i) => this.#client(`hasty-${i}`));
  }

  /** Operations under way. */
  get open(): number {
    return this.#open;
  }

  #client(name: string): QuorateClient {
    const { endpoints } = this.#options;
    const random = this.#random.fork(name);
    // Some stay with one node for life, as behind a load balancer: also with one whose leader has been deposed.
    const sticky = random.chance(0.5);
    return this.#clientOf(
      random,
      sticky ? [random.pick(endpoints)] : random.shuffle(endpoints),
      random.pick([2_000, 5_000, 10_000]),
      !sticky && random.chance(0.5),
    );
  }

  #clientOf(random: SimRandom, endpoints: readonly string[], timeout_ms: number, direct: boolean): QuorateClient {
    const { scheduler, http } = this.#options;
    const client = new QuorateClient({
      endpoints,
      timeout_ms,
      direct,
      send: http.send,
      clock: { monotonic_ms: () => scheduler.now_ms, after: (delay_ms, run) => scheduler.after(delay_ms, run) },
      random,
    });
    this.#clients.push(client);
    return client;
  }

  async writeFixedKeys(): Promise<void> {
    const client = this.#client('fixed');
    for (const [i, key] of FIXED_KEYS.entries()) await client.put(key, `value ${i}`, { timeout_ms: 20_000 });
  }

  start(): void {
    const watch = (name: string, running: Promise<void>): void =>
      void running.catch((error: unknown) => this.#options.failed(`${name}: ${(error as Error).stack}`));
    for (let i = 1; i <= this.#clientCount; i++) watch(`client ${i}`, this.#run(i));
    watch('lister', this.#list());
    watch('counter', this.#count());
    watch('expiry', this.#expire());
    if (this.#bursts) watch('bursts', this.#burst());
  }

  /** No new operations; those under way go on. */
  stop(): void {
    this.#running = false;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #pause(random: SimRandom, mean_ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.scheduler.after(random.between(0, 2 * mean_ms), resolve));
  }

  async #run(id: number): Promise<void> {
    const client = this.#client(`client-${id}`);
    const random = this.#random.fork(`ops-${id}`);
    /** Revisions this client has seen, for conditions. */
    const seen = new Map<string, string>();
    for (let n = 1; this.#running; n++) {
      await this.#pause(random, this.#think_ms);
      const key = random.pick(this.contended);
      const idempotencyKey = random.chance(0.3) ? (false as const) : undefined;
      const options = idempotencyKey === undefined ? {} : { idempotencyKey };
      // Long ones fill messages, so that entries travel one by one.
      const value = `c${id}-${n}${'.'.repeat(random.chance(0.3) ? random.int(50, 800) : 0)}`;
      const dice = random.next();
      if (dice < 0.4) await this.#get(client, id, key, seen);
      else if (dice < 0.45) await this.#staleGet(client, key);
      else if (dice < 0.8) await this.#put(client, id, key, value, options, seen);
      else if (dice < 0.9 && seen.has(key)) {
        await this.#put(client, id, key, value, { ...options, ifMatch: `${seen.get(key)}` }, seen);
      } else if (dice < 0.94) await this.#put(client, id, key, value, { ...options, ifNoneMatch: '*' }, seen);
      else if (dice < 0.96) await this.#reuse(client, id, key, value, seen);
      else await this.#delete(client, id, key, options);
    }
  }

  /** What was found, or null. */
  async #get(client: QuorateClient, id: number, key: string, seen: Map<string, string>): Promise<string | null> {
    let value: string | null = null;
    await this.#recorded(id, { kind: 'get', key }, async () => {
      const found = await client.get(key);
      if (found === null) return { kind: 'missing' };
      value = found.value.toString();
      seen.set(key, found.revision);
      return { kind: 'found', value: found.value.toString(), revision: Number(found.revision), version: found.version };
    });
    return value;
  }

  /** A value that somebody wrote, never one of nobody; and none that was overwritten longer ago than the read allows. */
  async #staleGet(client: QuorateClient, key: string): Promise<void> {
    const { scheduler, late_ms, failed } = this.#options;
    this.#open++;
    // Every other one: what has been drawn from the seed stays what it was.
    const max_ms = this.stats.stale % 2 === 0 ? STALE_MAX_MS : STALE_LIMIT_MS;
    const due = this.#acknowledged.by(key, scheduler.now_ms - max_ms - late_ms);
    try {
      const bound = max_ms === STALE_MAX_MS ? { maxStaleness_ms: max_ms } : {};
      const found = await client.get(key, { consistency: 'stale', ...bound });
      this.stats.stale++;
      if (found !== null && Number(found.revision) < due)
        failed(
          `a read of ${key}, at most ${max_ms} ms old, showed revision ${found.revision}: ${due} was acknowledged`,
        );
      const value = found?.value.toString();
      if (value !== undefined && this.#written.get(key)?.has(value) !== true)
        this.#options.failed(`a stale read of ${key} showed ${value}, which nobody wrote`);
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
    } finally {
      this.#open--;
    }
  }

  async #put(
    client: QuorateClient,
    id: number,
    key: string,
    value: string,
    options: { idempotencyKey?: false | string; ifMatch?: string; ifNoneMatch?: '*' },
    seen: Map<string, string>,
  ): Promise<Answer | null> {
    const written = this.#written.get(key) ?? new Set();
    this.#written.set(key, written.add(value));
    return this.#recorded(id, { kind: 'put', key, value, condition: conditionOf(options) }, async () => {
      const { revision, version, created } = await client.put(key, value, options);
      if (created !== (version === 1))
        this.#options.failed(`${key} was ${created ? '' : 'not '}created, as version ${version}`);
      seen.set(key, revision);
      this.#acknowledged.note(key, Number(revision), this.#options.scheduler.now_ms);
      return { kind: 'stored', revision: Number(revision), version, created };
    });
  }

  /** Many long values at once: more than a leader holds back while its log is busy, so that several writes of it are out. */
  async #burst(): Promise<void> {
    const client = this.#client('bursts');
    const random = this.#random.fork('bursts');
    const seen = new Map<string, string>();
    for (let n = 1; this.#running; n++) {
      await this.#pause(random, 5_000);
      const writes = Array.from({ length: BURST_WRITES }, async (_, i) => {
        await this.#pause(random, 3);
        await this.#put(client, BURSTS + i, `burst/${i}`, `${n} ${'b'.repeat(BURST_BYTES)}`, {}, seen);
      });
      await Promise.all(writes);
      await this.#get(client, BURSTS, `burst/${random.int(0, BURST_WRITES - 1)}`, seen);
    }
  }

  /** Clients turn to keys of these slots: what moves changes while it moves. What was removed comes back later. */
  hurry(slots: SlotRanges, what: Haste): void {
    if (!this.#running) return;
    if (what === 'list') return this.#listInHaste(slots);
    const random = this.#hasty;
    for (const key of this.#someOf(slots)) {
      if (what === 'renew' || random.chance(0.3)) {
        void this.#inHaste(0, 'put', key);
        void this.#inHaste(random.between(1, 100), 'get', key);
      } else {
        void this.#inHaste(0, 'delete', key);
        void this.#inHaste(random.between(500, 4_000), 'put', key);
      }
    }
  }

  #someOf(slots: SlotRanges): readonly string[] {
    const keys = this.contended.filter((key) => containsSlot(slots, slotOfKey(Buffer.from(key))));
    return this.#hasty.shuffle(keys).slice(0, HASTY_KEYS);
  }

  /** Clients who know no other node read these keys there; null: some of these slots. */
  readAt(node: string, slots: SlotRanges, keys: readonly string[] | null): void {
    const client = this.#knowing(node, (endpoint) => hostOf(endpoint) === node);
    if (this.#running && client !== null)
      for (const key of keys ?? this.#someOf(slots)) void this.#inHaste(0, 'get', key, client);
  }

  /** Clients who know no other node write some keys of these slots there. */
  renewAt(node: string, slots: SlotRanges): void {
    const client = this.#knowing(node, (endpoint) => hostOf(endpoint) === node);
    if (!this.#running || client === null) return;
    for (const key of this.#someOf(slots)) void this.#inHaste(0, 'put', key, client);
  }

  /** Keys of these slots are written by clients who do not know this node. Resolves with them when that is over, one way or the other. */
  async renewElsewhere(node: string, slots: SlotRanges): Promise<readonly string[]> {
    const client = this.#knowing(`all but ${node}`, (endpoint) => hostOf(endpoint) !== node);
    if (!this.#running || client === null) return [];
    const keys = this.#someOf(slots);
    await Promise.all(keys.map((key) => this.#inHaste(0, 'put', key, client)));
    return keys;
  }

  /** null: nobody could know any of those nodes. */
  #knowing(name: string, known: (endpoint: string) => boolean): QuorateClient | null {
    const endpoints = this.#options.endpoints.filter(known);
    if (endpoints.length === 0) return null;
    const client = this.#knowers.get(name) ?? this.#clientOf(this.#random.fork(name), endpoints, 2_000, false);
    this.#knowers.set(name, client);
    return client;
  }

  #listInHaste(slots: SlotRanges): void {
    if (!FIXED_SLOTS.some((slot) => containsSlot(slots, slot))) return;
    const client = this.#hasty.pick(this.#hastyClients);
    void this.#listOnce(client, this.#hasty).catch((error: unknown) =>
      this.#options.failed(`a list in haste: ${(error as Error).stack}`),
    );
  }

  /** A client of its own in the history: such operations overlap. */
  #inHaste(
    delay_ms: number,
    what: 'delete' | 'put' | 'get',
    key: string,
    client = this.#hasty.pick(this.#hastyClients),
  ): Promise<void> {
    const id = HASTY + this.#hastyOperations++;
    const run = async (): Promise<void> => {
      if (delay_ms > 0) await new Promise<void>((resolve) => this.#options.scheduler.after(delay_ms, resolve));
      if (!this.#running) return;
      if (what === 'delete') await this.#delete(client, id, key, {});
      else if (what === 'put') await this.#put(client, id, key, `h${id}`, {}, new Map());
      else await this.#get(client, id, key, new Map());
    };
    return run().catch((error: unknown) => this.#options.failed(`a client in haste: ${(error as Error).stack}`));
  }

  /** An idempotency key that has done its work is used for another write, which must have no effect (F50). */
  async #reuse(
    client: QuorateClient,
    id: number,
    key: string,
    value: string,
    seen: Map<string, string>,
  ): Promise<void> {
    const idempotencyKey = `reused-by-${value.slice(0, 20)}`;
    const first = await this.#put(client, id, key, value, { idempotencyKey }, seen);
    if (first === null) return;
    this.#open++;
    try {
      await client.put(key, `another ${value}`, { idempotencyKey });
      this.#options.failed(`${key} was written twice under idempotency key ${idempotencyKey}`);
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      const expected = error.code === 'conflict' || error instanceof OutcomeUnknown || REFUSALS.has(error.code);
      if (!expected && !this.#isRot(error))
        this.#options.failed(`a client that used an idempotency key again was told: ${(error as Error).stack}`);
    } finally {
      this.#open--;
    }
  }

  async #delete(client: QuorateClient, id: number, key: string, options: { idempotencyKey?: false }): Promise<void> {
    await this.#recorded(id, { kind: 'delete', key }, async () => {
      const deleted = await client.delete(key, options);
      if (deleted === null) return { kind: 'missing' };
      this.#acknowledged.note(key, Number(deleted.revision), this.#options.scheduler.now_ms);
      return { kind: 'deleted', revision: Number(deleted.revision) };
    });
  }

  /** null: the answer is not known, or it was refused. */
  async #recorded(
    id: number,
    operation: Omit<Invocation, 'client'>,
    run: () => Promise<Answer>,
  ): Promise<Answer | null> {
    const { history, trace } = this.#options;
    const call = history.invoke({ client: `c${id}`, ...operation });
    const name = `${operation.kind} ${operation.key}`;
    this.#open++;
    try {
      const answer = await run();
      this.stats.ok++;
      trace.add(`client ${id}`, `${name}: ${JSON.stringify(answer)}`);
      history.ok(call, answer);
      return answer;
    } catch (error) {
      trace.add(`client ${id}`, `${name}: ${(error as Error).name} ${(error as Error).message}`);
      this.#judge(error, call);
      return null;
    } finally {
      this.#open--;
    }
  }

  /** What a client may be told when things go wrong; anything else is a fault of the store. */
  #judge(error: unknown, call: number): void {
    const { history } = this.#options;
    if (error instanceof OutcomeUnknown) {
      this.stats.unknown++;
      history.unknown(call, error.message);
    } else if (error instanceof QuorateError && error.code === 'precondition_failed') {
      this.stats.ok++;
      history.ok(call, { kind: 'precondition_failed' });
    } else if (error instanceof QuorateError && REFUSALS.has(error.code)) {
      this.stats.refused++;
      history.fail(call, error.code);
    } else if (error instanceof QuorateError && this.#isRot(error)) {
      this.stats.refused++;
      history.unknown(call, error.message);
    } else {
      this.#options.failed(`a client was told: ${(error as Error).stack}`);
      history.unknown(call, 'unexpected');
    }
  }

  #isRot(error: QuorateError): boolean {
    return error.code === 'internal' && /corrupt/.test(error.message) && this.#options.rotten();
  }

  /** A key that is there throughout appears exactly once, also across a reshard (F65). */
  async #list(): Promise<void> {
    const client = this.#client('lister');
    const random = this.#random.fork('lists');
    while (this.#running) {
      await this.#pause(random, 1_500);
      await this.#listOnce(client, random);
    }
  }

  async #listOnce(client: QuorateClient, random: SimRandom): Promise<void> {
    this.#open++;
    try {
      const found = new Map<string, number>();
      for await (const item of client.list({ prefix: 'fixed/', limit: random.int(3, 100) })) {
        const key = item.key.toString();
        found.set(key, (found.get(key) ?? 0) + 1);
      }
      this.stats.lists++;
      for (const key of FIXED_KEYS) {
        const times = found.get(key) ?? 0;
        if (times !== 1) this.#options.failed(`a list showed ${key} ${times} times`);
      }
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
    } finally {
      this.#open--;
    }
  }

  /** A counter that is raised by reading it and writing back, if it is still the same. */
  async #count(): Promise<void> {
    const clients = [this.#client('counter-1'), this.#client('counter-2')];
    const random = this.#random.fork('counts');
    const seen = new Map<string, string>();
    while (this.#running) {
      await this.#pause(random, 1_000);
      const client = random.pick(clients);
      const before = Number((await this.#get(client, 100, 'counter', seen)) ?? 0);
      const condition = before === 0 ? { ifNoneMatch: '*' as const } : { ifMatch: `${seen.get('counter')}` };
      await this.#put(client, 100, 'counter', `${before + 1}`, condition, seen);
    }
  }

  /** Written again, without an end, just when its time comes: what was to expire is not what is there now. */
  async #outlive(client: QuorateClient, random: SimRandom, key: string, due_ms: number): Promise<void> {
    const { scheduler, failed } = this.#options;
    const wait_ms = Math.max(0, due_ms - scheduler.now_ms + random.between(-200, 200));
    await new Promise<void>((resolve) => scheduler.after(wait_ms, resolve));
    const { revision, version, created } = await client.put(key, 'lasting');
    if (created !== (version === 1)) failed(`${key} was ${created ? '' : 'not '}created, as version ${version}`);
    await this.#pause(random, 1_000);
    const found = await client.get(key);
    if (found?.revision !== revision)
      failed(`${key} was written again for good as ${revision}, and is ${found?.revision ?? 'gone'}`);
  }

  /** Keys with a time to live: there until then, gone soon after. */
  async #expire(): Promise<void> {
    const { scheduler, early_ms, failed } = this.#options;
    const client = this.#client('expiry');
    const random = this.#random.fork('expiries');
    for (let n = 0; this.#running; n++) {
      await this.#pause(random, 2_500);
      const key = `ttl/${n}`;
      const ttl_ms = random.int(500, 6_000);
      this.#open++;
      try {
        const put_ms = scheduler.now_ms;
        const { revision } = await client.put(key, 'short-lived', { ttl: ttl_ms });
        const stored_ms = scheduler.now_ms;
        if (random.chance(0.4)) {
          await this.#outlive(client, random, key, put_ms + ttl_ms);
          continue;
        }
        for (;;) {
          await this.#pause(random, 250);
          const asked_ms = scheduler.now_ms;
          const found = await client.get(key);
          if (found === null) {
            if (scheduler.now_ms - put_ms < ttl_ms - early_ms())
              failed(`${key} was to live for ${ttl_ms} ms, but was gone ${scheduler.now_ms - put_ms} ms after its put`);
            this.stats.expired++;
            await this.#pause(random, 300);
            if ((await client.get(key)) !== null) failed(`${key} was gone, and is there again`);
            break;
          }
          if (found.revision !== revision) failed(`${key} has revision ${found.revision}, it was put as ${revision}`);
          if (asked_ms - stored_ms > ttl_ms + FORGOTTEN_MS)
            failed(`${key} was to live for ${ttl_ms} ms, but is there ${asked_ms - stored_ms} ms after its put`);
        }
      } catch (error) {
        if (!(error instanceof QuorateError)) throw error;
      } finally {
        this.#open--;
      }
    }
  }
}
