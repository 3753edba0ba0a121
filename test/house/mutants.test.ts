/** Mutants of the source as it is: a patch that lands elsewhere takes out something else, or nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

interface Hunk {
  readonly file: string;
  /** What it expects to find, lines and all. */
  readonly before: string;
}

function hunksOf(patch: string): readonly Hunk[] {
  const hunks: { file: string; before: string }[] = [];
  let file = '';
  for (const line of patch.split('\n')) {
    if (line.startsWith('+++ b/')) file = line.slice(6);
    else if (line.startsWith('@@')) hunks.push({ file, before: '\n' });
    else if (/^[ -]/.test(line) && !line.startsWith('--- a/')) hunks.at(-1)!.before += `${line.slice(1)}\n`;
  }
  return hunks;
}

describe.each(['mutants', 'mutants-untried'])('the patches in sim/%s', (folder) => {
  const names = readdirSync(join(ROOT, 'test/sim', folder)).filter((name) => name.endsWith('.patch'));

  it.each(names)('%s finds all of its lines, each in one place', (name) => {
    const hunks = hunksOf(readFileSync(join(ROOT, 'test/sim', folder, name), 'utf8'));
    expect(hunks.length).toBeGreaterThan(0);
    for (const { file, before } of hunks) {
      const source = `\n${readFileSync(join(ROOT, file), 'utf8')}`;
      expect(source.includes(before), `${file} has no longer what ${name} changes: renew it`).toBe(true);
      expect(source.indexOf(before), `${name} may land in several places of ${file}`).toBe(source.lastIndexOf(before));
    }
  });
});
