/**
 * What a replica keeps in memory of its state at one index: what its rows of that index are held to. Only copied while the mark
 * is applied, some 1.2 MB; whatever takes longer is done later, in slices.
 */

import { addSum, digestText } from '../digest.js';
import { BLOCK_SLOTS, BLOCKS, type SlotControl } from '../slot-control.js';
import { hashSlot } from '../slot-hash.js';
import type { SlotArrays } from '../slot-sums.js';
import { type Meta, type StoreState, stateHashOf } from '../store-state.js';
import { copySlotArrays } from './slot-arrays.js';
import type { Pace } from './view-rows.js';

export interface KeptState {
  readonly index: number;
  readonly sums: SlotArrays;
  readonly control: SlotControl;
  /** Hash of noted changes, removals and receipts. */
  readonly side: string;
  readonly meta: Meta;
}

export function keptState(state: StoreState, index: number): KeptState {
  const { slots, revision, clock_ms, everOwned } = state;
  return {
    index,
    sums: copySlotArrays(slots),
    control: slots.control.copy(),
    side: state.sideHash(),
    meta: { revision, clock_ms, everOwned },
  };
}

/** As `StateMachine.stateHash` was at the index; null: the pace has ended it. */
export async function hashOfKept({ control, sums, side, meta }: KeptState, pace: Pace): Promise<string | null> {
  const hashes = new Uint32Array(BLOCKS * BLOCK_SLOTS * 4);
  const sum = new Uint32Array(4);
  for (let block = 0; block < BLOCKS; block++) {
    for (let slot = block * BLOCK_SLOTS; slot < (block + 1) * BLOCK_SLOTS; slot++) {
      hashSlot(control, sums, slot, hashes);
      addSum(sum, hashes, slot);
    }
    if (block % BLOCKS_AT_ONCE === 0 && !(await pace(0))) return null;
  }
  return stateHashOf(digestText(sum), side, meta);
}

const BLOCKS_AT_ONCE = 8;
