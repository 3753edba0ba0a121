/**
 * Every row that carries a checksum, asked whether it is what was written (F38): rot is found where rows are streamed to
 * another replica, by the one that has it. Rows of indexes (slots, times of expiry) have none: what they say is compared
 * with the record when it is used.
 */
import { DamagedState } from './damaged-state.js';

import { idempotencyFault } from './idempotency-codec.js';
import { keyOfRecord, placeOfIdempotency, Table } from './key-layout.js';
import { decodeReceipt } from './receipts.js';
import { recordFault } from './record-codec.js';
import { sideFault } from './side-table.js';
import { servedInBlock } from './slot-control.js';
import { decodeMeta } from './store-state.js';
import { sumsFault } from './sums-table.js';

/** Why the row is not what was written, or null. */
export function rowFault(key: Buffer, value: Buffer): string | null {
  switch (key[0]) {
    case Table.Meta:
      return thrown(() => decodeMeta(value));
    case Table.Control:
      return servedInBlock(key[1]!, value, () => {});
    case Table.Sums:
    case Table.SumsJournal:
      return sumsFault(key, value);
    case Table.Receipt:
      return thrown(() => decodeReceipt(key, value));
    case Table.Record:
      return recordFault(keyOfRecord(key), value);
    case Table.Idempotency:
      return idempotencyFault(placeOfIdempotency(key), value);
    case Table.Noted:
    case Table.Tombstone:
      return sideFault(key, value);
    default:
      return null;
  }
}

function thrown(decode: () => unknown): string | null {
  try {
    decode();
    return null;
  } catch (error) {
    if (error instanceof DamagedState) return error.message;
    throw error;
  }
}
