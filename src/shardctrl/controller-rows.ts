/**
 * The controller's state as rows, and a digest over them.
 *
 *   key   := 'M'                          what there is one of: cluster id, epoch, next ids, clock
 *          | 'E' epoch:u48                how this epoch came about, or its whole map
 *          | 'P' plan:u48                 a plan without its moves
 *          | 'V' plan:u48 move:u48        one move of a plan
 *          | 'R' plan:u48 number:u48      one receipt
 *          | 'F' plan:u48                 what slots held when the plan was made, where it goes by that
 *          | 'B' move:u48                 a batch in flight
 *          | 'T' shard:u48                a tombstone
 *          | 'C' group:u48                a change of a group's members that is under way
 *          | 'S'                          what operators have set; not there: nothing yet
 *   value := version:u8 crc32c:u32 json   numbers big endian; the checksum is over the JSON
 *
 * The digest is the sum of a hash of every row, so that it needs no order and is kept up row by row (F30).
 */
import { createHash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import { ReplicaDamaged, type StateRows } from '../raft/index.js';

const VERSION = 1;
const HEAD_BYTES = 5;
const MASK = (1n << 128n) - 1n;

export const RowKind = {
  Meta: 0x4d,
  Epoch: 0x45,
  Plan: 0x50,
  Move: 0x56,
  Receipt: 0x52,
  Batch: 0x42,
  Tombstone: 0x54,
  Change: 0x43,
  Settings: 0x53,
  Figures: 0x46,
} as const;
export type RowKind = (typeof RowKind)[keyof typeof RowKind];

export function rowKey(kind: RowKind, ...numbers: readonly number[]): Buffer {
  const key = Buffer.alloc(1 + 6 * numbers.length);
  key[0] = kind;
  for (let i = 0; i < numbers.length; i++) key.writeUIntBE(numbers[i]!, 1 + 6 * i, 6);
  return key;
}

function encodeRow(value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  const row = Buffer.allocUnsafe(HEAD_BYTES + json.length);
  row[0] = VERSION;
  row.writeUInt32BE(crc32c(json), 1);
  json.copy(row, HEAD_BYTES);
  return row;
}

/** Why the row is not what `put` wrote, or null (F38). */
export function rowFault(key: Uint8Array, row: Buffer): string | null {
  const name = `row ${Buffer.from(key).toString('hex')} of the controller's state`;
  if (row[0] !== VERSION) return `${name} has format ${row[0]}, this build knows ${VERSION}`;
  const sound = row.length > HEAD_BYTES && row.readUInt32BE(1) === crc32c(row.subarray(HEAD_BYTES));
  return sound ? null : `${name} is corrupt`;
}

/** Throws `ReplicaDamaged` if it has a fault. Returns its JSON. */
function checkRow(key: Uint8Array, row: Buffer): Buffer {
  const fault = rowFault(key, row);
  if (fault !== null) throw new ReplicaDamaged(fault);
  return row.subarray(HEAD_BYTES);
}

/** Throws as `checkRow` does. */
export const decodeRow = (key: Uint8Array, row: Buffer): unknown => JSON.parse(checkRow(key, row).toString('utf8'));

/** Rows as JSON values, with the digest kept up. */
export class DigestedRows {
  readonly #rows: StateRows;
  #sum = 0n;

  constructor(rows: StateRows) {
    this.#rows = rows;
  }

  /** Counts a row that was there when the state was opened. */
  count(key: Uint8Array, row: Uint8Array): void {
    this.#sum = (this.#sum + hashOf(key, row)) & MASK;
  }

  get(key: Uint8Array): unknown {
    const row = this.#rows.get(key);
    return row === undefined ? undefined : decodeRow(key, row);
  }

  put(key: Uint8Array, value: unknown): void {
    this.#uncount(key);
    const row = encodeRow(value);
    this.count(key, row);
    this.#rows.put(key, row);
  }

  delete(key: Uint8Array): void {
    this.#uncount(key);
    this.#rows.delete(key);
  }

  #uncount(key: Uint8Array): void {
    const old = this.#rows.get(key);
    if (old === undefined) return;
    // Else what rotted would be taken off the digest in place of what was counted.
    checkRow(key, old);
    this.#sum = (this.#sum - hashOf(key, old)) & MASK;
  }

  digest(): string {
    return this.#sum.toString(16).padStart(32, '0');
  }
}

function hashOf(key: Uint8Array, row: Uint8Array): bigint {
  const hash = createHash('sha256').update(Uint8Array.of(key.length)).update(key).update(row).digest('hex');
  return BigInt(`0x${hash.slice(0, 32)}`);
}
