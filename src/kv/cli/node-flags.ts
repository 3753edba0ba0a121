/**
 * How the runtime should be started for a node. What a request allocates lives for one round of the log, longer than the
 * default young generation lasts under load; with 16 MiB next to nothing of it is copied. More does not help: memory that is
 * touched anew each time is not in any cache. A minor collection is over before helpers for it have been woken up.
 */
export const NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=16',
  '--min-semi-space-size=16',
  '--no-parallel-scavenge',
];
