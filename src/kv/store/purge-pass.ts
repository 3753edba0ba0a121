/**
 * The leader's half of a purge: reads what slots leave behind, and says what each of them comes to without it.
 */
import type { EngineRow } from '../../raft/index.js';
import { eachSlot, type MoveId, type SlotRange, type SlotRanges, slotOfKey, slotsOf } from '../../shardctrl/index.js';
import type { PurgeCommand, SlotPurge } from './commands.js';
import { DamagedState } from './damaged-state.js';
import { addHash, addSum, subtractSum } from './digest.js';
import { hashIdempotency, idempotencyExpires, idempotencyFault } from './idempotency-codec.js';
import {
  after,
  idempotencyStart,
  keyOfSlotIndex,
  parsePlace,
  placeOfIdempotency,
  recordKey,
  slotIndexKey,
  slotOfIndex,
} from './key-layout.js';
import { mayPurge } from './move-guards.js';
import { expiresOf, hashRecord, headFault } from './record-codec.js';
import type { RecordSums } from './slot-sums.js';
import type { StoreState } from './store-state.js';

/** What was read of a slot. */
interface Found {
  readonly keys: SlotPurge['keys'][number][];
  readonly idempotency: SlotPurge['idempotency'][number][];
  readonly sums: { keys: number; bytes: number; idempotency: number; readonly digest: Uint32Array };
}

/** A slot of more records than go at once: how far it is. */
interface LargeSlot {
  readonly slot: number;
  /** Of one record in the middle. */
  readonly bytes: number;
  pass: 'keys' | 'idempotency';
  from: Buffer;
}

/** All records of one command are in memory at once. */
const BYTES_AT_ONCE = 1024 * 1024;
const NOTHING = Buffer.alloc(0);
const noSums = (): Found['sums'] => ({ keys: 0, bytes: 0, idempotency: 0, digest: new Uint32Array(4) });

/**
 * One way through the records of those of the slots whose records may go: given away (PURGING), or left over (NONE). When it has
 * begun, and before it is asked for anything, all that is applied by then must have reached the engine: whatever is applied
 * later shows by another digest of its slot, which is left alone then.
 *
 * Every replica will believe what is said here of a slot's sums. So a slot goes only if its records are all that the sums say:
 * where they are not, this replica is damaged, and nobody else.
 */
export class PurgePass {
  readonly #state: StoreState;
  readonly #move: MoveId;
  /** Ascending. */
  readonly #waiting: number[] = [];
  /** What the sums of slots are, once all commands of this pass have been applied. */
  readonly #sums = new Map<number, RecordSums>();
  #large: LargeSlot | null = null;

  constructor(state: StoreState, move: MoveId, slots: SlotRanges) {
    this.#state = state;
    this.#move = move;
    for (const slot of eachSlot(slots)) {
      if (state.slots.isEmpty(slot) || !mayPurge(state.slots.control, slot, move)) continue;
      this.#waiting.push(slot);
      this.#sums.set(slot, state.slots.sumsOf(slot));
    }
    this.#waiting.reverse();
  }

  /**
   * Up to `limit` records, to be proposed and applied before the next call; null: there are no more. Rejects with
   * `DamagedState` for a record that is not what was written, and where records are not those of the sums.
   */
  async next(limit: number): Promise<PurgeCommand | null> {
    for (;;) {
      const parts = this.#large === null ? await this.#wholeSlots(limit) : await this.#partOf(this.#large, limit);
      if (parts.length > 0) return { kind: 'purge', move: this.#move, parts };
      if (this.#waiting.length === 0 && this.#large === null) return null;
    }
  }

  /** Empty: they have changed meanwhile; or the next one is large, and is begun. */
  async #wholeSlots(limit: number): Promise<SlotPurge[]> {
    const slots = this.#takeSlots(limit);
    const [first] = slots;
    if (first === undefined) return [];
    const sums = this.#sums.get(first)!;
    if (!fits(sums, limit)) {
      const bytes = sums.bytes / (sums.keys + sums.idempotency);
      if (await this.#isWhole(first, bytes, limit)) this.#large = { slot: first, bytes, pass: 'keys', from: NOTHING };
      return [];
    }
    const found = new Map<number, Found>();
    for (const range of slotsOf(slots)) {
      const everything = Number.MAX_SAFE_INTEGER;
      await this.#readKeys(found, range, NOTHING, everything);
      await this.#readIdempotency(found, range, NOTHING, everything);
    }
    const parts: SlotPurge[] = [];
    for (const slot of slots) {
      if (!this.#isAsExpected(slot)) continue;
      const { sums: read, ...records } = foundOf(found, slot);
      this.#mustBe(slot, read);
      parts.push({ slot, digest: read.digest, left: this.#leave(slot, read), ...records });
    }
    return parts;
  }

  /** Those that come next and go together; one alone may be larger. */
  #takeSlots(limit: number): number[] {
    const slots: number[] = [];
    const together = noSums();
    for (let slot = this.#waiting.at(-1); slot !== undefined; slot = this.#waiting.at(-1)) {
      if (this.#isAsExpected(slot)) {
        const { keys, bytes, idempotency } = this.#sums.get(slot)!;
        together.keys += keys;
        together.bytes += bytes;
        together.idempotency += idempotency;
        if (slots.length > 0 && !fits(together, limit)) break;
        slots.push(slot);
      }
      this.#waiting.pop();
    }
    return slots;
  }

  /** Reads it through before the first of it goes. False: it has changed meanwhile. */
  async #isWhole(slot: number, bytes: number, limit: number): Promise<boolean> {
    const all = noSums();
    const whole: LargeSlot = { slot, bytes, pass: 'keys', from: NOTHING };
    for (;;) {
      const { found, next } = await this.#chunk(whole, limit);
      if (!this.#isAsExpected(slot)) return false;
      add(all, found.sums);
      if (next === null) break;
      Object.assign(whole, next);
    }
    this.#mustBe(slot, all);
    return true;
  }

  async #partOf(large: LargeSlot, limit: number): Promise<SlotPurge[]> {
    const { slot } = large;
    const { found, next } = await this.#chunk(large, limit);
    if (!this.#isAsExpected(slot)) {
      this.#large = null;
      return [];
    }
    if (next === null) this.#large = null;
    else Object.assign(large, next);
    const { sums, ...records } = found;
    if (records.keys.length + records.idempotency.length === 0) return [];
    return [{ slot, digest: this.#sums.get(slot)!.digest, left: this.#leave(slot, sums), ...records }];
  }

  /** `next` null: that was all of the slot. */
  async #chunk(
    { slot, bytes, pass, from }: LargeSlot,
    limit: number,
  ): Promise<{ readonly found: Found; readonly next: Pick<LargeSlot, 'pass' | 'from'> | null }> {
    const count = Math.max(1, Math.min(limit, Math.floor(BYTES_AT_ONCE / bytes)));
    const read = pass === 'keys' ? this.#readKeys : this.#readIdempotency;
    const found = new Map<number, Found>();
    const last = await read.call(this, found, [slot, slot], from, count);
    const next: Pick<LargeSlot, 'pass' | 'from'> | null =
      last !== null ? { pass, from: after(last) } : pass === 'keys' ? { pass: 'idempotency', from: NOTHING } : null;
    return { found: foundOf(found, slot), next };
  }

  // ------------------------------------------------------------------------------------------------------------ reading

  /** Resolves with the last row's key if there may be more. */
  async #readKeys(found: Map<number, Found>, range: SlotRange, from: Buffer, limit: number): Promise<Buffer | null> {
    const index = await this.#rows(slotIndexKey, range, from, limit);
    const keys = index.map(({ key }) => keyOfSlotIndex(key));
    const rows = await this.#state.engine.getMany(keys.map(recordKey));
    for (const [i, key] of keys.entries()) {
      const slot = slotOfIndex(index[i]!.key);
      if (!this.#isAsExpected(slot)) continue;
      const row = rows[i];
      if (row === undefined || slotOfKey(key) !== slot)
        throw new DamagedState(`slot ${slot}: a row of the index names no record`);
      const fault = headFault(key, row);
      if (fault !== null) throw new DamagedState(fault);
      const { keys: gone, sums } = foundOf(found, slot);
      gone.push({ key, expires_ms: expiresOf(row) });
      hashRecord(key, row);
      addHash(sums.digest, 0);
      sums.keys++;
      sums.bytes += key.length + row.length;
    }
    return index.length === limit ? index.at(-1)!.key : null;
  }

  /** Resolves with the last row's key if there may be more. */
  async #readIdempotency(
    found: Map<number, Found>,
    range: SlotRange,
    from: Buffer,
    limit: number,
  ): Promise<Buffer | null> {
    const rows = await this.#rows(idempotencyStart, range, from, limit);
    for (const { key: rowKey, value } of rows) {
      const place = placeOfIdempotency(rowKey);
      const { slot, key, token } = parsePlace(place);
      if (!this.#isAsExpected(slot)) continue;
      const fault = idempotencyFault(place, value);
      if (fault !== null) throw new DamagedState(fault);
      const { idempotency: gone, sums } = foundOf(found, slot);
      gone.push({ key, idempotencyKey: token, expires_ms: idempotencyExpires(value) });
      hashIdempotency(place, value);
      addHash(sums.digest, 0);
      sums.idempotency++;
      sums.bytes += place.length + value.length;
    }
    return rows.length === limit ? rows.at(-1)!.key : null;
  }

  #rows(
    startOf: (slot: number) => Buffer,
    [first, last]: SlotRange,
    from: Buffer,
    limit: number,
  ): Promise<EngineRow[]> {
    const start = startOf(first);
    const gte = from.compare(start) > 0 ? from : start;
    return this.#state.engine.range({ gte, lt: startOf(last + 1), limit });
  }

  // ------------------------------------------------------------------------------------------------------------ judging

  /** False: somebody else has purged it, or something else has begun with it since. */
  #isAsExpected(slot: number): boolean {
    const { slots } = this.#state;
    return mayPurge(slots.control, slot, this.#move) && slots.hasDigest(slot, this.#sums.get(slot)!.digest);
  }

  #mustBe(slot: number, read: RecordSums): void {
    const due = this.#sums.get(slot)!;
    const same = read.keys === due.keys && read.bytes === due.bytes && read.idempotency === due.idempotency;
    if (same && due.digest.every((word, i) => word === read.digest[i])) return;
    throw new DamagedState(
      `slot ${slot} has ${read.keys} keys and ${read.idempotency} idempotency records, of ${read.bytes} bytes; its sums say ${due.keys}, ${due.idempotency} and ${due.bytes}${same ? ', and others' : ''}`,
    );
  }

  /** What is left of the slot without these. */
  #leave(slot: number, gone: RecordSums): RecordSums {
    const before = this.#sums.get(slot)!;
    const digest = before.digest.slice();
    subtractSum(digest, gone.digest, 0);
    const left: RecordSums = {
      keys: before.keys - gone.keys,
      bytes: before.bytes - gone.bytes,
      idempotency: before.idempotency - gone.idempotency,
      digest,
    };
    this.#sums.set(slot, left);
    return left;
  }
}

const fits = ({ keys, bytes, idempotency }: RecordSums, limit: number): boolean =>
  keys + idempotency <= limit && bytes <= BYTES_AT_ONCE;

function foundOf(found: Map<number, Found>, slot: number): Found {
  let one = found.get(slot);
  if (one === undefined) {
    one = { keys: [], idempotency: [], sums: noSums() };
    found.set(slot, one);
  }
  return one;
}

function add(to: Found['sums'], { keys, bytes, idempotency, digest }: RecordSums): void {
  to.keys += keys;
  to.bytes += bytes;
  to.idempotency += idempotency;
  addSum(to.digest, digest, 0);
}
