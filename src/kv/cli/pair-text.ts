/** Shards of two replicas, in words: they lose writes as soon as one node is away. */

/** null: there are none. */
export function pairWarning(
  shards: readonly { readonly id: string; readonly members: readonly unknown[] }[],
): string | null {
  const pairs = shards.filter(({ members }) => members.length === 2).map(({ id }) => id);
  if (pairs.length === 0) return null;
  const [have, theyTake, their] = pairs.length === 1 ? ['has', 'it takes', 'its'] : ['have', 'they take', 'their'];
  return `${pairs.join(', ')} ${have} two replicas: ${theyTake} no writes as soon as one of ${their} nodes is away`;
}
