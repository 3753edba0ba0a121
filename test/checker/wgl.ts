/**
 * Is a history linearizable? Key by key (locality), each by `WglSearch`. Of a key that is not, the shortest prefix of
 * its history that cannot be linearized is sought: prefixes of linearizable histories are linearizable, so bisection
 * finds the return at which it went wrong. In a prefix, what has not returned yet is open.
 */
import { assertHistory, describeOperation, type Operation } from './history.js';
import { type Model, type Prepared, plainTasks } from './model.js';
import { type Blocked, type PartialOrder, type SearchResult, WglSearch } from './wgl-search.js';

export interface CheckOptions {
  /** Of the model, for each key and prefix tried; more, and the key is `too_large`. Default 2 million. */
  readonly maxSteps?: number;
}

export interface Violation {
  readonly key: string;
  /** The shortest prefix of the key's history that cannot be linearized, in order of calls; what returned later is open. */
  readonly prefix: readonly Operation[];
  /** The operations with whose return it went wrong. */
  readonly culprits: readonly Operation[];
  /** False if a shorter prefix was too large to be judged. */
  readonly shortest: boolean;
  /** What is contradictory without any search, or null. */
  readonly reason: string | null;
  /** null with a `reason`. */
  readonly longest: PartialOrder | null;
  /** All of this for people. */
  readonly message: string;
}

export type CheckResult =
  | { readonly ok: true; readonly keys: number; readonly operations: number; readonly steps: number }
  | { readonly ok: false; readonly kind: 'violation'; readonly violation: Violation }
  /** Neither shown to be linearizable nor not: the search for these keys ended at `maxSteps`. All others are linearizable. */
  | { readonly ok: false; readonly kind: 'too_large'; readonly tooLarge: readonly string[]; readonly message: string };

interface Contradiction {
  readonly kind: 'contradiction';
  readonly reason: string;
  readonly operations: readonly Operation[];
  readonly steps: number;
}

type KeyResult = SearchResult | Contradiction;
type Failure = Exclude<KeyResult, { readonly kind: 'linearizable' | 'too_large' }>;

const MAX_STEPS = 2_000_000;

export function checkLinearizable<State>(
  model: Model<State>,
  history: readonly Operation[],
  options: CheckOptions = {},
): CheckResult {
  assertHistory(history);
  const maxSteps = options.maxSteps ?? MAX_STEPS;
  const tooLarge: string[] = [];
  const keys = byKey(history);
  let steps = 0;
  for (const [key, operations] of keys) {
    const result = checkKey(model, operations, maxSteps);
    steps += result.steps;
    if (result.kind === 'linearizable') continue;
    if (result.kind === 'too_large') tooLarge.push(key);
    else return { ok: false, kind: 'violation', violation: explain(model, key, operations, result, maxSteps) };
  }
  if (tooLarge.length === 0) return { ok: true, keys: keys.size, operations: history.length, steps };
  const message = `not decided within ${maxSteps} steps: ${tooLarge.map((key) => `key ${key}`).join(', ')}`;
  return { ok: false, kind: 'too_large', tooLarge, message };
}

/** Those that may have had an effect, by key (in the order of their code units), in order of calls. */
export function byKey(history: readonly Operation[]): Map<string, Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const operation of history) {
    if (operation.outcome.kind === 'failed') continue;
    const operations = keys.get(operation.key);
    if (operations === undefined) keys.set(operation.key, [operation]);
    else operations.push(operation);
  }
  for (const operations of keys.values()) operations.sort((a, b) => a.call - b.call || a.id - b.id);
  return new Map([...keys].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function checkKey<State>(model: Model<State>, operations: readonly Operation[], maxSteps: number): KeyResult {
  const prepared: Prepared<State> = model.prepare?.(operations) ?? {
    ok: true,
    init: model.init(),
    tasks: plainTasks(operations),
  };
  if (!prepared.ok) return { kind: 'contradiction', ...prepared, steps: 0 };
  return new WglSearch(model, prepared.tasks, maxSteps).run(prepared.init);
}

/** What a client knew at time `end`. */
function prefixUntil(operations: readonly Operation[], end: number): Operation[] {
  return operations
    .filter(({ call }) => call <= end)
    .map((operation) =>
      operation.return !== null && operation.return > end
        ? { ...operation, return: null, outcome: { kind: 'unknown', reason: 'not yet returned' } }
        : operation,
    );
}

function explain<State>(
  model: Model<State>,
  key: string,
  operations: readonly Operation[],
  whole: Failure,
  maxSteps: number,
): Violation {
  const returns = operations.flatMap(({ return: end }) => (end === null ? [] : [end])).sort((a, b) => a - b);
  let shortest = true;
  let failure = whole;
  let low = 0;
  let high = returns.length - 1;
  // What was called after the last return cannot have been seen by anyone.
  let prefix = prefixUntil(operations, returns[high]!);
  while (low < high) {
    const middle = (low + high) >> 1;
    const candidate = prefixUntil(operations, returns[middle]!);
    const result = checkKey(model, candidate, maxSteps);
    if (result.kind === 'violation' || result.kind === 'contradiction') {
      high = middle;
      failure = result;
      prefix = candidate;
    } else {
      low = middle + 1;
      shortest &&= result.kind !== 'too_large';
    }
  }
  const culprits = prefix.filter(({ return: end }) => end === returns[high]);
  const found = { key, prefix, culprits, shortest };
  const head = headLines(model.name, found);
  if (failure.kind === 'contradiction') {
    const message = [...head, ...contradictionLines(failure)].join('\n');
    return { ...found, reason: failure.reason, longest: null, message };
  }
  const longest = asRecorded(failure.longest, prefix);
  return { ...found, reason: null, longest, message: [...head, ...orderLines(longest)].join('\n') };
}

/** What `prepare` has made of the operations is no reading for people: the same order in terms of the history. */
function asRecorded({ order, state, blocked }: PartialOrder, prefix: readonly Operation[]): PartialOrder {
  const recorded = new Map(prefix.map((operation) => [operation.id, operation]));
  const original = (operation: Operation): Operation => recorded.get(operation.id) ?? operation;
  return {
    order: order.map(original),
    state,
    blocked: blocked.map(({ operation, because, other }) => ({
      operation: original(operation),
      because,
      other: other === null ? null : original(other),
    })),
  };
}

const SHOWN = 12;

function headLines(
  model: string,
  { key, prefix, culprits, shortest }: Pick<Violation, 'key' | 'prefix' | 'culprits' | 'shortest'>,
): string[] {
  return [
    `key ${key} is not linearizable as a ${model}:`,
    ...culprits.map((operation) => `  ${describeOperation(operation)}`),
    `cannot be explained by the ${prefix.length} operations of the key called until then${shortest ? '' : ' (perhaps fewer do)'}.`,
  ];
}

function contradictionLines({ reason, operations }: Contradiction): string[] {
  return [`${reason}:`, ...operations.map((operation) => `  ${describeOperation(operation)}`)];
}

function orderLines({ order, state, blocked }: PartialOrder): string[] {
  const left = order.length - SHOWN;
  return [
    order.length === 0 ? 'No operation can come first:' : `The longest order that fits (${order.length} operations):`,
    ...(left > 0 ? [`  … ${left} more`] : []),
    ...order.slice(-SHOWN).map((operation) => `  ${describeOperation(operation)}`),
    `leaves ${state}; then none of these can come next:`,
    ...blocked.map((each) => `  ${describeOperation(each.operation)}\n    ${why(each)}`),
  ];
}

function why({ because, other }: Blocked): string {
  const named = other === null ? '' : describeOperation(other);
  switch (because) {
    case 'state':
      return 'does not fit that state';
    case 'order':
      return `by the revisions comes after ${named}`;
    case 'seen':
      return `would replace what is still to be seen by ${named}`;
    case 'later':
      return 'fits, but nothing that follows does';
  }
}
