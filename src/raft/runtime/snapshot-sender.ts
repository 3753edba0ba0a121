/**
 * Streams one consistent state to one follower: pages out of an engine snapshot, never more than a window of them in
 * memory. Frames may be lost; what is not acknowledged in time is sent again (go-back-N).
 */
import { crc32c } from '@node-rs/crc32';
import type { ConfState, GroupId, Index, NodeId, ReplicaId, Term } from '../core/index.js';
import type { Clock, EngineRow, EngineSnapshot, Timer } from '../ports.js';
import { ROWS_END } from './applied-state.js';
import { asError, ReplicaDamaged } from './damage.js';
import { encodeSnapshotFrame, type SnapshotFrame, type SnapshotRow, WINDOW_FRAMES } from './snapshot-codec.js';

const PAGE_BYTES = 256 * 1024;
const PAGE_ROWS = 4096;
const RESEND_MS = 500;
const GIVE_UP_MS = 15_000;

export interface SnapshotSenderOptions {
  readonly group: GroupId;
  readonly from: ReplicaId;
  readonly to: { readonly node: NodeId; readonly replica: ReplicaId };
  readonly stream: number;
  readonly meta: { readonly index: Index; readonly term: Term; readonly conf: ConfState };
  readonly leaderTerm: Term;
  readonly snapshot: EngineSnapshot;
  readonly clock: Clock;
  readonly send: (to: NodeId, frame: Buffer) => boolean;
  /** Why a row must not be sent on, or null. */
  readonly fault: (row: EngineRow) => string | null;
  /** A row is not what was written, or the rows can't be read; told after `done`. */
  readonly failed: (error: Error) => void;
  readonly done: (ok: boolean, why: string) => void;
}

type Body = SnapshotFrame extends infer F ? (F extends SnapshotFrame ? Omit<F, keyof HeaderOnly> : never) : never;
interface HeaderOnly {
  group: unknown;
  from: unknown;
  to: unknown;
  stream: unknown;
  seq: unknown;
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #unacked: { readonly seq: number; readonly frame: Buffer }[] = [];
  #nextSeq = 0;
  #cursor: Buffer = Buffer.from([0x00]);
  #rowCount = 0;
  #crc = 0;
  #readAll = false;
  #reading = false;
  #finished = false;
  #timer: Timer;
  #progressAt_ms: number;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
    this.#progressAt_ms = options.clock.monotonic_ms();
    this.#timer = options.clock.after(RESEND_MS, () => this.#tick());
    const { index, term, conf } = options.meta;
    this.#push({ kind: 'begin', index, term, conf, leaderTerm: options.leaderTerm });
    this.#fill();
  }

  get stream(): number {
    return this.#options.stream;
  }

  /** Frames that have arrived. */
  get acknowledged(): number {
    return this.#nextSeq - this.#unacked.length;
  }

  #push(body: Body): void {
    const { group, from, to, stream } = this.#options;
    const seq = this.#nextSeq++;
    const frame = encodeSnapshotFrame({ group, from, to: to.replica, stream, seq, ...body } as SnapshotFrame);
    this.#unacked.push({ seq, frame });
    this.#send(frame);
  }

  /** The transport owns what it is given, and a lost frame is sent again: so it gets a copy. */
  #send(frame: Buffer): void {
    this.#options.send(this.#options.to.node, Buffer.from(frame));
  }

  #fill(): void {
    if (this.#reading || this.#readAll || this.#finished || this.#unacked.length >= WINDOW_FRAMES) return;
    this.#reading = true;
    this.#options.snapshot
      .range({ gte: this.#cursor, lt: ROWS_END, maxBytes: PAGE_BYTES, limit: PAGE_ROWS })
      .then((rows) => {
        this.#reading = false;
        if (!this.#finished) this.#page(rows);
      })
      .catch((error: unknown) => {
        // Whoever has ended it has closed the snapshot, perhaps under this read.
        if (this.#finished) return;
        this.#fail(`reading the snapshot failed: ${String(error)}`, asError(error));
      });
  }

  #page(rows: readonly EngineRow[]): void {
    const last = rows.at(-1);
    if (last === undefined) {
      this.#readAll = true;
      this.#push({ kind: 'end', rowCount: this.#rowCount, crc: this.#crc });
      return;
    }
    this.#cursor = Buffer.concat([last.key, Buffer.from([0])]);
    const page: SnapshotRow[] = [];
    for (const row of rows) {
      const fault = this.#options.fault(row);
      if (fault !== null) return this.#fail(`a row of this replica is damaged: ${fault}`, new ReplicaDamaged(fault));
      this.#crc = crc32c(row.value, crc32c(row.key, this.#crc));
      page.push([row.key, row.value]);
    }
    this.#rowCount += page.length;
    this.#push({ kind: 'rows', rows: page });
    this.#fill();
  }

  onFrame(frame: SnapshotFrame): void {
    if (this.#finished || frame.stream !== this.#options.stream) return;
    if (frame.kind === 'refuse') {
      this.#finish(false, frame.reason);
      return;
    }
    if (frame.kind !== 'ack') return;
    let moved = false;
    while (this.#unacked.length > 0 && this.#unacked[0]!.seq <= frame.seq) {
      this.#unacked.shift();
      moved = true;
    }
    if (!moved) return;
    this.#progressAt_ms = this.#options.clock.monotonic_ms();
    if (this.#readAll && this.#unacked.length === 0) this.#finish(true, 'received whole');
    else this.#fill();
  }

  #tick(): void {
    if (this.#finished) return;
    const waited_ms = this.#options.clock.monotonic_ms() - this.#progressAt_ms;
    if (waited_ms >= GIVE_UP_MS) {
      this.#finish(false, `no acknowledgement for ${GIVE_UP_MS} ms`);
      return;
    }
    if (waited_ms >= RESEND_MS) for (const { frame } of this.#unacked) this.#send(frame);
    this.#timer = this.#options.clock.after(RESEND_MS, () => this.#tick());
  }

  #fail(why: string, error: Error): void {
    this.#finish(false, why);
    this.#options.failed(error);
  }

  abort(): void {
    this.#finish(false, 'aborted');
  }

  #finish(ok: boolean, why: string): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#timer.cancel();
    this.#unacked.length = 0;
    void this.#options.snapshot.close().catch(() => undefined);
    this.#options.done(ok, why);
  }
}
