/**
 * Receives a snapshot stream into an engine of its own, beside the one in force. Only when all of it is there, checked
 * and flushed, the replica is told; the switch itself is a record in the log (F7).
 */
import { crc32c } from '@node-rs/crc32';
import type { GroupId, NodeId, ReplicaId, SnapshotMeta, Term } from '../core/index.js';
import type { EngineOp, StateEngine, StateEngines } from '../ports.js';
import { encodeSnapshotFrame, type SnapshotFrame } from './snapshot-codec.js';

export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  readonly leaderTerm: Term;
  readonly from: ReplicaId;
  readonly engineName: string;
  readonly engine: StateEngine;
}

export interface SnapshotReceiverOptions {
  readonly group: GroupId;
  readonly replica: ReplicaId;
  readonly engines: StateEngines;
  readonly newEngineName: () => string;
  readonly send: (to: NodeId, frame: Buffer) => boolean;
  readonly staged: (snapshot: StagedSnapshot) => void;
  readonly event: (text: string) => void;
}

interface Stream {
  readonly id: number;
  readonly fromNode: NodeId;
  readonly from: ReplicaId;
  readonly meta: SnapshotMeta;
  readonly leaderTerm: Term;
  readonly engineName: string;
  engine: StateEngine | null;
  next: number;
  busy: boolean;
  rowCount: number;
  crc: number;
  complete: boolean;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  #stream: Stream | null = null;
  #closed = false;

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  get receiving(): boolean {
    return this.#stream !== null && !this.#stream.complete;
  }

  onFrame(fromNode: NodeId, frame: SnapshotFrame): void {
    if (this.#closed || frame.to !== this.#options.replica) return;
    if (frame.kind === 'begin' && this.#stream?.id !== frame.stream) {
      this.#begin(fromNode, frame);
      return;
    }
    const stream = this.#stream;
    if (stream === null || stream.id !== frame.stream) {
      if (frame.kind === 'rows' || frame.kind === 'end') this.#refuse(fromNode, frame, 'no such stream here');
      return;
    }
    if (frame.seq < stream.next) this.#ack(stream, frame);
    else if (frame.seq === stream.next && !stream.busy) this.#take(stream, frame);
  }

  #begin(fromNode: NodeId, frame: SnapshotFrame & { kind: 'begin' }): void {
    const old = this.#stream;
    if (old?.busy === true) return; // the sender repeats itself; by then the old stream's write is done
    const { index, term, conf } = frame;
    const engineName = this.#options.newEngineName();
    const stream: Stream = {
      id: frame.stream,
      fromNode,
      from: frame.from,
      meta: { index, term, conf },
      leaderTerm: frame.leaderTerm,
      engineName,
      engine: null,
      next: 0,
      busy: true,
      rowCount: 0,
      crc: 0,
      complete: false,
    };
    this.#stream = stream;
    this.#work(stream, frame, async () => {
      if (old !== null && !old.complete) await this.#discard(old);
      stream.engine = await this.#options.engines.open(engineName);
    });
  }

  #take(stream: Stream, frame: SnapshotFrame): void {
    if (frame.kind === 'rows') {
      const ops: EngineOp[] = [];
      for (const [key, value] of frame.rows) {
        stream.crc = crc32c(value, crc32c(key, stream.crc));
        ops.push({ key, value });
      }
      stream.rowCount += ops.length;
      this.#work(stream, frame, () => stream.engine!.write(ops));
    } else if (frame.kind === 'end') {
      if (frame.rowCount !== stream.rowCount || frame.crc !== stream.crc) {
        this.#refuse(stream.fromNode, frame, 'the rows received do not add up');
        void this.#drop(stream);
        return;
      }
      this.#work(stream, frame, async () => {
        await stream.engine!.flush();
        stream.complete = true;
      });
    }
  }

  /** One frame at a time: the next is taken (and this one acknowledged) only when this one is written. */
  #work(stream: Stream, frame: SnapshotFrame, run: () => Promise<void>): void {
    stream.busy = true;
    run().then(
      () => {
        stream.busy = false;
        if (this.#closed || this.#stream !== stream) {
          void this.#discard(stream);
          return;
        }
        stream.next = frame.seq + 1;
        if (stream.complete) this.#handOver(stream);
        this.#ack(stream, frame);
      },
      (error: unknown) => {
        stream.busy = false;
        this.#refuse(stream.fromNode, frame, `writing the snapshot failed: ${String(error)}`);
        void this.#drop(stream);
      },
    );
  }

  #handOver(stream: Stream): void {
    const { meta, leaderTerm, from, engineName } = stream;
    this.#options.staged({ meta, leaderTerm, from, engineName, engine: stream.engine! });
  }

  #ack(stream: Stream, frame: SnapshotFrame): void {
    this.#reply(stream.fromNode, frame, { kind: 'ack', seq: Math.max(0, stream.next - 1) });
  }

  #refuse(to: NodeId, frame: SnapshotFrame, reason: string): void {
    this.#options.event(`snapshot refused: ${reason}`);
    this.#reply(to, frame, { kind: 'refuse', reason, seq: frame.seq });
  }

  #reply(
    to: NodeId,
    frame: SnapshotFrame,
    body: { kind: 'ack'; seq: number } | { kind: 'refuse'; reason: string; seq: number },
  ): void {
    const { group, from, stream } = frame;
    this.#options.send(to, encodeSnapshotFrame({ group, from: this.#options.replica, to: from, stream, ...body }));
  }

  async #drop(stream: Stream): Promise<void> {
    if (this.#stream === stream) this.#stream = null;
    await this.#discard(stream);
  }

  async #discard(stream: Stream): Promise<void> {
    if (stream.complete) return; // handed over: it is the replica's now
    const engine = stream.engine;
    stream.engine = null;
    if (engine !== null) await engine.close();
    await this.#options.engines.remove(stream.engineName);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const stream = this.#stream;
    if (stream !== null && !stream.busy) await this.#discard(stream);
  }
}
