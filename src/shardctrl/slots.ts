/**
 * Which slot a key is in: CRC16/XMODEM of the key's hash tag (or of the whole key) mod 16,384, as in the Redis Cluster
 * specification ("Key distribution model", "Hash tags"), so that cluster-aware clients can route to us.
 *
 * Own table instead of the package `cluster-key-slot`: that one takes `{}a{b}` for tagged (the specification looks only
 * at the first `{` and the first `}` after it: an empty tag is none). Every request comes through here: bytes in, no
 * copy, no allocation.
 */

const TABLE = crcTable();

function crcTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    table[byte] = crc & 0xffff;
  }
  return table;
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** CRC16/XMODEM (polynomial 0x1021, initial 0, not reflected) of `bytes[start, end)`. */
export function crc16(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = 0;
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ TABLE[(crc >> 8) ^ bytes[i]!]!;
  return crc;
}

/** The slot of a key, 0 to 16,383. If the key holds `{…}` with at least one byte in it, only that part is hashed. */
export function slotOfKey(key: Uint8Array): number {
  const open = key.indexOf(OPEN_BRACE);
  if (open !== -1) {
    const close = key.indexOf(CLOSE_BRACE, open + 1);
    if (close > open + 1) return crc16(key, open + 1, close) & 0x3fff;
  }
  return crc16(key) & 0x3fff;
}
