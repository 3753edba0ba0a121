/**
 * Applied-state engines in memory, as adversarial as the port allows: the contract of StateEngine, and not one promise
 * more.
 *
 * Each engine is a disk image that outlives its handles. A write takes effect when its delay is over, in the order of
 * calls. Each write that is not yet covered by a completed flush keeps what it overwrote, so that a power cut can take
 * back any number of the latest writes, whole batches only; writes still in flight may have made it, too. What LevelDB
 * does by itself happens here as well: when `unflushedBytesMax` of writes have gathered, the oldest become durable.
 */
import { EngineDamagedError } from '../../../src/kv/store/engine/engine-damaged-error.js';
import type { Clock, Random, StateEngine, StateEngines } from '../../../src/raft/index.js';
import { never } from './process-gone.js';
import { type OwnOp, SimEngineDisk } from './sim-engine-disk.js';
import { SimEngine, type SimEngineOperation } from './sim-engine-handle.js';

export interface SimEnginesOptions {
  /** Without a clock every operation takes one microtask. */
  readonly clock?: Clock;
  /** How long an operation takes; only with a clock. 0 by default, which still is one event later. */
  readonly delay_ms?: (operation: SimEngineOperation) => number;
  /** Writes beyond this many bytes become durable by themselves, the oldest first, as LevelDB's write buffer does. */
  readonly unflushedBytesMax?: number;
}

/** `kill`: the process is gone, the machine stays: the page cache keeps what was written. */
export type CrashKind = 'power-cut' | 'kill';

export type EnginesCopy = ReadonlyMap<string, readonly (readonly [Buffer, Buffer])[]>;

const UNFLUSHED_BYTES_MAX = 4 * 1024 * 1024;

/** The engines of one node. Survives the node's crashes: hand the same object to the node's next life. */
export class SimEngines implements StateEngines {
  readonly #disks = new Map<string, SimEngineDisk>();
  readonly #handles = new Map<string, SimEngine>();
  readonly #options: SimEnginesOptions;
  /** Engines that were told to give space back, each time. */
  readonly reclaimed: string[] = [];
  /** Decides when space has been given back; null: as long as any other operation takes. */
  whenReclaimed: ((done: () => void) => void) | null = null;
  #life = 0;

  constructor(options: SimEnginesOptions = {}) {
    this.#options = options;
  }

  /** What one process is given: once that is dead, nothing that it asks for happens. */
  ofOneLife(): StateEngines {
    const life = this.#life;
    const unlessDead = <T>(run: () => Promise<T>): Promise<T> => (life === this.#life ? run() : never());
    return {
      open: (name) => unlessDead(() => this.open(name)),
      remove: (name) => unlessDead(() => this.remove(name)),
      list: () => unlessDead(() => this.list()),
    };
  }

  async open(name: string): Promise<StateEngine> {
    const life = this.#life;
    if (!/^[a-z0-9-]+$/.test(name)) throw new Error(`invalid engine name ${JSON.stringify(name)}`);
    if (this.#handles.has(name)) throw new Error(`engine ${name} is open already`);
    const handle = new SimEngine(
      name,
      this.#disk(name),
      (operation, run) => {
        if (operation === 'reclaim') this.reclaimed.push(name);
        if (operation === 'reclaim' && this.whenReclaimed !== null) this.whenReclaimed(run);
        else this.#later(operation, run);
      },
      () => {
        if (this.#handles.get(name) === handle) this.#handles.delete(name);
      },
    );
    this.#handles.set(name, handle);
    await this.#pause('open', life);
    const damage = this.#disks.get(name)?.damage ?? null;
    if (damage !== null) {
      this.#handles.delete(name);
      throw new EngineDamagedError(name, damage);
    }
    return handle;
  }

  async remove(name: string): Promise<void> {
    if (this.#handles.has(name)) throw new Error(`engine ${name} is open, it cannot be removed`);
    await this.#pause('remove', this.#life);
    if (this.#handles.has(name)) throw new Error(`engine ${name} was opened while it was being removed`);
    this.#disks.delete(name);
  }

  async list(): Promise<string[]> {
    return [...this.#disks.keys()].sort();
  }

  /**
   * Every handle is dead: its promises never settle, its reads throw. A power cut takes every engine back to the last
   * completed flush plus a prefix of the later batches, drawn for each engine.
   */
  crash(random: Random, kind: CrashKind = 'power-cut'): void {
    this.#life++;
    for (const [name, disk] of this.#disks) {
      const handle = this.#handles.get(name);
      const flying: readonly (readonly OwnOp[])[] = handle?.kill() ?? [];
      disk.crash(random, flying, kind === 'power-cut');
    }
    this.#handles.clear();
  }

  // ---------------------------------------------------------------------------------------------------- faults to inject

  names(): readonly string[] {
    return [...this.#disks.keys()];
  }

  /** What a copy of the files holds, taken in one moment. */
  copy(): EnginesCopy {
    const copyOf = (disk: SimEngineDisk): [Buffer, Buffer][] => {
      const rows: [Buffer, Buffer][] = [];
      disk.rows.scan(Buffer.alloc(0), null, (key, value) => {
        rows.push([key, value]);
        return true;
      });
      return rows;
    };
    return new Map([...this.#disks].map(([name, disk]) => [name, copyOf(disk)]));
  }

  /** The copy takes the place of everything (F26). No process may run. */
  putBack(copy: EnginesCopy): void {
    this.#disks.clear();
    for (const [name, rows] of copy) {
      const disk = this.#disk(name);
      disk.apply(rows.map(([key, value]) => ({ key, value })));
      disk.flushed(disk.applied);
    }
  }

  /**
   * Flips one bit in the value of one row, as a bad disk does (F38). Returns the row's key; null when there is no row
   * with a value among those that `eligible` lets through.
   */
  flipBit(name: string, random: Random, eligible: (key: Buffer) => boolean = () => true): Buffer | null {
    return this.#existing(name).flipBit(random, eligible);
  }

  /**
   * Some rows, one beside the other, can't be read any more, and the engine can't be opened again. Returns the key of the first;
   * null: there is none among those that `eligible` lets through, or a block is spoiled already.
   */
  spoil(name: string, random: Random, eligible: (key: Buffer) => boolean = () => true): Buffer | null {
    return this.#existing(name).spoil(random, eligible);
  }

  /** The next write fails, and so does every later one until the engine is opened anew. */
  failWrites(name: string, error: Error): void {
    this.#open(name).fail(error);
  }

  /** Nothing but `get` completes until `resume`. */
  stall(name: string): void {
    this.#open(name).stall();
  }

  resume(name: string): void {
    this.#open(name).resume();
  }

  /** From now on `open` rejects with this reason, until the engine is removed. */
  damage(name: string, reason: string): void {
    this.#existing(name).damage = reason;
  }

  /** Batches that a power cut could take back now. */
  unflushedBatches(name: string): number {
    return this.#existing(name).unflushedBatches;
  }

  /** Snapshots of an open engine that nobody has closed. */
  openSnapshots(name: string): number {
    return this.#open(name).openSnapshots;
  }

  #disk(name: string): SimEngineDisk {
    let disk = this.#disks.get(name);
    if (disk === undefined) {
      disk = new SimEngineDisk(this.#options.unflushedBytesMax ?? UNFLUSHED_BYTES_MAX);
      this.#disks.set(name, disk);
    }
    return disk;
  }

  #existing(name: string): SimEngineDisk {
    const disk = this.#disks.get(name);
    if (disk === undefined) throw new Error(`no engine ${name}`);
    return disk;
  }

  #open(name: string): SimEngine {
    const handle = this.#handles.get(name);
    if (handle === undefined) throw new Error(`engine ${name} is not open`);
    return handle;
  }

  /** Never resolves when the node crashes meanwhile. */
  #pause(operation: SimEngineOperation, life: number): Promise<void> {
    return new Promise((resolve) => {
      this.#later(operation, () => {
        if (life === this.#life) resolve();
      });
    });
  }

  #later(operation: SimEngineOperation, run: () => void): void {
    const { clock, delay_ms } = this.#options;
    if (clock === undefined) queueMicrotask(run);
    else clock.after(delay_ms?.(operation) ?? 0, run);
  }
}
