/**
 * Clients that write and read a small set of keys until they are told to stop, and remember all they did and saw. `safe`
 * ones are the TypeScript client with idempotency keys; `plain` ones send each request once, to any node, without any
 * protection, as `curl` would.
 */
import { OutcomeUnknown, QuorateClient, QuorateError } from '../../src/kv/client/index.js';
import { type Answer, HistoryRecorder, type OperationKind } from '../checker/history.js';
import { codeOf, jsonOf, keyPath, NoAnswer, type PlainAnswer, plain } from './plain-http.js';

export interface LoadOptions {
  readonly endpoints: readonly string[];
  readonly safe: number;
  readonly plain: number;
  readonly keys: readonly string[];
  /** Between two operations of one client, so that the machine is busy but not drowned. */
  readonly pause_ms?: number;
  /** Shares of writes and of deletes among all operations. */
  readonly puts?: number;
  readonly deletes?: number;
  /** Where it writes down what it does; default: one of its own. */
  readonly history?: HistoryRecorder;
}

/** An operation that was not answered as asked. */
export interface Trouble {
  readonly kind: 'safe' | 'plain';
  readonly operation: OperationKind;
  readonly key: string;
  /** The code of the problem, or of the socket's error. */
  readonly code: string;
  readonly detail: string;
  /** Since the load began. */
  readonly at_ms: number;
}

type Ended = { readonly answer: Answer } | { readonly failed: string } | { readonly unknown: string };

const SAFE_TIMEOUT_MS = 20_000;
const FILLERS = 32;
const sleep = (delay_ms: number): Promise<void> => new Promise((done) => setTimeout(done, delay_ms));

export const newHistory = (): HistoryRecorder => new HistoryRecorder(() => performance.now());

export class Load {
  readonly history: HistoryRecorder;
  readonly troubles: Trouble[] = [];
  readonly #options: LoadOptions;
  readonly #clients: readonly QuorateClient[];
  readonly #began_ms = performance.now();
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #acknowledged = 0;
  #number = 0;
  #slowest = { took_ms: 0, what: 'nothing' };

  private constructor(options: LoadOptions) {
    this.#options = options;
    this.history = options.history ?? newHistory();
    const clients = Math.min(4, options.safe);
    this.#clients = Array.from(
      { length: clients },
      () => new QuorateClient({ endpoints: options.endpoints, timeout_ms: SAFE_TIMEOUT_MS }),
    );
  }

  static start(options: LoadOptions): Load {
    const load = new Load(options);
    const safe = Array.from({ length: options.safe }, (_, i) => load.#loop(`safe${i}`, load.#clients[i % 4]!));
    const plains = Array.from({ length: options.plain }, (_, i) => load.#loop(`plain${i}`, null));
    load.#running = Promise.all([...safe, ...plains]);
    return load;
  }

  /** Writes that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The slowest of the operations that ended since this was last called, in words. */
  takeSlowest(): string {
    const slowest = this.#slowest;
    this.#slowest = { took_ms: 0, what: 'nothing' };
    return `${Math.round(slowest.took_ms)} ms: ${slowest.what}`;
  }

  /** Resolves when the last operation has been answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    for (const client of this.#clients) client.close();
  }

  async #loop(name: string, client: QuorateClient | null): Promise<void> {
    const { keys, pause_ms = 10, puts = 0.6, deletes = 0.05 } = this.#options;
    while (!this.#stopped) {
      const key = keys[Math.floor(Math.random() * keys.length)]!;
      const chance = Math.random();
      const kind = chance < puts ? 'put' : chance < puts + deletes ? 'delete' : 'get';
      await this.#operation(name, client, kind, key);
      await sleep(pause_ms * (0.5 + Math.random()));
    }
  }

  async #operation(name: string, client: QuorateClient | null, kind: 'put' | 'get' | 'delete', key: string) {
    const value = `${name}:${this.#number++}`;
    const id = this.history.invoke({ client: name, kind, key, ...(kind === 'put' ? { value } : {}) });
    const sent_ms = performance.now();
    const ended = client === null ? await this.#plain(kind, key, value) : await this.#safe(client, kind, key, value);
    const took_ms = performance.now() - sent_ms;
    if (took_ms > this.#slowest.took_ms) {
      const how = 'answer' in ended ? ended.answer.kind : 'failed' in ended ? ended.failed : ended.unknown;
      this.#slowest = { took_ms, what: `${name} ${kind} ${key}: ${how}` };
    }
    if ('answer' in ended) {
      this.history.ok(id, ended.answer);
      if (kind !== 'get') this.#acknowledged++;
    } else if ('failed' in ended) this.history.fail(id, ended.failed);
    else this.history.unknown(id, ended.unknown);
  }

  async #safe(client: QuorateClient, kind: 'put' | 'get' | 'delete', key: string, value: string): Promise<Ended> {
    try {
      return { answer: await answered(client, kind, key, value) };
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      this.#trouble('safe', kind, key, error.code, error.detail);
      return error instanceof OutcomeUnknown && kind !== 'get' ? { unknown: error.detail } : { failed: error.detail };
    }
  }

  async #plain(kind: 'put' | 'get' | 'delete', key: string, value: string): Promise<Ended> {
    const { endpoints } = this.#options;
    const base = endpoints[Math.floor(Math.random() * endpoints.length)]!;
    const request = { method: kind.toUpperCase(), ...(kind === 'put' ? { body: value } : {}) };
    let answer: PlainAnswer;
    try {
      answer = await plain(base, keyPath(key), request);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.#trouble('plain', kind, key, error.code, error.message);
      return error.sent && kind !== 'get' ? { unknown: error.code } : { failed: error.code };
    }
    const read = answerOf(kind, answer);
    if (read !== null) return { answer: read };
    const code = codeOf(answer) ?? `status ${answer.status}`;
    this.#trouble('plain', kind, key, code, answer.body.toString());
    return answer.status === 504 || answer.status === 500 ? { unknown: code } : { failed: code };
  }

  #trouble(kind: Trouble['kind'], operation: OperationKind, key: string, code: string, detail: string): void {
    this.troubles.push({ kind, operation, key, code, detail, at_ms: performance.now() - this.#began_ms });
  }
}

/** What the client is answered in the end, as a history has it. Throws as the client does. */
async function answered(
  client: QuorateClient,
  kind: 'put' | 'get' | 'delete',
  key: string,
  value: string,
): Promise<Answer> {
  switch (kind) {
    case 'put': {
      const { revision, version, created } = await client.put(key, value);
      return { kind: 'stored', revision: Number(revision), version, created };
    }
    case 'get': {
      const found = await client.get(key);
      if (found === null) return { kind: 'missing' };
      const { revision, version } = found;
      return { kind: 'found', value: String(found.value), revision: Number(revision), version };
    }
    case 'delete': {
      const deleted = await client.delete(key);
      if (deleted === null) return { kind: 'missing' };
      return { kind: 'deleted', revision: Number(deleted.revision) };
    }
  }
}

/** null: no answer to what was asked. */
function answerOf(kind: 'put' | 'get' | 'delete', answer: PlainAnswer): Answer | null {
  const { status, headers, body } = answer;
  if (status === 404 && kind !== 'put' && codeOf(answer) === 'key_not_found') return { kind: 'missing' };
  if (status !== 200 && !(status === 201 && kind === 'put')) return null;
  switch (kind) {
    case 'get': {
      const revision = Number(String(headers.etag).replaceAll('"', ''));
      return { kind: 'found', value: String(body), revision, version: Number(headers['x-quorate-version']) };
    }
    case 'put': {
      const { revision, version } = jsonOf<{ revision: string; version: number }>(answer);
      return { kind: 'stored', revision: Number(revision), version, created: status === 201 };
    }
    case 'delete':
      return { kind: 'deleted', revision: Number(jsonOf<{ revision: string }>(answer).revision) };
  }
}

/** Writes every key once, each with its own name as the value. */
export async function fill(
  endpoints: readonly string[],
  keys: readonly string[],
  history: HistoryRecorder,
): Promise<void> {
  const left = [...keys];
  const writer = async (i: number): Promise<void> => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) {
      const id = history.invoke({ client: `fill${i}`, kind: 'put', key, value: key });
      const base = endpoints[left.length % endpoints.length]!;
      const stored = answerOf('put', await plain(base, keyPath(key), { method: 'PUT', body: key }));
      if (stored === null) throw new Error(`${key} could not be written`);
      history.ok(id, stored);
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, (_, i) => writer(i)));
}

/**
 * Writes every key once, each with its own name as the value, or deletes it: by a client that may send again what was not
 * answered, so that nodes may come and go meanwhile.
 */
export async function eachOnce(
  kind: 'put' | 'delete',
  endpoints: readonly string[],
  keys: readonly string[],
  history: HistoryRecorder,
): Promise<void> {
  const client = new QuorateClient({ endpoints, timeout_ms: SAFE_TIMEOUT_MS });
  const left = [...keys];
  const worker = async (name: string): Promise<void> => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) {
      const id = history.invoke({ client: name, kind, key, ...(kind === 'put' ? { value: key } : {}) });
      history.ok(id, await answered(client, kind, key, key));
    }
  };
  try {
    await Promise.all(Array.from({ length: FILLERS }, (_, i) => worker(`${kind}${i}`)));
  } finally {
    client.close();
  }
}

/** How often each trouble came, for messages: `plain put ECONNRESET: 3`. */
export function countTroubles(troubles: readonly Trouble[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { kind, operation, code } of troubles) {
    const name = `${kind} ${operation} ${code}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
