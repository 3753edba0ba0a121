import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Simulation, type SimulationResult } from './simulation.js';

const SECONDS = 8;
const TIMEOUT_MS = 120_000;

const run = (seed: number): Promise<SimulationResult> =>
  new Simulation({ seed, seconds: SECONDS, keepTrace: false }).run();

/** The seed alone in a process of its own, as somebody replays it. */
async function replayed(seed: number): Promise<string> {
  const args = [
    '--import',
    'tsx',
    join(import.meta.dirname, 'main.ts'),
    '--seed',
    `${seed}`,
    '--seconds',
    `${SECONDS}`,
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const digest = /trace ([0-9a-f]{64})/.exec(stdout)?.[1];
  if (digest === undefined) throw new Error(`no trace in ${stdout}`);
  return digest;
}

describe('the simulator', () => {
  it(
    'plays the same run from the same seed, whatever ran before it and in whichever process',
    async () => {
      const first = await run(3);
      const other = await run(4);
      const again = await run(3);
      expect(again.digest).toBe(first.digest);
      expect(again.steps).toBe(first.steps);
      expect(other.digest).not.toBe(first.digest);
      expect(await replayed(3)).toBe(first.digest);
    },
    TIMEOUT_MS,
  );

  it.each([11, 12, 13, 14, 15, 16])(
    'finds nothing wrong with the store under seed %i',
    async (seed) => {
      const { violation, operations } = await run(seed);
      expect(violation).toBeNull();
      expect(operations.ok).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
