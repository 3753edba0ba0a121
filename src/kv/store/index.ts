export {
  COMMAND_HEAD_BYTES,
  decodeCommand,
  encodeCommand,
  hasToken,
  isWrite,
  needsTime,
  stampCommand,
  writeTarget,
} from './command-codec.js';
export { KEY_MAX_BYTES } from './command-format.js';
export * from './commands.js';
export { DamagedState } from './damaged-state.js';
export type { ExportCursor, ExportPage } from './exports.js';
export { IDEMPOTENCY_LIFE_MS } from './idempotency.js';
export { FINGERPRINT_BYTES, isIdempotencyKey } from './idempotency-codec.js';
export { KvStateMachine, type MarkTaker } from './kv-state-machine.js';
export { decodeLookup, decodeResult, encodeLookup, encodeResult, type Undecodable } from './result-codec.js';
export type { Finding, FindingKind } from './view/findings.js';
export type { MarkedView, ViewReport, ViewRequest } from './view/marked-view.js';
export type { ListedRecord, RecordListing } from './view/record-listing.js';
export type { Pace } from './view/view-rows.js';
