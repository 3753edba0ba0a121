/**
 * One record of a slot on its way to another shard.
 *
 *   page_record := version:u8=1 kind:u8 key_length:u16 token_length:u8 key token body
 *   kind 1, key:                  body = record row (record-codec.ts)
 *   kind 2, idempotency record:   body = idempotency row (idempotency-codec.ts)
 *   kind 3, key removed:          body = revision:f64
 *   kind 4, idempotency removed:  body = expires_ms:f64
 *
 * Rows travel as they stand: their checksums cover them from disk to disk.
 */
import { slotOfKey } from '../../shardctrl/index.js';
import { asBuffer, BadBytes, ByteReader } from './byte-reader.js';
import { KEY_MAX_BYTES } from './command-format.js';
import type { PageRecord } from './commands.js';
import { idempotencyFault, idempotencySlot, isIdempotencyKey } from './idempotency-codec.js';
import { placeOf } from './key-layout.js';
import { contentFault, recordFault, slotOf } from './record-codec.js';

const FORMAT = 1;
const HEAD_BYTES = 5;

export const PageKind = { Key: 1, Idempotency: 2, KeyRemoved: 3, IdempotencyRemoved: 4 } as const;
export type PageKind = (typeof PageKind)[keyof typeof PageKind];

export type PageItem =
  | { readonly kind: 'key'; readonly slot: number; readonly key: Buffer; readonly row: Buffer }
  | {
      readonly kind: 'idempotency';
      readonly slot: number;
      readonly key: Buffer;
      readonly token: string;
      readonly place: Buffer;
      readonly row: Buffer;
    }
  | {
      readonly kind: 'removed';
      readonly slot: number;
      readonly key: Buffer;
      /** Empty for a key. */
      readonly token: string;
      /** For an idempotency record: when the removed one expires. */
      readonly revision: number;
    };

export function encodePageRecord(kind: PageKind, key: Uint8Array, token: string, body: Uint8Array): PageRecord {
  const record = Buffer.allocUnsafe(HEAD_BYTES + key.length + token.length + body.length);
  record[0] = FORMAT;
  record[1] = kind;
  record.writeUInt16LE(key.length, 2);
  record[4] = token.length;
  record.set(key, HEAD_BYTES);
  record.write(token, HEAD_BYTES + key.length, 'latin1');
  record.set(body, HEAD_BYTES + key.length + token.length);
  return record;
}

export function encodeRemoval(key: Uint8Array, token: string, revision: number): PageRecord {
  const body = Buffer.allocUnsafe(8);
  body.writeDoubleLE(revision, 0);
  return encodePageRecord(token === '' ? PageKind.KeyRemoved : PageKind.IdempotencyRemoved, key, token, body);
}

/** Views into `bytes`. Throws `BadBytes` for anything that `encodePageRecord` can't have made. */
export function decodePageRecord(bytes: Uint8Array): PageItem {
  const reader = new ByteReader(asBuffer(bytes));
  const format = reader.u8('format');
  if (format !== FORMAT) throw new BadBytes(`has a page record of format ${format}, this build knows ${FORMAT}`);
  const kind = reader.u8('page record');
  const keyLength = reader.u16('page record');
  const tokenLength = reader.u8('page record');
  if (keyLength < 1 || keyLength > KEY_MAX_BYTES) throw new BadBytes(`has a key of ${keyLength} bytes`);
  const key = reader.raw(keyLength, 'key');
  const token = reader.raw(tokenLength, 'idempotency key').toString('latin1');
  const wantsToken = kind === PageKind.Idempotency || kind === PageKind.IdempotencyRemoved;
  if (wantsToken ? !isIdempotencyKey(token) : token !== '') throw new BadBytes('has an invalid idempotency key');
  const body = reader.raw(reader.left, 'page record');
  return itemOf(kind, slotOfKey(key), key, token, body);
}

function itemOf(kind: number, slot: number, key: Buffer, token: string, body: Buffer): PageItem {
  switch (kind) {
    case PageKind.Key: {
      const fault = recordFault(key, body) ?? contentFault(body);
      if (fault !== null) throw new BadBytes(`has a page record with a fault: ${fault}`);
      if (slotOf(body) !== slot) throw new BadBytes('has a page record of another slot');
      return { kind: 'key', slot, key, row: body };
    }
    case PageKind.Idempotency: {
      const place = placeOf(slot, key, token);
      const fault = idempotencyFault(place, body);
      if (fault !== null) throw new BadBytes(`has a page record with a fault: ${fault}`);
      if (idempotencySlot(body) !== slot) throw new BadBytes('has a page record of another slot');
      return { kind: 'idempotency', slot, key, token, place, row: body };
    }
    case PageKind.KeyRemoved:
    case PageKind.IdempotencyRemoved: {
      const reader = new ByteReader(body);
      const revision = reader.count('revision');
      reader.end();
      return { kind: 'removed', slot, key, token, revision };
    }
    default:
      throw new BadBytes(`has a page record of the unknown kind ${kind}`);
  }
}
