/**
 * Rows that were asked for lately, of all replicas of one node together, within a budget of bytes. The engine's own cache
 * holds blocks, and looking a row up in it costs as much as the rest of applying a small write.
 *
 * Values are kept as strings of one byte a character: they lie on the heap without a buffer's own allocation, and hold
 * on to nothing else (a view would keep the frame alive that it came in).
 */
import { LRUCache } from 'lru-cache';

/** Larger values cost more to copy than they save. */
const VALUE_BYTES_MAX = 4_096;
/** Of a row beside its key and value: the entry, the place in the cache's lists. */
const ROW_OVERHEAD_BYTES = 128;

/** No such row. No value is one character above a byte. */
const ABSENT = '\u0100';

/** Changed in place where its size stays: a row that is written is mostly one that has just been asked for. */
interface KeptRow {
  text: string;
}

export class RowCache {
  readonly #rows: LRUCache<string, KeptRow> | null;
  #scopes = 0;

  /** 0: it keeps nothing. */
  constructor(maxBytes: number) {
    this.#rows =
      maxBytes <= 0
        ? null
        : new LRUCache({
            maxSize: maxBytes,
            sizeCalculation: (row, key) => key.length + row.text.length + ROW_OVERHEAD_BYTES,
          });
  }

  /** What is kept now, as it is counted. */
  get bytes(): number {
    return this.#rows?.calculatedSize ?? 0;
  }

  /** For the rows of one engine that nobody else writes. What an older scope left is pushed out in time. */
  scope(): RowScope {
    return new RowScope(this.#rows, `${(this.#scopes++).toString(36)}/`);
  }
}

export class RowScope {
  readonly #rows: LRUCache<string, KeptRow> | null;
  readonly #prefix: string;
  #lastKey: Uint8Array | null = null;
  #lastName = '';
  /** What was found or put last, under which name. The cache may have pushed it out since: then nobody finds it there. */
  #lastRow: KeptRow | undefined = undefined;
  #lastRowName = '';

  constructor(rows: LRUCache<string, KeptRow> | null, prefix: string) {
    this.#rows = rows;
    this.#prefix = prefix;
  }

  /**
   * A row's name as a string, of all rows of the node. Whoever asks for a row often writes it next, under the same key: then
   * the name, whose hash is known, is made only once. Keys never change.
   */
  nameOf(key: Uint8Array): string {
    if (key === this.#lastKey) return this.#lastName;
    this.#lastKey = key;
    this.#lastName = this.#prefix + textOf(key);
    return this.#lastName;
  }

  /** null: there is no such row. undefined: not known here. */
  get(name: string): Buffer | null | undefined {
    const row = this.#rows?.get(name);
    if (row === undefined) return undefined;
    this.#lastRow = row;
    this.#lastRowName = name;
    return bytesOf(row);
  }

  /** The same; the row is not among those that were asked for lately because of it. */
  peek(name: string): Buffer | null | undefined {
    const row = this.#rows?.peek(name);
    return row === undefined ? undefined : bytesOf(row);
  }

  /** What the row is found to be. */
  learn(name: string, value: Uint8Array | null): void {
    if (value === null || value.length <= VALUE_BYTES_MAX) this.#keep(name, value === null ? ABSENT : textOf(value));
  }

  #keep(name: string, text: string): void {
    if (this.#rows === null) return;
    this.#lastRow = { text };
    this.#lastRowName = name;
    this.#rows.set(name, this.#lastRow);
  }

  /** What the row is from now on. Rows that nobody has asked for do not push others out. */
  change(name: string, value: Uint8Array | null): void {
    const row = name === this.#lastRowName ? this.#lastRow : this.#rows?.peek(name);
    if (row === undefined) return;
    if (value !== null && value.length > VALUE_BYTES_MAX) {
      this.#lastRowName = '';
      this.#rows?.delete(name);
      return;
    }
    const text = value === null ? ABSENT : textOf(value);
    if (text.length === row.text.length) row.text = text;
    else this.#keep(name, text);
  }
}

const bytesOf = ({ text }: KeptRow): Buffer | null => (text === ABSENT ? null : Buffer.from(text, 'latin1'));

/** A view. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const textOf = (bytes: Uint8Array): string => asBuffer(bytes).toString('latin1');
