/**
 * A key as the HTTP API shows it: put, get, delete and their conditions, with a revision that only grows and a version
 * that counts writes since the key was created (http-api.md).
 *
 * Where a write's answer is lost, its revision is known only to be larger than all before. The state keeps that as a
 * lower bound until something shows the number; so it stands for all concrete states that are possible.
 *
 * Expiry is no operation of a client. A history with TTLs records it as a delete with an unknown outcome and the
 * condition of the put's revision, called when the time begins at which the key may be gone.
 */
import type { Condition, Operation, Outcome } from './history.js';
import { type Model, REFUSED, type Step } from './model.js';
import { prepareRegister, writeRank } from './register-hints.js';

export interface RegisterState {
  readonly present: boolean;
  /** null: of a write whose value no operation has seen. */
  readonly value: string | null;
  /** Of the last write or removal; 0 before the first. */
  readonly revision: number;
  /** False: the revision is this or larger. */
  readonly exact: boolean;
  /** 0 if the key is missing; null: not kept, because no operation tells it. */
  readonly version: number | null;
}

const EMPTY: RegisterState = { present: false, value: null, revision: 0, exact: true, version: 0 };

export const registerModel: Model<RegisterState> = {
  name: 'register',
  init: () => EMPTY,
  step,
  fingerprint: (state) => {
    const { present, value, exact, version } = state;
    if (!present) return '-';
    return `${exact ? state.revision : '>'}:${version ?? ''}:${value === null ? '' : `"${value}`}`;
  },
  cost: ({ present, revision, exact }) => (present && exact ? 0 : revision),
  reached: ({ revision }) => writeRank(revision),
  describe,
  token: ({ present, value }) => (present ? value : null),
  prepare: (operations) => prepareRegister(operations, EMPTY),
};

function step(state: RegisterState, op: Operation): Step<RegisterState> {
  const { outcome } = op;
  switch (outcome.kind) {
    case 'stored':
    case 'deleted':
      return write(state, op);
    case 'unknown':
      return op.kind === 'get' ? { ok: true, state } : write(state, op);
    case 'found':
      return find(state, outcome);
    case 'missing':
      return miss(state, op.condition);
    case 'precondition_failed':
      return refuse(state, op.condition, outcome.revision);
    case 'failed':
      return { ok: true, state };
  }
}

/** The key with this revision, if that is possible. */
function withRevision(state: RegisterState, revision: number): RegisterState | null {
  if (!state.present) return null;
  if (state.exact) return state.revision === revision ? state : null;
  return revision >= state.revision ? { ...state, revision, exact: true } : null;
}

function write(before: RegisterState, op: Operation): Step<RegisterState> {
  const { condition, outcome } = op;
  let state = before;
  if (condition.kind === 'absent' && state.present) return REFUSED;
  if (condition.kind === 'exists' && !state.present) return REFUSED;
  if (condition.kind === 'revision') {
    const matched = withRevision(state, condition.revision);
    if (matched === null) return REFUSED;
    state = matched;
  }
  const told = 'revision' in outcome ? (outcome.revision ?? null) : null;
  if (told !== null && told <= state.revision) return REFUSED;
  const revision = told ?? state.revision + 1;
  const exact = told !== null;
  if (op.kind === 'delete') {
    // A delete of nothing is answered as missing and draws no revision.
    if (!state.present) return outcome.kind === 'unknown' ? { ok: true, state } : REFUSED;
    const version = state.version === null ? null : 0;
    return { ok: true, state: { present: false, value: null, revision, exact, version } };
  }
  const version = state.version === null ? null : state.version + 1;
  if (outcome.kind === 'stored') {
    if (outcome.created !== undefined && outcome.created === state.present) return REFUSED;
    if (!sameVersion(outcome.version, version)) return REFUSED;
  }
  return { ok: true, state: { present: true, value: op.value, revision, exact, version } };
}

const sameVersion = (told: number | undefined, version: number | null): boolean =>
  told === undefined || version === null || told === version;

function find(state: RegisterState, outcome: Extract<Outcome, { kind: 'found' }>): Step<RegisterState> {
  if (!state.present || state.value !== outcome.value || !sameVersion(outcome.version, state.version)) return REFUSED;
  if (outcome.revision === undefined) return { ok: true, state };
  const matched = withRevision(state, outcome.revision);
  return matched === null ? REFUSED : { ok: true, state: matched };
}

/** Of get and of a delete, whose conditions (all but none) fail on a missing key. */
function miss(state: RegisterState, condition: Condition): Step<RegisterState> {
  if (state.present || condition.kind === 'exists' || condition.kind === 'revision') return REFUSED;
  return { ok: true, state };
}

function refuse(state: RegisterState, condition: Condition, told: number | null | undefined): Step<RegisterState> {
  if (condition.kind === 'none') return REFUSED;
  if (!state.present) {
    return condition.kind === 'absent' || (told !== undefined && told !== null) ? REFUSED : { ok: true, state };
  }
  if (condition.kind === 'exists' || told === null) return REFUSED;
  if (told === undefined) {
    const holds = condition.kind === 'revision' && state.exact && state.revision === condition.revision;
    return holds ? REFUSED : { ok: true, state };
  }
  if (condition.kind === 'revision' && condition.revision === told) return REFUSED;
  const matched = withRevision(state, told);
  return matched === null ? REFUSED : { ok: true, state: matched };
}

function describe({ present, value, revision, exact, version }: RegisterState): string {
  const numbered = `${exact ? 'revision' : 'revision at least'} ${revision}`;
  if (!present) return revision === 0 ? 'no key, never written' : `no key (removed at ${numbered})`;
  const shown = value === null ? 'a value that nobody has seen' : `value ${JSON.stringify(value)}`;
  return `${shown}, ${numbered}${version === null ? '' : `, version ${version}`}`;
}
