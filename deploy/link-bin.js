/**
 * Puts the checkout's own `quorate` into node_modules/.bin, so that `npx quorate` finds it at once and offline. npm links
 * the programs of dependencies only; without this, npx makes an install of its own of the checkout, which builds it anew.
 *
 * The link is relative: the checkout may be moved. Where links cannot be made (Windows without the right to), npx still
 * goes its own, slower way, so failing is not an error.
 */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const directory = join(import.meta.dirname, '../node_modules/.bin');
try {
  mkdirSync(directory, { recursive: true });
  rmSync(join(directory, 'quorate'), { force: true });
  if (process.platform !== 'win32') symlinkSync('../../dist/kv/cli/main.js', join(directory, 'quorate'));
} catch (error) {
  console.warn(`npx quorate will be slow: ${error instanceof Error ? error.message : String(error)}`);
}
