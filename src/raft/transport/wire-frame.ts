/**
 * How frames of three channels share one byte stream. A frame travels as one or more fragments, so that a big one on one
 * channel never makes a small one on another wait for all of it:
 *
 *   fragment = crc:u32 length:u32 version:u8(1) channel:u8 flags:u8 zero:u8 payload:byte*length
 *              flags: 1 first fragment of its frame, 2 last; crc is CRC32C over all that follows it
 *
 * Fragments of one channel are in order and not interleaved with another frame of the same channel. TCP's own checksum
 * misses about one in 2^16 damaged segments; CRC32C costs some 80 µs per MiB.
 */
import { crc32c } from '@node-rs/crc32';
import type { Channel } from '../ports.js';
import { MalformedFrame } from './malformed-frame.js';

export const FRAGMENT_HEADER_BYTES = 12;
/** Header and payload together. Small enough to let others pass, big enough that headers cost nothing. */
export const FRAGMENT_BYTES = 64 * 1024;
export const FRAGMENT_PAYLOAD_BYTES = FRAGMENT_BYTES - FRAGMENT_HEADER_BYTES;
export const CHANNELS = 3;

const FRAGMENT_VERSION = 1;
const FIRST = 1;
const LAST = 2;

/** Writes one fragment of `frame` at `target[at]`, where there must be room, and returns its end. */
export function writeFragment(
  target: Buffer,
  at: number,
  channel: Channel,
  frame: Uint8Array,
  from: number,
  length: number,
): number {
  const end = at + FRAGMENT_HEADER_BYTES + length;
  const last = from + length === frame.length;
  target.writeUInt32LE(length, at + 4);
  target[at + 8] = FRAGMENT_VERSION;
  target[at + 9] = channel;
  target[at + 10] = (from === 0 ? FIRST : 0) | (last ? LAST : 0);
  target[at + 11] = 0;
  target.set(from === 0 && last ? frame : frame.subarray(from, from + length), at + FRAGMENT_HEADER_BYTES);
  target.writeUInt32LE(crc32c(target.subarray(at + 4, end)), at);
  return end;
}

/**
 * Cuts a byte stream into frames. A frame that arrives whole within a chunk is handed out as a view into it; only what
 * spans chunks or fragments is copied.
 *
 * `push` throws `MalformedFrame` for bytes that no sender writes, for a broken checksum and for a frame above the limit;
 * the stream is useless afterwards. What a handler throws passes through.
 */
export class FrameParser {
  readonly #maxFrameBytes: number;
  readonly #deliver: (channel: Channel, frame: Buffer) => void;
  /** A header that the last chunk cut. */
  readonly #header = Buffer.alloc(FRAGMENT_HEADER_BYTES);
  /** A fragment (header included) that the last chunk cut, or null while not even the header is complete. */
  #cut: Buffer | null = null;
  /** Bytes present of `#cut`, or else of `#header`. */
  #have = 0;
  readonly #parts: (Buffer[] | null)[] = [null, null, null];
  readonly #partBytes = [0, 0, 0];
  #stopped = false;

  constructor(maxFrameBytes: number, deliver: (channel: Channel, frame: Buffer) => void) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#deliver = deliver;
  }

  /** Nothing is delivered any more, not even from the chunk that is being parsed. */
  stop(): void {
    this.#stopped = true;
  }

  push(chunk: Buffer): void {
    let at = this.#have > 0 ? this.#resume(chunk) : 0;
    while (!this.#stopped && chunk.length - at >= FRAGMENT_HEADER_BYTES) {
      const end = at + FRAGMENT_HEADER_BYTES + payloadLength(chunk, at);
      if (end > chunk.length) break;
      this.#fragment(chunk, at, end);
      at = end;
    }
    if (!this.#stopped && at < chunk.length) this.#keep(chunk, at);
  }

  /** Completes what the chunks before have left, and returns where in this one the rest begins. */
  #resume(chunk: Buffer): number {
    let at = 0;
    if (this.#cut === null) {
      at = Math.min(FRAGMENT_HEADER_BYTES - this.#have, chunk.length);
      chunk.copy(this.#header, this.#have, 0, at);
      this.#have += at;
      if (this.#have < FRAGMENT_HEADER_BYTES) return at;
      this.#cut = Buffer.allocUnsafe(FRAGMENT_HEADER_BYTES + payloadLength(this.#header, 0));
      this.#header.copy(this.#cut);
    }
    const cut = this.#cut;
    const more = Math.min(cut.length - this.#have, chunk.length - at);
    chunk.copy(cut, this.#have, at, at + more);
    this.#have += more;
    if (this.#have === cut.length) {
      this.#cut = null;
      this.#have = 0;
      this.#fragment(cut, 0, cut.length);
    }
    return at + more;
  }

  #keep(chunk: Buffer, at: number): void {
    const left = chunk.length - at;
    if (left >= FRAGMENT_HEADER_BYTES) {
      this.#cut = Buffer.allocUnsafe(FRAGMENT_HEADER_BYTES + payloadLength(chunk, at));
      chunk.copy(this.#cut, 0, at);
    } else {
      chunk.copy(this.#header, 0, at);
    }
    this.#have = left;
  }

  #fragment(buffer: Buffer, at: number, end: number): void {
    if (crc32c(buffer.subarray(at + 4, end)) !== buffer.readUInt32LE(at)) throw new MalformedFrame('checksum mismatch');
    const version = buffer[at + 8]!;
    if (version !== FRAGMENT_VERSION) throw new MalformedFrame(`unknown frame version ${version}`);
    const channel = buffer[at + 9]!;
    if (channel >= CHANNELS) throw new MalformedFrame(`unknown channel ${channel}`);
    const flags = buffer[at + 10]!;
    const payload = buffer.subarray(at + FRAGMENT_HEADER_BYTES, end);
    const parts = this.#parts[channel]!;
    if (((flags & FIRST) !== 0) !== (parts === null)) throw new MalformedFrame('fragments out of order');
    if (parts === null && (flags & LAST) !== 0) {
      this.#checkSize(payload.length);
      this.#deliver(channel as Channel, payload);
    } else {
      this.#assemble(channel as Channel, parts ?? [], payload, (flags & LAST) !== 0);
    }
  }

  #assemble(channel: Channel, parts: Buffer[], payload: Buffer, last: boolean): void {
    const bytes = this.#partBytes[channel]! + payload.length;
    this.#checkSize(bytes);
    parts.push(payload);
    this.#parts[channel] = last ? null : parts;
    this.#partBytes[channel] = last ? 0 : bytes;
    if (last) this.#deliver(channel, Buffer.concat(parts, bytes));
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#maxFrameBytes) throw new MalformedFrame(`frame larger than ${this.#maxFrameBytes} bytes`);
  }
}

function payloadLength(header: Buffer, at: number): number {
  const length = header.readUInt32LE(at + 4);
  if (length > FRAGMENT_PAYLOAD_BYTES) throw new MalformedFrame(`fragment of ${length} bytes`);
  return length;
}
