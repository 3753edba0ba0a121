/**
 * Expiry is a replicated decision: the leader finds what is due, proposes it, and each key goes only if by then it is still
 * the same and still due. Frozen and importing slots are left alone: their keys go where they are served.
 */
import { slotOfKey } from '../../shardctrl/index.js';
import type { ExpireCommand } from './commands.js';
import { DamagedState } from './damaged-state.js';
import { expireIdempotency } from './idempotency.js';
import {
  after,
  decodeKeyExpiry,
  idempotencyExpiryKey,
  keyExpiryKey,
  parsePlace,
  recordKey,
  subjectOfExpiry,
  Table,
  tableStart,
  timeOfExpiry,
} from './key-layout.js';
import { revisionOf } from './record-codec.js';
import { isDue, readRecord } from './record-table.js';
import type { StoreState } from './store-state.js';
import { removeKey } from './writes.js';

const SCAN_ROWS = 1_000;

/** Returns how many keys and idempotency records went. */
export function applyExpire(state: StoreState, command: ExpireCommand): number {
  let gone = 0;
  for (const { key, revision } of command.keys) {
    const slot = slotOfKey(key);
    if (!state.slots.control.serves(slot)) continue;
    const rowKey = recordKey(key);
    const row = readRecord(state, key, rowKey);
    if (row === undefined || revisionOf(row) !== revision || !isDue(state, row)) continue;
    removeKey(state, slot, key, rowKey, row);
    gone++;
  }
  for (const { key, idempotencyKey } of command.idempotency) {
    const slot = slotOfKey(key);
    if (state.slots.control.serves(slot) && expireIdempotency(state, slot, key, idempotencyKey)) gone++;
  }
  return gone;
}

/** False: `dueKeys` would find nothing. */
export const mayBeDue = (state: StoreState, now_ms: number): boolean => state.dueHint.mayBeDue(now_ms);

/**
 * What is due at `now_ms` in slots that are served, at most `limit` keys and records together; null if there is nothing,
 * or while an earlier call is still at work. Reads nothing while nothing can be due. The rows of all applied entries
 * should be in the engine; what is not there yet is found by the next call.
 */
export async function dueKeys(state: StoreState, now_ms: number, limit: number): Promise<ExpireCommand | null> {
  const from_ms = state.dueHint.begin(now_ms);
  if (from_ms === null) return null;
  const recent_ms = state.dueHint.takeRecent();
  let next_ms = from_ms;
  try {
    const found = await scanDue(state, from_ms, now_ms, limit);
    next_ms = Math.min(recent_ms, found.earliest_ms);
    return found.command;
  } finally {
    state.dueHint.end(next_ms);
  }
}

async function scanDue(
  state: StoreState,
  from_ms: number,
  now_ms: number,
  limit: number,
): Promise<{ readonly command: ExpireCommand | null; readonly earliest_ms: number }> {
  let earliest_ms = Number.POSITIVE_INFINITY;
  const keys: { key: Buffer; revision: number }[] = [];
  const idempotency: { key: Buffer; idempotencyKey: string }[] = [];
  const room = (): boolean => keys.length + idempotency.length < limit;
  await scan(state, keyExpiryKey(from_ms), keyExpiryKey(now_ms + 1), (row, value) => {
    earliest_ms = Math.min(earliest_ms, timeOfExpiry(row));
    const entry = decodeKeyExpiry(value);
    if (entry === null) throw new DamagedState('an expiry row is not what was written');
    if (state.slots.control.serves(entry.slot)) keys.push({ key: subjectOfExpiry(row), revision: entry.revision });
    return room();
  });
  // Without room the other table was not looked at, and may hold earlier rows.
  if (!room()) return { command: { kind: 'expire', keys, idempotency }, earliest_ms: from_ms };
  await scan(state, idempotencyExpiryKey(from_ms), idempotencyExpiryKey(now_ms + 1), (row) => {
    earliest_ms = Math.min(earliest_ms, timeOfExpiry(row));
    const { slot, key, token } = parsePlace(subjectOfExpiry(row));
    if (state.slots.control.serves(slot)) idempotency.push({ key, idempotencyKey: token });
    return room();
  });
  if (earliest_ms <= now_ms) {
    const nothing = keys.length + idempotency.length === 0;
    return { command: nothing ? null : { kind: 'expire', keys, idempotency }, earliest_ms };
  }
  return { command: null, earliest_ms: await firstAfter(state, now_ms) };
}

/** When the next row is due, of those behind `now_ms`; Infinity: there are none. */
async function firstAfter(state: StoreState, now_ms: number): Promise<number> {
  const [keys, idempotency] = await Promise.all([
    state.engine.range({ gte: keyExpiryKey(now_ms + 1), lt: tableStart(Table.KeyExpiry + 1), limit: 1 }),
    state.engine.range({
      gte: idempotencyExpiryKey(now_ms + 1),
      lt: tableStart(Table.IdempotencyExpiry + 1),
      limit: 1,
    }),
  ]);
  return Math.min(...[...keys, ...idempotency].map(({ key }) => timeOfExpiry(key)));
}

/** Calls `visit` for the rows in order, until it returns false. */
async function scan(
  state: StoreState,
  from: Buffer,
  to: Buffer,
  visit: (row: Buffer, value: Buffer) => boolean,
): Promise<void> {
  for (let gte = from; ; ) {
    const rows = await state.engine.range({ gte, lt: to, limit: SCAN_ROWS });
    for (const { key, value } of rows) if (!visit(key, value)) return;
    if (rows.length < SCAN_ROWS) return;
    gte = after(rows[rows.length - 1]!.key);
  }
}
