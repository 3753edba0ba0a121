/**
 * Reads every record and every row that follows from one out of a view, checks each by itself, and adds up what they come to,
 * slot by slot: counts, bytes and digests as the state keeps them (digest.ts), made anew.
 */
import { SLOT_COUNT, slotOfKey } from '../../../shardctrl/index.js';
import { hashIdempotency, idempotencyExpires, idempotencyFault } from '../idempotency-codec.js';
import {
  encodeKeyExpiry,
  idempotencyExpiryKey,
  keyExpiryKey,
  keyOfRecord,
  keyOfSlotIndex,
  placeOfIdempotency,
  subjectOfExpiry,
  Table,
  tableStart,
} from '../key-layout.js';
import { expiresOf, hashRecord, headFault, recordFault, revisionOf, slotOf } from '../record-codec.js';
import type { SlotArrays } from '../slot-sums.js';
import type { RowReader } from '../slot-table.js';
import { DerivedRows } from './derived-rows.js';
import type { Findings } from './findings.js';
import { countRecord, newSlotArrays } from './slot-arrays.js';
import { eachRow, type Pace } from './view-rows.js';

const NOTHING = Buffer.alloc(0);
const TIME_BYTES = 9;
const PLACE_BYTES_MIN = 5;

export class RecordReading {
  readonly sums: SlotArrays = newSlotArrays();
  readonly derived: DerivedRows = new DerivedRows();
  /** Slots with a record that cannot be added up, because it is not what was written. */
  readonly rotten: Set<number> = new Set();
  readonly #findings: Findings;
  /** Of records and idempotency records, as the state counts bytes. */
  recordBytes = 0;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** False: the pace has ended it. Rejects as the view does. */
  async run(reader: RowReader, pace: Pace): Promise<boolean> {
    const tables: readonly (readonly [number, (key: Buffer, value: Buffer) => void])[] = [
      [Table.Record, (key, value) => this.#record(keyOfRecord(key), value)],
      [Table.SlotIndex, (key, value) => this.#indexed(key, value)],
      [Table.Idempotency, (key, value) => this.#idempotency(placeOfIdempotency(key), value)],
      [Table.KeyExpiry, (key, value) => this.#keyExpiry(key, value)],
      [Table.IdempotencyExpiry, (key, value) => this.#idempotencyExpiry(key, value)],
    ];
    for (const [table, visit] of tables) {
      const all = await eachRow(reader, tableStart(table), tableStart(table + 1), pace, (row) => {
        visit(row.key, row.value);
        return true;
      });
      if (!all) return false;
    }
    return true;
  }

  #record(key: Buffer, row: Buffer): void {
    const slot = slotOfKey(key);
    const bytes = key.length + row.length;
    this.recordBytes += bytes;
    this.derived.due('index', slot, key, NOTHING);
    const inHead = headFault(key, row);
    const fault = inHead ?? recordFault(key, row);
    if (fault !== null) this.#findings.add('rotten', [[slot, slot]], key, fault);
    if (inHead !== null) {
      this.rotten.add(slot);
      countRecord(this.sums, slot, bytes, true, false);
      return;
    }
    if (slotOf(row) !== slot) {
      this.#findings.add('rotten', [[slot, slot]], key, `the record says that its slot is ${slotOf(row)}`);
    }
    hashRecord(key, row);
    countRecord(this.sums, slot, bytes, true, true);
    const expires_ms = expiresOf(row);
    if (expires_ms === 0) return;
    this.derived.due('expiry', slot, keyExpiryKey(expires_ms, key), encodeKeyExpiry(slot, revisionOf(row)));
  }

  #indexed(row: Buffer, value: Buffer): void {
    const slot = row.length < 4 ? SLOT_COUNT : row.readUInt16BE(1);
    if (slot >= SLOT_COUNT) return this.#broken('index', row);
    this.derived.found('index', slot, keyOfSlotIndex(row), value);
  }

  #idempotency(place: Buffer, row: Buffer): void {
    const fault = idempotencyFault(place, row);
    const slot = place.length < PLACE_BYTES_MIN ? SLOT_COUNT : place.readUInt16BE(0);
    if (slot >= SLOT_COUNT) return this.#findings.addUnplaced('rotten', fault ?? 'idempotency record of no slot');
    const bytes = place.length + row.length;
    this.recordBytes += bytes;
    if (fault !== null) {
      this.#findings.add('rotten', [[slot, slot]], null, fault);
      this.rotten.add(slot);
      countRecord(this.sums, slot, bytes, false, false);
      return;
    }
    hashIdempotency(place, row);
    countRecord(this.sums, slot, bytes, false, true);
    this.derived.due('idempotencyExpiry', slot, idempotencyExpiryKey(idempotencyExpires(row), place), NOTHING);
  }

  #keyExpiry(row: Buffer, value: Buffer): void {
    if (row.length <= TIME_BYTES) return this.#broken('expiry', row);
    this.derived.found('expiry', slotOfKey(subjectOfExpiry(row)), row, value);
  }

  #idempotencyExpiry(row: Buffer, value: Buffer): void {
    const place = subjectOfExpiry(row);
    const slot = place.length < PLACE_BYTES_MIN ? SLOT_COUNT : place.readUInt16BE(0);
    if (slot >= SLOT_COUNT) return this.#broken('expiry', row);
    this.derived.found('idempotencyExpiry', slot, row, value);
  }

  #broken(what: 'index' | 'expiry', row: Buffer): void {
    this.#findings.addUnplaced('rotten', `a row of the ${what} has the key ${row.toString('hex')}, which is none`);
  }
}
