/**
 * Keys on their way into a URL. Every byte that is not unreserved (RFC 3986 section 2.3) is percent-encoded, `/` stands.
 * Segments that are empty, `.` or `..` would be collapsed by URL parsers on the way, even percent-encoded (WHATWG URL,
 * "double-dot path segment"): such a key goes as base64url, which `enc=b64url` tells the server.
 */
import { QuorateError } from './errors.js';

/** Text stands for its UTF-8. */
export type KeyInput = string | Uint8Array;

const SLASH = 0x2f;
const DOT = 0x2e;

const ESCAPED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[A-Za-z0-9\-._~]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/** @throws QuorateError `invalid_key` for text with a lone surrogate, which no UTF-8 can carry. */
export function keyBytes(key: KeyInput): Uint8Array {
  if (typeof key !== 'string') return key;
  if (/\p{Surrogate}/u.test(key)) {
    throw new QuorateError({ code: 'invalid_key', status: 400, detail: 'the key is text with a lone surrogate' });
  }
  return Buffer.from(key, 'utf8');
}

/** For a query: everything escaped but the unreserved. */
export function encodeBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += ESCAPED[byte];
  return text;
}

function collapses(bytes: Uint8Array): boolean {
  let dots = 0;
  let others = 0;
  for (let at = 0; at <= bytes.length; at++) {
    const byte = at === bytes.length ? SLASH : bytes[at];
    if (byte === SLASH) {
      if (others === 0 && dots <= 2) return true;
      dots = 0;
      others = 0;
    } else if (byte === DOT) dots++;
    else others++;
  }
  return false;
}

/** What follows `/v1/kv/`, and the query parameter it needs, if any. */
export function encodeKeyPath(key: Uint8Array): { readonly path: string; readonly base64url: boolean } {
  if (collapses(key)) return { path: Buffer.from(key).toString('base64url'), base64url: true };
  let path = '';
  for (const byte of key) path += byte === SLASH ? '/' : ESCAPED[byte];
  return { path, base64url: false };
}
