/**
 * The cursor of a list: where the next page begins, and a digest of the bounds it was made for, so that one used with other
 * bounds is refused instead of answering a page of something else. Opaque to clients; base64url of
 *
 *   cursor = version(1 byte: 1) digest(8 bytes) key(the rest)
 *   digest = first 8 bytes of SHA-256 over u32be(length of start), start, 0 | 1, end
 */
import { createHash } from 'node:crypto';
import { decodeBase64url } from './key-text.js';

const VERSION = 1;
const DIGEST_BYTES = 8;

export interface Bounds {
  /** Inclusive; empty: from the beginning. */
  readonly start: Buffer;
  /** Exclusive; null: to the end. */
  readonly end: Buffer | null;
}

function digestOf(bounds: Bounds): Buffer {
  const startLength = Buffer.alloc(4);
  startLength.writeUInt32BE(bounds.start.length);
  const hash = createHash('sha256').update(startLength).update(bounds.start);
  if (bounds.end === null) hash.update('\0');
  else hash.update('\x01').update(bounds.end);
  return hash.digest().subarray(0, DIGEST_BYTES);
}

export function encodeCursor(bounds: Bounds, next: Buffer): string {
  return Buffer.concat([Buffer.of(VERSION), digestOf(bounds), next]).toString('base64url');
}

export type CursorDecoding =
  | { readonly ok: true; readonly next: Buffer }
  | { readonly ok: false; readonly detail: string };

export function decodeCursor(text: string, bounds: Bounds): CursorDecoding {
  const bytes = decodeBase64url(text);
  if (bytes === null || bytes.length < 1 + DIGEST_BYTES)
    return { ok: false, detail: 'cursor is none that a list gave' };
  if (bytes[0] !== VERSION)
    return { ok: false, detail: `cursor is of version ${bytes[0]}, this node knows ${VERSION}` };
  if (!digestOf(bounds).equals(bytes.subarray(1, 1 + DIGEST_BYTES))) {
    return { ok: false, detail: 'cursor belongs to a list with other bounds (prefix, start, end)' };
  }
  const next = bytes.subarray(1 + DIGEST_BYTES);
  const inside = next.compare(bounds.start) >= 0 && (bounds.end === null || next.compare(bounds.end) < 0);
  return inside ? { ok: true, next } : { ok: false, detail: 'cursor points outside its bounds' };
}
