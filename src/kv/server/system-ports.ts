/** The real clock and real chance: adapters of the runtime's ports. */
import { performance } from 'node:perf_hooks';
import type { Clock, Random, Timer } from '../../raft/index.js';

export const systemClock: Clock = {
  monotonic_ms: () => performance.now(),
  wall_ms: () => Date.now(),
  after(delay_ms: number, run: () => void): Timer {
    const timer = setTimeout(run, delay_ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => {
    setImmediate(run);
  },
};

/** Since the process began to wait for events. */
export const systemBusy_ms = (): number => performance.eventLoopUtilization().active;

export const systemRandom: Random = { next: () => Math.random() };
