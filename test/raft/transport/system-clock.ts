/** Real time and chance for the tests of the real transport. Timers do not keep the test process alive. */
import type { Clock, Random } from '../../../src/raft/index.js';

export const systemClock: Clock = {
  monotonic_ms: () => performance.now(),
  wall_ms: () => Date.now(),
  after(delay_ms, run) {
    const timer = setTimeout(run, delay_ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => void setImmediate(run),
};

export const systemRandom: Random = { next: () => Math.random() };
