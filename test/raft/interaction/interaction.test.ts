/** Runs every dialogue of this folder. `UPDATE_GOLDEN=1` writes down what the cores answer: then read it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Dialogue } from './dialogue.js';

const here = dirname(fileURLToPath(import.meta.url));
const files = readdirSync(here)
  .filter((name) => name.endsWith('.txt'))
  .sort();

/** The comment that a dialogue opens with, as one line. */
function titleOf(source: string): string {
  const lines = source.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('#'));
  return lines
    .slice(0, end)
    .map((line) => line.replace(/^# ?/, ''))
    .join(' ')
    .trim();
}

/** Blocks are separated by blank lines; one that has a line of dashes is a command with its answer. */
function play(source: string): string {
  const dialogue = new Dialogue();
  const blocks = source.trimEnd().split(/\n\n+/);
  const played = blocks.map((block) => {
    const lines = block.split('\n');
    const firstCommand = lines.findIndex((line) => !line.startsWith('#'));
    if (firstCommand < 0) return block;
    const dashes = lines.indexOf('----');
    const question = lines.slice(0, dashes < 0 ? lines.length : dashes);
    const answer = dialogue.run(question.slice(firstCommand).join('\n'));
    return [...question, '----', answer].join('\n');
  });
  return `${played.join('\n\n')}\n`;
}

describe('dialogues with the consensus core', () => {
  it('has at least thirty of them, each with its own title', () => {
    const titles = files.map((name) => titleOf(readFileSync(join(here, name), 'utf8')));
    expect(files.length).toBeGreaterThanOrEqual(30);
    expect(new Set(titles).size).toBe(files.length);
  });

  for (const name of files) {
    const path = join(here, name);
    const source = readFileSync(path, 'utf8');
    it(`${name}: ${titleOf(source)}`, () => {
      const played = play(source);
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, played);
      else expect(played).toBe(source);
    });
  }
});
