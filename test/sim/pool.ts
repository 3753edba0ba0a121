/** Seeds run side by side, each process taking the next one as soon as it is done with the last. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Job, Report } from './worker.js';

/**
 * A collector that works on many threads at once saves time where cores are idle, and costs CPU; here each core has its
 * worker. A young generation that is larger than usual is collected less often, and an old one that may be large from the
 * beginning is not collected for each run of a seed anew.
 */
const WORKER_FLAGS = [
  '--single-threaded-gc',
  '--min-semi-space-size=32',
  '--max-semi-space-size=32',
  '--initial-heap-size=400',
];
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'quorate-sim');

/**
 * `next` gives one job after the other, and undefined at the end. Workers run a bundle: tsx, which serves elsewhere, gives
 * every closure its name when it is made, and that costs a tenth of the time here.
 */
export async function runJobs(
  jobs: number,
  next: () => Job | undefined,
  done: (report: Report) => void,
): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const bundle = join(CACHE, `worker-${process.pid}.mjs`);
  try {
    await build({
      entryPoints: [join(import.meta.dirname, 'worker.ts')],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      target: 'node20',
      sourcemap: 'inline',
      logLevel: 'error',
    });
    await Promise.all(Array.from({ length: jobs }, () => work(bundle, next, done)));
  } finally {
    rmSync(bundle, { force: true });
  }
}

function work(bundle: string, next: () => Job | undefined, done: (report: Report) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(bundle, { execArgv: ['--enable-source-maps', ...WORKER_FLAGS] });
    const more = (): void => {
      const job = next();
      if (job !== undefined) child.send(job);
      else {
        child.disconnect();
        resolve();
      }
    };
    child.on('message', (report: Report) => {
      done(report);
      more();
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code !== 0 && code !== null) reject(new Error(`a worker ended with ${code}`));
    });
    more();
  });
}
