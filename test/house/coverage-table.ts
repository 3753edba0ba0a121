/**
 * Which tests cover which fault and which scenario: read from their titles, written into test/README.md between two marks
 * by `npm run coverage-table`. A test of this folder fails where the table is stale or has an empty row.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Chapter, type Entry, FAULTS, NOT_YET, PARTLY, SCENARIOS } from './faults-and-scenarios.js';
import { allTestTitles, type TestTitle } from './test-titles.js';

export const README = resolve(import.meta.dirname, '../README.md');
const BEGIN = '<!-- coverage-table: begin (npm run coverage-table) -->';
const END = '<!-- coverage-table: end -->';

/** A scenario counts as accepted only by a test of the whole system; tests of its parts are listed as well. */
export const isAcceptance = ({ file }: TestTitle): boolean => /^(scenarios|e2e)\//.test(file);

export const entriesOf = (chapters: readonly Chapter[]): readonly Entry[] => chapters.flatMap(({ entries }) => entries);

export function testsOf({ name }: Entry, titles: readonly TestTitle[]): readonly TestTitle[] {
  const word = new RegExp(`\\b${name}\\b`);
  // `Move` is a word like any other unless it stands before the colon, where scenarios are named.
  const names = /^F\d+$/.test(name) ? (title: string) => title : (title: string) => title.split(':', 1)[0]!;
  return titles.filter(({ title }) => word.test(names(title)));
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

/** Tests by file, so that each file is named once. */
function testsCell(tests: readonly TestTitle[]): string {
  const files = new Map<string, string[]>();
  for (const { file, title } of tests) files.set(file, [...(files.get(file) ?? []), cell(title)]);
  return [...files].map(([file, titles]) => `\`${file}\`: ${titles.join('; ')}`).join('<br>');
}

function row(entry: Entry, titles: readonly TestTitle[]): string {
  const note = NOT_YET[entry.name] ?? PARTLY[entry.name];
  const tests = testsCell(testsOf(entry, titles));
  const parts = [
    note === undefined ? '' : `*${NOT_YET[entry.name] === undefined ? 'partly' : 'not yet'}: ${note}*`,
    tests,
  ];
  return `| ${entry.name} | ${cell(entry.what)} | ${parts.filter((part) => part !== '').join('<br>')} |`;
}

export function coverageTable(titles: readonly TestTitle[] = allTestTitles()): string {
  const tables = [...FAULTS, ...SCENARIOS].map(({ title, entries }) =>
    [
      `**${title}**`,
      '',
      '| entry | what happens → what must hold | tests that name it |',
      '|---|---|---|',
      ...entries.map((entry) => row(entry, titles)),
    ].join('\n'),
  );
  return `${BEGIN}\n\n${tables.join('\n\n')}\n\n${END}`;
}

/** The text with the table as it must be now. */
export function withTable(text: string, table: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${README} lacks the marks of the table: ${BEGIN} … ${END}`);
  return text.slice(0, begin) + table + text.slice(end + END.length);
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(README, withTable(readFileSync(README, 'utf8'), coverageTable()));
}
