/**
 * The answers to Freeze and Install, kept so that a repeated command gets the same answer. A receipt goes when its move is
 * no slot's floor any more.
 *
 *   row := version:u8=1 crc:u32 kind:u8 round:f64 index:f64 revision:f64 clock_ms:f64 keys:f64 bytes:f64 idempotency:f64 digest:16
 */
import type { StateRows } from '../../raft/index.js';
import type { MoveId, SlotSums } from '../../shardctrl/index.js';
import { BadBytes, ByteReader } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import { crc32cOf } from './checksum.js';
import { DamagedState } from './damaged-state.js';
import { addHash, hashPair, subtractHash } from './digest.js';
import { receiptKey, Table } from './key-layout.js';
import { type RowReader, tableRows } from './slot-table.js';

const FORMAT = 1;
const HASH_SEED = 0x3c6ef372;

export interface Receipt {
  readonly kind: 'freeze' | 'install';
  readonly round: number;
  /** Index of the Freeze or Install entry. */
  readonly index: number;
  /** The shard's revision counter and clock then. */
  readonly revision: number;
  readonly clock_ms: number;
  readonly sums: SlotSums;
}

interface Kept {
  readonly receipt: Receipt;
  readonly row: Buffer;
}

export class Receipts {
  readonly #moves = new Map<MoveId, Kept>();
  readonly #hash: Uint32Array;

  /** `hash` takes in the rows' hashes. */
  constructor(hash: Uint32Array) {
    this.#hash = hash;
  }

  async open(engine: RowReader): Promise<void> {
    for (const { key, value } of await tableRows(engine, Table.Receipt)) {
      const move = Number(key.readBigUInt64BE(1));
      this.#keep(key, move, { receipt: decodeReceipt(key, value), row: value });
    }
  }

  get(move: MoveId): Receipt | null {
    return this.#moves.get(move)?.receipt ?? null;
  }

  put(rows: StateRows, move: MoveId, receipt: Receipt): void {
    this.drop(rows, move);
    const key = receiptKey(move);
    const row = encode(key, receipt);
    this.#keep(key, move, { receipt, row });
    rows.put(key, row);
  }

  #keep(key: Buffer, move: MoveId, kept: Kept): void {
    this.#moves.set(move, kept);
    hashPair(HASH_SEED, key, kept.row);
    addHash(this.#hash, 0);
  }

  drop(rows: StateRows, move: MoveId): void {
    const kept = this.#moves.get(move);
    if (kept === undefined) return;
    const key = receiptKey(move);
    this.#moves.delete(move);
    hashPair(HASH_SEED, key, kept.row);
    subtractHash(this.#hash, 0);
    rows.delete(key);
  }
}

function encode(key: Buffer, { kind, round, index, revision, clock_ms, sums }: Receipt): Buffer {
  const row = new ByteWriter()
    .u8(FORMAT)
    .u32(0)
    .u8(kind === 'freeze' ? 1 : 2)
    .f64(round)
    .f64(index)
    .f64(revision)
    .f64(clock_ms)
    .f64(sums.keys)
    .f64(sums.bytes)
    .f64(sums.idempotencyRecords)
    .raw(Buffer.from(sums.digest, 'hex'))
    .done();
  row.writeUInt32LE(checksum(key, row), 1);
  return row;
}

const checksum = (key: Buffer, row: Buffer): number => crc32cOf(row, 5, row.length, crc32cOf(key, 0, key.length));

/** Throws `DamagedState` if the row is not what was written. */
export function decodeReceipt(key: Buffer, row: Buffer): Receipt {
  if (row[0] !== FORMAT) throw new DamagedState(`a receipt has format ${row[0]}, this build knows ${FORMAT}`);
  if (row.length < 5 || row.readUInt32LE(1) !== checksum(key, row)) {
    throw new DamagedState('checksum of a receipt does not match');
  }
  try {
    const reader = new ByteReader(row, 5);
    const kind = reader.u8('kind') === 1 ? 'freeze' : 'install';
    const round = reader.count('round');
    const index = reader.count('index');
    const revision = reader.count('revision');
    const clock_ms = reader.count('clock');
    const keys = reader.count('keys');
    const bytes = reader.count('bytes');
    const idempotencyRecords = reader.count('idempotency records');
    const digest = reader.raw(16, 'digest').toString('hex');
    reader.end();
    return { kind, round, index, revision, clock_ms, sums: { keys, bytes, digest, idempotencyRecords } };
  } catch (error) {
    if (error instanceof BadBytes) throw new DamagedState(`a receipt ${error.message}`);
    throw error;
  }
}
