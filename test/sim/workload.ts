/**
 * Simulated clients: the production client, each with operations of its own drawn from the seed. What they did and saw
 * goes into the history; whether that is linearizable is the checker's business.
 */
import { OutcomeUnknown, QuorateClient, QuorateError } from '../../src/kv/client/index.js';
import type { Answer, Condition, HistoryRecorder, Invocation } from '../checker/history.js';
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
  readonly failed: (what: string) => void;
}

export interface WorkloadStats {
  ok: number;
  refused: number;
  unknown: number;
  lists: number;
}

/** Keys that are written before the faults begin and never again: every list must show each of them once. */
const FIXED_KEYS = 60;

/** Certainly not applied: a client may be told so when a majority is away for longer than its patience. */
const REFUSALS: ReadonlySet<string> = new Set(['no_leader', 'slot_moving', 'unavailable', 'overloaded']);

function conditionOf(options: { readonly ifMatch?: string; readonly ifNoneMatch?: '*' }): Condition {
  if (options.ifMatch !== undefined) return { kind: 'revision', revision: Number(options.ifMatch) };
  return options.ifNoneMatch === undefined ? { kind: 'none' } : { kind: 'absent' };
}

export class Workload {
  readonly stats: WorkloadStats = { ok: 0, refused: 0, unknown: 0, lists: 0 };
  readonly #options: WorkloadOptions;
  readonly #random: SimRandom;
  readonly #clients: QuorateClient[] = [];
  readonly #keys: readonly string[];
  readonly #think_ms: number;
  #running = true;
  #open = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#random = options.random.fork('workload');
    this.#keys = Array.from({ length: this.#random.int(3, 14) }, (_, i) => `k${i}`);
    this.#think_ms = this.#random.between(20, 250);
  }

  /** Operations under way. */
  get open(): number {
    return this.#open;
  }

  #client(name: string): QuorateClient {
    const { scheduler, http, endpoints } = this.#options;
    const random = this.#random.fork(name);
    const client = new QuorateClient({
      endpoints: random.shuffle(endpoints),
      timeout_ms: random.pick([2_000, 5_000, 10_000]),
      direct: random.chance(0.5),
      send: http.send,
      clock: { monotonic_ms: () => scheduler.now_ms, after: (delay_ms, run) => scheduler.after(delay_ms, run) },
      random,
    });
    this.#clients.push(client);
    return client;
  }

  async writeFixedKeys(): Promise<void> {
    const client = this.#client('fixed');
    for (let i = 0; i < FIXED_KEYS; i++) await client.put(`fixed/${i}`, `value ${i}`, { timeout_ms: 20_000 });
  }

  start(): void {
    const count = this.#random.int(3, 8);
    for (let i = 0; i < count; i++)
      void this.#run(i + 1).catch((error: unknown) =>
        this.#options.failed(`client ${i + 1}: ${(error as Error).stack}`),
      );
    void this.#list().catch((error: unknown) => this.#options.failed(`lister: ${(error as Error).stack}`));
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
      const key = random.pick(this.#keys);
      const idempotencyKey = random.chance(0.3) ? (false as const) : undefined;
      const options = idempotencyKey === undefined ? {} : { idempotencyKey };
      const dice = random.next();
      if (dice < 0.45) await this.#get(client, id, key, seen);
      else if (dice < 0.8) await this.#put(client, id, key, `c${id}-${n}`, options, seen);
      else if (dice < 0.9 && seen.has(key)) {
        await this.#put(client, id, key, `c${id}-${n}`, { ...options, ifMatch: `${seen.get(key)}` }, seen);
      } else if (dice < 0.94) await this.#put(client, id, key, `c${id}-${n}`, { ...options, ifNoneMatch: '*' }, seen);
      else await this.#delete(client, id, key, options);
    }
  }

  async #get(client: QuorateClient, id: number, key: string, seen: Map<string, string>): Promise<void> {
    await this.#recorded(id, { kind: 'get', key }, async () => {
      const found = await client.get(key);
      if (found === null) return { kind: 'missing' };
      seen.set(key, found.revision);
      return { kind: 'found', value: found.value.toString(), revision: Number(found.revision), version: found.version };
    });
  }

  async #put(
    client: QuorateClient,
    id: number,
    key: string,
    value: string,
    options: { idempotencyKey?: false; ifMatch?: string; ifNoneMatch?: '*' },
    seen: Map<string, string>,
  ): Promise<void> {
    await this.#recorded(id, { kind: 'put', key, value, condition: conditionOf(options) }, async () => {
      const { revision, version, created } = await client.put(key, value, options);
      seen.set(key, revision);
      return { kind: 'stored', revision: Number(revision), version, created };
    });
  }

  async #delete(client: QuorateClient, id: number, key: string, options: { idempotencyKey?: false }): Promise<void> {
    await this.#recorded(id, { kind: 'delete', key }, async () => {
      const deleted = await client.delete(key, options);
      return deleted === null ? { kind: 'missing' } : { kind: 'deleted', revision: Number(deleted.revision) };
    });
  }

  async #recorded(id: number, operation: Omit<Invocation, 'client'>, run: () => Promise<Answer>): Promise<void> {
    const { history, trace } = this.#options;
    const call = history.invoke({ client: `c${id}`, ...operation });
    const name = `${operation.kind} ${operation.key}`;
    this.#open++;
    try {
      const answer = await run();
      this.stats.ok++;
      trace.add(`client ${id}`, `${name}: ${JSON.stringify(answer)}`);
      history.ok(call, answer);
    } catch (error) {
      trace.add(`client ${id}`, `${name}: ${(error as Error).name} ${(error as Error).message}`);
      this.#judge(error, call);
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
    } else {
      this.#options.failed(`a client was told: ${(error as Error).stack}`);
      history.unknown(call, 'unexpected');
    }
  }

  /** A key that is there throughout appears exactly once, also across a reshard (F65). */
  async #list(): Promise<void> {
    const client = this.#client('lister');
    const random = this.#random.fork('lists');
    while (this.#running) {
      await this.#pause(random, 1_500);
      this.#open++;
      try {
        const found = new Map<string, number>();
        for await (const item of client.list({ prefix: 'fixed/', limit: random.int(3, 100) })) {
          const key = item.key.toString();
          found.set(key, (found.get(key) ?? 0) + 1);
        }
        this.stats.lists++;
        for (let i = 0; i < FIXED_KEYS; i++) {
          const times = found.get(`fixed/${i}`) ?? 0;
          if (times !== 1) this.#options.failed(`a list showed fixed/${i} ${times} times`);
        }
      } catch (error) {
        if (!(error instanceof QuorateError)) throw error;
      } finally {
        this.#open--;
      }
    }
  }
}
