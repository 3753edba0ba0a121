/**
 * One shard's page of a list. Rows, slot states and clock are all read from one snapshot of the engine, so that a page
 * speaks for exactly the slots whose keys it shows, whatever happens to them while it is read (F65).
 */
import type { EngineSnapshot } from '../../raft/index.js';
import { normalizeSlots, SLOT_COUNT, type SlotRange, type SlotRanges } from '../../shardctrl/index.js';
import type { ListItem, ListPage, ListRequest } from './commands.js';
import { DamagedState } from './damaged-state.js';
import { after, keyOfRecord, META_KEY, recordKey, Table, tableStart } from './key-layout.js';
import { decodeRecord, expiresOf, headFault, recordFault, slotOf } from './record-codec.js';
import { servedInBlock } from './slot-control.js';
import { decodeMeta, type StoreState } from './store-state.js';

const ROWS_PER_READ = 256;
const BYTES_PER_READ = 1024 * 1024;
const NO_VALUE = Buffer.alloc(0);

interface View {
  readonly served: SlotRanges;
  /** The same, 1 for each slot. */
  readonly serves: Uint8Array;
  readonly clock_ms: number;
}

/**
 * Ends early at `maxBytes` of keys and values, with `next`. The rows of all applied entries must be in the engine for the
 * list to see them. Rejects with `DamagedState` for a record that is not what was written (F38).
 */
export async function listPage(state: StoreState, request: ListRequest): Promise<ListPage> {
  const snapshot = state.engine.snapshot();
  try {
    const view = await readView(snapshot);
    const { items, next } = await collect(snapshot, view, request);
    return { items, served: view.served, next };
  } finally {
    await snapshot.close();
  }
}

async function readView(snapshot: EngineSnapshot): Promise<View> {
  const runs: SlotRange[] = [];
  const serves = new Uint8Array(SLOT_COUNT);
  const [meta] = await snapshot.range({ gte: META_KEY, lt: tableStart(Table.Meta + 1) });
  for (const { key, value } of await snapshot.range({
    gte: tableStart(Table.Control),
    lt: tableStart(Table.Control + 1),
  })) {
    const fault = servedInBlock(key[1]!, value, (first, last) => {
      runs.push([first, last]);
      serves.fill(1, first, last + 1);
    });
    if (fault !== null) throw new DamagedState(fault);
  }
  return { served: normalizeSlots(runs), serves, clock_ms: meta === undefined ? 0 : decodeMeta(meta.value).clock_ms };
}

async function collect(
  snapshot: EngineSnapshot,
  view: View,
  request: ListRequest,
): Promise<{ readonly items: readonly ListItem[]; readonly next: Buffer | null }> {
  const items: ListItem[] = [];
  const lt = request.end === null ? tableStart(Table.Record + 1) : recordKey(request.end);
  let bytes = 0;
  for (let gte = recordKey(request.start); Buffer.compare(gte, lt) < 0; ) {
    const limit = Math.min(ROWS_PER_READ, Math.max(request.limit - items.length, 1) + 1);
    const rows = await snapshot.range({ gte, lt, limit, maxBytes: BYTES_PER_READ });
    for (const row of rows) {
      const key = keyOfRecord(row.key);
      if (!shows(view, key, row.value)) continue;
      if (items.length >= request.limit || bytes >= request.maxBytes) return { items, next: Buffer.from(key) };
      const item = listItem(key, row.value, request.keysOnly);
      items.push(item);
      bytes += key.length + item.value.length;
    }
    if (rows.length === 0) break;
    gte = after(rows[rows.length - 1]!.key);
  }
  return { items, next: null };
}

function shows(view: View, key: Buffer, row: Buffer): boolean {
  const fault = headFault(key, row);
  if (fault !== null) throw new DamagedState(fault);
  const expires_ms = expiresOf(row);
  return view.serves[slotOf(row)] === 1 && (expires_ms === 0 || expires_ms > view.clock_ms);
}

function listItem(key: Buffer, row: Buffer, keysOnly: boolean): ListItem {
  if (keysOnly) return { key, ...decodeRecord(row), value: NO_VALUE };
  const fault = recordFault(key, row);
  if (fault !== null) throw new DamagedState(fault);
  return { key, ...decodeRecord(row) };
}
