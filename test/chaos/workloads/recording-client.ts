/** The product's own client, every call of it written down with what its caller can know of its end. */
import { OutcomeUnknown, QuorateClient, QuorateError } from '../../../src/kv/client/index.js';
import type { Answer, Condition, HistoryRecorder, Invocation } from '../../checker/history.js';

const TIMEOUT_MS = 10_000;
/** Whoever stays with one node waits in vain while it is down. */
const LOYAL_TIMEOUT_MS = 3_000;

/** What a client may be told when things go wrong: certainly not applied. Anything else is a fault of the store. */
const REFUSALS: ReadonlySet<string> = new Set(['no_leader', 'slot_moving', 'unavailable', 'overloaded']);

export interface Guard {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
  readonly idempotencyKey?: string | false;
}

export type Attempt =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

const answered = (answer: Answer): Attempt => ({ kind: 'answer', answer });

export class RecordingClient {
  readonly name: string;
  readonly #history: HistoryRecorder;
  readonly #client: QuorateClient;
  /** Answers that the contract does not allow at such times. */
  readonly strange: string[] = [];

  /**
   * `loyal`: to the first endpoint, for life, as behind a load balancer; also while that node is cut off and still believes
   * that it leads. Only such clients see what a deposed leader says.
   */
  constructor(name: string, endpoints: readonly string[], loyal: boolean, history: HistoryRecorder) {
    this.name = name;
    this.#history = history;
    this.#client = loyal
      ? new QuorateClient({ endpoints: endpoints.slice(0, 1), direct: false, timeout_ms: LOYAL_TIMEOUT_MS })
      : new QuorateClient({ endpoints, timeout_ms: TIMEOUT_MS });
  }

  get plain(): QuorateClient {
    return this.#client;
  }

  close(): void {
    this.#client.close();
  }

  async get(key: string): Promise<Attempt> {
    return this.recorded({ kind: 'get', key }, () => this.read(key));
  }

  async put(key: string, value: string, guard: Guard = {}): Promise<Attempt> {
    const condition = conditionOf(guard);
    return this.recorded({ kind: 'put', key, value, condition, ...idempotency(guard) }, () =>
      this.write(key, value, guard),
    );
  }

  async delete(key: string, guard: Guard = {}): Promise<Attempt> {
    return this.recorded({ kind: 'delete', key, condition: conditionOf(guard) }, () =>
      this.attempt(async () => {
        const deleted = await this.#client.delete(key, guard);
        return deleted === null ? { kind: 'missing' } : { kind: 'deleted', revision: Number(deleted.revision) };
      }),
    );
  }

  /** Not written down: a part of a larger operation, which is. */
  read(key: string): Promise<Attempt> {
    return this.attempt(async () => {
      const found = await this.#client.get(key);
      if (found === null) return { kind: 'missing' };
      const { revision, version } = found;
      return { kind: 'found', value: String(found.value), revision: Number(revision), version };
    });
  }

  write(key: string, value: string, guard: Guard = {}): Promise<Attempt> {
    return this.attempt(async () => {
      const { revision, version, created } = await this.#client.put(key, value, guard);
      return { kind: 'stored', revision: Number(revision), version, created };
    });
  }

  /** `operation` decides how the whole ended. */
  async recorded(invocation: Omit<Invocation, 'client'>, operation: () => Promise<Attempt>): Promise<Attempt> {
    const id = this.#history.invoke({ client: this.name, ...invocation });
    const attempt = await operation();
    if (attempt.kind === 'answer') this.#history.ok(id, attempt.answer);
    else if (attempt.kind === 'failed' || invocation.kind === 'get') this.#history.fail(id, attempt.reason);
    else this.#history.unknown(id, attempt.reason);
    return attempt;
  }

  async attempt(call: () => Promise<Answer>): Promise<Attempt> {
    try {
      return answered(await call());
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      if (error instanceof OutcomeUnknown) return { kind: 'unknown', reason: error.detail };
      if (error.code === 'precondition_failed') {
        const { revision } = error.problem;
        if (revision === undefined) return answered({ kind: 'precondition_failed' });
        return answered({ kind: 'precondition_failed', revision: revision === null ? null : Number(revision) });
      }
      if (!REFUSALS.has(error.code)) this.strange.push(`${this.name} was told ${error.code}: ${error.detail}`);
      return { kind: 'failed', reason: `${error.code}: ${error.detail}` };
    }
  }
}

function conditionOf({ ifMatch, ifNoneMatch }: Guard): Condition {
  if (ifMatch === '*') return { kind: 'exists' };
  if (ifMatch !== undefined) return { kind: 'revision', revision: Number(ifMatch) };
  return ifNoneMatch === undefined ? { kind: 'none' } : { kind: 'absent' };
}

const idempotency = ({ idempotencyKey }: Guard): { idempotencyKey?: string } =>
  typeof idempotencyKey === 'string' ? { idempotencyKey } : {};
