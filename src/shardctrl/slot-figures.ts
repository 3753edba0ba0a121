/**
 * What each slot holds, as the leaders of the shards said when a plan was made. The figures stand in the command that
 * starts the plan: it stays a function of the controller's log, whatever clients write meanwhile.
 */
import type { SlotStats } from './shard-port.js';
import { eachSlot, intersectSlots, SLOT_COUNT, type SlotRanges, slotsOf } from './slot-ranges.js';

/** What shares are evened out by. */
export const SHARE_BY = ['slots', 'bytes', 'keys'] as const;
export type ShareBy = (typeof SHARE_BY)[number];

export interface SlotFigures {
  /** Of the map by which leaders were asked. */
  readonly epoch: number;
  /** Slots that hold anything. */
  readonly slots: SlotRanges;
  /** How much: one number for each of them, in their order. */
  readonly keys: readonly number[];
  readonly bytes: readonly number[];
  /** Slots of shards that did not tell. */
  readonly unknown: SlotRanges;
}

export interface Held {
  readonly keys: number;
  readonly bytes: number;
}

/** `stats`: each slot once, in any order; slots without are empty, unless they are `unknown`. */
export function figuresOf(epoch: number, stats: readonly SlotStats[], unknown: SlotRanges): SlotFigures {
  const sorted = [...stats].sort((a, b) => a.slot - b.slot);
  return {
    epoch,
    slots: slotsOf(sorted.map(({ slot }) => slot)),
    keys: sorted.map(({ keys }) => keys),
    bytes: sorted.map(({ bytes }) => bytes),
    unknown,
  };
}

/** Figures, looked up by slot. */
export class SlotSizes {
  readonly unknown: SlotRanges;
  readonly #keys = new Float64Array(SLOT_COUNT);
  readonly #bytes = new Float64Array(SLOT_COUNT);

  constructor({ slots, keys, bytes, unknown }: SlotFigures) {
    this.unknown = unknown;
    let i = 0;
    for (const slot of eachSlot(slots)) {
      this.#keys[slot] = keys[i] ?? 0;
      this.#bytes[slot] = bytes[i] ?? 0;
      i++;
    }
  }

  by(what: Exclude<ShareBy, 'slots'>): (slot: number) => number {
    const sizes = what === 'keys' ? this.#keys : this.#bytes;
    return (slot) => sizes[slot]!;
  }

  /** null: part of it is not known. */
  sum(slots: SlotRanges): Held | null {
    if (intersectSlots(slots, this.unknown).length > 0) return null;
    let [keys, bytes] = [0, 0];
    for (const slot of eachSlot(slots)) {
      keys += this.#keys[slot]!;
      bytes += this.#bytes[slot]!;
    }
    return { keys, bytes };
  }

  of(slot: number): Held {
    return { keys: this.#keys[slot]!, bytes: this.#bytes[slot]! };
  }
}
