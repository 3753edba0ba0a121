/**
 * Attempts at one write (same key, same idempotency key) become one operation: it has its effect between the first call
 * of all and the first return of those that got an answer, and all answers are the first one (http-api.md, F50). A
 * history uses no idempotency key again after the ten minutes that the store remembers it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Operation, Outcome } from './history.js';

export type Joined =
  | { readonly ok: true; readonly operations: readonly Operation[] }
  | { readonly ok: false; readonly reason: string; readonly operations: readonly Operation[] };

/** Operations of one key, none of them failed. */
export function joinRetries(operations: readonly Operation[]): Joined {
  const single: Operation[] = [];
  const attempts = new Map<string, Operation[]>();
  for (const operation of operations) {
    if (operation.idempotencyKey === null) single.push(operation);
    else if (!attempts.has(operation.idempotencyKey)) attempts.set(operation.idempotencyKey, [operation]);
    else attempts.get(operation.idempotencyKey)!.push(operation);
  }
  for (const [idempotencyKey, tries] of attempts) {
    const joined = joinAttempts(tries);
    if (joined === null) {
      const reason = `idempotency key ${idempotencyKey} was answered in more than one way`;
      return { ok: false, reason, operations: tries.filter(({ outcome }) => outcome.kind !== 'unknown') };
    }
    single.push(...joined);
  }
  return { ok: true, operations: single };
}

/** null: they had more than one effect. */
function joinAttempts(attempts: readonly Operation[]): readonly Operation[] | null {
  const answered = attempts.filter(({ outcome }) => outcome.kind !== 'unknown');
  const [answer] = answered;
  if (answer === undefined) {
    // Whichever request came first has barred the others; which one, nobody knows.
    return groupRequests(attempts).map((same) => ({ ...same[0]!, call: Math.min(...same.map(({ call }) => call)) }));
  }
  const outcome = answered.reduce<Outcome | null>(
    (known, other) => (known === null || !sameRequest(answer, other) ? null : sameAnswer(known, other.outcome)),
    answer.outcome,
  );
  if (outcome === null) return null;
  const same = attempts.filter((other) => sameRequest(answer, other));
  const call = Math.min(...same.map((each) => each.call));
  return [{ ...answer, call, return: Math.min(...answered.map((each) => each.return!)), outcome }];
}

/** All that the two tell, if they can be the same answer. */
export function sameAnswer(a: Outcome, b: Outcome): Outcome | null {
  if (a.kind !== b.kind) return null;
  const other: Readonly<Record<string, unknown>> = { ...b };
  const contradicts = Object.entries(a).some(([name, value]) => name in other && other[name] !== value);
  return contradicts ? null : ({ ...a, ...b } as Outcome);
}

function groupRequests(attempts: readonly Operation[]): Operation[][] {
  const groups: Operation[][] = [];
  for (const attempt of attempts) {
    const group = groups.find(([first]) => sameRequest(first!, attempt));
    if (group === undefined) groups.push([attempt]);
    else group.push(attempt);
  }
  return groups;
}

export const sameRequest = (a: Operation, b: Operation): boolean =>
  a.kind === b.kind && a.value === b.value && isDeepStrictEqual(a.condition, b.condition);
