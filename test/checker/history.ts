/**
 * What clients did and saw: one record an operation, with the instants at which it was called and answered. The record
 * is all that the checkers know of the cluster, so it says exactly as much as a client can know: an operation whose
 * answer never came may have taken effect at any time after its call, or never.
 *
 * Times are in any one unit that only grows (event numbers, milliseconds). An operation comes before another only if it
 * returned at a strictly smaller time than the other was called: equal times count as concurrent.
 */

export type OperationKind = 'put' | 'get' | 'delete' | 'append' | 'add';

/** Of put and delete; same shape as in src/kv/store/commands.ts. */
export type Condition =
  | { readonly kind: 'none' }
  | { readonly kind: 'exists' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'revision'; readonly revision: number };

/** What is not told (no `revision`, `version`, …) is not checked. */
export type Outcome =
  /** `value`: of append and add, what the key holds after it, where the client knows. */
  | {
      readonly kind: 'stored';
      readonly revision?: number;
      readonly version?: number;
      readonly created?: boolean;
      readonly value?: string;
    }
  | { readonly kind: 'deleted'; readonly revision?: number }
  | { readonly kind: 'found'; readonly value: string; readonly revision?: number; readonly version?: number }
  | { readonly kind: 'missing' }
  /** `revision`: the key's at that time; null: there was no such key; absent: not told. */
  | { readonly kind: 'precondition_failed'; readonly revision?: number | null }
  /** Definitely not applied: refused, or never sent. Kept for reports; the checkers pass over it. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Still open, timed out, connection lost. `return` is null. */
  | { readonly kind: 'unknown'; readonly reason: string };

export type Answer = Exclude<Outcome, { readonly kind: 'failed' | 'unknown' }>;

export interface Invocation {
  readonly client: string;
  readonly kind: OperationKind;
  readonly key: string;
  /** What put stores, append adds to the list, add adds to the counter (decimal). Long values: a name or digest will do. */
  readonly value?: string;
  readonly condition?: Condition;
  /** Operations of one key with the same idempotency key are attempts at one write. */
  readonly idempotencyKey?: string;
}

export interface Operation {
  /** Unique in its history. */
  readonly id: number;
  readonly client: string;
  readonly kind: OperationKind;
  readonly key: string;
  /** null where the kind takes none. */
  readonly value: string | null;
  readonly condition: Condition;
  readonly idempotencyKey: string | null;
  readonly call: number;
  /** null exactly if the outcome is unknown. */
  readonly return: number | null;
  readonly outcome: Outcome;
}

const NO_CONDITION: Condition = { kind: 'none' };
const OPEN: Outcome = { kind: 'unknown', reason: 'open' };

/**
 * Records operations as they happen, in one process. Every event gets a time of its own, larger than all before it, so
 * that the order in which events were recorded is kept whole even where the clock stands still.
 */
export class HistoryRecorder {
  readonly #now: (() => number) | null;
  readonly #operations: Operation[] = [];
  #last_thousandths = 0;

  /** `now`: a clock that times follow, kept to thousandths of its unit; without one, times are event numbers. */
  constructor(now: (() => number) | null = null) {
    this.#now = now;
  }

  /** Call it before the request leaves. Returns the operation's id; it stands as unknown until it is ended. */
  invoke(invocation: Invocation): number {
    const id = this.#operations.length;
    const { client, kind, key, value = null, condition = NO_CONDITION, idempotencyKey = null } = invocation;
    const call = this.#tick();
    this.#operations.push({
      id,
      client,
      kind,
      key,
      value,
      condition,
      idempotencyKey,
      call,
      return: null,
      outcome: OPEN,
    });
    return id;
  }

  /** Call it after the answer has arrived. A precondition that failed and a missing key are answers, too. */
  ok(id: number, answer: Answer): void {
    this.#end(id, this.#tick(), answer);
  }

  /** Certainly not applied. */
  fail(id: number, reason: string): void {
    this.#end(id, this.#tick(), { kind: 'failed', reason });
  }

  /** Applied or not, perhaps later. */
  unknown(id: number, reason: string): void {
    this.#end(id, null, { kind: 'unknown', reason });
  }

  /** In order of their calls; open ones are unknown. */
  operations(): readonly Operation[] {
    return this.#operations.slice();
  }

  #end(id: number, at: number | null, outcome: Outcome): void {
    const operation = this.#operations[id];
    if (operation === undefined) throw new Error(`invariant: no operation #${id} was invoked`);
    if (operation.outcome !== OPEN) throw new Error(`invariant: operation #${id} ended twice`);
    this.#operations[id] = { ...operation, return: at, outcome };
  }

  #tick(): number {
    const next = this.#last_thousandths + (this.#now === null ? 1000 : 1);
    this.#last_thousandths = this.#now === null ? next : Math.max(next, Math.floor(this.#now() * 1000));
    return this.#last_thousandths / 1000;
  }
}

/** Throws if the history contradicts itself; nothing that a store does can make it do so. */
export function assertHistory(operations: readonly Operation[]): void {
  const ids = new Set<number>();
  for (const operation of operations) {
    const problem = problemOf(operation);
    if (problem !== null) throw new Error(`invariant: operation #${operation.id}: ${problem}`);
    if (ids.has(operation.id)) throw new Error(`invariant: operation #${operation.id} stands twice in the history`);
    ids.add(operation.id);
  }
}

/** What makes this no possible record, or null. */
export function problemOf(operation: Operation): string | null {
  const { kind, value, call, outcome } = operation;
  if (!Number.isFinite(call)) return 'its call is no time';
  if ((operation.return === null) !== (outcome.kind === 'unknown'))
    return 'no return goes with an unknown outcome only';
  if (operation.return !== null && !(operation.return >= call))
    return `it returned (${operation.return}) before its call`;
  const takesValue = kind === 'put' || kind === 'append' || kind === 'add';
  if (takesValue !== (value !== null)) return takesValue ? `${kind} needs a value` : `${kind} takes no value`;
  if (!OUTCOMES[kind].has(outcome.kind)) return `${kind} cannot end as ${outcome.kind}`;
  return null;
}

const OUTCOMES: Readonly<Record<OperationKind, ReadonlySet<Outcome['kind']>>> = {
  put: new Set(['stored', 'precondition_failed', 'failed', 'unknown'] as const),
  append: new Set(['stored', 'failed', 'unknown'] as const),
  add: new Set(['stored', 'failed', 'unknown'] as const),
  get: new Set(['found', 'missing', 'failed', 'unknown'] as const),
  delete: new Set(['deleted', 'missing', 'precondition_failed', 'failed', 'unknown'] as const),
};

/** One line for people: `#7 c3 put k "v" → stored revision 5 [10, 20]`. */
export function describeOperation(operation: Operation): string {
  const { id, client, kind, key, value, condition, idempotencyKey, call, outcome } = operation;
  const parts = [`#${id} ${client} ${kind} ${key}`];
  if (value !== null) parts.push(JSON.stringify(value));
  if (condition.kind === 'exists') parts.push('if-match *');
  if (condition.kind === 'absent') parts.push('if-none-match *');
  if (condition.kind === 'revision') parts.push(`if-match ${condition.revision}`);
  if (idempotencyKey !== null) parts.push(`idempotency-key ${idempotencyKey}`);
  parts.push(`→ ${describeOutcome(outcome)} [${call}, ${operation.return ?? 'open'}]`);
  return parts.join(' ');
}

export function describeOutcome(outcome: Outcome): string {
  const parts: string[] = [outcome.kind];
  if ('value' in outcome) parts.push(JSON.stringify(outcome.value));
  if ('created' in outcome) parts.push(outcome.created === true ? 'created' : 'replaced');
  if ('revision' in outcome) parts.push(outcome.revision === null ? '(no such key)' : `revision ${outcome.revision}`);
  if ('version' in outcome) parts.push(`version ${outcome.version}`);
  if ('reason' in outcome) parts.push(`(${outcome.reason})`);
  return parts.join(' ');
}
