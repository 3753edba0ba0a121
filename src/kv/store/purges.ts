/**
 * What slots leave behind that were given away, or never came whole: found by the leader (purge-pass.ts), removed by every replica.
 *
 * A record that only goes is read once in the group, by the leader and outside of its log: with the command come its time of
 * expiry, which names another row, and what the slot's sums are without it. So that this is true where the command is applied,
 * it also says what the slot's records were: where their digest is another, somebody has been here before, and nothing goes.
 */
import { slotsOf } from '../../shardctrl/index.js';
import type { PurgeCommand, SlotPurge } from './commands.js';
import { idempotencyExpiryKey, idempotencyKey, keyExpiryKey, placeOf, recordKey, slotIndexKey } from './key-layout.js';
import { mayPurge } from './move-guards.js';
import { endPurge } from './moves.js';
import type { StoreState } from './store-state.js';

/** purge batch(m). Returns how many records are left of those slots of the command that may be purged. */
export function applyPurge(state: StoreState, { move, parts }: PurgeCommand): number {
  const { control } = state.slots;
  let left = 0;
  for (const part of parts) {
    const { slot } = part;
    if (!mayPurge(control, slot, move)) continue;
    if (state.slots.hasDigest(slot, part.digest)) purgeSlot(state, part);
    left += state.slots.keys[slot]! + state.slots.idempotency[slot]!;
  }
  endPurge(state, move, slotsOf(parts.map(({ slot }) => slot)));
  return left;
}

function purgeSlot({ rows, slots }: StoreState, { slot, left, keys, idempotency }: SlotPurge): void {
  for (const { key, expires_ms } of keys) {
    rows.delete(recordKey(key));
    rows.delete(slotIndexKey(slot, key));
    if (expires_ms !== 0) rows.delete(keyExpiryKey(expires_ms, key));
  }
  for (const { key, idempotencyKey: token, expires_ms } of idempotency) {
    const place = placeOf(slot, key, token);
    rows.delete(idempotencyKey(place));
    rows.delete(idempotencyExpiryKey(expires_ms, place));
  }
  slots.setSums(slot, left);
}
