/**
 * What all slots hold, asked of the shards' leaders. A piece at a time: the answer about all slots of a shard at once would
 * hold up the event loops of both sides.
 */
import type { Clock } from '../../raft/index.js';
import {
  countSlots,
  figuresOf,
  firstSlots,
  NO_SLOTS,
  type ShardEntry,
  type ShardMap,
  type ShardPort,
  ShardUnavailable,
  type SlotFigures,
  type SlotStats,
  subtractSlots,
  unionSlots,
} from '../../shardctrl/index.js';

const PIECE_SLOTS = 2_048;

export interface CensusOptions {
  readonly clock: Clock;
  readonly shards: Pick<ShardPort, 'slotStats'>;
}

/** By the owners that `map` names. Slots of shards that do not tell in time are `unknown`. */
export async function takeCensus(
  { clock, shards }: CensusOptions,
  map: ShardMap,
  timeout_ms: number,
): Promise<SlotFigures> {
  const deadline_ms = clock.monotonic_ms() + timeout_ms;
  const told: SlotStats[] = [];
  let unknown = NO_SLOTS;
  const ask = async ({ id, slots }: ShardEntry): Promise<void> => {
    const stats: SlotStats[] = [];
    try {
      for (let left = slots; countSlots(left) > 0; ) {
        const piece = firstSlots(left, PIECE_SLOTS);
        stats.push(...(await shards.slotStats(id, piece, Math.max(1, deadline_ms - clock.monotonic_ms()))));
        left = subtractSlots(left, piece);
      }
      told.push(...stats);
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      unknown = unionSlots(unknown, slots);
    }
  };
  await Promise.all(map.shards.map(ask));
  return figuresOf(map.epoch, told, unknown);
}
