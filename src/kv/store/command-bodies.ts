/**
 * Bodies of the commands that are not writes; the grammar's continuation of command-codec.ts.
 *
 *   expire := count:u32 (key_length:u16 key revision:f64)* tokens
 *   page   := move:f64 slots count:u32 (length:u32 record)*
 *   purge  := move:f64 count:u32 part*                           -- at least one, by slot
 *   init   := slots
 *   mark   := length:u16 ascii                                   -- visible characters
 *   begin_export, abort_import, unfreeze, delete := move:f64 slots
 *   freeze, bar, thaw := move:f64 round:f64 slots
 *   install := move:f64 round:f64 slots digest:16 revision:f64 clock_ms:f64
 *   slots  := count:u16 (first:u16 last:u16)*                     -- sorted, disjoint, not adjacent, at least one
 *   part   := slot:u16 digest:4*u32 keys:f64 bytes:f64 idempotency:f64 digest:4*u32      -- before; sums after
 *             count:u32 (key_length:u16 key expires_ms:f64)*
 *             count:u32 (key_length:u16 key length:u8 ascii expires_ms:f64)*
 *   tokens := count:u32 (key_length:u16 key length:u8 ascii)*
 */
import {
  isNormalized,
  SLOT_COUNT,
  type SlotCommand,
  type SlotRange,
  type SlotRanges,
  slotOfKey,
} from '../../shardctrl/index.js';
import { BadBytes, ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { CommandKind, KEY_MAX_BYTES, MARK_TOKEN_MAX_BYTES } from './command-format.js';
import type { KvCommand, PurgeCommand, SlotPurge, WriteCommand } from './commands.js';
import { isIdempotencyKey } from './idempotency-codec.js';

/** All but puts and deletes of keys. */
export type OtherCommand = Exclude<KvCommand, WriteCommand>;

interface Token {
  readonly key: Uint8Array;
  readonly idempotencyKey: string;
}

const KINDS: Readonly<Record<OtherCommand['kind'], number>> = {
  expire: CommandKind.Expire,
  page: CommandKind.Page,
  purge: CommandKind.Purge,
  init: CommandKind.Init,
  mark: CommandKind.Mark,
  begin_export: CommandKind.BeginExport,
  freeze: CommandKind.Freeze,
  install: CommandKind.Install,
  bar: CommandKind.Bar,
  thaw: CommandKind.Thaw,
  abort_import: CommandKind.AbortImport,
  unfreeze: CommandKind.Unfreeze,
  delete: CommandKind.DeleteSlots,
};

/** Half of what a double can count: a counter that was raised to this can still be drawn from for ever. */
const REVISION_MAX = 2 ** 52;

export const kindOf = (command: OtherCommand): number => KINDS[command.kind];

export function encodeBody(writer: ByteWriter, command: OtherCommand): void {
  switch (command.kind) {
    case 'expire':
      writer.u32(command.keys.length);
      for (const { key, revision } of command.keys) writer.bytes16(key).f64(revision);
      return encodeTokens(writer, command.idempotency);
    case 'page':
      encodeSlots(writer.f64(command.move), command.slots);
      writer.u32(command.records.length);
      for (const record of command.records) writer.bytes32(record);
      return;
    case 'purge':
      return encodePurge(writer, command);
    case 'init':
      return encodeSlots(writer, command.slots);
    case 'mark':
      return encodeMark(writer, command.token);
    default:
      return encodeSlotCommand(writer, command);
  }
}

const MARK_TOKEN = /^[\x21-\x7e]+$/;

function encodeMark(writer: ByteWriter, token: string): void {
  if (token.length > MARK_TOKEN_MAX_BYTES || !MARK_TOKEN.test(token)) throw new Error('invariant: an invalid mark');
  writer.bytes16(Buffer.from(token, 'latin1'));
}

function encodeSlotCommand(writer: ByteWriter, command: SlotCommand): void {
  writer.f64(command.move);
  if ('round' in command) writer.f64(command.round);
  encodeSlots(writer, command.slots);
  if (command.kind !== 'install') return;
  const digest = Buffer.from(command.digest, 'hex');
  if (digest.length !== 16) throw new Error('invariant: a digest has 32 hexadecimal digits');
  writer.raw(digest).f64(command.revision).f64(command.clock_ms);
}

function encodeSlots(writer: ByteWriter, slots: SlotRanges): void {
  if (!isNormalized(slots) || slots.length === 0)
    throw new Error('invariant: a command names at least one slot, in order');
  writer.u16(slots.length);
  for (const [first, last] of slots) writer.u16(first).u16(last);
}

function encodeTokens(writer: ByteWriter, tokens: readonly Token[]): void {
  writer.u32(tokens.length);
  for (const token of tokens) encodeToken(writer, token);
}

const encodeToken = (writer: ByteWriter, { key, idempotencyKey }: Token): ByteWriter =>
  writer.bytes16(key).u8(idempotencyKey.length).raw(Buffer.from(idempotencyKey, 'latin1'));

function encodePurge(writer: ByteWriter, { move, parts }: PurgeCommand): void {
  writer.f64(move).u32(parts.length);
  for (const { slot, digest, left, keys, idempotency } of parts) {
    encodeDigest(writer.u16(slot), digest);
    encodeDigest(writer.f64(left.keys).f64(left.bytes).f64(left.idempotency), left.digest);
    writer.u32(keys.length);
    for (const { key, expires_ms } of keys) writer.bytes16(key).f64(expires_ms);
    writer.u32(idempotency.length);
    for (const record of idempotency) encodeToken(writer, record).f64(record.expires_ms);
  }
}

function encodeDigest(writer: ByteWriter, digest: Uint32Array): void {
  for (const word of digest) writer.u32(word);
}

/** Throws `BadBytes`. */
export function decodeBody(kind: number, bytes: Buffer, at: number): OtherCommand {
  const reader = new ByteReader(bytes, at);
  const command = read(kind, reader);
  reader.end();
  return command;
}

function read(kind: number, reader: ByteReader): OtherCommand {
  switch (kind) {
    case CommandKind.Expire:
      return {
        kind: 'expire',
        keys: readMany(reader, () => ({ key: readKey(reader), revision: reader.count('revision') })),
        idempotency: readTokens(reader),
      };
    case CommandKind.Page: {
      const move = reader.count('move');
      const slots = readSlots(reader);
      return { kind: 'page', move, slots, records: readMany(reader, () => reader.bytes32('record')) };
    }
    case CommandKind.Purge:
      return readPurge(reader);
    case CommandKind.Init:
      return { kind: 'init', slots: readSlots(reader) };
    case CommandKind.Mark:
      return { kind: 'mark', token: readMark(reader) };
    default:
      return readSlotCommand(kind, reader);
  }
}

function readSlotCommand(kind: number, reader: ByteReader): SlotCommand {
  if (kind < CommandKind.BeginExport || kind > CommandKind.DeleteSlots)
    throw new BadBytes(`has the unknown kind ${kind}`);
  const move = reader.count('move');
  const rounds =
    kind === CommandKind.Freeze ||
    kind === CommandKind.Install ||
    kind === CommandKind.Bar ||
    kind === CommandKind.Thaw;
  const round = rounds ? reader.count('round') : 0;
  const slots = readSlots(reader);
  switch (kind) {
    case CommandKind.BeginExport:
      return { kind: 'begin_export', move, slots };
    case CommandKind.Freeze:
      return { kind: 'freeze', move, round, slots };
    case CommandKind.Install: {
      const digest = reader.raw(16, 'digest').toString('hex');
      const revision = reader.count('revision');
      if (revision > REVISION_MAX) throw new BadBytes('has a revision beyond all that can be drawn');
      return { kind: 'install', move, round, slots, digest, revision, clock_ms: reader.count('clock') };
    }
    case CommandKind.Bar:
      return { kind: 'bar', move, round, slots };
    case CommandKind.Thaw:
      return { kind: 'thaw', move, round, slots };
    case CommandKind.AbortImport:
      return { kind: 'abort_import', move, slots };
    case CommandKind.Unfreeze:
      return { kind: 'unfreeze', move, slots };
    default:
      return { kind: 'delete', move, slots };
  }
}

function readPurge(reader: ByteReader): PurgeCommand {
  const move = reader.count('move');
  let last = -1;
  const parts = readMany(reader, () => {
    const slot = reader.u16('slot');
    if (slot <= last || slot >= SLOT_COUNT) throw new BadBytes('has slots that are no ordered set');
    last = slot;
    return readPart(reader, slot);
  });
  if (parts.length === 0) throw new BadBytes('has slots that are no ordered set');
  return { kind: 'purge', move, parts };
}

function readPart(reader: ByteReader, slot: number): SlotPurge {
  const digest = readDigest(reader);
  const [keys, bytes, idempotency] = [reader.count('keys'), reader.count('bytes'), reader.count('records')];
  return {
    slot,
    digest,
    left: { keys, bytes, idempotency, digest: readDigest(reader) },
    keys: readMany(reader, () => ({ key: readKeyOf(slot, reader), expires_ms: reader.count('expiry') })),
    idempotency: readMany(reader, () => ({
      key: readKeyOf(slot, reader),
      idempotencyKey: readToken(reader),
      expires_ms: reader.count('expiry'),
    })),
  };
}

function readKeyOf(slot: number, reader: ByteReader): Buffer {
  const key = readKey(reader);
  if (slotOfKey(key) !== slot) throw new BadBytes(`has a key that is not of slot ${slot}`);
  return key;
}

const readDigest = (reader: ByteReader): Uint32Array =>
  Uint32Array.of(reader.u32('digest'), reader.u32('digest'), reader.u32('digest'), reader.u32('digest'));

function readMark(reader: ByteReader): string {
  const token = reader.bytes16('mark').toString('latin1');
  if (token.length > MARK_TOKEN_MAX_BYTES || !MARK_TOKEN.test(token)) throw new BadBytes('has an invalid mark');
  return token;
}

function readSlots(reader: ByteReader): SlotRanges {
  const count = reader.u16('slots');
  const slots: SlotRange[] = [];
  for (let i = 0; i < count; i++) slots.push([reader.u16('slots'), reader.u16('slots')]);
  if (count === 0 || !isNormalized(slots)) throw new BadBytes('has slots that are no ordered set');
  return slots;
}

function readMany<T>(reader: ByteReader, one: () => T): T[] {
  const count = reader.u32('list');
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(one());
  return items;
}

function readKey(reader: ByteReader): Buffer {
  const key = reader.bytes16('key');
  if (key.length < 1 || key.length > KEY_MAX_BYTES) throw new BadBytes(`has a key of ${key.length} bytes`);
  return key;
}

function readTokens(reader: ByteReader): Token[] {
  return readMany(reader, () => ({ key: readKey(reader), idempotencyKey: readToken(reader) }));
}

function readToken(reader: ByteReader): string {
  const token = reader.raw(reader.u8('idempotency key'), 'idempotency key').toString('latin1');
  if (!isIdempotencyKey(token)) throw new BadBytes('has an invalid idempotency key');
  return token;
}
