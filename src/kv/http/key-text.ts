/**
 * Keys on their way in (percent-encoded or base64url) and out (JSON text with its encoding).
 */
import { isUtf8 } from 'node:buffer';
import { type Refusal, refuse } from './http-response.js';
import { decodePercent } from './percent.js';

export const KEY_BYTES_MAX = 1_024;
/** The successor of the longest key is one byte longer and a legal bound of a range. */
export const BOUND_BYTES_MAX = KEY_BYTES_MAX + 1;

const BASE64URL = /^([A-Za-z0-9_-]*)(={0,2})$/;

/**
 * RFC 4648 section 5. Padding may be there, as many encoders write it, or not; but what is there must be right, and no bits
 * may be astray.
 */
export function decodeBase64url(text: string): Buffer | null {
  const match = BASE64URL.exec(text);
  if (match === null) return null;
  const [, digits = '', padding = ''] = match;
  if (digits.length % 4 === 1 || (padding !== '' && text.length % 4 !== 0)) return null;
  const bytes = Buffer.from(digits, 'base64url');
  return bytes.toString('base64url') === digits ? bytes : null;
}

export type KeyDecoding = { readonly ok: true; readonly key: Buffer } | Refusal;

/** `base64url`: the bytes behind the percent-encoding are base64url text. `what` names the part in errors. */
export function decodeKey(
  text: string,
  from: number,
  to: number,
  source: {
    readonly plusIsSpace: boolean;
    readonly base64url: boolean;
    readonly what: string;
    readonly bytesMax: number;
  },
): KeyDecoding {
  // Three characters an escape, four for each three bytes (begun) of base64url, any of which may be escaped: longer is too long for sure.
  if (to - from > source.bytesMax * 4 + 8) return tooLarge(source.what, source.bytesMax);
  let key = decodePercent(text, from, to, source.plusIsSpace);
  if (key === null) {
    return refuse('invalid_key', `${source.what} has a malformed percent-escape, or a raw # (write %23)`);
  }
  if (source.base64url) {
    key = decodeBase64url(key.toString('latin1'));
    if (key === null) return refuse('invalid_key', `${source.what} is not base64url (RFC 4648 section 5)`);
  }
  if (key.length > source.bytesMax) return tooLarge(source.what, source.bytesMax);
  return { ok: true, key };
}

function tooLarge(what: string, bytesMax: number): Refusal {
  return refuse('key_too_large', `${what} is longer than ${bytesMax} bytes`);
}

/** As JSON shows a key. */
export function encodedKey(key: Buffer): { readonly key: string; readonly key_encoding: 'utf8' | 'base64' } {
  const encoding = isUtf8(key) ? 'utf8' : 'base64';
  return { key: key.toString(encoding), key_encoding: encoding };
}

/** `"key":…,"key_encoding":…` without braces. */
export function keyMembers(key: Buffer): string {
  if (isUtf8(key)) return `"key":${JSON.stringify(key.toString('utf8'))},"key_encoding":"utf8"`;
  return `"key":"${key.toString('base64')}","key_encoding":"base64"`;
}

/** `"value":…,"encoding":…` without braces. */
export function valueMembers(value: Buffer): string {
  if (isUtf8(value)) return `"value":${JSON.stringify(value.toString('utf8'))},"encoding":"utf8"`;
  return `"value":"${value.toString('base64')}","encoding":"base64"`;
}
