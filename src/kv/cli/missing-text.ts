/** Replicas that are missing, in lines for a person: what shares node and fate shares a line. */
import type { ClusterView } from '../client/index.js';

type Missing = ClusterView['missing_replicas'][number];

/** `s1, s2 lack a replica: n3 is down since …; rebuild is not allowed`. */
export function missingLines(missing: readonly Missing[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { group, node, since, reason } of missing) {
    const fate = `${node} is down since ${since}; ${reason}`;
    const name = group === 'controller' ? 'the controller' : group;
    groups.set(fate, [...(groups.get(fate) ?? []), name]);
  }
  return [...groups].map(
    ([fate, names]) => `${names.join(', ')} ${names.length === 1 ? 'lacks' : 'lack'} a replica: ${fate}`,
  );
}
