/**
 * Reads rows out of LevelDB, and learns whether these are all of them.
 *
 * An iterator of LevelDB passes over a block that it can't read or decode, and keeps the error. The binding asks for it only
 * where an iterator comes to its end: a page that ends before that would lack the block's rows and say nothing, and a
 * snapshot made of such pages would hand the hole on to sound replicas (F35). So an iterator that is left early is stopped
 * first. Then it reads nothing more, and its next answer is the error that it kept, or else that it was stopped.
 *
 * Not taken: a second iterator over the same keys costs more, and finds nothing where the block can be read the second time;
 * `seek` behind the range reads the ends of all levels, and does so on the event loop.
 */
import type { ClassicLevel } from 'classic-level';
import type { EngineRange, EngineRow } from '../../../raft/index.js';

export type Db = ClassicLevel<Uint8Array, Buffer>;
export type NativeSnapshot = ReturnType<Db['snapshot']>;
type Iterator = ReturnType<typeof newIterator>;

const PAGE_ROWS = 1000;
const PAGE_BYTES = 256 * 1024;

/**
 * What the binding uses of an AbortSignal, for a third of the price. It never says that it is `aborted`: then the binding
 * would answer by itself, without asking the iterator.
 */
class Stop {
  readonly aborted = false;
  #stop: (() => void) | null = null;

  addEventListener(_type: 'abort', stop: () => void): void {
    this.#stop = stop;
  }

  removeEventListener(): void {
    this.#stop = null;
  }

  now(): void {
    this.#stop?.();
  }
}

const newIterator = (
  db: Db,
  { gte, lt, maxBytes = PAGE_BYTES }: EngineRange,
  snapshot: NativeSnapshot | null,
  stop: Stop,
) =>
  db.iterator<Uint8Array, Buffer>({
    gte,
    lt,
    // A page ends with the row that exceeds this: the row that reaches `maxBytes` exceeds one byte less.
    highWaterMarkBytes: Math.max(0, Math.min(maxBytes, PAGE_BYTES) - 1),
    signal: stop as unknown as AbortSignal,
    ...(snapshot === null ? {} : { snapshot }),
  });

/** Rejects with LEVEL_CORRUPTION when there is a block in the range, as far as it is read, that can't be decoded. */
export async function readRange(db: Db, range: EngineRange, snapshot: NativeSnapshot | null): Promise<EngineRow[]> {
  const rows: EngineRow[] = [];
  if ((range.limit ?? 1) <= 0) return rows;
  const stop = new Stop();
  const iterator = newIterator(db, range, snapshot, stop);
  try {
    if (!(await readRows(iterator, range, rows))) await leaveEarly(iterator, stop);
    return rows;
  } finally {
    await iterator.close();
  }
}

/** False: there may be more. */
async function readRows(iterator: Iterator, { limit, maxBytes }: EngineRange, rows: EngineRow[]): Promise<boolean> {
  const rowsMax = limit ?? Number.POSITIVE_INFINITY;
  const bytesMax = maxBytes ?? Number.POSITIVE_INFINITY;
  let bytes = 0;
  for (;;) {
    const page = await iterator.nextv(Math.min(PAGE_ROWS, rowsMax - rows.length));
    if (page.length === 0) return true;
    for (const [key, value] of page) {
      // The binding hands out Buffers for every binary encoding.
      rows.push({ key: key as Buffer, value });
      bytes += key.length + value.length;
      if (bytes >= bytesMax || rows.length >= rowsMax) return false;
    }
  }
}

async function leaveEarly(iterator: Iterator, stop: Stop): Promise<void> {
  stop.now();
  const more = await iterator.nextv(1).catch((error: Error & { readonly code?: unknown }) => {
    if (error.code === 'LEVEL_ABORTED') return [];
    throw error;
  });
  // None where its last page was its end: then it has been asked with that.
  if (more.length > 0) throw new Error('an iterator of LevelDB reads on although it was stopped');
}
