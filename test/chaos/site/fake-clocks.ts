/**
 * Wall clocks of nodes that can be wrong: libfaketime, preloaded into them, reads each node's offset from a file whenever
 * it is asked for the time. The monotonic clock stays true, as it does when an administrator or NTP sets the time.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeLaunch } from '../../e2e/local-cluster.js';

const LIBRARY = 'libfaketime.so.1';
/** Where distributions put it: /usr/lib/x86_64-linux-gnu/faketime, /usr/lib64/faketime, … */
const ROOTS = ['/usr/lib', '/usr/lib64', '/usr/local/lib'];

/** Path of the library, or null. `QUORATE_CHAOS_FAKETIME` names one that lies elsewhere. */
export function findFaketime(env: NodeJS.ProcessEnv = process.env): string | null {
  const named = env['QUORATE_CHAOS_FAKETIME'];
  if (named !== undefined) return existsSync(named) ? named : null;
  for (const root of ROOTS.filter((path) => existsSync(path))) {
    for (const place of ['', ...readdirSync(root)]) {
      const path = join(root, place, 'faketime', LIBRARY);
      if (existsSync(path)) return path;
    }
  }
  return null;
}

export class FakeClocks {
  readonly #library: string;
  readonly #directory: string;

  constructor(library: string, directory: string) {
    this.#library = library;
    this.#directory = directory;
  }

  set(id: string, offset_s: number): void {
    writeFileSync(this.#fileOf(id), `${offset_s < 0 ? '' : '+'}${offset_s}\n`);
  }

  launch(id: string): NodeLaunch {
    if (!existsSync(this.#fileOf(id))) this.set(id, 0);
    return {
      environment: {
        LD_PRELOAD: this.#library,
        FAKETIME_TIMESTAMP_FILE: this.#fileOf(id),
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    };
  }

  #fileOf(id: string): string {
    return join(this.#directory, `${id}.offset`);
  }
}
