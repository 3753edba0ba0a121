import { describe, expect, it } from 'vitest';
import { appendModel, counterModel } from './append-model.js';
import { HistoryRecorder, type Operation } from './history.js';
import { told } from './told-history.js';
import { checkLinearizable } from './wgl.js';

const comma = appendModel((value) => (value === '-' ? [] : value.split(',')));
const message = (history: readonly Operation[], model: typeof comma | typeof counterModel): string | null => {
  const result = model === comma ? checkLinearizable(comma, history) : checkLinearizable(counterModel, history);
  if (result.ok) return null;
  return result.kind === 'violation' ? result.violation.message : result.message;
};
const list = (drawing: string): string | null => message(told(drawing), comma);
const counter = (drawing: string): string | null => message(told(drawing), counterModel);

describe('a list of appends', () => {
  it('may show concurrent appends in any order, an open one late or never', () => {
    expect(
      list(`
        a: [append k 1 → stored]  [append k 2 → ?
        b: [append k 3 → stored]                   [get k → 3,1]  [get k → 3,1,2]
        c:                        [append k 4 → ?
      `),
    ).toBeNull();
  });

  it('never loses an acknowledged append', () => {
    expect(
      list(`
        a: [append k 1 → stored]  [append k 2 → stored]
        b:                                               [get k → 2]
      `),
    ).toContain('b get k → found "2"');
  });

  it("never shows one client's appends in another order, twice, or not any more", () => {
    const appends = 'a: [append k 1 → stored]  [append k 2 → stored]';
    expect(list(`${appends}  [get k → 2,1]`)).toContain('key k ');
    expect(list(`${appends}  [get k → 1,2,2]`)).toContain('key k ');
    expect(list(`${appends}  [get k → 1,2]  [get k → 1]`)).toContain('found "1"');
    expect(list(`${appends}  [get k → missing]`)).toContain('missing');
    expect(list(`${appends}  [get k → 1,2]`)).toBeNull();
  });

  it('never shows two readers different orders', () => {
    expect(
      list(`
        a: [append k 1 → stored]
        b: [append k 2 → stored]
        c:                        [get k → 1,2]
        d:                        [get k → 2,1]
      `),
    ).toContain('key k ');
  });

  it('says what is no list', () => {
    const history = told('a: [get k → 1,2]');
    expect(() => checkLinearizable(appendModel(), history)).toThrow('1,2 is no JSON array of strings');
    expect(() => checkLinearizable(comma, told('a: [put k 1 → stored]'))).toThrow('put is no operation of a list');
  });

  it('is judged with thousands of appends by many clients', () => {
    const recorder = new HistoryRecorder();
    const elements: string[] = [];
    for (let round = 0; round < 100; round++) {
      const open = Array.from({ length: 16 }, (_, client) => {
        const value = `${round}.${client}`;
        return { value, id: recorder.invoke({ client: `c${client}`, kind: 'append', key: 'k', value }) };
      });
      // Each round's appends take effect backwards; every third is left open.
      for (const { value } of open.toReversed()) elements.push(value);
      for (const { id } of open.filter((_, client) => client % 3 !== 0)) recorder.ok(id, { kind: 'stored' });
      const read = recorder.invoke({ client: 'reader', kind: 'get', key: 'k' });
      recorder.ok(read, { kind: 'found', value: elements.join(',') });
    }
    const history = recorder.operations();
    expect(message(history, comma)).toBeNull();
    const swapped = history.map((op) => {
      if (op.id !== history.length - 1 || op.outcome.kind !== 'found') return op;
      const bent = [...elements.slice(0, 40), elements[41]!, elements[40]!, ...elements.slice(42)];
      return { ...op, outcome: { ...op.outcome, value: bent.join(',') } };
    });
    expect(message(swapped, comma)).toContain('key k ');
  });
});

describe('a counter', () => {
  it('may count an open addition late or never', () => {
    expect(
      counter(`
        a: [add k 5 → stored]  [add k 2 → ?
        b:                                   [get k → 5]  [get k → 7]
        c: [get k → missing]   [add k 3 → ?
      `),
    ).toBeNull();
  });

  it('never loses an addition, nor counts it twice', () => {
    expect(
      counter(`
        a: [add k 5 → stored]  [add k 2 → stored]
        b:                                         [get k → 5]
      `),
    ).toContain('found "5"');
    expect(
      counter(`
        a: [add k 5 → ?
        b:               [get k → 10]
      `),
    ).toContain('found "10"');
  });

  it('may go down', () => {
    const down = 'a: [add k 5 → stored]  [add k -2 → stored]';
    expect(counter(`${down}  [get k → 3]`)).toBeNull();
    expect(counter(`${down}  [get k → 5]`)).toContain('found "5"');
  });
});
