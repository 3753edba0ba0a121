/** Size: the checker must be done in seconds with what a long run of many clients records, and say so if it cannot. */
import { describe, expect, it } from 'vitest';
import { type GeneratorOptions, generate } from './generated-history.js';
import { HistoryRecorder, type Operation } from './history.js';
import { judgeHistory } from './judge-history.js';
import { registerModel } from './register-model.js';
import { told } from './told-history.js';
import { checkLinearizable } from './wgl.js';

/** A read near the end shows what the key held long before. */
function withStaleRead(history: readonly Operation[]): { history: Operation[]; victim: Operation } {
  const reads = history.filter(({ outcome }) => outcome.kind === 'found');
  const victim = reads[Math.floor(reads.length * 0.9)]!;
  const early = reads.find(({ key }) => key === victim.key)!;
  return { history: history.map((op) => (op === victim ? { ...op, outcome: early.outcome } : op)), victim };
}

const large: Omit<GeneratorOptions, 'seed'> = {
  ...{ keys: 50, operations: 10_000, clients: 64, revisions: true, unknown: 0.02 },
};

describe('large histories', () => {
  it.each([1, 2, 3])('10,000 operations of 64 clients on 50 keys take about two steps each (seed %i)', (seed) => {
    const result = checkLinearizable(registerModel, generate({ ...large, seed }));
    expect(result).toMatchObject({ ok: true, keys: 50, operations: 10_000 });
    if (result.ok) expect(result.steps).toBeLessThan(20_000);
  });

  it('take little more where answers tell no revisions', () => {
    const result = checkLinearizable(registerModel, generate({ ...large, seed: 4, revisions: false }));
    expect(result.ok && result.steps).toBeLessThan(30_000);
  });

  it('on a single key stay near linear, with hundreds of lost answers', () => {
    const result = checkLinearizable(registerModel, generate({ ...large, keys: 1, clients: 16, seed: 5 }));
    expect(result.ok && result.steps).toBeLessThan(150_000);
  });

  it.each([1, 2, 3])('one stale read among 10,000 operations is found and named (seed %i)', (seed) => {
    const { history, victim } = withStaleRead(generate({ ...large, seed }));
    const result = checkLinearizable(registerModel, history);
    expect(result).toMatchObject({ ok: false, kind: 'violation', violation: { key: victim.key, shortest: true } });
    if (!result.ok && result.kind === 'violation') {
      expect(result.violation.culprits.map(({ id }) => id)).toEqual([victim.id]);
    }
  });

  it('gives the same result for the same history, whatever the order of its records', () => {
    const { history } = withStaleRead(generate({ ...large, operations: 2_000, seed: 8 }));
    const keyOrder = [...history].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : b.id - a.id));
    const once = checkLinearizable(registerModel, keyOrder);
    expect(checkLinearizable(registerModel, history)).toEqual(once);
  });
});

/** Many concurrent writes that nobody can order, then a read of nonsense: the search has to give up. */
function hopeless(): Operation[] {
  const recorder = new HistoryRecorder();
  const open = Array.from({ length: 40 }, (_, client) =>
    recorder.invoke({ client: `c${client}`, kind: 'put', key: 'k', value: `v${client % 20}` }),
  );
  for (const id of open) recorder.ok(id, { kind: 'stored' });
  for (let value = 0; value < 2; value++) {
    recorder.ok(recorder.invoke({ client: 'r', kind: 'get', key: 'k' }), { kind: 'found', value: `v${value}` });
  }
  for (const value of ['a', 'b'])
    recorder.ok(recorder.invoke({ client: 'x', kind: 'put', key: value, value }), { kind: 'stored' });
  return [...recorder.operations()];
}

describe('a history that is too large', () => {
  it('is told apart from a good one and from a bad one', () => {
    const history = generate({ ...large, operations: 500, keys: 2, seed: 1 });
    const result = checkLinearizable(registerModel, history, { maxSteps: 20 });
    expect(result).toEqual({
      ok: false,
      kind: 'too_large',
      tooLarge: ['k0', 'k1'],
      message: 'not decided within 20 steps: key k0, key k1',
    });
    expect(judgeHistory(history, { maxSteps: 20 })).toContain('not decided');
  });

  it('names only the keys that were not decided', () => {
    const result = checkLinearizable(registerModel, hopeless(), { maxSteps: 300 });
    expect(result).toMatchObject({ ok: false, kind: 'too_large', tooLarge: ['k'] });
  });

  it('does not hide a violation of another key', () => {
    const bad = told('a: [put bad one → stored]  [get bad → two]').map((op) => ({ ...op, id: op.id + 1_000 }));
    const result = checkLinearizable(registerModel, [...hopeless(), ...bad], { maxSteps: 300 });
    expect(result).toMatchObject({ ok: false, kind: 'violation', violation: { key: 'bad' } });
  });
});

describe('judging a history', () => {
  it('is silent about a good one, and gives both checkers their say about a bad one', () => {
    expect(judgeHistory(generate({ ...large, seed: 9 }))).toBeNull();
    const complaint = judgeHistory(told('a: [put k one → stored 5]  [put k two → stored 4]'));
    expect(complaint).toContain('key k is not linearizable');
    expect(complaint).toContain('revision 4 came after revision 5');
  });
});
