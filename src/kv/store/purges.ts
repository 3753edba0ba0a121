/**
 * What slots leave behind that were given away, or never came whole: found by the leader, removed by every replica.
 *
 * A record that only goes is read once in the group, by the leader and outside of its log: with the command come its time of
 * expiry, which names another row, and what the slot's sums are without it. So that this is true where the command is applied,
 * it also says what the slot's records were: where their digest is another, somebody has been here before, and nothing goes.
 */
import type { MoveId, SlotRange, SlotRanges } from '../../shardctrl/index.js';
import { SlotState, slotsOf } from '../../shardctrl/index.js';
import type { PurgeCommand, SlotPurge } from './commands.js';
import { DamagedState } from './damaged-state.js';
import { subtractHash } from './digest.js';
import { hashIdempotency, idempotencyExpires, idempotencyFault } from './idempotency-codec.js';
import {
  after,
  idempotencyExpiryKey,
  idempotencyKey,
  idempotencyStart,
  keyExpiryKey,
  keyOfSlotIndex,
  parsePlace,
  placeOf,
  placeOfIdempotency,
  recordKey,
  slotIndexKey,
  slotOfIndex,
} from './key-layout.js';
import { mayPurge } from './move-guards.js';
import { endPurge } from './moves.js';
import { expiresOf, hashRecord, headFault } from './record-codec.js';
import type { SlotControl } from './slot-control.js';
import { slotsWhere } from './slot-sets.js';
import type { RecordSums } from './slot-sums.js';
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

interface Part extends SlotPurge {
  readonly keys: SlotPurge['keys'][number][];
  readonly idempotency: SlotPurge['idempotency'][number][];
  readonly left: { keys: number; bytes: number; idempotency: number; readonly digest: Uint32Array };
}

/**
 * One way through the records of those of the slots whose records may go: given away (PURGING), or left over (NONE). It must
 * begin when the rows of all applied entries are in the engine; as long as nobody else purges, nothing changes there but what
 * its own commands remove, and these need not have reached the engine when it goes on.
 */
export class PurgePass {
  readonly #state: StoreState;
  readonly #move: MoveId;
  readonly #ranges: SlotRanges;
  /** What the sums of slots are, once all commands of this pass have been applied. */
  readonly #sums = new Map<number, RecordSums>();
  #pass: 'keys' | 'idempotency' | null = 'keys';
  #from: Buffer = Buffer.alloc(0);

  constructor(state: StoreState, move: MoveId, slots: SlotRanges) {
    this.#state = state;
    this.#move = move;
    this.#ranges = purgeable(state, slots);
    for (const [first, last] of this.#ranges) {
      for (let slot = first; slot <= last; slot++) this.#sums.set(slot, state.slots.sumsOf(slot));
    }
    if (this.#ranges.length === 0) this.#pass = null;
  }

  /**
   * Up to `limit` records, to be proposed and applied before the next call; null: there are no more. Rejects with
   * `DamagedState` for a record that is not what was written, and where there are more of them or less than the sums say.
   */
  async next(limit: number): Promise<PurgeCommand | null> {
    while (this.#pass !== null) {
      const parts = new Map<number, Part>();
      if (this.#pass === 'keys') await this.#takeKeys(parts, limit);
      else await this.#takeIdempotency(parts, limit);
      if (parts.size === 0) continue;
      for (const [slot, { left }] of parts) {
        if (left.keys < 0 || left.idempotency < 0 || left.bytes < 0)
          throw new DamagedState(`slot ${slot} has more records than its sums say`);
        this.#sums.set(slot, left);
      }
      return { kind: 'purge', move: this.#move, parts: [...parts.values()] };
    }
    for (const [slot, { keys, idempotency }] of this.#sums) {
      if (keys + idempotency > 0 && this.#isAsExpected(slot))
        throw new DamagedState(`slot ${slot} has fewer records than its sums say`);
    }
    return null;
  }

  /** False: somebody else has purged it, or something else has begun with it since. */
  #isAsExpected(slot: number): boolean {
    const { slots } = this.#state;
    return mayPurge(slots.control, slot, this.#move) && slots.hasDigest(slot, this.#sums.get(slot)!.digest);
  }

  async #takeKeys(parts: Map<number, Part>, limit: number): Promise<void> {
    const { engine } = this.#state;
    const index = await this.#rows(slotIndexKey, limit);
    const keys = index.map(({ key }) => keyOfSlotIndex(key));
    const rows = await engine.getMany(keys.map(recordKey));
    this.#goOn(index, limit, 'idempotency');
    for (const [i, key] of keys.entries()) {
      const part = this.#part(parts, slotOfIndex(index[i]!.key));
      if (part === null) continue;
      const row = rows[i];
      if (row === undefined) throw new DamagedState('a key of the index has no record');
      const fault = headFault(key, row);
      if (fault !== null) throw new DamagedState(fault);
      part.keys.push({ key, expires_ms: expiresOf(row) });
      hashRecord(key, row);
      subtractHash(part.left.digest, 0);
      part.left.keys--;
      part.left.bytes -= key.length + row.length;
    }
  }

  async #takeIdempotency(parts: Map<number, Part>, limit: number): Promise<void> {
    const rows = await this.#rows(idempotencyStart, limit);
    this.#goOn(rows, limit, null);
    for (const { key: rowKey, value } of rows) {
      const place = placeOfIdempotency(rowKey);
      const { slot, key, token } = parsePlace(place);
      const part = this.#part(parts, slot);
      if (part === null) continue;
      const fault = idempotencyFault(place, value);
      if (fault !== null) throw new DamagedState(fault);
      part.idempotency.push({ key, idempotencyKey: token, expires_ms: idempotencyExpires(value) });
      hashIdempotency(place, value);
      subtractHash(part.left.digest, 0);
      part.left.idempotency--;
      part.left.bytes -= place.length + value.length;
    }
  }

  #part(parts: Map<number, Part>, slot: number): Part | null {
    const known = parts.get(slot);
    if (known !== undefined) return known;
    if (!this.#isAsExpected(slot)) return null;
    const { digest, ...counts } = this.#sums.get(slot)!;
    const part: Part = { slot, digest, left: { ...counts, digest: digest.slice() }, keys: [], idempotency: [] };
    parts.set(slot, part);
    return part;
  }

  /** Behind what was found, or to the next pass. */
  #goOn(found: readonly { readonly key: Buffer }[], limit: number, next: 'idempotency' | null): void {
    if (found.length === limit) {
      this.#from = after(found[limit - 1]!.key);
      return;
    }
    this.#pass = next;
    this.#from = Buffer.alloc(0);
  }

  /** Rows of the slots in order, from where this pass stands. */
  async #rows(
    startOf: (slot: number) => Buffer,
    limit: number,
  ): Promise<{ readonly key: Buffer; readonly value: Buffer }[]> {
    const found: { readonly key: Buffer; readonly value: Buffer }[] = [];
    for (const [first, last] of this.#ranges) {
      if (found.length === limit) break;
      const lt = startOf(last + 1);
      if (this.#from.compare(lt) >= 0) continue;
      const start = startOf(first);
      const gte = this.#from.compare(start) > 0 ? this.#from : start;
      found.push(...(await this.#state.engine.range({ gte, lt, limit: limit - found.length })));
    }
    return found;
  }
}

function purgeable({ slots }: StoreState, within: SlotRanges): SlotRanges {
  const found: SlotRange[] = [];
  const goes = (control: SlotControl, slot: number): boolean =>
    control.state[slot] === SlotState.Purging || control.state[slot] === SlotState.None;
  for (const [first, last] of within) {
    found.push(...slotsWhere((slot) => !slots.isEmpty(slot) && goes(slots.control, slot), first, last));
  }
  return found;
}
