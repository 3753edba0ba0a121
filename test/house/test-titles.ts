/**
 * The titles of all tests as they stand in the sources: nothing is run. What the golden dialogues of the consensus core are
 * called stands in the first lines of each.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface TestTitle {
  /** Below `test/`. */
  readonly file: string;
  readonly title: string;
}

const TEST = resolve(import.meta.dirname, '..');
/** `it('…'`, `test.skipIf(x)('…'`, `describe.each([…])('…'`: a title is the first argument, in any quotes. */
const TITLE =
  /(?:\b(?:it|test|describe)(?:\.\w+)?|\))\(\s*(?:'((?:\\.|[^'\\\n])*)'|"((?:\\.|[^"\\\n])*)"|`((?:\\.|[^`\\])*)`)/g;
const COMMENT = /^\s*(?:\/\/|\/?\*).*$/gm;

const unescaped = (literal: string): string => literal.replaceAll(/\\(['"`\\])/g, '$1').replaceAll(/\s+/g, ' ');

function titlesIn(file: string): readonly string[] {
  const text = readFileSync(join(TEST, file), 'utf8').replaceAll(COMMENT, '');
  return [...text.matchAll(TITLE)].map(([, single, double, template]) => unescaped(single ?? double ?? template ?? ''));
}

function titleOfDialogue(file: string): string {
  const lines = readFileSync(join(TEST, file), 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('#'));
  return lines
    .slice(0, end)
    .map((line) => line.replace(/^# ?/, ''))
    .join(' ')
    .trim();
}

/** In order of files, and of lines within them. */
export function allTestTitles(): readonly TestTitle[] {
  const files = readdirSync(TEST, { recursive: true, encoding: 'utf8' })
    .filter((file) => !file.startsWith('mutation/node_modules/'))
    .sort();
  const titled = (file: string): readonly string[] => {
    // The tests of the table itself name entries without covering them.
    if (file.startsWith('house/')) return [];
    if (/\.(test|contract)\.ts$/.test(file)) return titlesIn(file);
    return /^raft\/interaction\/.*\.txt$/.test(file) ? [titleOfDialogue(file)] : [];
  };
  return files.flatMap((file) => titled(file).map((title) => ({ file, title })));
}
