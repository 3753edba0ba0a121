/**
 * Bodies of forwarded operations (methods Write and Get).
 *
 * write request  := shard:u32le slot:u16le command            command as in kv/store's command-codec, unstamped
 * get request    := shard:u32le flags:u8 staleness:u32le key         flags: 1 = stale
 * reply          := 0 clock:f64le result            result of the state machine
 *                 | 1 reason:u8 leader:utf8         refused: certainly not applied; leader may be empty
 *                 | 2                               unknown: may or may not be applied
 */
import type { GroupId, NodeId } from '../../raft/index.js';
import { SLOT_COUNT } from '../../shardctrl/index.js';
import { COMMAND_HEAD_BYTES } from '../store/index.js';

export const REFUSALS = [
  'not_leader',
  'not_here',
  'overloaded',
  'superseded',
  'transferring',
  'too_old',
  'disk_full',
  'clock_unsure',
] as const;
export type Refusal = (typeof REFUSALS)[number];

export type ForwardReply =
  | { readonly kind: 'result'; readonly clock_ms: number; readonly body: Buffer }
  | { readonly kind: 'refused'; readonly reason: Refusal; readonly leader: NodeId | null }
  | { readonly kind: 'unknown' };

export function encodeWriteRequest(shard: GroupId, slot: number, command: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(6 + command.length);
  bytes.writeUInt32LE(shard, 0);
  bytes.writeUInt16LE(slot, 4);
  command.copy(bytes, 6);
  return bytes;
}

/** null: none. What the command says is judged when it is applied; here it must only have room for its stamp. */
export function decodeWriteRequest(bytes: Buffer): { shard: GroupId; slot: number; command: Buffer } | null {
  if (bytes.length < 6 + COMMAND_HEAD_BYTES) return null;
  const slot = bytes.readUInt16LE(4);
  return slot < SLOT_COUNT ? { shard: bytes.readUInt32LE(0), slot, command: bytes.subarray(6) } : null;
}

export interface GetForward {
  readonly shard: GroupId;
  /** null: linearizable. */
  readonly maxStaleness_ms: number | null;
  readonly key: Buffer;
}

export function encodeGetRequest(get: GetForward): Buffer {
  const bytes = Buffer.allocUnsafe(9 + get.key.length);
  bytes.writeUInt32LE(get.shard, 0);
  bytes[4] = get.maxStaleness_ms === null ? 0 : 1;
  bytes.writeUInt32LE(get.maxStaleness_ms ?? 0, 5);
  get.key.copy(bytes, 9);
  return bytes;
}

export function decodeGetRequest(bytes: Buffer): GetForward | null {
  if (bytes.length < 10) return null;
  return {
    shard: bytes.readUInt32LE(0),
    maxStaleness_ms: bytes[4] === 1 ? bytes.readUInt32LE(5) : null,
    key: bytes.subarray(9),
  };
}

export function encodeResultReply(clock_ms: number, result: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(9 + result.length);
  bytes[0] = 0;
  bytes.writeDoubleLE(clock_ms, 1);
  bytes.set(result, 9);
  return bytes;
}

export function encodeRefusal(reason: Refusal, leader: NodeId | null): Buffer {
  return Buffer.concat([Buffer.from([1, REFUSALS.indexOf(reason)]), Buffer.from(leader ?? '')]);
}

export const UNKNOWN_REPLY: Buffer = Buffer.from([2]);

/** A reply that is none of these is `unknown`: whatever it was to say, a write may have been applied. */
export function decodeForwardReply(bytes: Buffer): ForwardReply {
  if (bytes[0] === 0 && bytes.length >= 9) {
    return { kind: 'result', clock_ms: bytes.readDoubleLE(1), body: bytes.subarray(9) };
  }
  const reason = bytes[0] === 1 ? REFUSALS[bytes[1] ?? 255] : undefined;
  if (reason === undefined) return { kind: 'unknown' };
  const leader = bytes.toString('utf8', 2);
  return { kind: 'refused', reason, leader: leader === '' ? null : leader };
}
