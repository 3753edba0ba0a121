/**
 * Which records some slots have, by key: read where replicas, or records and sums, differ, so that the keys can be named. Reads
 * all records of the view again, since a record may be there that no index knows.
 */
import { containsSlot, type SlotRanges, slotOfKey } from '../../../shardctrl/index.js';
import { digestText, hash } from '../digest.js';
import { hashIdempotency, idempotencyFault } from '../idempotency-codec.js';
import {
  idempotencyStart,
  keyOfRecord,
  keyOfSlotIndex,
  parsePlace,
  placeOfIdempotency,
  slotIndexKey,
  Table,
  tableStart,
} from '../key-layout.js';
import { hashRecord, headFault, recordFault, revisionOf } from '../record-codec.js';
import type { RowReader } from '../slot-table.js';
import { eachRow, type Pace } from './view-rows.js';

export interface ListedRecord {
  readonly slot: number;
  readonly key: Uint8Array;
  /** The idempotency key; empty: this is the key's own record. */
  readonly token: string;
  /** `present`; `rotten`: not what was written; `unlisted`: the index does not know it; `missing`: only the index knows it. */
  readonly state: 'present' | 'rotten' | 'unlisted' | 'missing';
  /** 0 where it has none, or cannot be told. */
  readonly revision: number;
  /** 32 hexadecimal digits; empty where there is nothing to hash. */
  readonly digest: string;
}

export interface RecordListing {
  readonly records: readonly ListedRecord[];
  /** False: there are more. What is listed are the first ones in the order of keys, then the first idempotency records. */
  readonly complete: boolean;
}

const RECORDS_MAX = 2_000;
const BYTES_MAX = 256 * 1024;
const RECORD_OVERHEAD_BYTES = 64;

class Listing {
  readonly records: ListedRecord[] = [];
  complete = true;
  #bytes = 0;
  #count = 0;

  /** False where there is no room: then it is not complete. */
  add(record: ListedRecord): boolean {
    this.#bytes += record.key.length + record.token.length + RECORD_OVERHEAD_BYTES;
    this.#count++;
    if (this.#count > RECORDS_MAX || this.#bytes > BYTES_MAX) {
      this.complete = false;
      return false;
    }
    this.records.push(record);
    return true;
  }

  /** Of records and of idempotency records there is room for as many each. */
  next(): void {
    this.#bytes = 0;
    this.#count = 0;
  }
}

/** null: the pace has ended it. */
export async function listRecords(reader: RowReader, slots: SlotRanges, pace: Pace): Promise<RecordListing | null> {
  const indexed = await keysByIndex(reader, slots, pace);
  if (indexed === null) return null;
  const indexIsWhole = indexed.size < KEYS_MAX;
  const listing = new Listing();
  const all = await eachRow(reader, tableStart(Table.Record), tableStart(Table.Record + 1), pace, (row) => {
    const key = keyOfRecord(row.key);
    const slot = slotOfKey(key);
    if (!containsSlot(slots, slot)) return true;
    const isIndexed = indexed.delete(key.toString('latin1')) || !indexIsWhole;
    return listing.add(listedRecord(slot, key, row.value, isIndexed));
  });
  if (!all) return null;
  // What comes after the last one that was listed need not be missing.
  if (listing.complete && indexIsWhole) {
    for (const name of indexed) {
      const key = Buffer.from(name, 'latin1');
      listing.add({ slot: slotOfKey(key), key, token: '', state: 'missing', revision: 0, digest: '' });
    }
  }
  listing.next();
  return (await listIdempotency(reader, slots, pace, listing)) ? listing : null;
}

/** The keys that the index has of the slots, as many as may be listed; null: the pace has ended it. */
async function keysByIndex(reader: RowReader, slots: SlotRanges, pace: Pace): Promise<Set<string> | null> {
  const keys = new Set<string>();
  for (const [first, last] of slots) {
    const more = await eachRow(reader, slotIndexKey(first), slotIndexKey(last + 1), pace, (row) => {
      keys.add(keyOfSlotIndex(row.key).toString('latin1'));
      return keys.size < KEYS_MAX;
    });
    if (!more) return null;
  }
  return keys;
}

/** So many keys of slots are remembered at most, to tell which of them have no record. */
const KEYS_MAX = 100_000;

function listedRecord(slot: number, row: Buffer, value: Buffer, isIndexed: boolean): ListedRecord {
  const key = Buffer.from(row);
  if (headFault(key, value) !== null) return { slot, key, token: '', state: 'rotten', revision: 0, digest: '' };
  hashRecord(key, value);
  const digest = digestText(hash);
  const state = recordFault(key, value) !== null ? 'rotten' : isIndexed ? 'present' : 'unlisted';
  return { slot, key, token: '', state, revision: revisionOf(value), digest };
}

async function listIdempotency(reader: RowReader, slots: SlotRanges, pace: Pace, listing: Listing): Promise<boolean> {
  for (const [first, last] of slots) {
    const more = await eachRow(reader, idempotencyStart(first), idempotencyStart(last + 1), pace, (row) => {
      const place = placeOfIdempotency(row.key);
      const fault = idempotencyFault(place, row.value);
      // Its key cannot be told either.
      if (fault !== null) return true;
      const { slot, key, token } = parsePlace(place);
      hashIdempotency(place, row.value);
      const digest = digestText(hash);
      return listing.add({ slot, key: Buffer.from(key), token, state: 'present', revision: 0, digest });
    });
    if (!more) return false;
  }
  return true;
}
