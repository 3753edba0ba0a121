/** Each oracle catches what it is there for, shown by histories that were doctored, and is quiet about those that were not. */
import { describe, expect, it } from 'vitest';
import type { Operation } from '../../checker/history.js';
import { told } from '../../checker/told-history.js';
import { ACCOUNTS, judgeBank, OPENING_BALANCE } from './bank-oracle.js';
import { judgeCounter } from './counter-oracle.js';
import { judgeScans, type Scan } from './list-oracle.js';

const raised = (operation: Operation, value: string): Operation => ({
  ...operation,
  outcome: { kind: 'stored', value },
});

describe('the counter oracle', () => {
  const honest = told(`
    a: [add k 1 → stored]              [get k → 2 7 v2]
    b:           [add k 1 → stored]
  `);
  const [first, second, read] = honest as [Operation, Operation, Operation];
  const numbered = [raised(first, '1'), raised(second, '2'), read];

  it('is quiet where each increment counted once', () => {
    expect(judgeCounter(numbered, [])).toEqual([]);
  });

  it('is quiet about increments whose outcome nobody knows', () => {
    const drawing = 'a: [add k 1 → ?    [get k → 1 7 v1]';
    expect(judgeCounter(told(drawing), [])).toEqual([]);
    expect(judgeCounter(told('a: [add k 1 → ?    [get k → missing]'), [])).toEqual([]);
  });

  it('finds a write that took effect twice (F50)', () => {
    const twice: Operation = { ...read, outcome: { kind: 'found', value: '2', revision: 7, version: 3 } };
    expect(judgeCounter([...numbered.slice(0, 2), twice], [])[0]).toContain(
      '3 writes took effect, but the counter shows 2',
    );
  });

  it('finds an increment that was lost', () => {
    const lost: Operation = { ...read, outcome: { kind: 'found', value: '1', revision: 7, version: 1 } };
    expect(judgeCounter([...numbered.slice(0, 2), lost], [])[0]).toContain('2 increments were acknowledged');
  });

  it('finds one that nobody made', () => {
    const more: Operation = { ...read, outcome: { kind: 'found', value: '3', revision: 7, version: 3 } };
    expect(judgeCounter([...numbered.slice(0, 2), more], [])[0]).toContain('2 were tried, but it shows 3');
  });

  it('finds two that led to the same number', () => {
    expect(judgeCounter([raised(first, '2'), raised(second, '2'), read], [])[0]).toContain('led to the same number');
  });

  it('finds a repeated write that was answered otherwise', () => {
    const answers = [
      { kind: 'stored', revision: 5, version: 1, created: true },
      { kind: 'stored', revision: 6, version: 2, created: false },
    ] as const;
    expect(judgeCounter(numbered, [{ key: 'k', idempotencyKey: 'x', answers }])[0]).toContain('idempotency key x');
    expect(judgeCounter(numbered, [{ key: 'k', idempotencyKey: 'x', answers: [answers[0], answers[0]] }])).toEqual([]);
  });
});

describe('the list oracle', () => {
  const fixed = new Map(['l/1', 'l/2', 'l/3'].map((key) => [key, key]));
  const scan = (keys: readonly string[], more: Partial<Scan> = {}): Scan => ({
    client: 'list1',
    prefix: 'l/',
    limit: 2,
    items: keys.map((key) => ({ key, value: key })),
    call: 1,
    return: 2,
    outcome: 'listed',
    ...more,
  });
  const saysOf = (each: Scan): string => judgeScans([each], fixed).join('\n');

  it('is quiet about keys that come and go between those that stay', () => {
    expect(saysOf(scan(['l/1', 'l/1-5', 'l/2', 'l/3', 'l/4']))).toBe('');
  });

  it('finds a key that is missing, doubled, out of order, foreign or altered (F65)', () => {
    expect(saysOf(scan(['l/1', 'l/3']))).toContain('l/2 does not appear');
    expect(saysOf(scan(['l/1', 'l/2', 'l/2', 'l/3']))).toContain('l/2 appears 2 times');
    expect(saysOf(scan(['l/1', 'l/3', 'l/2']))).toContain('l/2 comes after l/3');
    expect(saysOf(scan(['l/1', 'l/2', 'l/3', 'm/1']))).toContain('m/1 was not asked for');
    const altered = scan(['l/1', 'l/3'], {
      items: [
        { key: 'l/1', value: 'l/1' },
        { key: 'l/2', value: 'other' },
        { key: 'l/3', value: 'l/3' },
      ],
    });
    expect(saysOf(altered)).toContain('l/2 holds other, not l/2');
  });

  it('does not ask a list that could not be ended for what it did not reach', () => {
    expect(saysOf(scan(['l/1'], { outcome: 'failed' }))).toBe('');
    expect(saysOf(scan(['l/1', 'l/1'], { outcome: 'failed' }))).toContain('l/1 appears 2 times');
  });
});

describe('the bank oracle', () => {
  const read = (value: string): readonly string[] => {
    const [get] = told('a: [get bank → x 5]') as [Operation];
    return judgeBank([{ ...get, outcome: { kind: 'found', value, revision: 5 } }]);
  };
  const holding = (balances: readonly number[]): string => JSON.stringify({ transfer: 't', balances });
  const even = new Array<number>(ACCOUNTS).fill(OPENING_BALANCE);

  it('is quiet while the sum stays', () => {
    expect(read(holding(even))).toEqual([]);
    expect(read(holding([0, 2 * OPENING_BALANCE, ...even.slice(2)]))).toEqual([]);
  });

  it('finds money that appears or vanishes, an overdrawn account, and no bank', () => {
    expect(read(holding([OPENING_BALANCE + 1, ...even.slice(1)]))[0]).toContain('the accounts hold 801, not 800');
    expect(read(holding([-1, 2 * OPENING_BALANCE + 1, ...even.slice(2)]))[0]).toContain('an account is overdrawn');
    expect(read('{}')[0]).toContain('what is read is no bank');
    expect(read('half a val')[0]).toContain('what is read is no bank');
    expect(judgeBank(told('a: [get bank → missing]'))[0]).toContain('the bank is gone');
  });
});
