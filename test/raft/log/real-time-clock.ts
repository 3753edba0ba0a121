/** A `Clock` on the test runner's own time, where a test is about bytes and not about time. */
import type { Clock } from '../../../src/raft/index.js';

export const realTimeClock = (): Clock => ({
  monotonic_ms: () => performance.now(),
  wall_ms: () => performance.now(),
  after: (delay_ms, run) => {
    const timer = setTimeout(run, delay_ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => {
    setImmediate(run);
  },
});
