/**
 * Results on their way between nodes. Numbers are little-endian, `f64` a whole number kept in a double.
 *
 *   result := version:u8=1 kind:u8 body
 *   stored              := created:u8 revision:f64 version:f64
 *   deleted             := revision:f64
 *   precondition_failed := revision:f64                -- 0: there is no such key
 *   not_serving         := slot:u16 state:u8 move:f64
 *   found               := type:u8 revision:f64 version:f64 expires_ms:f64 [length:u16 utf8] value
 *   malformed, corrupt  := utf8
 *   missing, conflict   :=
 *   answer              := JSON of any other result
 */
import { SlotState } from '../../shardctrl/index.js';
import { BadBytes, ByteReader } from './byte-reader.js';
import type { KvResult, LookupResult, NotServing } from './commands.js';
import { contentTypeCode, contentTypeOfCode, EXPLICIT_TYPE } from './content-type.js';

const FORMAT = 1;
const Kind = {
  Stored: 1,
  Deleted: 2,
  Missing: 3,
  PreconditionFailed: 4,
  Conflict: 5,
  NotServing: 6,
  Malformed: 7,
  Found: 8,
  Corrupt: 9,
  Answer: 10,
} as const;

/** Results without a layout of their own. */
const ANSWERS: ReadonlySet<unknown> = new Set<KvResult['kind']>([
  'ok',
  'frozen',
  'installed',
  'aborted',
  'undone',
  'thawed',
  'ended',
  'stale',
  'round_over',
  'mismatch',
  'busy',
  'expired',
  'purged',
  'marked',
]);

function head(bytes: number, kind: number): Buffer {
  const result = Buffer.allocUnsafe(2 + bytes);
  result[0] = FORMAT;
  result[1] = kind;
  return result;
}

function withText(kind: number, text: string): Buffer {
  const body = Buffer.from(text);
  const result = head(body.length, kind);
  result.set(body, 2);
  return result;
}

function withRevision(kind: number, revision: number): Buffer {
  const result = head(8, kind);
  result.writeDoubleLE(revision, 2);
  return result;
}

export function encodeResult(result: KvResult): Buffer {
  switch (result.kind) {
    case 'stored': {
      const bytes = head(17, Kind.Stored);
      bytes[2] = result.created ? 1 : 0;
      bytes.writeDoubleLE(result.revision, 3);
      bytes.writeDoubleLE(result.version, 11);
      return bytes;
    }
    case 'deleted':
      return withRevision(Kind.Deleted, result.revision);
    case 'missing':
      return head(0, Kind.Missing);
    case 'precondition_failed':
      return withRevision(Kind.PreconditionFailed, result.revision ?? 0);
    case 'conflict':
      return head(0, Kind.Conflict);
    case 'not_serving':
      return encodeNotServing(result);
    case 'malformed':
      return withText(Kind.Malformed, result.detail);
    default:
      return withText(Kind.Answer, JSON.stringify(result));
  }
}

function encodeNotServing({ slot, state, move }: NotServing): Buffer {
  const bytes = head(11, Kind.NotServing);
  bytes.writeUInt16LE(slot, 2);
  bytes[4] = state;
  bytes.writeDoubleLE(move, 5);
  return bytes;
}

export function encodeLookup(result: LookupResult): Buffer {
  switch (result.kind) {
    case 'missing':
      return head(0, Kind.Missing);
    case 'not_serving':
      return encodeNotServing(result);
    case 'corrupt':
      return withText(Kind.Corrupt, result.detail);
    case 'found': {
      const { contentType, revision, version, expires_ms, value } = result.record;
      const type = contentTypeCode(contentType);
      const text = type === EXPLICIT_TYPE ? Buffer.from(contentType) : null;
      const bytes = head(25 + (text === null ? 0 : 2 + text.length) + value.length, Kind.Found);
      bytes[2] = type;
      bytes.writeDoubleLE(revision, 3);
      bytes.writeDoubleLE(version, 11);
      bytes.writeDoubleLE(expires_ms, 19);
      if (text !== null) {
        bytes.writeUInt16LE(text.length, 27);
        bytes.set(text, 29);
      }
      bytes.set(value, bytes.length - value.length);
      return bytes;
    }
  }
}

/** A result that the other side could not have sent, by what is wrong with it. */
export type Undecodable = { readonly kind: 'undecodable'; readonly detail: string };

/** Never throws. */
export function decodeResult(bytes: Uint8Array): KvResult | Undecodable {
  return guarded(bytes, (kind, reader) => {
    switch (kind) {
      case Kind.Stored: {
        const created = reader.u8('result') === 1;
        return { kind: 'stored', created, revision: reader.count('revision'), version: reader.count('version') };
      }
      case Kind.Deleted:
        return { kind: 'deleted', revision: reader.count('revision') };
      case Kind.Missing:
        return { kind: 'missing' };
      case Kind.PreconditionFailed: {
        const revision = reader.count('revision');
        return { kind: 'precondition_failed', revision: revision === 0 ? null : revision };
      }
      case Kind.Conflict:
        return { kind: 'conflict' };
      case Kind.NotServing:
        return readNotServing(reader);
      case Kind.Malformed:
        return { kind: 'malformed', detail: readText(reader) };
      case Kind.Answer:
        return readAnswer(readText(reader));
      default:
        throw new BadBytes(`has the unknown kind ${kind}`);
    }
  });
}

/** Never throws. The value is a view of `bytes`. */
export function decodeLookup(bytes: Uint8Array): LookupResult | Undecodable {
  return guarded(bytes, (kind, reader) => {
    switch (kind) {
      case Kind.Missing:
        return { kind: 'missing' };
      case Kind.NotServing:
        return readNotServing(reader);
      case Kind.Corrupt:
        return { kind: 'corrupt', detail: readText(reader) };
      case Kind.Found:
        return readFound(reader);
      default:
        throw new BadBytes(`has the unknown kind ${kind}`);
    }
  });
}

function guarded<T>(bytes: Uint8Array, read: (kind: number, reader: ByteReader) => T): T | Undecodable {
  try {
    const reader = new ByteReader(bytes);
    const format = reader.u8('head');
    if (format !== FORMAT) throw new BadBytes(`has format ${format}, this build knows ${FORMAT}`);
    const result = read(reader.u8('head'), reader);
    reader.end();
    return result;
  } catch (error) {
    if (error instanceof BadBytes) return { kind: 'undecodable', detail: `result ${error.message}` };
    throw error;
  }
}

function readNotServing(reader: ByteReader): NotServing {
  const slot = reader.u16('slot');
  const state = reader.u8('state');
  if (state > SlotState.Importing) throw new BadBytes(`has the unknown slot state ${state}`);
  return { kind: 'not_serving', slot, state: state as SlotState, move: reader.count('move') };
}

function readFound(reader: ByteReader): LookupResult {
  const type = reader.u8('content type');
  const revision = reader.count('revision');
  const version = reader.count('version');
  const expires_ms = reader.count('expiry');
  const contentType =
    type === EXPLICIT_TYPE ? reader.bytes16('content type').toString('utf8') : contentTypeOfCode(type);
  if (contentType === undefined) throw new BadBytes(`has the unknown content type ${type}`);
  const value = reader.raw(reader.left, 'value');
  return { kind: 'found', record: { value, contentType, revision, version, expires_ms } };
}

const readText = (reader: ByteReader): string => reader.raw(reader.left, 'text').toString('utf8');

function readAnswer(text: string): KvResult {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new BadBytes('is no JSON');
  }
  if (typeof answer !== 'object' || answer === null || !('kind' in answer) || !ANSWERS.has(answer.kind)) {
    throw new BadBytes('is no answer of a shard');
  }
  return answer as KvResult;
}
