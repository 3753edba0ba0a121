/**
 * All that the parts of the state machine share: rows, slots, the revision counter, the clock. What is in memory here is
 * what the rows say, plus what the round in progress has changed.
 *
 *   meta row := version:u8=1 crc:u32 layout:u8 ever_owned:u8 revision:f64 clock_ms:f64
 */
import type { StateEngine, StateRows } from '../../raft/index.js';
import { SlotState } from '../../shardctrl/index.js';
import { Arrivals } from './arrivals.js';
import { crc32cOf } from './checksum.js';
import type { NotServing } from './commands.js';
import { DamagedState } from './damaged-state.js';
import { digestText } from './digest.js';
import { DueHint } from './due-hint.js';
import { LAYOUT_VERSION, META_KEY, Table, tableStart } from './key-layout.js';
import { Receipts } from './receipts.js';
import { SideTable } from './side-table.js';
import { SlotTable } from './slot-table.js';

const FORMAT = 1;

export class StoreState {
  readonly engine: StateEngine;
  readonly rows: StateRows;
  readonly slots: SlotTable = new SlotTable();
  /** Changed while exported; by slot. */
  readonly noted: SideTable;
  /** Removed while imported; by slot. */
  readonly tombstones: SideTable;
  readonly arrivals: Arrivals = new Arrivals();
  readonly receipts: Receipts;
  /** Of the newest write; the next one gets one more. */
  revision = 0;
  /** The largest stamp applied, milliseconds since 1970. */
  clock_ms = 0;
  /** Whether the shard has ever owned a slot. */
  everOwned = false;
  readonly dueHint: DueHint = new DueHint();
  readonly #sideHash = new Uint32Array(4);
  #writtenMeta: Buffer | null = null;

  constructor(engine: StateEngine, rows: StateRows) {
    this.engine = engine;
    this.rows = rows;
    this.noted = new SideTable(Table.Noted, this.#sideHash);
    this.tombstones = new SideTable(Table.Tombstone, this.#sideHash);
    this.receipts = new Receipts(this.#sideHash);
  }

  /** Rejects with `DamagedState`, or with a plain error for a layout that this build does not know. */
  static async open(engine: StateEngine, rows: StateRows): Promise<StoreState> {
    const state = new StoreState(engine, rows);
    const meta = engine.get(META_KEY);
    if (meta === undefined) {
      const found = await engine.range({ gte: META_KEY, lt: tableStart(0xff), limit: 1 });
      if (found.length > 0) throw new DamagedState('the engine has rows but no meta row');
      return state;
    }
    state.#readMeta(meta);
    await state.slots.open(engine);
    await state.noted.open(engine);
    await state.tombstones.open(engine);
    await state.receipts.open(engine);
    return state;
  }

  #readMeta(row: Buffer): void {
    const meta = decodeMeta(row);
    this.revision = meta.revision;
    this.clock_ms = meta.clock_ms;
    this.everOwned = meta.everOwned;
    this.#writtenMeta = row;
  }

  /** Writes what the round has changed besides records. */
  endRound(): void {
    this.slots.write(this.rows);
    const meta = encodeMeta(this);
    if (this.#writtenMeta?.equals(meta) === true) return;
    this.#writtenMeta = meta;
    this.rows.put(META_KEY, meta);
  }

  nextRevision(): number {
    if (this.revision >= Number.MAX_SAFE_INTEGER) throw new Error('invariant: the revision counter is used up');
    this.revision++;
    return this.revision;
  }

  exporting(slot: number): boolean {
    return this.slots.control.state[slot] === SlotState.Exporting;
  }

  notServing(slot: number): NotServing {
    const { control } = this.slots;
    return { kind: 'not_serving', slot, state: control.state[slot] as SlotState, move: control.move[slot]! };
  }

  /** Of noted changes, removals and receipts. */
  sideHash(): string {
    return digestText(this.#sideHash);
  }

  stateHash(): string {
    return stateHashOf(this.slots.stateHash(), this.sideHash(), this);
  }
}

/** Of the hashes of its parts, wherever they come from. */
export const stateHashOf = (slots: string, side: string, { revision, clock_ms, everOwned }: Meta): string =>
  `${slots}-${side}-${revision}-${clock_ms}-${everOwned ? 1 : 0}`;

export interface Meta {
  readonly revision: number;
  readonly clock_ms: number;
  readonly everOwned: boolean;
}

function encodeMeta(meta: Meta): Buffer {
  const row = Buffer.allocUnsafe(23);
  row[0] = FORMAT;
  row[5] = LAYOUT_VERSION;
  row[6] = meta.everOwned ? 1 : 0;
  row.writeDoubleLE(meta.revision, 7);
  row.writeDoubleLE(meta.clock_ms, 15);
  row.writeUInt32LE(crc32cOf(row, 5, row.length), 1);
  return row;
}

/** Throws `DamagedState`, or a plain error for a layout that this build does not know. */
export function decodeMeta(row: Buffer): Meta {
  if (row[0] !== FORMAT) throw new DamagedState(`the meta row has format ${row[0]}, this build knows ${FORMAT}`);
  if (row.length < 7 || row.readUInt32LE(1) !== crc32cOf(row, 5, row.length)) {
    throw new DamagedState('checksum of the meta row does not match');
  }
  if (row[5] !== LAYOUT_VERSION) {
    throw new Error(`the shard's data has layout ${row[5]}, this build knows ${LAYOUT_VERSION}`);
  }
  return { everOwned: row[6] === 1, revision: row.readDoubleLE(7), clock_ms: row.readDoubleLE(15) };
}
