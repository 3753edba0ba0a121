/** Reads LevelDB's variable-length integers and length-prefixed strings (util/coding.cc). Throws RangeError at the end. */
export class VarintReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Up to 2^53 - 1: no file or sequence number gets there. */
  number(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      if (this.done) throw new RangeError('a number runs over the end');
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw new RangeError('a number is too big');
        return value;
      }
    }
    throw new RangeError('a number is too long');
  }

  bytes(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('a string runs over the end');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A string with its length before it. */
  string(): Buffer {
    return this.bytes(this.number());
  }
}
