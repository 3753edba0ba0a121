/**
 * Small tables that go with a move: what changed while a slot was exported, what was removed while it was imported. For
 * each key (or idempotency record) the revision of the latest such event.
 *
 * Kept in memory as well as in rows, because ending a move must clear a slot's rows at once, and apply can't scan. Their
 * size is bounded by what changes during a copy. `revision` of an idempotency record is the time it expires.
 *
 * Events are counted (`newest`): what a copy has not told yet are those of a higher number. The count is this process's, not
 * part of the state; after a restart every subject gets a new one.
 */
import type { StateRows } from '../../raft/index.js';
import { eachSlot, type SlotRanges } from '../../shardctrl/index.js';
import { crc32cOf } from './checksum.js';
import { DamagedState } from './damaged-state.js';
import { addHash, hashPair, subtractHash } from './digest.js';
import { type RowReader, tableRows } from './slot-table.js';

export const SubjectKind = { Key: 0, Idempotency: 1 } as const;
export type SubjectKind = (typeof SubjectKind)[keyof typeof SubjectKind];

export interface Subject {
  readonly kind: SubjectKind;
  readonly key: Uint8Array;
  /** Empty for a key. */
  readonly token: string;
}

interface SideRow extends Subject {
  readonly row: Buffer;
  revision: number;
  order: number;
}

const HASH_SEED = 0x0d15ea5e;
const HEAD_BYTES = 6;

export class SideTable {
  readonly #table: number;
  readonly #slots = new Map<number, Map<string, SideRow>>();
  readonly #hash: Uint32Array;
  #newest = 0;

  /** `hash` takes in the rows' hashes. */
  constructor(table: number, hash: Uint32Array) {
    this.#table = table;
    this.#hash = hash;
  }

  async open(engine: RowReader): Promise<void> {
    for (const { key, value } of await tableRows(engine, this.#table)) {
      const fault = sideFault(key, value);
      if (fault !== null) throw new DamagedState(fault);
      const keyEnd = HEAD_BYTES + key.readUInt16BE(4);
      const kind = key[3] === SubjectKind.Key ? SubjectKind.Key : SubjectKind.Idempotency;
      const subject = { kind, key: key.subarray(HEAD_BYTES, keyEnd), token: key.toString('latin1', keyEnd) };
      const row = { ...subject, row: key, revision: value.readDoubleLE(0), order: ++this.#newest };
      this.#of(key.readUInt16BE(1)).set(key.toString('latin1'), row);
      hashPair(HASH_SEED, key, value);
      addHash(this.#hash, 0);
    }
  }

  #of(slot: number): Map<string, SideRow> {
    let rows = this.#slots.get(slot);
    if (rows === undefined) {
      rows = new Map();
      this.#slots.set(slot, rows);
    }
    return rows;
  }

  #rowKey(slot: number, subject: Subject): Buffer {
    const row = Buffer.allocUnsafe(HEAD_BYTES + subject.key.length + subject.token.length);
    row[0] = this.#table;
    row.writeUInt16BE(slot, 1);
    row[3] = subject.kind;
    row.writeUInt16BE(subject.key.length, 4);
    row.set(subject.key, HEAD_BYTES);
    row.write(subject.token, HEAD_BYTES + subject.key.length, 'latin1');
    return row;
  }

  /** A revision never goes down. */
  raise(rows: StateRows, slot: number, subject: Subject, revision: number): void {
    const row = this.#rowKey(slot, subject);
    const text = row.toString('latin1');
    const slotRows = this.#of(slot);
    const known = slotRows.get(text);
    const order = ++this.#newest;
    if (known !== undefined) {
      known.order = order;
      if (known.revision >= revision) return;
      hashPair(HASH_SEED, row, rowValue(row, known.revision));
      subtractHash(this.#hash, 0);
      known.revision = revision;
    } else {
      const { kind, token } = subject;
      slotRows.set(text, {
        kind,
        token,
        key: row.subarray(HEAD_BYTES, row.length - token.length),
        row,
        revision,
        order,
      });
    }
    const value = rowValue(row, revision);
    hashPair(HASH_SEED, row, value);
    addHash(this.#hash, 0);
    rows.put(row, value);
  }

  /** 0: none. */
  revisionOf(slot: number, subject: Subject): number {
    const slotRows = this.#slots.get(slot);
    if (slotRows === undefined) return 0;
    return slotRows.get(this.#rowKey(slot, subject).toString('latin1'))?.revision ?? 0;
  }

  clear(rows: StateRows, slot: number): void {
    const slotRows = this.#slots.get(slot);
    if (slotRows === undefined) return;
    for (const { row, revision } of slotRows.values()) {
      hashPair(HASH_SEED, row, rowValue(row, revision));
      subtractHash(this.#hash, 0);
      rows.delete(row);
    }
    this.#slots.delete(slot);
  }

  /** The number of the latest event. */
  get newest(): number {
    return this.#newest;
  }

  /** In no particular order, but new ones come last. `order`: the number of the latest event. */
  subjects(slot: number): Iterable<Subject & { readonly revision: number; readonly order: number }> {
    return this.#slots.get(slot)?.values() ?? [];
  }

  /** How many subjects of the slots have an event after the one of this number. */
  countAfter(slots: SlotRanges, order: number): number {
    let count = 0;
    for (const slot of eachSlot(slots)) for (const subject of this.subjects(slot)) if (subject.order > order) count++;
    return count;
  }

  count(slot: number): number {
    return this.#slots.get(slot)?.size ?? 0;
  }
}

function rowValue(row: Buffer, revision: number): Buffer {
  const value = Buffer.allocUnsafe(12);
  value.writeDoubleLE(revision, 0);
  value.writeUInt32LE(checksum(row, value), 8);
  return value;
}

const checksum = (row: Buffer, value: Buffer): number => crc32cOf(value, 0, 8, crc32cOf(row, 0, row.length));

/** What is wrong with a row of such a table, or null (F38). */
export function sideFault(key: Buffer, row: Buffer): string | null {
  const sound = row.length === 12 && row.readUInt32LE(8) === checksum(key, row);
  return sound ? null : 'checksum of a noted change does not match';
}
