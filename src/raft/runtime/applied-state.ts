/**
 * The applied state of one replica: rows in an engine, plus what was applied but is still on its way into it.
 *
 * Applying is synchronous, the engine is not. So a round's rows go to an open batch in memory, where they are visible at
 * once; while one batch is being written, later rounds gather in the next. Each batch is atomic and carries the applied
 * index, term and configuration (F31): the rows in the engine always are those of exactly one index.
 *
 * A view is a snapshot of the engine at the index of one entry. So the batch with that entry's round is sealed: later rounds
 * go into another one, and the snapshot is taken between the two.
 */
import { crc32c } from '@node-rs/crc32';
import type { ConfState, Index, SnapshotMeta, Term } from '../core/index.js';
import type { EngineOp, EngineSnapshot, StateEngine, ViewableRows } from '../ports.js';
import { asError, ReplicaDamaged } from './damage.js';
import { asBuffer, type RowScope } from './row-cache.js';

/** First byte 0x00 belongs to the runtime; the rest of the key names the row. */
const META_KEY = Buffer.from([0x00, 0x6d]);
const META_VERSION = 1;
/** Every row is below this. */
export const ROWS_END = Buffer.from([0xff]);

export interface AppliedMeta {
  readonly index: Index;
  readonly term: Term;
  readonly conf: ConfState;
}

interface Op extends EngineOp {
  readonly key: Uint8Array;
  value: Uint8Array | null;
}

type ViewTaker = (snapshot: EngineSnapshot | null) => void;

interface Batch {
  readonly ops: Op[];
  readonly byName: Map<string, Op>;
  readonly views: ViewTaker[];
  bytes: number;
  meta: AppliedMeta | null;
}

interface SettledWaiter {
  readonly index: Index;
  readonly resolve: () => void;
}

const newBatch = (): Batch => ({ ops: [], byName: new Map(), views: [], bytes: 0, meta: null });

/** As JSON: a configuration goes with every batch, and rarely changes. */
const confTexts = new WeakMap<ConfState, string>();

function confText(conf: ConfState): string {
  let text = confTexts.get(conf);
  if (text === undefined) {
    text = JSON.stringify(conf);
    confTexts.set(conf, text);
  }
  return text;
}

/** Rows the state machine may not touch, as they stand in the engine. */
export function encodeMeta(meta: SnapshotMeta): Buffer {
  const { index, term, conf } = meta;
  const body = Buffer.from(`{"v":${META_VERSION},"index":${index},"term":${term},"conf":${confText(conf)}}`);
  const row = Buffer.allocUnsafe(4 + body.length);
  row.writeUInt32LE(crc32c(body), 0);
  body.copy(row, 4);
  return row;
}

/** Throws `ReplicaDamaged` when the row is not what `encodeMeta` wrote, another error when another version wrote it. */
export function decodeMeta(row: Buffer): AppliedMeta {
  const body = row.subarray(4);
  if (row.length < 5 || row.readUInt32LE(0) !== crc32c(body))
    throw new ReplicaDamaged('the row of the applied index is corrupt');
  const parsed = JSON.parse(body.toString()) as { v: number; index: Index; term: Term; conf: ConfState };
  if (parsed.v !== META_VERSION)
    throw new Error(`the applied state has format ${parsed.v}, this build knows ${META_VERSION}`);
  return { index: parsed.index, term: parsed.term, conf: parsed.conf };
}

/** No row of the state machine: the runtime checks it where it reads it. */
export const isRuntimeRow = (key: Buffer): boolean => key[0] === META_KEY[0];

export class AppliedState implements ViewableRows {
  readonly engine: StateEngine;
  #open = newBatch();
  /** Rounds up to one that somebody wants to see, waiting to be written, the oldest first. Usually none. */
  readonly #sealed: Batch[] = [];
  #flying: Batch | null = null;
  #written: AppliedMeta;
  #settledWaiters: SettledWaiter[] = [];
  #onDrained: (() => void) | null = null;
  #onFailure: (error: Error) => void;
  #closed = false;
  readonly #pace: (write: () => void) => void;
  readonly #cache: RowScope;
  #pacing = false;

  /**
   * `initial` is what the engine's meta row says, or the base of a new group. `pace` calls back when the next batch may go;
   * one that is big, or that somebody waits for, goes at once. `cache` is this state's alone.
   */
  constructor(
    engine: StateEngine,
    initial: AppliedMeta,
    onFailure: (error: Error) => void,
    cache: RowScope,
    pace: (write: () => void) => void = (write) => write(),
  ) {
    this.#cache = cache;
    this.#pace = pace;
    this.engine = engine;
    this.#written = initial;
    this.#onFailure = onFailure;
  }

  /** null: a new engine. */
  static readMeta(engine: StateEngine): AppliedMeta | null {
    const row = engine.get(META_KEY);
    return row === undefined ? null : decodeMeta(row);
  }

  static async readMetaOf(snapshot: EngineSnapshot): Promise<AppliedMeta | null> {
    const rows = await snapshot.range({ gte: META_KEY, lt: Buffer.concat([META_KEY, Buffer.of(0)]) });
    return rows[0] === undefined ? null : decodeMeta(rows[0].value);
  }

  get(key: Uint8Array): Buffer | undefined {
    const name = this.#cache.nameOf(key);
    const cached = this.#cache.get(name);
    if (cached !== undefined) return cached ?? undefined;
    const value = this.#find(key, name);
    this.#cache.learn(name, value);
    return value === null ? undefined : asBuffer(value);
  }

  peek(key: Uint8Array): Buffer | undefined {
    const name = this.#cache.nameOf(key);
    const cached = this.#cache.peek(name);
    if (cached !== undefined) return cached ?? undefined;
    const value = this.#find(key, name);
    return value === null ? undefined : asBuffer(value);
  }

  #find(key: Uint8Array, name: string): Uint8Array | null {
    const op = this.#open.byName.get(name) ?? this.#sealedOp(name) ?? this.#flying?.byName.get(name);
    return op === undefined ? (this.engine.get(key) ?? null) : op.value;
  }

  #sealedOp(name: string): Op | undefined {
    for (let i = this.#sealed.length - 1; i >= 0; i--) {
      const op = this.#sealed[i]!.byName.get(name);
      if (op !== undefined) return op;
    }
    return undefined;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#set(key, value);
  }

  delete(key: Uint8Array): void {
    this.#set(key, null);
  }

  #set(key: Uint8Array, value: Uint8Array | null): void {
    const first = key[0];
    if (first === undefined || first === 0x00 || first === 0xff)
      throw new Error('invariant: a state machine wrote a row outside of its range');
    const name = this.#cache.nameOf(key);
    this.#cache.change(name, value);
    const open = this.#open;
    const op = open.byName.get(name);
    if (op !== undefined) {
      open.bytes += (value?.length ?? 0) - (op.value?.length ?? 0);
      op.value = value;
      return;
    }
    const fresh: Op = { key, value };
    open.ops.push(fresh);
    open.byName.set(name, fresh);
    open.bytes += key.length + (value?.length ?? 0);
  }

  view(taken: ViewTaker): void {
    this.#open.views.push(taken);
  }

  /** Somebody wants to see the state as it is after the entry that was applied last: its round ends with it. */
  get viewed(): boolean {
    return this.#open.views.length > 0;
  }

  /** Closes a round: its rows and `meta` become one atomic batch, perhaps together with rounds that wait already. */
  endRound(meta: AppliedMeta): void {
    this.#open.meta = meta;
    if (this.viewed) {
      this.#sealed.push(this.#open);
      this.#open = newBatch();
    }
    this.#writeInTime();
  }

  /**
   * The log is the durability, so rows need not hurry: rounds that come shortly one after the other share a batch, and a
   * row that many of them change is written once.
   */
  #writeInTime(): void {
    if (this.#flying !== null || !this.#anyToWrite || this.#closed) return;
    if (this.#sealed.length > 0 || this.#settledWaiters.length > 0 || this.#open.bytes >= WRITE_AT_BYTES) {
      this.#write();
    } else if (!this.#pacing) {
      this.#pacing = true;
      this.#pace(() => {
        this.#pacing = false;
        this.#write();
      });
    }
  }

  get #anyToWrite(): boolean {
    return this.#sealed.length > 0 || this.#open.meta !== null;
  }

  #next(): Batch {
    const sealed = this.#sealed.shift();
    if (sealed !== undefined) return sealed;
    const batch = this.#open;
    this.#open = newBatch();
    return batch;
  }

  #write(): void {
    if (this.#flying !== null || !this.#anyToWrite || this.#closed) return;
    const batch = this.#next();
    const meta = batch.meta!;
    this.#flying = batch;
    batch.ops.push({ key: META_KEY, value: encodeMeta(meta) });
    this.engine.write(batch.ops).then(
      () => {
        this.#flying = null;
        this.#written = meta;
        // Before anything more is written.
        for (const taken of batch.views) taken(this.#closed ? null : this.engine.snapshot());
        this.#wakeSettled();
        this.#writeInTime();
        const drained = this.#onDrained;
        if (drained !== null && !this.saturated) {
          this.#onDrained = null;
          drained();
        }
      },
      (error: unknown) => {
        for (const taken of batch.views) taken(null);
        if (!this.#closed) this.#onFailure(asError(error));
      },
    );
  }

  /** Rows of exactly this index are in the engine (not necessarily durable). */
  get written(): AppliedMeta {
    return this.#written;
  }

  /** Too much waits for the engine: apply nothing more until `onDrained` has run. */
  get saturated(): boolean {
    return this.#sealed.reduce((sum, batch) => sum + batch.bytes, this.#open.bytes) > MAX_WAITING_BYTES;
  }

  onDrained(run: () => void): void {
    this.#onDrained = run;
  }

  /** Resolves when everything applied up to `index` is in the engine, or never will be: it is closed. */
  settled(index: Index): Promise<void> {
    if (this.#written.index >= index || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settledWaiters.push({ index, resolve });
      this.#write();
    });
  }

  #wakeSettled(): void {
    if (this.#settledWaiters.length === 0) return;
    const rest: SettledWaiter[] = [];
    for (const waiter of this.#settledWaiters) {
      if (waiter.index <= this.#written.index) waiter.resolve();
      else rest.push(waiter);
    }
    this.#settledWaiters = rest;
  }

  /**
   * Nothing more reaches the engine but the batch in flight: the log has it, and a round that was broken off must not be
   * written along with the rounds before it. Waiters for `settled` are let go.
   */
  freeze(): void {
    this.#closed = true;
    this.#onDrained = null;
    for (const waiter of this.#settledWaiters) waiter.resolve();
    this.#settledWaiters = [];
    for (const { views } of [...this.#sealed, this.#open]) for (const taken of views.splice(0)) taken(null);
  }

  /** Freezes, and waits for the batch in flight. */
  async close(): Promise<void> {
    this.freeze();
    await this.engine.close();
  }
}

const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const WRITE_AT_BYTES = 128 * 1024;
