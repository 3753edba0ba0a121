/** Which slots and keys are asked for most, out of what the cluster's nodes have told. */
import { type ShardMap, shardName, slotOfKey } from '../../shardctrl/index.js';
import type { HotReport, SlotLoadView } from './api.js';
import { roundedRate, roundedShare } from './balance-view.js';
import { HALF_LIFE_S } from './load-meter.js';
import type { ClusterLoad } from './load-service.js';

/** At most `limit` slots, and as many keys. */
export function hotReport(map: ShardMap, load: ClusterLoad, limit: number): HotReport {
  const { reads, writes } = load;
  const owners = ownersOf(map);
  const nameOf = (slot: number): string => owners[slot] ?? '';
  const total = reads.reduce((sum, rate, slot) => sum + rate + writes[slot]!, 0);
  const share = (rate: number): number => (total === 0 ? 0 : roundedShare(rate / total));
  return {
    half_life_s: HALF_LIFE_S,
    shards: map.shards.map(({ id }) => {
      const name = shardName(id);
      const own = (rates: Float64Array): number =>
        rates.reduce((sum, rate, slot) => (owners[slot] === name ? sum + rate : sum), 0);
      const [read, written] = [own(reads), own(writes)];
      return {
        id: name,
        reads_per_s: roundedRate(read),
        writes_per_s: roundedRate(written),
        share: share(read + written),
      };
    }),
    slots: hottest(load, limit).map(
      (slot): SlotLoadView => ({
        slot,
        shard: nameOf(slot),
        reads_per_s: roundedRate(reads[slot]!),
        writes_per_s: roundedRate(writes[slot]!),
        share: share(reads[slot]! + writes[slot]!),
      }),
    ),
    keys: load.keys.slice(0, limit).map(({ key, rate, error }) => {
      const slot = slotOfKey(key);
      return {
        key,
        slot,
        shard: nameOf(slot),
        // Slots are counted exactly, keys are not.
        requests_per_s: roundedRate(Math.min(rate, reads[slot]! + writes[slot]!)),
        error_per_s: roundedRate(error),
      };
    }),
    silent_shards: load.silentShards.map(shardName),
    silent_nodes: load.silentNodes,
  };
}

/** Names of shards by slot. */
function ownersOf(map: ShardMap): readonly (string | undefined)[] {
  const owners: (string | undefined)[] = [];
  for (const { id, slots } of map.shards) {
    for (const [first, last] of slots) for (let slot = first; slot <= last; slot++) owners[slot] = shardName(id);
  }
  return owners;
}

/** Slots that have any load, the hottest first. */
function hottest({ reads, writes }: ClusterLoad, limit: number): number[] {
  const of = (slot: number): number => reads[slot]! + writes[slot]!;
  const slots: number[] = [];
  reads.forEach((_, slot) => {
    if (of(slot) > 0) slots.push(slot);
  });
  return slots.sort((a, b) => of(b) - of(a) || a - b).slice(0, limit);
}
