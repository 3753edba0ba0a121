/**
 * PUT and DELETE (http-api.md): ownership, idempotency, expiry, conditions and then the effect, in this order. Ownership
 * is judged here, where the entry is applied, and nowhere earlier (F51, F52).
 */
import { slotOfKey } from '../../shardctrl/index.js';
import type { Condition, NotServing, WriteCommand, WriteResult } from './commands.js';
import { recall, remember } from './idempotency.js';
import type { RecordedResult } from './idempotency-codec.js';
import { recordKey } from './key-layout.js';
import { encodeRecord, revisionOf, versionOf } from './record-codec.js';
import { isDue, putRecord, readRecord, removeRecord } from './record-table.js';
import { SubjectKind } from './side-table.js';
import type { StoreState } from './store-state.js';

const MISSING: RecordedResult = { kind: 'missing' };

export function applyWrite(state: StoreState, command: WriteCommand): WriteResult | NotServing {
  const { key, idempotency } = command;
  const slot = slotOfKey(key);
  if (!state.slots.control.serves(slot)) return state.notServing(slot);
  if (idempotency === null) return write(state, slot, command);
  const recalled = recall(state, slot, key, idempotency);
  if (recalled.answer !== null) return recalled.answer;
  const result = write(state, slot, command);
  remember(state, slot, key, idempotency, recalled.memory, result);
  return result;
}

function write(state: StoreState, slot: number, command: WriteCommand): RecordedResult {
  const { key } = command;
  const rowKey = recordKey(key);
  const found = readRecord(state, key, rowKey);
  const due = found !== undefined && isDue(state, found);
  const live = due ? undefined : found;
  const failed = failure(command.condition, live);
  if (failed === null && command.kind === 'put') {
    const revision = state.nextRevision();
    const version = live === undefined ? 1 : versionOf(live) + 1;
    const expires_ms = command.ttl_ms === 0 ? 0 : Math.min(state.clock_ms + command.ttl_ms, Number.MAX_SAFE_INTEGER);
    const fields = { slot, contentType: command.contentType, revision, version, expires_ms };
    putRecord(state, slot, key, rowKey, found, encodeRecord(key, fields, command.value));
    noteKey(state, slot, key, revision);
    return { kind: 'stored', created: live === undefined, revision, version };
  }
  if (due) removeKey(state, slot, key, rowKey, found);
  if (failed !== null) return failed;
  if (live === undefined) return MISSING;
  return { kind: 'deleted', revision: removeKey(state, slot, key, rowKey, live) };
}

function failure(condition: Condition, live: Buffer | undefined): RecordedResult | null {
  const holds =
    condition.kind === 'none' ||
    (condition.kind === 'absent'
      ? live === undefined
      : live !== undefined && (condition.kind === 'exists' || revisionOf(live) === condition.revision));
  if (holds) return null;
  return { kind: 'precondition_failed', revision: live === undefined ? null : revisionOf(live) };
}

/** A removal, also by expiry, draws a revision: it is an event of the key like any other. Returns it. */
export function removeKey(state: StoreState, slot: number, key: Uint8Array, rowKey: Buffer, old: Buffer): number {
  const revision = state.nextRevision();
  removeRecord(state, slot, key, rowKey, old);
  noteKey(state, slot, key, revision);
  return revision;
}

function noteKey(state: StoreState, slot: number, key: Uint8Array, revision: number): void {
  if (!state.exporting(slot)) return;
  state.noted.raise(state.rows, slot, { kind: SubjectKind.Key, key, token: '' }, revision);
}
