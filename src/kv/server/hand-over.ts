/**
 * Before a node stops it gives its leaderships away: so no write of its shards waits for an election, and none that is
 * under way is left in doubt.
 */
import type { Clock, NodeId, ReplicaHost } from '../../raft/index.js';
import { delay } from './waiting.js';

const POLL_MS = 10;

/** Resolves when this node leads nothing any more, or after `limit_ms`: where nobody can take over, the node stops all the same. */
export async function handOver(
  host: ReplicaHost,
  clock: Clock,
  self: NodeId,
  healthy: (node: NodeId) => boolean,
  limit_ms: number,
): Promise<void> {
  const deadline_ms = clock.monotonic_ms() + limit_ms;
  const asked = new Set<number>();
  for (;;) {
    const leading = host.groups().filter((group) => host.get(group)?.isLeader === true);
    if (leading.length === 0 || clock.monotonic_ms() >= deadline_ms) return;
    for (const group of leading) {
      if (asked.has(group)) continue;
      asked.add(group);
      const replica = host.get(group);
      const heir = replica?.members.find((member) => member.node !== self && healthy(member.node));
      if (heir !== undefined) replica?.transferLeader(heir.node);
    }
    await delay(clock, POLL_MS);
  }
}
