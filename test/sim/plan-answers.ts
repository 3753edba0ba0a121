/** What may be answered to who asks for plans while a cluster suffers, by a node with an old map, or where it cannot be done. */
export const EXPECTED_OF_PLANS: ReadonlySet<string> = new Set([
  'conflict',
  'no_leader',
  'outcome_unknown',
  'plan_impossible',
  'unavailable',
]);

/** The same of a dry run: it neither waits for another plan, nor does anybody have to confirm it. */
export const EXPECTED_OF_DRY_RUNS: ReadonlySet<string> = new Set(['plan_impossible', 'unavailable']);
