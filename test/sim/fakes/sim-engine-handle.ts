/** One open simulated engine: orders and delays what happens to its disk, and dies with its process. */
import { EngineDamagedError } from '../../../src/kv/store/engine/engine-damaged-error.js';
import type { EngineOp, EngineRange, EngineRow, EngineSnapshot, StateEngine } from '../../../src/raft/index.js';
import type { OrderedRows } from './ordered-rows.js';
import { ProcessGone } from './process-gone.js';
import type { OwnOp, SimEngineDisk } from './sim-engine-disk.js';

export type SimEngineOperation = 'open' | 'write' | 'flush' | 'read' | 'reclaim' | 'remove';

type State = 'open' | 'closing' | 'closed' | 'crashed';

interface FlyingWrite {
  readonly ops: readonly OwnOp[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Found {
  readonly rows: EngineRow[];
  /** What a page that ends here has read: up to its last row, or all of the range. */
  readonly upTo: Uint8Array;
}

function readRange(rows: OrderedRows, { gte, lt, limit, maxBytes }: EngineRange): Found {
  const found: EngineRow[] = [];
  const rowsMax = limit ?? Number.POSITIVE_INFINITY;
  const bytesMax = maxBytes ?? Number.POSITIVE_INFINITY;
  if (rowsMax <= 0) return { rows: found, upTo: gte };
  let bytes = 0;
  let more = true;
  rows.scan(gte, lt, (key, value) => {
    // Copies, as LevelDB gives them: who scribbles on a row must not reach the disk.
    found.push({ key: Buffer.from(key), value: Buffer.from(value) });
    bytes += key.length + value.length;
    more = found.length < rowsMax && bytes < bytesMax;
    return more;
  });
  return { rows: found, upTo: more ? lt : found.at(-1)!.key };
}

const ownOps = (ops: readonly EngineOp[]): OwnOp[] =>
  ops.map(({ key, value }) => ({ key: Buffer.from(key), value: value === null ? null : Buffer.from(value) }));

export class SimEngine implements StateEngine {
  readonly #name: string;
  readonly #disk: SimEngineDisk;
  readonly #later: (operation: SimEngineOperation, run: () => void) => void;
  readonly #onClosed: () => void;
  #state: State = 'open';
  #stalled = false;
  #waitingForResume: (() => void)[] = [];
  #flying: FlyingWrite[] = [];
  #writing = false;
  #failure: Error | null = null;
  #snapshots = 0;
  #drained: (() => void) | null = null;

  constructor(
    name: string,
    disk: SimEngineDisk,
    later: (operation: SimEngineOperation, run: () => void) => void,
    onClosed: () => void,
  ) {
    this.#name = name;
    this.#disk = disk;
    this.#later = later;
    this.#onClosed = onClosed;
  }

  /** For who watches a simulation: tells whose engine it is. */
  get name(): string {
    return this.#name;
  }

  get(key: Uint8Array): Buffer | undefined {
    this.#mustBeOpen();
    this.#mustBeReadable(key, key);
    const value = this.#disk.rows.get(key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
    this.#mustBeOpen();
    const values = keys.map((key) => this.get(key));
    return this.#after('read', () => values);
  }

  async write(ops: readonly EngineOp[]): Promise<void> {
    this.#mustBeOpen();
    if (this.#failure !== null) throw this.#failure;
    const own = ownOps(ops);
    return new Promise((resolve, reject) => {
      this.#flying.push({ ops: own, resolve, reject });
      this.#writeNext();
    });
  }

  async flush(): Promise<void> {
    this.#mustBeOpen();
    const covered = this.#disk.applied;
    await this.#after('flush', () => this.#disk.flushed(covered));
  }

  snapshot(): EngineSnapshot {
    this.#mustBeOpen();
    const rows = this.#disk.rows.fork();
    let open = true;
    this.#snapshots++;
    return {
      range: async (range) => {
        this.#mustBeOpen();
        if (!open) throw new Error(`a snapshot of engine ${this.#name} is closed`);
        return this.#after('read', () => this.#rowsOf(readRange(rows, range), range));
      },
      close: async () => {
        if (open) this.#snapshots--;
        open = false;
      },
    };
  }

  async range(range: EngineRange): Promise<EngineRow[]> {
    this.#mustBeOpen();
    const found = readRange(this.#disk.rows, range);
    return this.#after('read', () => this.#rowsOf(found, range));
  }

  async reclaim(_gte: Uint8Array, _lt: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    await this.#after('reclaim', () => undefined);
  }

  async sizeBytes(): Promise<number> {
    this.#mustBeOpen();
    return this.#after('read', () => this.#disk.rows.bytes);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#mustBeOpen();
    this.#state = 'closing';
    if (this.#flying.length > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    this.#state = 'closed';
    this.#onClosed();
  }

  /** Snapshots that nobody has closed yet: after the calm there must be none. */
  get openSnapshots(): number {
    return this.#snapshots;
  }

  /** Returns the writes that were in flight, in order. */
  kill(): readonly (readonly OwnOp[])[] {
    const flying = this.#failure === null ? this.#flying.map((write) => write.ops) : [];
    this.#state = 'crashed';
    this.#flying = [];
    this.#waitingForResume = [];
    return flying;
  }

  fail(error: Error): void {
    this.#failure = error;
  }

  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    const waiting = this.#waitingForResume;
    this.#waitingForResume = [];
    for (const run of waiting) run();
  }

  #writeNext(): void {
    if (this.#writing || this.#flying.length === 0) return;
    this.#writing = true;
    this.#schedule('write', () => {
      this.#writing = false;
      const write = this.#flying.shift()!;
      if (this.#failure !== null) {
        write.reject(this.#failure);
      } else {
        this.#disk.apply(write.ops);
        write.resolve();
      }
      if (this.#flying.length === 0) this.#drained?.();
      this.#writeNext();
    });
  }

  #after<T>(operation: SimEngineOperation, result: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#schedule(operation, () => {
        try {
          resolve(result());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #schedule(operation: SimEngineOperation, run: () => void): void {
    this.#later(operation, () => this.#whenAwake(run));
  }

  #whenAwake(run: () => void): void {
    if (this.#state === 'crashed') return;
    if (this.#stalled) this.#waitingForResume.push(() => this.#whenAwake(run));
    else run();
  }

  #rowsOf({ rows, upTo }: Found, { gte }: EngineRange): EngineRow[] {
    this.#mustBeReadable(gte, upTo);
    return rows;
  }

  /** What has been written over it since is in LevelDB's memory, but who promises that? */
  #mustBeReadable(first: Uint8Array, last: Uint8Array): void {
    const fault = this.#disk.faultBetween(first, last);
    if (fault !== null) throw new EngineDamagedError(this.#name, fault);
  }

  #mustBeOpen(): void {
    if (this.#state === 'crashed') throw new ProcessGone(`engine ${this.#name} is crashed`);
    if (this.#state !== 'open') throw new Error(`engine ${this.#name} is ${this.#state}`);
  }
}
