/**
 * Percent-encoding (RFC 3986 section 2.1) from and to bytes. `decodeURIComponent` cannot do it: keys are bytes, not text.
 * Node hands over the request target as Latin-1, one character a byte, so raw bytes above 0x7f come through literally.
 */
const PERCENT = 0x25;
const PLUS = 0x2b;
const HASH = 0x23;
const SPACE = 0x20;

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  if (lower >= 0x61 && lower <= 0x66) return lower - 0x57;
  return -1;
}

/**
 * The bytes of `text` from `from` to `to` (exclusive). Null where an escape is malformed, a `#` stands raw (it would begin a
 * fragment, which no request target has) or a character is no byte.
 */
export function decodePercent(text: string, from: number, to: number, plusIsSpace: boolean): Buffer | null {
  const out = Buffer.allocUnsafe(to - from);
  let length = 0;
  for (let i = from; i < to; i++) {
    let code = text.charCodeAt(i);
    if (code === PERCENT) {
      if (i + 2 >= to) return null;
      const high = hexDigit(text.charCodeAt(i + 1));
      const low = hexDigit(text.charCodeAt(i + 2));
      if (high < 0 || low < 0) return null;
      code = (high << 4) | low;
      i += 2;
    } else if (code === PLUS && plusIsSpace) {
      code = SPACE;
    } else if (code === HASH || code > 0xff) {
      return null;
    }
    out[length++] = code;
  }
  return length === out.length ? out : out.subarray(0, length);
}

const HEX = '0123456789ABCDEF';

function isUnreserved(code: number): boolean {
  if (code >= 0x30 && code <= 0x39) return true;
  const lower = code | 0x20;
  if (lower >= 0x61 && lower <= 0x7a) return true;
  return code === 0x2d || code === 0x2e || code === 0x5f || code === 0x7e;
}

/** Everything but the unreserved characters of RFC 3986 is escaped, `/` too: fit for a path and for a query. */
export function encodePercent(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    text += isUnreserved(byte) ? String.fromCharCode(byte) : `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return text;
}
