/** Values that take as many bytes on a disk as they have: no compression makes them smaller. */

/** xorshift: bytes that look random, the same for the same number. `length`: a multiple of four. */
export function noise(number: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let x = number + 1;
  for (let at = 0; at < length; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes.writeInt32LE(x, at);
  }
  return bytes;
}
