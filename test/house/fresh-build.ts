/** Before all tests: says aloud that the program which some of them start is not what the sources say. `npm test` builds first. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAM } from '../e2e/program.js';

const SRC = join(import.meta.dirname, '..', '..', 'src');

const changed_ms = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

export default function setup(): void {
  if (process.env['E2E_PROGRAM'] !== undefined) return;
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const built_ms = changed_ms(PROGRAM);
  const newer = files.filter((name) => changed_ms(join(SRC, name)) > built_ms);
  if (newer.length > 0)
    console.error(
      `dist is older than src (${newer.slice(0, 3).join(', ')}): tests of the program test the old one; npm run build`,
    );
}
