import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { coverageTable, entriesOf, isAcceptance, README, testsOf, withTable } from './coverage-table.js';
import { FAULTS, NOT_YET, PARTLY, SCENARIOS } from './faults-and-scenarios.js';
import { allTestTitles } from './test-titles.js';

const titles = allTestTitles();
const faults = entriesOf(FAULTS);
const scenarios = entriesOf(SCENARIOS);
const names = (entries: readonly { readonly name: string }[]): string[] => entries.map(({ name }) => name);

describe('the table of faults and scenarios', () => {
  it('is that of the tests as they are: else run `npm run coverage-table`', () => {
    const text = readFileSync(README, 'utf8');
    expect(text).toBe(withTable(text, coverageTable(titles)));
  });

  it('has no empty row for a fault that concerns what exists', () => {
    const empty = faults.filter((fault) => NOT_YET[fault.name] === undefined && testsOf(fault, titles).length === 0);
    expect(names(empty)).toEqual([]);
  });

  it('has a test of the whole system for each scenario that concerns what exists', () => {
    const accepted = (entry: (typeof scenarios)[number]): boolean => testsOf(entry, titles).some(isAcceptance);
    expect(names(scenarios.filter((entry) => NOT_YET[entry.name] === undefined && !accepted(entry)))).toEqual([]);
  });

  it('calls nothing missing that has its test by now, or that is no entry', () => {
    const excused = [...faults, ...scenarios].filter(({ name }) => NOT_YET[name] !== undefined);
    expect(names(excused).sort()).toEqual(Object.keys(NOT_YET).sort());
    expect(names([...faults, ...scenarios])).toEqual(expect.arrayContaining(Object.keys(PARTLY)));
    const there = (entry: (typeof faults)[number]): boolean => {
      const tests = testsOf(entry, titles);
      return /^F\d+$/.test(entry.name) ? tests.length > 0 : tests.some(isAcceptance);
    };
    expect(names(excused.filter(there))).toEqual([]);
  });

  it('knows every number that a test names', () => {
    const known = new Set(names(faults));
    const named = titles.flatMap(({ title }) => title.match(/\bF\d+\b/g) ?? []);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
    expect(named.length).toBeGreaterThan(150);
  });
});

describe('titles', () => {
  it('are found in every shape in which tests are written', () => {
    const found = (file: string, title: string | RegExp) =>
      titles.some(
        (each) => each.file === file && (typeof title === 'string' ? each.title === title : title.test(each.title)),
      );
    expect(found('kv/client/retries.test.ts', 'F50 a write with an idempotency key is sent again: %s')).toBe(true);
    expect(found('contract/log-storage.contract.ts', /^F32: brings back what was acknowledged/)).toBe(true);
    expect(found('raft/interaction/figure-8.txt', /^F2\b/)).toBe(true);
    expect(found('e2e/reshard.test.ts', /\(F65\)/)).toBe(true);
  });
});
