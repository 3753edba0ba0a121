/**
 * The primitives under writes, expiry, pages and purges: a record and an idempotency record come and go together with their
 * index rows, their expiry rows and their share of the slot's sums. Nothing else touches these rows.
 */
import { DamagedState } from './damaged-state.js';
import { hashIdempotency, idempotencyExpires, idempotencyFault } from './idempotency-codec.js';
import { encodeKeyExpiry, idempotencyExpiryKey, idempotencyKey, keyExpiryKey, slotIndexKey } from './key-layout.js';
import { expiresOf, hashRecord, headFault, revisionOf } from './record-codec.js';
import type { StoreState } from './store-state.js';

const NOTHING = Buffer.alloc(0);

/** The key's record, its head checked. Throws `DamagedState` (F38). */
export function readRecord(state: StoreState, key: Uint8Array, rowKey: Uint8Array): Buffer | undefined {
  return sound(key, state.rows.get(rowKey));
}

/** The same, of one of many that come by, and that nobody has asked for. */
export function peekRecord(state: StoreState, key: Uint8Array, rowKey: Uint8Array): Buffer | undefined {
  return sound(key, state.rows.peek(rowKey));
}

function sound(key: Uint8Array, row: Buffer | undefined): Buffer | undefined {
  if (row === undefined) return undefined;
  const fault = headFault(key, row);
  if (fault !== null) throw new DamagedState(fault);
  return row;
}

/** True if the record's time has come by the replicated clock. */
export function isDue(state: StoreState, row: Buffer): boolean {
  const expires_ms = expiresOf(row);
  return expires_ms !== 0 && expires_ms <= state.clock_ms;
}

/** `old` is what `readRecord` gave for the key. */
export function putRecord(
  state: StoreState,
  slot: number,
  key: Uint8Array,
  rowKey: Buffer,
  old: Buffer | undefined,
  row: Buffer,
): void {
  const { rows, slots } = state;
  const expires_ms = expiresOf(row);
  if (old === undefined) {
    rows.put(slotIndexKey(slot, key), NOTHING);
  } else {
    const before_ms = expiresOf(old);
    if (before_ms !== 0 && before_ms !== expires_ms) rows.delete(keyExpiryKey(before_ms, key));
    hashRecord(key, old);
    slots.subtract(slot, key.length + old.length, true);
  }
  rows.put(rowKey, row);
  if (expires_ms !== 0) {
    rows.put(keyExpiryKey(expires_ms, key), encodeKeyExpiry(slot, revisionOf(row)));
    state.dueHint.lower(expires_ms);
  }
  hashRecord(key, row);
  slots.add(slot, key.length + row.length, true);
}

/** `old` is what `readRecord` gave for the key. */
export function removeRecord(state: StoreState, slot: number, key: Uint8Array, rowKey: Buffer, old: Buffer): void {
  const { rows, slots } = state;
  rows.delete(rowKey);
  rows.delete(slotIndexKey(slot, key));
  const expires_ms = expiresOf(old);
  if (expires_ms !== 0) rows.delete(keyExpiryKey(expires_ms, key));
  hashRecord(key, old);
  slots.subtract(slot, key.length + old.length, true);
}

/** The idempotency record of a place, checked. Throws `DamagedState`. */
export function readIdempotency(state: StoreState, place: Uint8Array): Buffer | undefined {
  const row = state.rows.get(idempotencyKey(place));
  if (row === undefined) return undefined;
  const fault = idempotencyFault(place, row);
  if (fault !== null) throw new DamagedState(fault);
  return row;
}

/** `old` is what `readIdempotency` gave for the place. */
export function putIdempotency(
  state: StoreState,
  slot: number,
  place: Uint8Array,
  old: Buffer | undefined,
  row: Buffer,
): void {
  if (old !== undefined) removeIdempotency(state, slot, place, old);
  const expires_ms = idempotencyExpires(row);
  state.rows.put(idempotencyKey(place), row);
  state.rows.put(idempotencyExpiryKey(expires_ms, place), NOTHING);
  state.dueHint.lower(expires_ms);
  hashIdempotency(place, row);
  state.slots.add(slot, place.length + row.length, false);
}

/** `old` is what `readIdempotency` gave for the place. */
export function removeIdempotency(state: StoreState, slot: number, place: Uint8Array, old: Buffer): void {
  state.rows.delete(idempotencyKey(place));
  state.rows.delete(idempotencyExpiryKey(idempotencyExpires(old), place));
  hashIdempotency(place, old);
  state.slots.subtract(slot, place.length + old.length, false);
}
