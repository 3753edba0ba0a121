/**
 * The engine of the log: batches to the end of the last segment, a new segment when it is full, old segments gone when
 * nothing in them is needed any more. Synchronous, single-threaded, told when to sync; who calls it decides where it runs.
 *
 * Each segment opens with the state of every group, synced before anything else goes in: so an older segment holds
 * nothing but entries that anybody needs, and an idle group never loses its vote.
 */
import { BatchEncoder } from './batch-encoder.js';
import type { GroupTable, RecordPlace } from './group-table.js';
import { LogFullError } from './log-error.js';
import { isDiskFull, type LogFile, type LogFiles } from './log-files.js';
import {
  BATCH_HEADER_BYTES,
  finishRecord,
  type RecordView,
  readRecord,
  recordsOf,
  SEGMENT_HEADER_BYTES,
  sealBatch,
  segmentName,
} from './record-codec.js';
import { FIRST_SEGMENT, type OpenSegment, recover } from './recovery.js';
import { SegmentCleaner } from './segment-cleaner.js';
import { encodeOpening } from './segment-opening.js';
import { type StoredGroup, takeStoredGroups } from './stored-group.js';
import { WaitingWrites } from './waiting-writes.js';

export interface SegmentedLogOptions {
  readonly segmentBytes: number;
  /** Zeros written ahead of the tail: a sync then need not change the file's length. 0: none. */
  readonly zeroAheadBytes: number;
  /** Eight random bytes; used when the log is new. */
  readonly salt: Buffer;
}

export const DEFAULT_SEGMENT_BYTES = 64 * 1024 * 1024;
export const DEFAULT_ZERO_AHEAD_BYTES = 256 * 1024;
/** Beyond that, places in the log are no exact numbers any more. */
const SEGMENTS_MAX = 2 ** 21 - 1;
/** Copied at a time out of an old segment on a full disk. */
const FULL_COPY_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);

export interface EngineStats {
  segments: number;
  bytes: number;
  syncs: number;
  records: number;
}

export interface OpenedLog {
  readonly log: SegmentedLog;
  readonly recovered: StoredGroup[];
  /** There was none. */
  readonly fresh: boolean;
}

export class SegmentedLog {
  readonly #files: LogFiles;
  readonly #options: SegmentedLogOptions;
  readonly #salt: Buffer;
  readonly #table: GroupTable;
  readonly #segments: OpenSegment[];
  readonly #cleaner: SegmentCleaner;
  readonly #copies = new BatchEncoder();
  /** File length up to which the last segment is known to hold zeros behind its tail. */
  #allocated = 0;
  #synced = 0;
  #resting = false;
  readonly #waiting = new WaitingWrites();
  #syncs = 0;
  #records = 0;

  /**
   * Reads the log in `files` or starts a new one. Throws on I/O errors, and `LogCorrupt` where marking groups as damaged
   * is not enough.
   */
  static open(files: LogFiles, options: SegmentedLogOptions): OpenedLog {
    const recovery = recover(files);
    const recovered = takeStoredGroups(recovery.table);
    const log = new SegmentedLog(files, options, recovery.table, recovery.segments, recovery.salt ?? options.salt);
    if ((recovery.segments.length === 0 || recovery.verdictIsNew) && log.#roll(0) === 'full') {
      throw new LogFullError(`the disk is full: the log in ${files.directory} can't be opened`);
    }
    return { log, recovered, fresh: recovery.fresh };
  }

  private constructor(
    files: LogFiles,
    options: SegmentedLogOptions,
    table: GroupTable,
    segments: OpenSegment[],
    salt: Buffer,
  ) {
    if (options.segmentBytes < 2 * SEGMENT_HEADER_BYTES || options.segmentBytes > 1024 ** 3) {
      throw new Error(`segmentBytes must be from ${2 * SEGMENT_HEADER_BYTES} to ${1024 ** 3}`);
    }
    this.#files = files;
    this.#options = options;
    this.#table = table;
    this.#segments = segments;
    this.#salt = salt;
    this.#cleaner = new SegmentCleaner(table);
    const head = segments.at(-1);
    if (head === undefined) return;
    this.#allocated = head.file.sizeBytes();
    // What was read is the truth from now on, so it has to be as durable as what will be built on it.
    head.file.sync();
    this.#synced = head.lengthBytes;
  }

  get #head(): OpenSegment {
    return this.#segments[this.#segments.length - 1]!;
  }

  /**
   * Writes batches as `BatchEncoder.take` gives them; their headers and record headers are filled in here. Not durable
   * before `sync`. 'full': there is no room on the disk, also without the segments that nobody needs; the log has copied what
   * it could not write, and the caller calls `retry`, or `append` with what has come since, until one of them returns 'ok'.
   * Only then is all of it written. Throws on any other I/O error: then the log is to be dropped.
   */
  append(batches: readonly Buffer[]): 'ok' | 'full' {
    if (this.#waiting.empty && this.#tryToWrite(batches)) return 'ok';
    this.#waiting.add(batches);
    return this.retry();
  }

  retry(): 'ok' | 'full' {
    // What was written of it may be what makes room for the rest.
    for (let some = true; some && !this.#waiting.empty; ) {
      this.#writeCompactions();
      this.#giveBackAll();
      some = this.#waiting.writeTo((batch, frees) => (frees && this.#squeezeIn(batch)) || this.#tryToWrite([batch]));
    }
    return this.#waiting.empty ? 'ok' : 'full';
  }

  /** On a full disk nothing else gives space back: what waits may wait for what some of these make useless. */
  #writeCompactions(): void {
    const batch = this.#waiting.compactions(this.#table);
    if (batch !== null) this.#squeezeIn(batch);
  }

  /** What gives space back: into the segment as it is, however full, as a new one needs more room than it has. */
  #squeezeIn(batch: Buffer): boolean {
    const fits = this.#hasRoom(batch.length, 0);
    if (fits) this.#put([batch], batch.length);
    return fits;
  }

  /** All that `maintain` would, and more, as each byte counts now; but not what is itself a copy made for that. */
  #giveBackAll(): void {
    for (const before = this.#head.segment; ; ) {
      this.sync();
      if (this.#hasDeadSegment()) this.#removeOldest();
      else if (!this.#isWorthCopying(before) || !this.#copyOldest()) return;
    }
  }

  #isWorthCopying(before: number): boolean {
    const { segment, lengthBytes } = this.#segments[0]!;
    return segment < before && (2 * this.#oldestLive() < lengthBytes || this.#isWasteful());
  }

  /** False: there is no room for what is still needed of it. */
  #copyOldest(): boolean {
    const copies = this.#copiesOfOldest(FULL_COPY_BYTES);
    return this.#tryToWrite([copies]) || (2 * this.#oldestLive() <= this.#reserve && this.#squeezeIn(copies));
  }

  #oldestLive(): number {
    return this.#table.liveBytes.get(this.#segments[0]!.segment) ?? 0;
  }

  /** False: there is no room for them. */
  #tryToWrite(batches: readonly Buffer[]): boolean {
    let bytes = 0;
    for (const batch of batches) bytes += batch.length;
    if (this.#mustRoll(bytes) && this.#roll(bytes) === 'full') return false;
    if (!this.#hasRoom(bytes)) return false;
    this.#put(batches, bytes);
    return true;
  }

  /** There is room for them. */
  #put(batches: readonly Buffer[], bytes: number): void {
    this.#place(batches);
    const head = this.#head;
    head.file.write(batches, head.lengthBytes);
    head.lengthBytes += bytes;
    this.#resting = false;
  }

  /** Everything written so far survives a power cut when it returns. Throws on failure, after which nothing is certain. */
  sync(): void {
    const head = this.#head;
    if (this.#synced === head.lengthBytes) return;
    head.file.sync();
    this.#syncs++;
    this.#synced = head.lengthBytes;
  }

  /**
   * States, unsynced, that all is synced. To be called when nothing more comes for a while: corruption of the last
   * batches can be told from a torn tail only by something behind them.
   */
  rest(): void {
    const head = this.#head;
    if (this.#resting || !this.#waiting.empty || this.#synced !== head.lengthBytes) return;
    const batch = Buffer.alloc(BATCH_HEADER_BYTES);
    if (!this.#hasRoom(batch.length)) return;
    this.#put([batch], batch.length);
    this.#resting = true;
  }

  /**
   * One step of giving space back: removes an old segment, or copies about `budgetBytes` of what is still needed out of
   * it. True: there is more to do. To be called when all is synced; the caller syncs afterwards.
   */
  maintain(budgetBytes: number): boolean {
    if (!this.#waiting.empty || this.#segments.length < 2 || this.#synced !== this.#head.lengthBytes) return false;
    if (this.#hasDeadSegment()) {
      this.#removeOldest();
      return true;
    }
    return this.#isWasteful() && this.#tryToWrite([this.#copiesOfOldest(budgetBytes)]);
  }

  #copiesOfOldest(budgetBytes: number): Buffer {
    this.#cleaner.copyFrom(this.#segments[0]!, budgetBytes, this.#copies);
    const batch = this.#copies.take();
    if (batch === null) throw new Error('invariant: a segment has live entries that nobody owns');
    return batch;
  }

  /** The oldest segment, which is not the one being written, has nothing that anybody needs. */
  #hasDeadSegment(): boolean {
    return this.#segments.length > 1 && !this.#table.liveBytes.has(this.#segments[0]!.segment);
  }

  #removeOldest(): void {
    const oldest = this.#segments.shift()!;
    oldest.file.close();
    this.#files.remove(segmentName(oldest.segment));
    this.#files.syncDirectory();
  }

  stats(): EngineStats {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.lengthBytes;
    return { segments: this.#segments.length, bytes, syncs: this.#syncs, records: this.#records };
  }

  /** All that was written is durable when it returns. Not to be called after a failure: see `abandon`. */
  close(): void {
    try {
      if (this.#waiting.empty) {
        this.sync();
        this.rest();
        this.sync();
      }
    } finally {
      this.abandon();
    }
  }

  /** Closes the files as they are. After a failed sync nothing may be synced again: it would report success (F33). */
  abandon(): void {
    for (const segment of this.#segments) segment.file.close();
  }

  /** More than half of the log is of no use, beyond what a few segments may waste. */
  #isWasteful(): boolean {
    return this.stats().bytes > 2 * this.#table.liveBytesTotal + 3 * this.#options.segmentBytes;
  }

  #mustRoll(bytes: number): boolean {
    const { lengthBytes } = this.#head;
    return lengthBytes + bytes > this.#options.segmentBytes && lengthBytes > this.#openingEnd;
  }

  #openingEnd = SEGMENT_HEADER_BYTES;

  /** Gives records their numbers, notes what they mean, and completes the batches' headers. */
  #place(batches: readonly Buffer[]): void {
    const head = this.#head;
    let offset = head.lengthBytes;
    for (const batch of batches) {
      const place = { segment: head.segment, offset, keepBodies: false };
      for (const blank of recordsOf(batch)) this.#placeRecord(batch, blank, place);
      this.#seal(batch, head.segment, offset, this.#synced);
      offset += batch.length;
    }
  }

  #placeRecord(batch: Buffer, blank: RecordView, place: RecordPlace): void {
    finishRecord(batch, blank.at, this.#table.nextSeq(blank.group, place));
    this.#table.apply(readRecord(batch, blank.at, batch.length)!, place);
    this.#records++;
  }

  #seal(batch: Buffer, segment: number, offset: number, synced: number): void {
    sealBatch(batch, { salt: this.#salt, segment, offset, synced, census: this.#table.census });
  }

  /** What of the zeros ahead is for what gives space back only, so that the log can always say what it does not need any more. */
  get #reserve(): number {
    return this.#options.zeroAheadBytes >> 2;
  }

  /** Makes sure that a write of `bytes` at the tail can't run out of space, by writing zeros there first. */
  #hasRoom(bytes: number, reserve = this.#reserve): boolean {
    const head = this.#head;
    const need = head.lengthBytes + bytes + reserve;
    if (need <= this.#allocated) return true;
    const ahead = head.lengthBytes + bytes + this.#options.zeroAheadBytes;
    const wanted = Math.max(need, Math.min(ahead, this.#options.segmentBytes + reserve));
    for (const target of wanted > need ? [wanted, need] : [need]) {
      try {
        writeZeros(head.file, this.#allocated, target);
        this.#allocated = target;
        return true;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        head.file.truncate(this.#allocated);
      }
    }
    return false;
  }

  /** Seals the last segment and opens the next one, ready to be written to, with room for `bytes`. */
  #roll(bytes: number): 'ok' | 'full' {
    const head = this.#segments.at(-1);
    if (head !== undefined) {
      this.sync();
      this.rest();
      head.file.truncate(head.lengthBytes);
      this.#allocated = head.lengthBytes;
      head.file.sync();
      this.#synced = head.lengthBytes;
    }
    const segment = head === undefined ? FIRST_SEGMENT : head.segment + 1;
    if (segment > SEGMENTS_MAX) throw new Error(`the log in ${this.#files.directory} has used up its segment numbers`);
    const opened = this.#open(segment, head ?? null, bytes);
    if (opened === null) {
      if (head !== undefined) this.#hasRoom(0);
      return 'full';
    }
    this.#segments.push(opened);
    this.#allocated = opened.lengthBytes + bytes + this.#reserve;
    this.#openingEnd = opened.lengthBytes;
    this.#synced = opened.lengthBytes - BATCH_HEADER_BYTES;
    this.#resting = true;
    return 'ok';
  }

  /**
   * A new segment with its opening, durable, and a batch behind it that says so, which is not: the next sync takes it along.
   * `maintain` removes nothing before that, so that whoever finds no older segments finds this one to be in use (see
   * recovery). null: the disk is full, and nothing of it is left.
   */
  #open(segment: number, previous: OpenSegment | null, bytes: number): OpenSegment | null {
    const name = segmentName(segment);
    // Only the first one may be there, never used: see recovery.
    const again = previous === null && this.#files.list().includes(name);
    let file: LogFile | null = null;
    try {
      file = again ? this.#files.open(name) : this.#files.create(name);
      file.truncate(0);
      const opening = encodeOpening(this.#table, {
        segment,
        salt: this.#salt,
        previousSegment: previous?.segment ?? 0,
        previousLength: previous?.lengthBytes ?? 0,
      });
      file.write([opening], 0);
      file.sync();
      this.#files.syncDirectory();
      const mark = Buffer.alloc(BATCH_HEADER_BYTES);
      this.#seal(mark, segment, opening.length, opening.length);
      file.write([mark], opening.length);
      const lengthBytes = opening.length + mark.length;
      writeZeros(file, lengthBytes, lengthBytes + bytes + this.#reserve);
      return { segment, file, lengthBytes };
    } catch (error) {
      if (again) file?.truncate(0);
      file?.close();
      if (!isDiskFull(error)) throw error;
      if (file !== null && !again) this.#files.remove(name);
      this.#files.syncDirectory();
      return null;
    }
  }
}

function writeZeros(file: LogFile, from: number, to: number): void {
  for (let at = from; at < to; at += ZEROS.length) {
    file.write([ZEROS.subarray(0, Math.min(ZEROS.length, to - at))], at);
  }
}
