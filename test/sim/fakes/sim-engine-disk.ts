/** What of a simulated engine outlives its process: the rows, and how to take back what no flush has covered. */
import type { Random } from '../../../src/raft/index.js';
import { OrderedRows } from './ordered-rows.js';

/** An operation whose buffers nobody else holds. */
export interface OwnOp {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

interface Undo {
  readonly key: Buffer;
  /** undefined: the key was not there. */
  readonly before: Buffer | undefined;
}

/** Rows from the first to the last key, both included. */
interface Block {
  readonly first: Buffer;
  readonly last: Buffer;
}

interface AppliedBatch {
  readonly undo: readonly Undo[];
  readonly bytes: number;
}

const BLOCK_ROWS = 16;
const SPOILED = 'a block of rows cannot be decoded';

export class SimEngineDisk {
  readonly rows = new OrderedRows();
  /** Why it can't be opened, or null. */
  damage: string | null = null;
  #spoiled: Block | null = null;
  /** Number of batches applied, ever. */
  #applied = 0;
  /** The batches that a power cut may take back, the oldest first. */
  #unflushed: AppliedBatch[] = [];
  #unflushedBytes = 0;
  readonly #unflushedBytesMax: number;

  constructor(unflushedBytesMax: number) {
    this.#unflushedBytesMax = unflushedBytesMax;
  }

  get applied(): number {
    return this.#applied;
  }

  get unflushedBatches(): number {
    return this.#unflushed.length;
  }

  /** Keeps the buffers. */
  apply(ops: readonly OwnOp[]): void {
    const undo: Undo[] = [];
    let bytes = 0;
    for (const { key, value } of ops) {
      const before = value === null ? this.rows.delete(key) : this.rows.put(key, value);
      undo.push({ key, before });
      bytes += key.length + (value?.length ?? 0);
    }
    this.#applied++;
    this.#unflushed.push({ undo, bytes });
    this.#unflushedBytes += bytes;
    while (this.#unflushedBytes > this.#unflushedBytesMax) this.#forgetOldest(1);
  }

  /** The first `applied` batches are durable. */
  flushed(applied: number): void {
    const oldest = this.#applied - this.#unflushed.length;
    if (applied > oldest) this.#forgetOldest(applied - oldest);
  }

  /** `flying`: batches handed over but not yet effective; a prefix of them may have made it. */
  crash(random: Random, flying: readonly (readonly OwnOp[])[], losesUnflushed: boolean): void {
    const first = losesUnflushed ? 0 : this.#unflushed.length;
    const last = this.#unflushed.length + flying.length;
    const kept = first + Math.floor(random.next() * (last - first + 1));
    const survivors = flying.slice(0, Math.max(0, kept - this.#unflushed.length));
    while (this.#unflushed.length > kept) this.#takeBackLatest();
    for (const ops of survivors) this.apply(ops);
    // After a power cut the disk holds what it holds; after a kill the page cache may still be lost later.
    if (losesUnflushed) this.flushed(this.#applied);
  }

  flipBit(random: Random, eligible: (key: Buffer) => boolean): Buffer | null {
    const keys: Buffer[] = [];
    this.rows.scan(Buffer.alloc(0), null, (key, value) => {
      if (value.length > 0 && eligible(key)) keys.push(key);
      return true;
    });
    const key = keys[Math.floor(random.next() * keys.length)];
    if (key === undefined) return null;
    const value = Buffer.from(this.rows.get(key)!);
    const bit = Math.floor(random.next() * value.length * 8);
    value[bit >>> 3]! ^= 1 << (bit & 7);
    this.rows.put(key, value);
    return key;
  }

  /**
   * Up to `BLOCK_ROWS` rows, one beside the other, can't be read any more, whatever is written over them: a block of a table
   * that LevelDB can't decode. Returns the first row's key; null: there is none that is eligible, or such a block is there already.
   */
  spoil(random: Random, eligible: (key: Buffer) => boolean): Buffer | null {
    if (this.#spoiled !== null) return null;
    const keys: Buffer[] = [];
    this.rows.scan(Buffer.alloc(0), null, (key) => {
      if (eligible(key)) keys.push(key);
      return true;
    });
    const first = keys[Math.floor(random.next() * keys.length)];
    if (first === undefined) return null;
    let last = first;
    let rows = 0;
    this.rows.scan(first, null, (key) => {
      last = key;
      return ++rows < BLOCK_ROWS;
    });
    this.#spoiled = { first, last };
    this.damage = `${SPOILED} from ${first.toString('hex')} on`;
    return first;
  }

  /** What keeps a reader from knowing all rows from `first` to `last`, both included, or null. */
  faultBetween(first: Uint8Array, last: Uint8Array): string | null {
    const block = this.#spoiled;
    if (block === null || Buffer.compare(last, block.first) < 0 || Buffer.compare(first, block.last) > 0) return null;
    return SPOILED;
  }

  #forgetOldest(count: number): void {
    for (const batch of this.#unflushed.splice(0, count)) this.#unflushedBytes -= batch.bytes;
  }

  #takeBackLatest(): void {
    const batch = this.#unflushed.pop()!;
    for (let i = batch.undo.length - 1; i >= 0; i--) {
      const { key, before } = batch.undo[i]!;
      if (before === undefined) this.rows.delete(key);
      else this.rows.put(key, before);
    }
    this.#unflushedBytes -= batch.bytes;
    this.#applied--;
  }
}
