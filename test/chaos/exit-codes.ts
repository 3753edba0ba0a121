/** How a run ended, as scripts see it. */
export const EXIT = {
  ok: 0,
  /** The store broke a promise: a history that cannot be, a lost or doubled key, an increment that counted twice. */
  violation: 1,
  usage: 2,
  /** Nothing wrong was seen, but some shard was not served in time after the faults had ended, or a plan, a join or a drain did not end. */
  noProgress: 3,
  /** A node ended by itself, or the harness failed. */
  crash: 4,
  /** Ended by Ctrl-C, with nothing wrong until then. */
  interrupted: 130,
} as const;

export type Verdict = Exclude<keyof typeof EXIT, 'usage'>;
