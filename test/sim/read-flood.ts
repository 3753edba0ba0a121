/** More reads at once than a replica lets wait (F42), as from many nodes whose clients do not stop asking a group. */
import type { SimRandom } from './fakes/random.js';
import { READS_MAX } from './invariants/bounded-queues.js';
import type { SimNode } from './sim-node.js';
import type { Trace } from './trace.js';

const READS = READS_MAX + 2_000;
const NOBODY = { ready: (): void => {}, refused: (): void => {} };

export function floodWithReads(node: SimNode, random: SimRandom, trace: Trace): void {
  const host = node.node?.host;
  const groups = host?.groups() ?? [];
  if (host === undefined || groups.length === 0) return;
  const replica = host.get(random.pick(groups))!;
  trace.add('nemesis', `${READS} reads of group ${replica.group} come to ${node.id}`);
  node.clock?.run(() => {
    for (let i = 0; i < READS; i++) replica.read(NOBODY);
  });
}
