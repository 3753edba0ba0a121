/** The fast checker and the definition agree, on histories that are right, nearly right, and nonsense. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendModel, counterModel } from './append-model.js';
import { isLinearizable } from './brute-force.js';
import { generate } from './generated-history.js';
import { type Condition, describeOperation, type Operation, type Outcome } from './history.js';
import type { Model } from './model.js';
import { registerModel } from './register-model.js';
import { checkLinearizable } from './wgl.js';

const SEED = 20_171;

/** Fails on disagreement; counts the verdicts, so that a test can show that it has seen both. */
function compare<State>(model: Model<State>, history: readonly Operation[], seen: { yes: number; no: number }): void {
  const expected = isLinearizable(model, history);
  const result = checkLinearizable(model, history);
  if (expected) seen.yes++;
  else seen.no++;
  if (result.ok !== expected || (!result.ok && result.kind === 'too_large')) {
    throw new Error(`${expected ? 'is' : 'is not'} linearizable:\n${history.map(describeOperation).join('\n')}`);
  }
  if (!result.ok && result.kind === 'violation') checkShortest(model, history, result.violation.prefix.length);
}

/** One return fewer, and it is linearizable. */
function checkShortest<State>(model: Model<State>, history: readonly Operation[], length: number): void {
  const ends = [
    ...new Set(history.flatMap(({ return: end, outcome }) => (end === null || outcome.kind === 'failed' ? [] : [end]))),
  ];
  ends.sort((a, b) => a - b);
  const until = (end: number): Operation[] =>
    history
      .filter(({ call, outcome }) => call <= end && outcome.kind !== 'failed')
      .map((op) => (op.return !== null && op.return > end ? { ...op, return: null, outcome: OPEN } : op));
  const first = ends.find((end) => !isLinearizable(model, until(end)));
  expect(length).toBe(first === undefined ? undefined : until(first).length);
}

const OPEN: Outcome = { kind: 'unknown', reason: 'open' };
const revision = fc.integer({ min: 1, max: 4 });
const told = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const letter = fc.constantFrom('a', 'b', 'c');

const defined = <T extends object>(fields: T): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;

const condition: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Condition>({ kind: 'none' }) },
  fc.constant<Condition>({ kind: 'exists' }),
  fc.constant<Condition>({ kind: 'absent' }),
  revision.map((each): Condition => ({ kind: 'revision', revision: each })),
);
const interval = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 6 }));

const stored = fc
  .record({ revision: told(revision), version: told(fc.integer({ min: 1, max: 3 })), created: told(fc.boolean()) })
  .map((fields): Outcome => ({ kind: 'stored', ...defined(fields) }) as Outcome);
const refused = told(fc.option(revision)).map(
  (each): Outcome => defined({ kind: 'precondition_failed', revision: each }) as Outcome,
);
const lost = fc.constant(OPEN);

const put = fc.record({
  kind: fc.constant('put' as const),
  value: letter,
  condition,
  idempotencyKey: fc.option(fc.constantFrom('x', 'y'), { freq: 3 }),
  outcome: fc.oneof({ weight: 5, arbitrary: stored }, refused, { weight: 2, arbitrary: lost }),
});
const remove = fc.record({
  kind: fc.constant('delete' as const),
  value: fc.constant(null),
  condition,
  idempotencyKey: fc.option(fc.constantFrom('x', 'y'), { freq: 3 }),
  outcome: fc.oneof(
    { weight: 3, arbitrary: told(revision).map((each) => defined({ kind: 'deleted', revision: each }) as Outcome) },
    fc.constant<Outcome>({ kind: 'missing' }),
    refused,
    lost,
  ),
});
const get = fc.record({
  kind: fc.constant('get' as const),
  value: fc.constant(null),
  condition: fc.constant<Condition>({ kind: 'none' }),
  idempotencyKey: fc.constant(null),
  outcome: fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .record({ value: letter, revision: told(revision), version: told(fc.integer({ min: 1, max: 3 })) })
        .map((fields) => ({ kind: 'found', ...defined(fields) }) as Outcome),
    },
    fc.constant<Outcome>({ kind: 'missing' }),
    lost,
  ),
});

type Draft = Pick<Operation, 'kind' | 'value' | 'condition' | 'idempotencyKey' | 'outcome'>;

const nonsense = (draft: fc.Arbitrary<Draft>): fc.Arbitrary<Operation[]> =>
  fc.array(fc.tuple(draft, interval), { minLength: 1, maxLength: 6 }).map((drafts) =>
    drafts.map(([each, [call, length]], id) => ({
      ...each,
      id,
      client: `c${id}`,
      key: 'k',
      call,
      return: each.outcome.kind === 'unknown' ? null : call + length,
    })),
  );

/** What a real store answered, with something bent. */
const bent = fc
  .record({
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    operations: fc.integer({ min: 3, max: 7 }),
    clients: fc.integer({ min: 1, max: 4 }),
    revisions: fc.boolean(),
    unknown: fc.constantFrom(0, 0.3, 0.6),
    victim: fc.nat({ max: 6 }),
    bend: fc.constantFrom('nothing', 'revision', 'version', 'swap', 'lose', 'retry', 'rename'),
  })
  .map(({ victim, bend, ...options }) => bendHistory(generate({ ...options, keys: 1 }), victim, bend));

function bendHistory(history: Operation[], victim: number, how: string): Operation[] {
  const at = victim % history.length;
  const target = history[at]!;
  const replace = (fields: Partial<Operation>): Operation[] =>
    history.map((op) => (op === target ? { ...op, ...fields } : op));
  const { outcome } = target;
  switch (how) {
    case 'revision':
      return 'revision' in outcome && typeof outcome.revision === 'number'
        ? replace({ outcome: { ...outcome, revision: Math.max(1, outcome.revision - 1) } })
        : history;
    case 'version':
      return 'version' in outcome
        ? replace({ outcome: { ...outcome, version: (outcome.version ?? 0) + 1 } as Outcome })
        : history;
    case 'swap': {
      const other = history.find((op) => op.kind === target.kind && op !== target && op.return !== null);
      return other === undefined || target.return === null ? history : replace({ outcome: other.outcome });
    }
    case 'lose':
      return replace({ return: null, outcome: OPEN });
    case 'retry': {
      if (target.kind === 'get') return history;
      const shared = { ...target, idempotencyKey: 'x' };
      const last = Math.max(...history.map((op) => op.return ?? op.call)) + 1;
      const again = { ...shared, id: history.length, call: last, return: target.return === null ? null : last + 1 };
      return [...replace(shared), again];
    }
    case 'rename':
      return history.map((op) => ({
        ...op,
        value: op.value === null ? null : op.id % 2 === 0 ? 'even' : 'odd',
        outcome: renamed(op.outcome),
      }));
    default:
      return history;
  }
}

const renamed = (outcome: Outcome): Outcome =>
  outcome.kind === 'found' ? { ...outcome, value: Number(outcome.value.slice(1)) % 2 === 0 ? 'even' : 'odd' } : outcome;

describe('the fast checker agrees with the definition', () => {
  it('on what an exact register answered, and on the same with something bent', () => {
    const seen = { yes: 0, no: 0 };
    fc.assert(
      fc.property(bent, (history) => compare(registerModel, history, seen)),
      { seed: SEED, numRuns: 4_000 },
    );
    expect(seen.yes).toBeGreaterThan(500);
    expect(seen.no).toBeGreaterThan(200);
  });

  it('on random operations of a register, with values, revisions and idempotency keys that clash', () => {
    const seen = { yes: 0, no: 0 };
    const draft: fc.Arbitrary<Draft> = fc.oneof({ weight: 3, arbitrary: put }, remove, { weight: 3, arbitrary: get });
    fc.assert(
      fc.property(nonsense(draft), (history) => compare(registerModel, history, seen)),
      { seed: SEED, numRuns: 8_000 },
    );
    expect(seen.yes).toBeGreaterThan(500);
    expect(seen.no).toBeGreaterThan(500);
  });

  it('on random appends', () => {
    const seen = { yes: 0, no: 0 };
    const list = fc.array(letter, { maxLength: 3 }).map((elements) => JSON.stringify(elements));
    const base = { condition: fc.constant<Condition>({ kind: 'none' }), idempotencyKey: fc.constant(null) };
    const after = told(list).map((value) => defined({ kind: 'stored', value }) as Outcome);
    const found = list.map((value): Outcome => ({ kind: 'found', value }));
    const draft: fc.Arbitrary<Draft> = fc.oneof(
      fc.record({ ...base, kind: fc.constant('append'), value: letter, outcome: fc.oneof(after, lost) }),
      fc.record({ ...base, kind: fc.constant('get'), value: fc.constant(null), outcome: found }),
    );
    fc.assert(
      fc.property(nonsense(draft), (history) => compare(appendModel(), history, seen)),
      { seed: SEED, numRuns: 4_000 },
    );
    expect(seen.yes).toBeGreaterThan(500);
    expect(seen.no).toBeGreaterThan(500);
  });

  it('on random additions', () => {
    const seen = { yes: 0, no: 0 };
    const number = (min: number): fc.Arbitrary<string> => fc.integer({ min, max: 3 }).map(String);
    const base = { condition: fc.constant<Condition>({ kind: 'none' }), idempotencyKey: fc.constant(null) };
    const after = told(number(0)).map((value) => defined({ kind: 'stored', value }) as Outcome);
    const found = number(0).map((value): Outcome => ({ kind: 'found', value }));
    const draft = (least: number): fc.Arbitrary<Draft> =>
      fc.oneof(
        fc.record({ ...base, kind: fc.constant('add'), value: number(least), outcome: fc.oneof(after, lost) }),
        fc.record({ ...base, kind: fc.constant('get'), value: fc.constant(null), outcome: found }),
      );
    fc.assert(
      fc.property(fc.oneof(nonsense(draft(1)), nonsense(draft(-1))), (history) => compare(counterModel, history, seen)),
      { seed: SEED, numRuns: 4_000 },
    );
    expect(seen.yes).toBeGreaterThan(500);
    expect(seen.no).toBeGreaterThan(500);
  });
});
