/**
 * Commands as they stand in the log. Numbers are little-endian, `f64` a whole number kept in a double.
 *
 *   command  := version:u8=1 kind:u8 stamp_ms:f64 body            -- the stamp's place is fixed: it is set when the entry is appended
 *   put      := flags:u8 type:u8 key_length:u16 ttl_ms:f64 revision:f64 key [text] [token] value
 *   delete   := flags:u8 0:u8    key_length:u16 0:f64      revision:f64 key [token]
 *   flags    := condition in bits 0-1 (none, exists, absent, revision); bit 2: there is a token
 *   text     := length:u16 utf8                                   -- if type is 255, see content-type.ts
 *   token    := length:u8 key:ascii fingerprint:16
 *   rest     := see command-bodies.ts
 *
 * `decodeCommand` takes any bytes: what this build does not understand is `malformed`, the same on every replica.
 * Byte strings of a decoded command are views into its bytes.
 */
import { asBuffer, BadBytes, wholeNumber } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import { decodeBody, encodeBody, kindOf } from './command-bodies.js';
import { CommandKind, KEY_MAX_BYTES } from './command-format.js';
import type { Condition, Idempotency, KvCommand, Malformed, StampedCommand, WriteCommand } from './commands.js';
import { CONTENT_TYPE_MAX_BYTES, contentTypeCode, contentTypeOfCode, EXPLICIT_TYPE } from './content-type.js';
import { FINGERPRINT_BYTES, isIdempotencyKey } from './idempotency-codec.js';

const VERSION = 1;
const STAMP_AT = 2;
const BODY_AT = 10;
/** Version, kind and stamp: whatever is shorter is no command. */
export const COMMAND_HEAD_BYTES = BODY_AT;
const TYPE_AT = 11;
const KEY_LENGTH_AT = 12;
const TTL_AT = 14;
const REVISION_AT = 22;
const KEY_AT = 30;
const HAS_TOKEN = 4;

const CONDITIONS = ['none', 'exists', 'absent', 'revision'] as const;
const NONE: Condition = { kind: 'none' };
const EXISTS: Condition = { kind: 'exists' };
const ABSENT: Condition = { kind: 'absent' };
const NO_VALUE = Buffer.alloc(0);

/** A delete of a key and the `delete` of the slots of a move share their name; only writes have a key. */
export const isWrite = (command: KvCommand): command is WriteCommand => 'key' in command;

/** Throws only on a caller's mistake: a key, content type or idempotency key that the API must have refused. */
export function encodeCommand(command: KvCommand, stamp_ms: number): Buffer {
  if (isWrite(command)) return encodeWrite(command, stamp_ms);
  const writer = new ByteWriter().u8(VERSION).u8(kindOf(command)).f64(stamp_ms);
  encodeBody(writer, command);
  return writer.done();
}

/** Replaces the stamp of an encoded command, in place. */
export function stampCommand(command: Buffer, stamp_ms: number): void {
  command.writeDoubleLE(stamp_ms, STAMP_AT);
}

/** The command is to be judged by the time it is stamped with: it asks for a time to live. */
export function needsTime(command: Buffer): boolean {
  return command[1] === CommandKind.Put && command.length >= KEY_AT && command.readDoubleLE(TTL_AT) > 0;
}

/** Its result is kept, for as long as stamps say, for whoever sends it again. */
export function hasToken(command: Buffer): boolean {
  const isWrite = command[1] === CommandKind.Put || command[1] === CommandKind.Delete;
  return isWrite && command.length >= KEY_AT && (command[BODY_AT]! & HAS_TOKEN) !== 0;
}

function encodeWrite(command: WriteCommand, stamp_ms: number): Buffer {
  const { key, condition, idempotency } = command;
  const put = command.kind === 'put';
  const type = put ? contentTypeCode(command.contentType) : 0;
  const text = put && type === EXPLICIT_TYPE ? command.contentType : '';
  const textLength = type === EXPLICIT_TYPE ? 2 + Buffer.byteLength(text) : 0;
  const value = put ? command.value : NO_VALUE;
  checkWrite(command, textLength);
  const tokenLength = idempotency === null ? 0 : 1 + idempotency.key.length + FINGERPRINT_BYTES;
  const bytes = Buffer.allocUnsafe(KEY_AT + key.length + textLength + tokenLength + value.length);
  bytes[0] = VERSION;
  bytes[1] = put ? CommandKind.Put : CommandKind.Delete;
  bytes.writeDoubleLE(stamp_ms, STAMP_AT);
  bytes[BODY_AT] = CONDITIONS.indexOf(condition.kind) | (idempotency === null ? 0 : HAS_TOKEN);
  bytes[TYPE_AT] = type;
  bytes.writeUInt16LE(key.length, KEY_LENGTH_AT);
  bytes.writeDoubleLE(put ? command.ttl_ms : 0, TTL_AT);
  bytes.writeDoubleLE(condition.kind === 'revision' ? condition.revision : 0, REVISION_AT);
  bytes.set(key, KEY_AT);
  let at = KEY_AT + key.length;
  if (textLength > 0) {
    bytes.writeUInt16LE(textLength - 2, at);
    bytes.write(text, at + 2);
    at += textLength;
  }
  if (idempotency !== null) {
    bytes[at] = idempotency.key.length;
    bytes.write(idempotency.key, at + 1, 'latin1');
    bytes.set(idempotency.fingerprint, at + 1 + idempotency.key.length);
    at += tokenLength;
  }
  bytes.set(value, at);
  return bytes;
}

function checkWrite(command: WriteCommand, textLength: number): void {
  const { key, idempotency } = command;
  if (key.length < 1 || key.length > KEY_MAX_BYTES) throw new Error(`invariant: a key of ${key.length} bytes`);
  if (textLength > CONTENT_TYPE_MAX_BYTES) throw new Error('invariant: an overlong content type');
  if (idempotency === null) return;
  if (!isIdempotencyKey(idempotency.key)) throw new Error('invariant: an invalid idempotency key');
  if (idempotency.fingerprint.length !== FINGERPRINT_BYTES) throw new Error('invariant: a fingerprint has 16 bytes');
}

/** Any bytes are answered, none throw. */
export function decodeCommand(data: Uint8Array): StampedCommand | Malformed {
  try {
    return decode(asBuffer(data));
  } catch (error) {
    if (error instanceof BadBytes) return { kind: 'malformed', detail: `command ${error.message}` };
    throw error;
  }
}

function decode(bytes: Buffer): StampedCommand {
  if (bytes.length < BODY_AT) throw new BadBytes('ends inside its head');
  if (bytes[0] !== VERSION) throw new BadBytes(`has format ${bytes[0]}, this build knows ${VERSION}`);
  const stamp_ms = wholeNumber(bytes.readDoubleLE(STAMP_AT), 'stamp');
  const kind = bytes[1]!;
  const command =
    kind === CommandKind.Put || kind === CommandKind.Delete
      ? decodeWrite(bytes, kind)
      : decodeBody(kind, bytes, BODY_AT);
  return { stamp_ms, command };
}

/** The key that a put or delete is about, and the key of its idempotency record; null for other commands and for bad bytes. */
export function writeTarget(data: Uint8Array): { readonly key: Buffer; readonly token: Idempotency | null } | null {
  const kind = data[1];
  if (kind !== CommandKind.Put && kind !== CommandKind.Delete) return null;
  const decoded = decodeCommand(data);
  if (!('command' in decoded)) return null;
  const write = decoded.command as WriteCommand;
  return { key: write.key as Buffer, token: write.idempotency };
}

function decodeWrite(bytes: Buffer, kind: number): WriteCommand {
  if (bytes.length < KEY_AT) throw new BadBytes('ends inside its head');
  const flags = bytes[BODY_AT]!;
  if (flags >= HAS_TOKEN * 2) throw new BadBytes(`has unknown flags ${flags}`);
  const keyLength = bytes.readUInt16LE(KEY_LENGTH_AT);
  if (keyLength < 1 || keyLength > KEY_MAX_BYTES) throw new BadBytes(`has a key of ${keyLength} bytes`);
  const keyEnd = KEY_AT + keyLength;
  if (keyEnd > bytes.length) throw new BadBytes('ends inside its key');
  const key = bytes.subarray(KEY_AT, keyEnd);
  const condition = decodeCondition(flags & 3, bytes);
  const typeEnd = kind === CommandKind.Put && bytes[TYPE_AT] === EXPLICIT_TYPE ? textEnd(bytes, keyEnd) : keyEnd;
  const idempotency = (flags & HAS_TOKEN) === 0 ? null : decodeToken(bytes, typeEnd);
  const end = idempotency === null ? typeEnd : typeEnd + 1 + idempotency.key.length + FINGERPRINT_BYTES;
  if (kind === CommandKind.Delete) {
    if (end !== bytes.length) throw new BadBytes(`has ${bytes.length - end} bytes too many`);
    return { kind: 'delete', key, condition, idempotency };
  }
  const contentType = decodeType(bytes, keyEnd, typeEnd);
  const ttl_ms = wholeNumber(bytes.readDoubleLE(TTL_AT), 'ttl');
  return { kind: 'put', key, value: bytes.subarray(end), contentType, ttl_ms, condition, idempotency };
}

function decodeCondition(code: number, bytes: Buffer): Condition {
  if (code === 0) return NONE;
  if (code === 1) return EXISTS;
  if (code === 2) return ABSENT;
  return { kind: 'revision', revision: wholeNumber(bytes.readDoubleLE(REVISION_AT), 'revision') };
}

function textEnd(bytes: Buffer, at: number): number {
  if (at + 2 > bytes.length) throw new BadBytes('ends inside its content type');
  const length = bytes.readUInt16LE(at);
  if (length > CONTENT_TYPE_MAX_BYTES) throw new BadBytes(`has a content type of ${length} bytes`);
  if (at + 2 + length > bytes.length) throw new BadBytes('ends inside its content type');
  return at + 2 + length;
}

function decodeType(bytes: Buffer, from: number, to: number): string {
  const code = bytes[TYPE_AT]!;
  if (code === EXPLICIT_TYPE) return bytes.toString('utf8', from + 2, to);
  const type = contentTypeOfCode(code);
  if (type === undefined) throw new BadBytes(`has the unknown content type ${code}`);
  return type;
}

function decodeToken(bytes: Buffer, at: number): Idempotency {
  const length = bytes[at];
  if (length === undefined || at + 1 + length + FINGERPRINT_BYTES > bytes.length) {
    throw new BadBytes('ends inside its idempotency key');
  }
  const key = bytes.toString('latin1', at + 1, at + 1 + length);
  if (!isIdempotencyKey(key)) throw new BadBytes('has an invalid idempotency key');
  return { key, fingerprint: bytes.subarray(at + 1 + length, at + 1 + length + FINGERPRINT_BYTES) };
}
