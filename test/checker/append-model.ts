/**
 * Objects that clients build on conditional writes: a list that is appended to and a counter that is added to. One
 * operation here is a whole read-modify-write cycle of the client, from its first request to the answer that ended it; a
 * cycle that gave up after a failed precondition is recorded as failed.
 *
 * A list shows the order of all appends in every read: that orders everything before the search begins.
 */
import { z } from 'zod';
import type { Operation, Outcome } from './history.js';
import { joinRetries } from './idempotent-retries.js';
import { type Model, type Prepared, REFUSED, type Step, type Task } from './model.js';

/** A list as a path in a tree of all lists: equal lists are the same node. */
export interface ListNode {
  readonly id: number;
  readonly parent: ListNode | null;
  readonly element: string;
  readonly length: number;
}

/** `split`: the elements of a value as stored. Default: a JSON array of strings. */
export function appendModel(split: (value: string) => readonly string[] = splitJson): Model<ListNode> {
  const lists = new Lists(split);
  return {
    name: 'list of appends',
    init: () => lists.root,
    step: (state, op) => appendStep(lists, state, op),
    fingerprint: ({ id }) => String(id),
    describe: (state) => `the list ${JSON.stringify(elementsOf(state))}`,
    prepare: (operations) => prepareAppends(lists, operations),
  };
}

const jsonList = z.array(z.string());

function splitJson(value: string): readonly string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    parsed = null;
  }
  const list = jsonList.safeParse(parsed);
  if (!list.success) throw new Error(`invariant: ${value} is no JSON array of strings`);
  return list.data;
}

class Lists {
  readonly root: ListNode = { id: 0, parent: null, element: '', length: 0 };
  readonly #children = new Map<string, ListNode>();
  readonly #byValue = new Map<string, ListNode>();
  readonly #split: (value: string) => readonly string[];

  constructor(split: (value: string) => readonly string[]) {
    this.#split = split;
  }

  append(list: ListNode, element: string): ListNode {
    const place = `${list.id} ${element}`;
    const known = this.#children.get(place);
    if (known !== undefined) return known;
    const node = { id: this.#children.size + 1, parent: list, element, length: list.length + 1 };
    this.#children.set(place, node);
    return node;
  }

  of(value: string): ListNode {
    const known = this.#byValue.get(value);
    if (known !== undefined) return known;
    const node = this.#split(value).reduce((list, element) => this.append(list, element), this.root);
    this.#byValue.set(value, node);
    return node;
  }

  /** The list that an operation showed. */
  seen(outcome: Outcome): ListNode | null {
    if (outcome.kind === 'missing') return this.root;
    if (outcome.kind === 'found') return this.of(outcome.value);
    return outcome.kind === 'stored' && outcome.value !== undefined ? this.of(outcome.value) : null;
  }
}

function elementsOf(list: ListNode): string[] {
  const elements: string[] = [];
  for (let node = list; node.parent !== null; node = node.parent) elements.push(node.element);
  return elements.reverse();
}

function appendStep(lists: Lists, state: ListNode, op: Operation): Step<ListNode> {
  if (op.kind !== 'append' && op.kind !== 'get') throw new Error(`invariant: ${op.kind} is no operation of a list`);
  const next = op.kind === 'append' ? lists.append(state, op.value!) : state;
  const seen = lists.seen(op.outcome);
  return seen === null || seen === next ? { ok: true, state: next } : REFUSED;
}

function prepareAppends(lists: Lists, operations: readonly Operation[]): Prepared<ListNode> {
  const joined = joinRetries(operations);
  if (!joined.ok) return joined;
  const appends = joined.operations.filter(({ kind }) => kind === 'append');
  const unique = new Set(appends.map(({ value }) => value)).size === appends.length;
  const { longest, firstSeen } = readings(lists, joined.operations);
  const places = new Map(elementsOf(longest).map((element, index) => [element, index]));
  const tasks = joined.operations.flatMap((operation): Task[] => {
    const op = settle(operation, firstSeen, unique);
    return op === null ? [] : [{ op, rank: unique ? rankOf(lists, op, places) : null, needs: null }];
  });
  return { ok: true, init: lists.root, tasks };
}

/** The longest list of all, and for each element the first return of an operation that showed it. */
function readings(
  lists: Lists,
  operations: readonly Operation[],
): { longest: ListNode; firstSeen: Map<string, number> } {
  const marked = new Set<ListNode>();
  const firstSeen = new Map<string, number>();
  let longest = lists.root;
  const byReturn = operations.filter((op) => op.return !== null).sort((a, b) => a.return! - b.return!);
  for (const { outcome, return: end } of byReturn) {
    const seen = lists.seen(outcome);
    if (seen === null) continue;
    if (seen.length > longest.length) longest = seen;
    // What comes before a marked element was marked with it.
    for (let node = seen; node.parent !== null && !marked.has(node); node = node.parent) {
      marked.add(node);
      if (!firstSeen.has(node.element)) firstSeen.set(node.element, end!);
    }
  }
  return { longest, firstSeen };
}

/** Open operations: those whose element was seen did happen; without the others nothing is missing. */
function settle(operation: Operation, firstSeen: ReadonlyMap<string, number>, unique: boolean): Operation | null {
  if (operation.return !== null) return operation;
  const seen = operation.kind === 'append' ? firstSeen.get(operation.value!) : undefined;
  if (seen === undefined) return null;
  // Seen before it was called: that is for the search to find.
  return unique && seen >= operation.call ? { ...operation, return: seen, outcome: { kind: 'stored' } } : operation;
}

const LAST = Number.MAX_SAFE_INTEGER;

/** Appends by their place in the longest list, reads between them by their length, appends that nobody saw at the end. */
function rankOf(lists: Lists, { kind, value, outcome, return: end }: Operation, places: ReadonlyMap<string, number>) {
  if (end === null) return null;
  if (kind === 'get') return 2 * (lists.seen(outcome)?.length ?? 0);
  const place = places.get(value!);
  return place === undefined ? LAST : 2 * place + 1;
}

/** `add` with a whole number, `get` with the sum; a missing key counts as 0. */
export const counterModel: Model<number> = {
  name: 'counter',
  init: () => 0,
  step: (state, op) => {
    if (op.kind !== 'add' && op.kind !== 'get') throw new Error(`invariant: ${op.kind} is no operation of a counter`);
    const next = op.kind === 'add' ? state + wholeNumber(op.value!) : state;
    const seen = sumSeen(op.outcome);
    return seen === null || seen === next ? { ok: true, state: next } : REFUSED;
  },
  fingerprint: String,
  reached: (sum) => 2 * sum - 1,
  describe: (sum) => `the sum ${sum}`,
  prepare: (operations) => {
    const joined = joinRetries(operations);
    if (!joined.ok) return joined;
    const grows = joined.operations.every(({ kind, value }) => kind !== 'add' || wholeNumber(value!) > 0);
    const tasks = joined.operations
      .filter(({ kind, return: end }) => kind === 'add' || end !== null)
      .map((op): Task => ({ op, rank: grows ? sumRank(op) : null, needs: null }));
    return { ok: true, init: 0, tasks };
  },
};

function sumRank({ kind, outcome }: Operation): number | null {
  const seen = sumSeen(outcome);
  if (seen === null) return null;
  return kind === 'get' ? 2 * seen : 2 * seen - 1;
}

function sumSeen(outcome: Outcome): number | null {
  if (outcome.kind === 'missing') return 0;
  if (outcome.kind === 'found') return wholeNumber(outcome.value);
  return outcome.kind === 'stored' && outcome.value !== undefined ? wholeNumber(outcome.value) : null;
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || text.trim() === '') throw new Error(`invariant: ${text} is no whole number`);
  return number;
}
