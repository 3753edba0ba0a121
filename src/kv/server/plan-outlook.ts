/** What a plan would bring, in the JSON shape of the API: shares before and after, where new shards are placed, how long it takes. */
import {
  type GroupMembers,
  type PlacedShard,
  type PlanForecast,
  type PlanLimits,
  type PlanPace,
  type ShardBalance,
  type ShardMap,
  shardName,
} from '../../shardctrl/index.js';
import type { NewShardView, PredictedView, ShardBalanceView } from './api.js';

export function balanceView(balance: readonly ShardBalance[], excluded: readonly number[]): ShardBalanceView[] {
  return balance.map(({ shard, weight, slots, keys, bytes }) => ({
    shard: shardName(shard),
    weight,
    excluded: excluded.includes(shard),
    slots_before: slots[0],
    slots_after: slots[1],
    keys_before: keys?.[0] ?? null,
    keys_after: keys?.[1] ?? null,
    bytes_before: bytes?.[0] ?? null,
    bytes_after: bytes?.[1] ?? null,
  }));
}

const membersOf = ({ members }: Pick<GroupMembers, 'members'>): string[] => members.map((member) => member.node);

export const newShardView = (shard: Pick<PlacedShard, 'id' | 'members'>): NewShardView => ({
  id: shardName(shard.id),
  members: membersOf(shard),
});

/** With the labels of the nodes: the first one is to lead. */
export function placedShardView(shard: PlacedShard, map: ShardMap): NewShardView {
  const placement = membersOf(shard).map((node, i) => {
    const labels = map.nodes.find(({ id }) => id === node)?.labels;
    return { node, zone: labels?.['zone'] ?? null, host: labels?.['host'] ?? null, leads: i === 0 };
  });
  return { ...newShardView(shard), placement };
}

const MIB = 1024 * 1024;

/** `forecast` null: it is not known what the slots hold. */
export function predictedView(
  forecast: PlanForecast | null,
  pace: PlanPace,
  { maxRate }: Pick<PlanLimits, 'maxRate'>,
): PredictedView {
  const held = maxRate === null ? '' : `; copies are held to ${(maxRate / MIB).toFixed(1)} MiB/s`;
  const source = `${sourceOf(pace)}${held}`;
  const basis = pace.plan === null ? 'defaults' : 'measured';
  if (forecast === null) {
    const from = `not known: some shards did not tell what their slots hold; ${source}`;
    return { time_ms: null, pause_ms: null, pause_ms_max: null, batches: null, basis, from };
  }
  const { time_ms, pause_ms, pause_ms_max, batches } = forecast;
  return {
    time_ms,
    pause_ms: Math.round(pause_ms),
    pause_ms_max: Math.round(pause_ms_max),
    batches,
    basis,
    from: source,
  };
}

function sourceOf({ plan, batches, around_ms, batch_ms, keys_per_s, bytes_per_s }: PlanPace): string {
  const rates = [
    `${Math.round(batch_ms)} ms a batch`,
    `${Math.round(keys_per_s)} keys/s`,
    `${(bytes_per_s / MIB).toFixed(1)} MiB/s`,
    `${(around_ms / 1_000).toFixed(1)} s before and after`,
  ];
  const whose =
    plan === null ? 'defaults, as no plan has moved anything yet' : `as plan ${plan} went, by its ${batches} receipts`;
  return `${whose}: ${rates.join(', ')}`;
}
