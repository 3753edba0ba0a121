/**
 * A disk that forgets, in memory and under a seed: the simulator's `LogFiles`.
 *
 * What was not synced survives a crash sector by sector at random, in no order, and one sector of each write may be torn
 * in its middle. Names survive only once the directory was synced, likewise at random before that.
 */
import type { Random } from '../../../src/raft/index.js';
import type { LogFile, LogFiles } from '../../../src/raft/log/index.js';
import { ProcessGone } from './process-gone.js';

export interface SimDiskOptions {
  readonly random: Random;
  /** What the device writes as a whole. Default 512. */
  readonly sectorBytes?: number;
  /** For error messages. */
  readonly name?: string;
  /** A process has synced once more after a sync that failed, which it must never rely on (F33). */
  readonly syncedAgain?: () => void;
  /** A process has removed a file. */
  readonly removed?: () => void;
}

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly length: number };

/** A file as the process sees it, and what a power cut would leave of it. */
class SimFile {
  content: Buffer = Buffer.alloc(0);
  length = 0;
  changes: Change[] = [];
  #durable: Buffer = Buffer.alloc(0);
  #durableLength = 0;

  bytes(): Buffer {
    return this.content.subarray(0, this.length);
  }

  durable(): Buffer {
    return this.#durable.subarray(0, this.#durableLength);
  }

  write(bytes: Uint8Array, offset: number): void {
    this.content = withRoom(this.content, offset + bytes.length);
    this.content.set(bytes, offset);
    this.length = Math.max(this.length, offset + bytes.length);
    this.changes.push({ kind: 'write', offset, bytes: Buffer.from(bytes) });
  }

  truncate(length: number): void {
    this.content = withRoom(this.content, length);
    this.content.fill(0, Math.min(length, this.length), this.content.length);
    this.length = length;
    this.changes.push({ kind: 'truncate', length });
  }

  /** Carries over only what has changed: a log syncs a few bytes of a long file, thousands of times. */
  sync(): void {
    for (const change of this.changes) {
      if (change.kind === 'truncate') {
        this.#durable = withRoom(this.#durable, change.length);
        this.#durable.fill(0, Math.min(change.length, this.#durableLength), this.#durable.length);
        this.#durableLength = change.length;
      } else {
        const end = change.offset + change.bytes.length;
        this.#durable = withRoom(this.#durable, end);
        change.bytes.copy(this.#durable, change.offset);
        this.#durableLength = Math.max(this.#durableLength, end);
      }
    }
    this.changes = [];
  }

  reset(bytes: Buffer): void {
    this.content = Buffer.from(bytes);
    this.length = bytes.length;
    this.#durable = Buffer.from(bytes);
    this.#durableLength = bytes.length;
    this.changes = [];
  }
}

/** The end of a process amid what it asks of its disk, which is many things for one step of a log. */
export interface DiskInterruption {
  /** Writes, truncations, syncs, files made and removed that it may still ask for. */
  readonly after: number;
  /** Counted from when a file is made or removed next, not from now: of what a log does to its disk that is the rare part. */
  readonly fromNextFile: boolean;
  /** Must end in `crash` or `kill`. */
  readonly die: () => void;
}

/** What each file looks like to a process, by name. */
export type DiskCopy = ReadonlyMap<string, Buffer>;

export class SimDisk implements LogFiles {
  readonly directory: string;
  readonly #random: Random;
  readonly #sectorBytes: number;
  #files = new Map<string, SimFile>();
  /** The directory as of its last sync. */
  #names = new Map<string, SimFile>();
  #capacityBytes = Number.POSITIVE_INFINITY;
  readonly #syncedAgain: () => void;
  readonly #removed: () => void;
  #syncFailure: Error | null = null;
  /** In this life of the process. */
  #syncFailed = false;
  #generation = 0;
  #interruption: DiskInterruption | null = null;
  #changesLeft = 0;
  #counting = false;
  bytesRead = 0;
  syncs = 0;

  constructor(options: SimDiskOptions) {
    this.#random = options.random;
    this.#sectorBytes = options.sectorBytes ?? 512;
    this.directory = options.name ?? 'sim-disk';
    this.#syncedAgain = options.syncedAgain ?? (() => {});
    this.#removed = options.removed ?? (() => {});
  }

  /** Grows with each crash; files opened before it are dead. */
  get generation(): number {
    return this.#generation;
  }

  list(): string[] {
    return [...this.#files.keys()];
  }

  /**
   * The process dies when it asks for one change too many. Its code goes on with an error, as the code of a process that is
   * killed does not: but nothing that it does then reaches the disk.
   */
  interrupt(interruption: DiskInterruption | null): void {
    this.#interruption = interruption;
    this.#changesLeft = interruption?.after ?? 0;
    this.#counting = interruption?.fromNextFile === false;
  }

  #beforeChange(ofFiles = false): void {
    const interruption = this.#interruption;
    this.#counting ||= ofFiles;
    if (interruption === null || !this.#counting || this.#changesLeft-- > 0) return;
    interruption.die();
    throw new ProcessGone(`the process on ${this.directory} has died amid a step`);
  }

  /** What a process of this generation sees of it: nothing, once it is dead. */
  view(): LogFiles {
    const generation = this.#generation;
    const alive = (): SimDisk => {
      if (generation !== this.#generation) throw new ProcessGone(`the process on ${this.directory} has died`);
      return this;
    };
    return {
      directory: this.directory,
      list: () => alive().list(),
      create: (name) => alive().create(name),
      open: (name) => alive().open(name),
      remove: (name) => alive().remove(name),
      syncDirectory: () => alive().syncDirectory(),
    };
  }

  /** As a process would read it now, which includes what a power cut could still take away. */
  copy(): DiskCopy {
    return new Map(this.list().map((name) => [name, this.contents(name)]));
  }

  /** The least that a power cut would leave of it now: what is synced, and no name of what was removed. */
  leastLeft(): DiskCopy {
    return new Map([...this.#files].map(([name, file]) => [name, Buffer.from(file.durable())]));
  }

  /** The copy, and nothing else, is what is there, durably (F26). No process may run. */
  putBack(copy: DiskCopy): void {
    this.#generation++;
    this.#files = new Map();
    this.#names = new Map();
    for (const [name, bytes] of copy) this.put(name, bytes);
  }

  create(name: string): LogFile {
    this.#beforeChange(true);
    if (this.#files.has(name)) throw Object.assign(new Error(`${name} exists`), { code: 'EEXIST' });
    this.#files.set(name, new SimFile());
    return this.open(name);
  }

  open(name: string): LogFile {
    return this.#handle(this.#file(name));
  }

  remove(name: string): void {
    this.#beforeChange(true);
    this.#file(name);
    this.#files.delete(name);
    this.#removed();
  }

  syncDirectory(): void {
    this.#beforeChange();
    this.#names = new Map(this.#files);
  }

  /** A power cut. */
  crash(): void {
    this.#newGeneration();
    const after = new Map<string, SimFile>();
    for (const name of new Set([...this.#names.keys(), ...this.#files.keys()])) {
      const before = this.#names.get(name);
      const now = this.#files.get(name);
      const file = before === now || this.#chance(0.5) ? now : before;
      if (file !== undefined) after.set(name, file);
    }
    for (const file of new Set(after.values())) file.reset(this.#survivors(file));
    this.#files = after;
    this.#names = new Map(after);
  }

  /** The process dies, the machine does not: nothing is lost. */
  kill(): void {
    this.#newGeneration();
  }

  #newGeneration(): void {
    this.#generation++;
    this.#syncFailure = null;
    this.#syncFailed = false;
    this.#interruption = null;
  }

  /** The bytes as a new process would read them. */
  contents(name: string): Buffer {
    return Buffer.from(this.#file(name).bytes());
  }

  /** Puts a file there, durably: for tests that cut, flip and tear. */
  put(name: string, bytes: Buffer): void {
    const file = this.#files.get(name) ?? new SimFile();
    file.reset(bytes);
    this.#files.set(name, file);
    this.#names.set(name, file);
  }

  flipBit(name: string, byte: number, bit: number): void {
    const file = this.#file(name);
    const bytes = Buffer.from(file.bytes());
    bytes[byte] = bytes[byte]! ^ (1 << bit);
    file.reset(bytes);
  }

  /** Flips a random bit somewhere. Returns where, or null if the disk is empty. */
  flipSomewhere(): { readonly name: string; readonly byte: number } | null {
    const names = this.list().filter((name) => this.#file(name).length > 0);
    const name = names[this.#below(names.length)];
    if (name === undefined) return null;
    const byte = this.#below(this.#file(name).length);
    this.flipBit(name, byte, this.#below(8));
    return { name, byte };
  }

  /** The next sync, of any file, fails with this. */
  failNextSync(error: Error): void {
    this.#syncFailure = error;
  }

  /** Writes that would make the files longer than this in all fail with ENOSPC, after a part of them. */
  limitTo(capacityBytes: number): void {
    this.#capacityBytes = capacityBytes;
  }

  usedBytes(): number {
    let sum = 0;
    for (const file of this.#files.values()) sum += file.length;
    return sum;
  }

  #file(name: string): SimFile {
    const file = this.#files.get(name);
    if (file === undefined) throw Object.assign(new Error(`${name} does not exist`), { code: 'ENOENT' });
    return file;
  }

  #handle(file: SimFile): LogFile {
    const generation = this.#generation;
    const alive = (): SimFile => {
      if (generation !== this.#generation)
        throw new ProcessGone('invariant: a file of a process that has crashed is used');
      return file;
    };
    const changing = (): SimFile => {
      alive();
      this.#beforeChange();
      return file;
    };
    return {
      sizeBytes: () => alive().length,
      read: (offset, length) => {
        const bytes = Buffer.from(
          alive()
            .bytes()
            .subarray(offset, offset + length),
        );
        this.bytesRead += bytes.length;
        return bytes;
      },
      write: (buffers, offset) => {
        let at = offset;
        for (const buffer of buffers) {
          this.#write(changing(), buffer, at);
          at += buffer.length;
        }
      },
      truncate: (length) => changing().truncate(length),
      sync: () => this.#sync(changing()),
      close: () => {},
    };
  }

  #write(file: SimFile, bytes: Uint8Array, offset: number): void {
    const growth = Math.max(0, offset + bytes.length - file.length);
    const room = Math.max(0, this.#capacityBytes - this.usedBytes());
    if (growth <= room) {
      file.write(bytes, offset);
      return;
    }
    file.write(bytes.subarray(0, Math.max(0, bytes.length - growth + room)), offset);
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }

  #sync(file: SimFile): void {
    const failure = this.#syncFailure;
    this.#syncFailure = null;
    if (this.#syncFailed) this.#syncedAgain();
    if (failure !== null) {
      this.#syncFailed = true;
      throw failure;
    }
    this.syncs++;
    file.sync();
  }

  /** The file after a power cut: the synced image, and of each later change what luck makes of it. */
  #survivors(file: SimFile): Buffer {
    let image: Buffer = Buffer.from(file.durable());
    const luck = this.#chance(0.2) ? 1 : this.#random.next();
    for (const change of file.changes) {
      if (change.kind === 'truncate') {
        if (this.#chance(luck)) image = sized(image, change.length);
      } else {
        image = this.#writeSome(image, change.offset, change.bytes, luck);
      }
    }
    return image;
  }

  #writeSome(image: Buffer, offset: number, bytes: Buffer, luck: number): Buffer {
    let result = image;
    const torn = this.#chance(0.3) ? this.#below(bytes.length) : -1;
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + this.#sectorBytes - ((offset + at) % this.#sectorBytes));
      const cut = torn >= at && torn < end ? torn : end;
      if (this.#chance(luck)) {
        if (offset + cut > result.length) result = sized(result, offset + cut);
        bytes.copy(result, offset + at, at, cut);
      }
      at = end;
    }
    return result;
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }
}

/** The bytes with room for `need`, zeroes behind them. Doubles, so that a file that grows a little at a time is rarely copied. */
function withRoom(bytes: Buffer, need: number): Buffer {
  if (need <= bytes.length) return bytes;
  const grown = Buffer.alloc(Math.max(need, 2 * bytes.length));
  bytes.copy(grown);
  return grown;
}

function sized(image: Buffer, length: number): Buffer {
  const result = Buffer.alloc(length);
  image.copy(result, 0, 0, Math.min(length, image.length));
  return result;
}
