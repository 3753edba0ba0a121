/**
 * A window over the Appends that one follower has not answered yet: how many, how many bytes, and up to which index
 * each reaches. It bounds what a slow follower can hold in flight (F42).
 */
export class Inflights {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  /** Parallel arrays, oldest at `#head`: last index and size of each message. */
  #ends: number[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#ends.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get full(): boolean {
    return this.count >= this.#maxMessages || this.#bytes >= this.#maxBytes;
  }

  /** What a further message may hold. Not above 0 when full. */
  get freeBytes(): number {
    return this.#maxBytes - this.#bytes;
  }

  add(end: number, size_bytes: number): void {
    this.#ends.push(end);
    this.#sizes.push(size_bytes);
    this.#bytes += size_bytes;
  }

  /** The follower has everything up to `index`. */
  freeTo(index: number): void {
    let head = this.#head;
    while (head < this.#ends.length && (this.#ends[head] as number) <= index) {
      this.#bytes -= this.#sizes[head] as number;
      head++;
    }
    this.#head = head;
    if (head === this.#ends.length) {
      this.clear();
    } else if (head >= 64 && head * 2 >= this.#ends.length) {
      this.#ends.splice(0, head);
      this.#sizes.splice(0, head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#ends.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }
}
