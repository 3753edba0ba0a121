/**
 * Reads what `ByteWriter` wrote, never beyond the end. Bytes from elsewhere are untrusted: whatever does not fit throws
 * `BadBytes`, which the decoders turn into a result.
 */
export class BadBytes extends Error {
  override readonly name = 'BadBytes';
}

export class ByteReader {
  readonly #buffer: Buffer;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#buffer = asBuffer(bytes);
    this.#at = at;
  }

  get left(): number {
    return this.#buffer.length - this.#at;
  }

  #take(bytes: number, what: string): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) throw new BadBytes(`ends inside ${what}`);
    this.#at = at + bytes;
    return at;
  }

  u8(what: string): number {
    return this.#buffer.readUInt8(this.#take(1, what));
  }

  u16(what: string): number {
    return this.#buffer.readUInt16LE(this.#take(2, what));
  }

  u32(what: string): number {
    return this.#buffer.readUInt32LE(this.#take(4, what));
  }

  /** A whole number from 0 to 2^53 - 1. */
  count(what: string): number {
    return wholeNumber(this.#buffer.readDoubleLE(this.#take(8, what)), what);
  }

  /** A view. */
  raw(bytes: number, what: string): Buffer {
    const at = this.#take(bytes, what);
    return this.#buffer.subarray(at, at + bytes);
  }

  /** A view. */
  bytes16(what: string): Buffer {
    return this.raw(this.u16(what), what);
  }

  /** A view. */
  bytes32(what: string): Buffer {
    return this.raw(this.u32(what), what);
  }

  end(): void {
    if (this.left !== 0) throw new BadBytes(`${this.left} bytes too many`);
  }
}

export function wholeNumber(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new BadBytes(`${what} is not a whole number`);
  return value + 0; // -0 becomes 0
}

export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
