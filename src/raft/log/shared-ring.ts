/**
 * A queue of bytes from the main thread to the log's worker, in shared memory: one writer, one reader, no locks.
 *
 * Why not messages: a message costs the event loop several microseconds a batch, and a worker that waits for messages is
 * idle from the end of one sync until the next batch has made its way. Here it finds the next batch lying there.
 *
 * A frame is contiguous: length:u32 kind:u32 bytes, at multiples of 8. Positions grow for ever (modulo 2^32); a place in
 * the ring is a position modulo the capacity, which is a power of two.
 */
const CONTROL_WORDS = 8;
const STATS_WORDS = 4;

const Word = { Written: 0, Read: 1, Durable: 2, Full: 3, Stop: 4, Ring: 5 } as const;

export const FrameKind = { Batch: 1, Close: 2, Skip: 3 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

const FRAME_HEADER_BYTES = 8;
const EMPTY = Buffer.alloc(0);

export interface Frame {
  readonly kind: FrameKind;
  readonly bytes: Buffer;
}

/** What both sides see beside the ring: who is where, and how the log is. */
export class SharedControl {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #stats: Float64Array;

  constructor(memory = new SharedArrayBuffer(CONTROL_WORDS * 4 + STATS_WORDS * 8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, CONTROL_WORDS);
    this.#stats = new Float64Array(memory, CONTROL_WORDS * 4, STATS_WORDS);
  }

  get written(): number {
    return Atomics.load(this.#words, Word.Written);
  }

  get read(): number {
    return Atomics.load(this.#words, Word.Read);
  }

  /** Wakes the worker. */
  publish(written: number): void {
    Atomics.store(this.#words, Word.Written, written);
    Atomics.notify(this.#words, Word.Written);
  }

  /** The frames up to here are done with, and `batches` more are durable. */
  release(read: number, batches: number): void {
    Atomics.add(this.#words, Word.Durable, batches);
    Atomics.store(this.#words, Word.Read, read);
  }

  /** Batches that became durable so far, modulo 2^32. */
  get durable(): number {
    return Atomics.load(this.#words, Word.Durable);
  }

  get full(): boolean {
    return Atomics.load(this.#words, Word.Full) !== 0;
  }

  set full(full: boolean) {
    Atomics.store(this.#words, Word.Full, full ? 1 : 0);
  }

  /** Gives up waiting for space. */
  stop(): void {
    Atomics.store(this.#words, Word.Stop, 1);
    Atomics.notify(this.#words, Word.Stop);
  }

  /** Sleeps; true as soon as `stop` was called. */
  stoppedWithin(timeout_ms: number): boolean {
    return Atomics.wait(this.#words, Word.Stop, 0, timeout_ms) !== 'timed-out';
  }

  /** Sleeps until something was written beyond `seen`; false if nothing was in time. */
  writtenWithin(seen: number, timeout_ms: number): boolean {
    return Atomics.wait(this.#words, Word.Written, seen, timeout_ms) !== 'timed-out';
  }

  get ringNumber(): number {
    return Atomics.load(this.#words, Word.Ring);
  }

  newRing(): void {
    Atomics.add(this.#words, Word.Ring, 1);
  }

  writeStats(values: readonly number[]): void {
    this.#stats.set(values);
  }

  readStats(): readonly number[] {
    return [...this.#stats];
  }
}

/** The main thread's end. */
export class RingWriter {
  readonly #control: SharedControl;
  readonly #sendRing: (memory: SharedArrayBuffer) => void;
  #ring: Buffer;

  /** `sendRing` hands a bigger ring to the reader, which takes it before it reads on. */
  constructor(control: SharedControl, memory: SharedArrayBuffer, sendRing: (memory: SharedArrayBuffer) => void) {
    this.#control = control;
    this.#ring = Buffer.from(memory);
    this.#sendRing = sendRing;
  }

  /** False: there is no room now; try again when the reader has released something. */
  push(kind: FrameKind, bytes: Buffer = EMPTY): boolean {
    const need = frameBytes(bytes.length);
    const start = this.#control.written;
    const used = (start - this.#control.read) >>> 0;
    if (2 * need > this.#ring.length) {
      if (used > 0) return false;
      this.#grow(4 * need);
    }
    const capacity = this.#ring.length;
    const at = start & (capacity - 1);
    const skip = at + need > capacity ? capacity - at : 0;
    if (used + skip + need > capacity) return false;
    if (skip > 0) this.#write(at, FrameKind.Skip, skip - FRAME_HEADER_BYTES);
    const place = (at + skip) & (capacity - 1);
    this.#write(place, kind, bytes.length);
    bytes.copy(this.#ring, place + FRAME_HEADER_BYTES);
    this.#control.publish((start + skip + need) | 0);
    return true;
  }

  #write(at: number, kind: FrameKind, length: number): void {
    this.#ring.writeUInt32LE(length, at);
    this.#ring.writeUInt32LE(kind, at + 4);
  }

  #grow(atLeast: number): void {
    const memory = new SharedArrayBuffer(2 ** Math.ceil(Math.log2(atLeast)));
    this.#ring = Buffer.from(memory);
    this.#sendRing(memory);
    this.#control.newRing();
  }
}

/** The worker's end. */
export class RingReader {
  readonly #control: SharedControl;
  readonly #receiveRing: () => SharedArrayBuffer;
  #ring: Buffer;
  #ringNumber = 0;
  #position: number;

  constructor(control: SharedControl, memory: SharedArrayBuffer, receiveRing: () => SharedArrayBuffer) {
    this.#control = control;
    this.#ring = Buffer.from(memory);
    this.#receiveRing = receiveRing;
    this.#position = control.read;
  }

  /** Where the reader is: what was taken, released or not. */
  get position(): number {
    return this.#position;
  }

  /** The frames that lie there, in order, up to about `bytesMax`; views that are good until `release`. */
  take(bytesMax: number): Frame[] {
    const frames: Frame[] = [];
    const end = this.#control.written;
    for (let bytes = 0; this.#position !== end && bytes < bytesMax; ) {
      if (this.#ringNumber !== this.#control.ringNumber) {
        this.#ring = Buffer.from(this.#receiveRing());
        this.#ringNumber++;
      }
      const at = this.#position & (this.#ring.length - 1);
      const length = this.#ring.readUInt32LE(at);
      const kind = this.#ring.readUInt32LE(at + 4) as FrameKind;
      const start = at + FRAME_HEADER_BYTES;
      this.#position = (this.#position + frameBytes(length)) | 0;
      bytes += length;
      if (kind !== FrameKind.Skip) frames.push({ kind, bytes: this.#ring.subarray(start, start + length) });
    }
    return frames;
  }

  release(batches: number): void {
    this.#control.release(this.#position, batches);
  }
}

const frameBytes = (length: number): number => FRAME_HEADER_BYTES + ((length + 7) & ~7);
