/**
 * The destination's half of a copy: pages go in as ordinary entries. A record wins only by a higher revision, so pages may
 * come late, twice and in any order and still make the same slot; a removal is remembered until Install.
 */
import { containsSlot, MoveOutcome, type SlotAnswer, type SlotRanges, SlotState } from '../../shardctrl/index.js';
import { BadBytes } from './byte-reader.js';
import type { Malformed, PageCommand } from './commands.js';
import { idempotencyExpires } from './idempotency-codec.js';
import { placeOf, recordKey } from './key-layout.js';
import { judgePage } from './move-guards.js';
import { answerOf, judgeAll, stepSlot } from './moves.js';
import { decodePageRecord, type PageItem } from './page-codec.js';
import { revisionOf } from './record-codec.js';
import {
  peekRecord,
  putIdempotency,
  putRecord,
  readIdempotency,
  removeIdempotency,
  removeRecord,
} from './record-table.js';
import { type Subject, SubjectKind } from './side-table.js';
import type { StoreState } from './store-state.js';

export function applyPage(state: StoreState, command: PageCommand): SlotAnswer | Malformed {
  const items = decodeItems(command);
  if (!Array.isArray(items)) return items;
  const { move, slots } = command;
  const verdict = judgeAll(slots, (slot) => judgePage(state.slots.control, slot, move, state.slots.isEmpty(slot)));
  if (verdict !== 'do') return answerOf(state, command, verdict);
  open(state, move, slots);
  for (const item of items) merge(state, item);
  return { kind: 'ok' };
}

/** All records are read before anything is changed. */
function decodeItems(command: PageCommand): PageItem[] | Malformed {
  const items: PageItem[] = [];
  for (const record of command.records) {
    try {
      const item = decodePageRecord(record);
      if (!containsSlot(command.slots, item.slot))
        throw new BadBytes('has a page record of a slot that is not in the move');
      items.push(item);
    } catch (error) {
      if (error instanceof BadBytes) return { kind: 'malformed', detail: `command ${error.message}` };
      throw error;
    }
  }
  return items;
}

function open(state: StoreState, move: number, slots: SlotRanges): void {
  const step = {
    state: SlotState.Importing,
    outcome: MoveOutcome.Open,
    move,
    floor: move,
    freezeRound: 0,
    barredRound: 0,
  };
  for (const [first, last] of slots) {
    for (let slot = first; slot <= last; slot++) {
      if (state.slots.control.state[slot] !== SlotState.None) continue;
      stepSlot(state, slot, step);
      state.arrivals.open(slot);
    }
  }
}

function merge(state: StoreState, item: PageItem): void {
  switch (item.kind) {
    case 'key':
      return mergeKey(state, item);
    case 'idempotency':
      return mergeIdempotency(state, item);
    case 'removed':
      return mergeRemoval(state, item);
  }
}

const keySubject = (key: Uint8Array): Subject => ({ kind: SubjectKind.Key, key, token: '' });
const idempotencySubject = (key: Uint8Array, token: string): Subject => ({ kind: SubjectKind.Idempotency, key, token });

function mergeKey(state: StoreState, item: Extract<PageItem, { kind: 'key' }>): void {
  const { slot, key, row } = item;
  const rowKey = recordKey(key);
  const old = state.arrivals.isNew(slot, key) ? undefined : peekRecord(state, key, rowKey);
  const revision = revisionOf(row);
  if (old !== undefined && revisionOf(old) >= revision) return;
  if (state.tombstones.revisionOf(slot, keySubject(key)) >= revision) return;
  putRecord(state, slot, key, rowKey, old, Buffer.from(row));
}

function mergeIdempotency(state: StoreState, item: Extract<PageItem, { kind: 'idempotency' }>): void {
  const { slot, key, token, place, row } = item;
  const old = readIdempotency(state, place);
  const expires_ms = idempotencyExpires(row);
  if (old !== undefined && idempotencyExpires(old) >= expires_ms) return;
  if (state.tombstones.revisionOf(slot, idempotencySubject(key, token)) >= expires_ms) return;
  putIdempotency(state, slot, place, old, Buffer.from(row));
}

function mergeRemoval(state: StoreState, item: Extract<PageItem, { kind: 'removed' }>): void {
  const { slot, key, token, revision } = item;
  if (token === '') {
    const rowKey = recordKey(key);
    const old = peekRecord(state, key, rowKey);
    if (old !== undefined && revisionOf(old) <= revision) removeRecord(state, slot, key, rowKey, old);
    state.tombstones.raise(state.rows, slot, keySubject(key), revision);
    return;
  }
  const place = placeOf(slot, key, token);
  const old = readIdempotency(state, place);
  if (old !== undefined && idempotencyExpires(old) <= revision) removeIdempotency(state, slot, place, old);
  state.tombstones.raise(state.rows, slot, idempotencySubject(key, token), revision);
}
