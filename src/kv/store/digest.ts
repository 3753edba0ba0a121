/**
 * A 128-bit hash of short byte strings, and sums of such hashes modulo 2^128.
 *
 * The digest of a slot is the sum of the hashes of its records: it does not depend on the order in which they came, a new
 * record adds its hash and a removed one takes it away. The hash is MurmurHash3_x86_128 (A. Appleby, public domain),
 * because it needs only 32-bit arithmetic: 50 ns for 64 bytes here, where `crypto.hash('md5')` takes 370 ns.
 *
 * Collisions. What is hashed of a record names it fully: key, revision, version, expiry, content type, length and CRC32C of
 * the value. Two sets of records that differ by accident (a lost page, a stale record) have the same sum with a chance of
 * about 2^-128, as long as the hashes behave like random numbers; the weakest link is the value's CRC: a value that is
 * replaced by another of the same length under the same revision passes with 2^-32, but a revision is drawn only once, so
 * that needs corruption that also got past the record's own checksum. The hash is not cryptographic: a client that can
 * choose keys could build two sets of equal sum, but it can't make the store lose one of them, which is all the
 * digest is there to notice.
 *
 * Functions leave their result in `hash` instead of allocating.
 */

/** The result of the latest `hashBytes` or `hashMore`, as four 32-bit words. */
export const hash = new Uint32Array(4);

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

const state = new Int32Array(4);
const tail = new Uint8Array(16);

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

const word = (b: Uint8Array, i: number): number => b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24);

function absorb(b: Uint8Array, from: number, to: number): void {
  let h1 = state[0]!;
  let h2 = state[1]!;
  let h3 = state[2]!;
  let h4 = state[3]!;
  for (let i = from; i < to; i += 16) {
    h1 ^= Math.imul(rotate(Math.imul(word(b, i), C1), 15), C2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(word(b, i + 4), C2), 16), C3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(word(b, i + 8), C3), 17), C4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(word(b, i + 12), C4), 18), C1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  state[0] = h1;
  state[1] = h2;
  state[2] = h3;
  state[3] = h4;
}

/** Absorbs whole blocks and then the rest, filled up with zeroes; the lengths that `finish` mixes in tell paddings apart. */
function absorbAll(b: Uint8Array, from: number, to: number): void {
  const whole = from + ((to - from) & ~15);
  absorb(b, from, whole);
  if (whole === to) return;
  for (let i = 0; i < 16; i++) tail[i] = whole + i < to ? b[whole + i]! : 0;
  absorb(tail, 0, 16);
}

function avalanche(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

function finish(lengthA: number, lengthB: number): void {
  let h1 = state[0]! ^ lengthA;
  let h2 = state[1]! ^ lengthB;
  let h3 = state[2]! ^ lengthA;
  let h4 = state[3]! ^ lengthB;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = avalanche(h1);
  h2 = avalanche(h2);
  h3 = avalanche(h3);
  h4 = avalanche(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  hash[0] = h1;
  hash[1] = h2 + h1;
  hash[2] = h3 + h1;
  hash[3] = h4 + h1;
}

/**
 * Hashes the pair (`a`, `b[from..to)`): where one ends and the other begins makes a difference. Leaves the result in `hash`.
 */
export function hashPair(seed: number, a: Uint8Array, b: Uint8Array, from = 0, to: number = b.length): void {
  state[0] = seed;
  state[1] = seed;
  state[2] = seed;
  state[3] = seed;
  absorbAll(a, 0, a.length);
  absorbAll(b, from, to);
  finish(a.length, to - from);
}

/** Hashes whole blocks of four words: `words.length` is a multiple of four. Leaves the result in `hash`. */
export function hashWords(seed: number, words: Int32Array): void {
  let h1 = seed;
  let h2 = seed;
  let h3 = seed;
  let h4 = seed;
  for (let i = 0; i < words.length; i += 4) {
    h1 ^= Math.imul(rotate(Math.imul(words[i]!, C1), 15), C2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(words[i + 1]!, C2), 16), C3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(words[i + 2]!, C3), 17), C4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(words[i + 3]!, C4), 18), C1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  state[0] = h1;
  state[1] = h2;
  state[2] = h3;
  state[3] = h4;
  finish(words.length * 4, 0);
}

/** `sums[at*4 .. at*4+3] += hash`, modulo 2^128; word 0 is the lowest. */
export function addHash(sums: Uint32Array, at: number): void {
  let carry = 0;
  for (let i = 0; i < 4; i++) {
    const sum = sums[at * 4 + i]! + hash[i]! + carry;
    sums[at * 4 + i] = sum;
    carry = sum > 0xffffffff ? 1 : 0;
  }
}

/** `sums[at*4 .. at*4+3] -= hash`, modulo 2^128. */
export function subtractHash(sums: Uint32Array, at: number): void {
  let borrow = 0;
  for (let i = 0; i < 4; i++) {
    const difference = sums[at * 4 + i]! - hash[i]! - borrow;
    sums[at * 4 + i] = difference;
    borrow = difference < 0 ? 1 : 0;
  }
}

/** `into += sums[at]`, modulo 2^128. */
export function addSum(into: Uint32Array, sums: Uint32Array, at: number): void {
  let carry = 0;
  for (let i = 0; i < 4; i++) {
    const sum = into[i]! + sums[at * 4 + i]! + carry;
    into[i] = sum;
    carry = sum > 0xffffffff ? 1 : 0;
  }
}

/** `from -= sums[at]`, modulo 2^128. */
export function subtractSum(from: Uint32Array, sums: Uint32Array, at: number): void {
  let borrow = 0;
  for (let i = 0; i < 4; i++) {
    const difference = from[i]! - sums[at * 4 + i]! - borrow;
    from[i] = difference;
    borrow = difference < 0 ? 1 : 0;
  }
}

/** 32 hexadecimal digits, most significant first. */
export function digestText(sum: Uint32Array): string {
  let text = '';
  for (let i = 3; i >= 0; i--) text += sum[i]!.toString(16).padStart(8, '0');
  return text;
}
