/**
 * What can be said of a register's operations before the search. Two facts of the model carry it:
 * - Revisions grow from write to write. So writes with known revisions stand in that order, and whatever saw a revision
 *   stands between its write and the next (ranks).
 * - A value that only one operation writes comes from there. So a write whose answer was lost, but whose value was seen,
 *   did happen, before the first that saw it returned, and has the revision that was seen; and no such value is
 *   replaced before all that saw it have been placed (`needs`).
 */

import type { Operation, Outcome } from './history.js';
import { joinRetries } from './idempotent-retries.js';
import type { Prepared, Task } from './model.js';
import type { RegisterState } from './register-model.js';

interface Sightings {
  /** The first return of an operation that saw the value. */
  readonly return: number;
  readonly revision: number | undefined;
  readonly version: number | undefined;
}

export function prepareRegister(operations: readonly Operation[], init: RegisterState): Prepared<RegisterState> {
  const joined = joinRetries(operations);
  if (!joined.ok) return joined;
  const writes = new Map<string, number>();
  for (const { kind, value } of joined.operations) {
    if (kind === 'put') writes.set(value!, (writes.get(value!) ?? 0) + 1);
  }
  const seen = sightings(joined.operations);
  const tasks = joined.operations
    .filter(({ kind, outcome }) => kind !== 'get' || outcome.kind !== 'unknown')
    .map((operation) => settle(operation, writes, seen))
    .map((op): Task => ({ op, rank: rankOf(op), needs: needsOf(op, writes) }));
  const versions = tasks.some(({ op: { outcome } }) => 'version' in outcome && outcome.version !== undefined);
  return { ok: true, init: versions ? init : { ...init, version: null }, tasks };
}

function sightings(operations: readonly Operation[]): Map<string, Sightings> {
  const seen = new Map<string, Sightings>();
  for (const { outcome, return: end } of operations) {
    if (outcome.kind !== 'found') continue;
    const known = seen.get(outcome.value);
    seen.set(outcome.value, {
      return: Math.min(known?.return ?? end!, end!),
      revision: known?.revision ?? outcome.revision,
      version: known?.version ?? outcome.version,
    });
  }
  return seen;
}

/** Adds to a put what those who saw its value know of it. */
function settle(
  operation: Operation,
  writes: ReadonlyMap<string, number>,
  seen: ReadonlyMap<string, Sightings>,
): Operation {
  const { kind, value, outcome } = operation;
  if (kind !== 'put' || outcome.kind === 'precondition_failed') return operation;
  const sighting = seen.get(value!);
  // Values that nobody saw are all alike.
  if (sighting === undefined) return { ...operation, value: null };
  // Seen before it was called: that is for the search to find.
  if (writes.get(value!) !== 1 || sighting.return < operation.call) return operation;
  const told: Outcome = outcome.kind === 'stored' ? outcome : { kind: 'stored' };
  return {
    ...operation,
    return: Math.min(operation.return ?? sighting.return, sighting.return),
    outcome: { ...pick('revision', sighting.revision), ...pick('version', sighting.version), ...told },
  };
}

const pick = <Name extends string>(name: Name, value: number | undefined): { [Each in Name]?: number } =>
  (value === undefined ? {} : { [name]: value }) as { [Each in Name]?: number };

/** Of a write; what saw its revision comes right after. */
export const writeRank = (revision: number): number => 2 * revision;

function rankOf({ outcome }: Operation): number | null {
  switch (outcome.kind) {
    case 'stored':
    case 'deleted':
      return outcome.revision === undefined ? null : writeRank(outcome.revision);
    case 'found':
      return outcome.revision === undefined ? null : writeRank(outcome.revision) + 1;
    case 'precondition_failed':
      return typeof outcome.revision === 'number' ? writeRank(outcome.revision) + 1 : null;
    case 'missing':
    case 'failed':
    case 'unknown':
      return null;
  }
}

function needsOf({ outcome }: Operation, writes: ReadonlyMap<string, number>): string | null {
  return outcome.kind === 'found' && writes.get(outcome.value) === 1 ? outcome.value : null;
}
