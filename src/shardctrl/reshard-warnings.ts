/** What is as an operator asked for, and may surprise all the same. */
import type { GroupId, NodeId } from '../raft/index.js';
import { hasMajority, nodesOf } from './member-repair.js';
import type { SlotMove } from './planner.js';
import type { Parties, ReshardWish } from './reshard-wish.js';
import { type ShardMap, shardName } from './shard-map.js';
import type { ShareBy, SlotSizes } from './slot-figures.js';
import { eachSlot } from './slot-ranges.js';

export function wishWarnings(map: ShardMap, made: readonly GroupId[], wish: Required<ReshardWish>): string[] {
  const warnings: string[] = [];
  if (wish.replicas !== null && map.shards.some((shard) => shard.members.length !== wish.replicas)) {
    warnings.push('replicas applies to new shards; the members of existing shards stay as they are');
  }
  if (wish.excludeNodes.length > 0 && made.length === 0) {
    warnings.push('no shard is made: that nodes are excluded changes nothing');
  }
  return warnings;
}

/** Of shards that are there already: what such a one gives or takes waits, and the plan with it. */
export function awayWarnings(
  map: ShardMap,
  moves: readonly SlotMove[],
  retiring: readonly GroupId[],
  down: readonly NodeId[],
): string[] {
  const parties = new Set([...retiring, ...moves.flatMap(({ from, to }) => [from, to])]);
  const lost = map.shards.filter(
    (shard) => parties.has(shard.id) && !hasMajority(nodesOf(shard), (node) => !down.includes(node)),
  );
  if (lost.length === 0) return [];
  const away = down.filter((node) => lost.some((shard) => nodesOf(shard).includes(node)));
  const [names, nodes] = [lost.map(({ id }) => shardName(id)).join(', '), away.join(', ')];
  const [have, wait] = lost.length === 1 ? ['has', 'it gives or takes waits'] : ['have', 'they give or take waits'];
  return [
    `${names} ${have} no majority while ${nodes} ${away.length === 1 ? 'is' : 'are'} down: what ${wait} until then, and so does the end of the plan`,
  ];
}

interface Sized {
  readonly parties: Parties;
  /** Slots that each shard owns in the end. */
  readonly shares: readonly (readonly [shard: GroupId, slots: number])[];
  readonly made: readonly GroupId[];
  readonly by: Exclude<ShareBy, 'slots'>;
  /** What was evened out in fact. */
  readonly evened: ShareBy;
  readonly sizes: SlotSizes;
}

export function sizeWarnings({ parties, shares, made, by, evened, sizes }: Sized): string[] {
  if (evened !== by) return [`there are no ${by} to share out yet: shares are of slots`];
  const warnings: string[] = [];
  const sizeOf = sizes.by(by);
  let [empty, total] = [0, 0];
  let largest = { slot: 0, size: 0 };
  for (const { slots } of parties.free) {
    for (const slot of eachSlot(slots)) {
      const size = sizeOf(slot);
      total += size;
      if (size === 0) empty++;
      if (size > largest.size) largest = { slot, size };
    }
  }
  if (made.length > 0 && empty > 0) {
    warnings.push(`${empty} slots hold no ${by}: they stay where they are, and what comes into them stays there too`);
  }
  const weights = parties.targets.reduce((sum, { weight }) => sum + weight, 0);
  const least = Math.min(...parties.targets.map(({ weight }) => (total * weight) / weights));
  if (largest.size > least) {
    const part = Math.round((100 * largest.size) / total);
    warnings.push(
      `slot ${largest.slot} alone holds ${part} % of all ${by}, more than a shard's share: no plan can cut it`,
    );
  }
  const bare = made.filter((id) => shares.some(([shard, slots]) => shard === id && slots === 0));
  if (bare.length > 0)
    warnings.push(`${bare.map(shardName).join(', ')} would get no slots: that is as even as it gets`);
  return warnings;
}
