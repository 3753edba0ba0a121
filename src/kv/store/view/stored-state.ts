/**
 * All that a replica would read of its state when it opens, read from a view: states and sums of slots, notes and removals of
 * moves, receipts, revision and clock.
 */
import { DamagedState } from '../damaged-state.js';
import { digestText } from '../digest.js';
import { META_KEY, Table, tableStart } from '../key-layout.js';
import { Receipts } from '../receipts.js';
import { SideTable } from '../side-table.js';
import { type RowReader, SlotTable } from '../slot-table.js';
import { decodeMeta, type Meta } from '../store-state.js';

export interface StoredState {
  readonly slots: SlotTable;
  /** Changed while exported, and removed while imported. */
  readonly noted: SideTable;
  readonly tombstones: SideTable;
  /** As in `KeptState`. */
  readonly side: string;
  readonly meta: Meta;
}

/** Rejects with `DamagedState` for the first row that is not what was written. */
export async function readStoredState(reader: RowReader): Promise<StoredState> {
  const [meta] = await reader.range({ gte: META_KEY, lt: tableStart(Table.Meta + 1), limit: 1 });
  if (meta === undefined) throw new DamagedState('there is no meta row');
  const side = new Uint32Array(4);
  const slots = new SlotTable();
  const noted = new SideTable(Table.Noted, side);
  const tombstones = new SideTable(Table.Tombstone, side);
  await slots.open(reader);
  await noted.open(reader);
  await tombstones.open(reader);
  await new Receipts(side).open(reader);
  return { slots, noted, tombstones, side: digestText(side), meta: decodeMeta(meta.value) };
}
