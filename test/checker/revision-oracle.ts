/**
 * A cheap look at the revisions of each key, in one sweep: they grow with real time (whatever returned before an
 * operation was called, the operation shows no smaller revision, and a write a larger one), every revision belongs to
 * one write, and to one value. Weaker than linearizability, but never too large, and its message is short.
 */
import { describeOperation, type Operation } from './history.js';
import { joinRetries } from './idempotent-retries.js';
import { byKey } from './wgl.js';

export type RevisionResult =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly key: string;
      /** The two that contradict each other. */
      readonly operations: readonly Operation[];
      readonly message: string;
    };

/** What an operation showed of a revision. */
interface Fact {
  readonly operation: Operation;
  readonly revision: number;
  /** It drew the revision; otherwise it saw it. */
  readonly wrote: boolean;
  /** undefined: it did not see it; null: a removal. */
  readonly value: string | null | undefined;
}

const HOLDS: RevisionResult = { ok: true };

export function checkRevisions(history: readonly Operation[]): RevisionResult {
  for (const [key, operations] of byKey(history)) {
    const joined = joinRetries(operations);
    if (!joined.ok) return broken(key, joined.reason, joined.operations);
    const facts = joined.operations.flatMap(factOf);
    const result = checkValues(key, facts);
    if (!result.ok) return result;
    const order = checkOrder(key, facts);
    if (!order.ok) return order;
  }
  return HOLDS;
}

function factOf(operation: Operation): Fact[] {
  const { outcome, value } = operation;
  if (!('revision' in outcome) || typeof outcome.revision !== 'number') return [];
  const { revision } = outcome;
  switch (outcome.kind) {
    case 'stored':
      // What append and add left is theirs to know only if it was told.
      return [{ operation, revision, wrote: true, value: operation.kind === 'put' ? value : outcome.value }];
    case 'deleted':
      return [{ operation, revision, wrote: true, value: null }];
    case 'found':
      return [{ operation, revision, wrote: false, value: outcome.value }];
    case 'precondition_failed':
      return [{ operation, revision, wrote: false, value: undefined }];
  }
}

function checkValues(key: string, facts: readonly Fact[]): RevisionResult {
  const known = new Map<number, { value?: Fact; write?: Fact }>();
  for (const fact of facts) {
    const others = known.get(fact.revision) ?? {};
    known.set(fact.revision, others);
    if (fact.wrote && others.write !== undefined) {
      return broken(key, `two writes have revision ${fact.revision}`, [others.write.operation, fact.operation]);
    }
    if (fact.value !== undefined && others.value !== undefined && others.value.value !== fact.value) {
      return broken(key, `revision ${fact.revision} has two values`, [others.value.operation, fact.operation]);
    }
    if (fact.wrote) others.write = fact;
    if (fact.value !== undefined) others.value ??= fact;
  }
  return HOLDS;
}

/** In order of calls, against the largest revision of all that had returned strictly before. */
function checkOrder(key: string, facts: readonly Fact[]): RevisionResult {
  const byCall = [...facts].sort((a, b) => a.operation.call - b.operation.call || a.operation.id - b.operation.id);
  const byReturn = [...facts].sort((a, b) => a.operation.return! - b.operation.return!);
  let returned = 0;
  let largest: Fact | null = null;
  for (const fact of byCall) {
    for (; byReturn[returned]!.operation.return! < fact.operation.call; returned++) {
      const before = byReturn[returned]!;
      if (largest === null || before.revision > largest.revision) largest = before;
    }
    if (largest === null) continue;
    if (fact.revision < largest.revision || (fact.wrote && fact.revision === largest.revision)) {
      const what = `revision ${fact.revision} came after revision ${largest.revision}`;
      return broken(key, what, [largest.operation, fact.operation]);
    }
  }
  return HOLDS;
}

function broken(key: string, what: string, operations: readonly Operation[]): RevisionResult {
  const lines = operations.map((operation) => `  ${describeOperation(operation)}`);
  return { ok: false, key, operations, message: [`key ${key}: ${what}:`, ...lines].join('\n') };
}
