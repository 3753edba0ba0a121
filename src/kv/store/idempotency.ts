/**
 * A retry has one effect (F50): the answer to a write that came with an idempotency key is remembered with the key's
 * slot, for ten minutes of the replicated clock, and travels with the slot.
 */
import type { Idempotency, WriteResult } from './commands.js';
import {
  encodeIdempotency,
  idempotencyExpires,
  type RecordedResult,
  recordedResult,
  sameFingerprint,
} from './idempotency-codec.js';
import { placeOf } from './key-layout.js';
import { putIdempotency, readIdempotency, removeIdempotency } from './record-table.js';
import { SubjectKind } from './side-table.js';
import type { StoreState } from './store-state.js';

/** How long a retry gets the first answer (http-api.md). */
export const IDEMPOTENCY_LIFE_MS = 600_000;

export interface Memory {
  readonly place: Buffer;
  /** The record of an earlier use of the key whose time has passed, or none. */
  readonly old: Buffer | undefined;
}

/** Either what to answer without doing anything, or where to remember the answer. */
export type Recalled = { readonly answer: WriteResult } | { readonly answer: null; readonly memory: Memory };

export function recall(state: StoreState, slot: number, key: Uint8Array, request: Idempotency): Recalled {
  const place = placeOf(slot, key, request.key);
  const old = readIdempotency(state, place);
  if (old === undefined || idempotencyExpires(old) <= state.clock_ms) return { answer: null, memory: { place, old } };
  return { answer: sameFingerprint(old, request.fingerprint) ? recordedResult(old) : { kind: 'conflict' } };
}

export function remember(
  state: StoreState,
  slot: number,
  key: Uint8Array,
  request: Idempotency,
  memory: Memory,
  result: RecordedResult,
): void {
  const expires_ms = Math.min(state.clock_ms + IDEMPOTENCY_LIFE_MS, Number.MAX_SAFE_INTEGER);
  const row = encodeIdempotency(memory.place, slot, request.fingerprint, expires_ms, result);
  putIdempotency(state, slot, memory.place, memory.old, row);
  note(state, slot, key, request.key, expires_ms);
}

/** Removes a record whose time has come; true if it did. The slot is served. */
export function expireIdempotency(state: StoreState, slot: number, key: Uint8Array, token: string): boolean {
  const place = placeOf(slot, key, token);
  const old = readIdempotency(state, place);
  if (old === undefined || idempotencyExpires(old) > state.clock_ms) return false;
  removeIdempotency(state, slot, place, old);
  note(state, slot, key, token, idempotencyExpires(old));
  return true;
}

function note(state: StoreState, slot: number, key: Uint8Array, token: string, expires_ms: number): void {
  if (!state.exporting(slot)) return;
  state.noted.raise(state.rows, slot, { kind: SubjectKind.Idempotency, key, token }, expires_ms);
}
