/**
 * Receives a snapshot stream into an engine of its own, beside the one in force. Only when all of it is there, checked
 * and flushed, the replica is told; the switch itself is a record in the log (F7).
 *
 * Everything that touches engines happens in one queue, one piece after the other. The sender is at most a window ahead;
 * frames of the window that come before their turn wait here.
 */
import { crc32c } from '@node-rs/crc32';
import type { GroupId, NodeId, ReplicaId, SnapshotMeta, Term } from '../core/index.js';
import type { Clock, EngineOp, StateEngine, StateEngines, Timer } from '../ports.js';
import { asError } from './damage.js';
import { encodeSnapshotFrame, type SnapshotFrame, WINDOW_FRAMES } from './snapshot-codec.js';

export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  readonly leaderTerm: Term;
  readonly from: ReplicaId;
  readonly engineName: string;
  readonly engine: StateEngine;
}

/** A sender sends again twice a second what is not acknowledged, and gives up after 15 s (snapshot-sender.ts). */
const SILENCE_MS = 20_000;

export interface SnapshotReceiverOptions {
  readonly clock: Clock;
  readonly group: GroupId;
  readonly replica: ReplicaId;
  readonly engines: StateEngines;
  readonly newEngineName: () => string;
  readonly send: (to: NodeId, frame: Buffer) => boolean;
  /** The engine belongs to the replica from here on. */
  readonly staged: (snapshot: StagedSnapshot) => void;
  readonly event: (text: string) => void;
  /** An engine could not be closed or removed. */
  readonly failed: (error: Error) => void;
}

interface Stream {
  readonly id: number;
  readonly fromNode: NodeId;
  readonly from: ReplicaId;
  readonly meta: SnapshotMeta;
  readonly leaderTerm: Term;
  readonly engineName: string;
  engine: StateEngine | null;
  /** Number of the frame that is taken next; all before `done` are written. */
  next: number;
  done: number;
  readonly early: Map<number, SnapshotFrame>;
  rowCount: number;
  crc: number;
  /** When its sender was last heard. */
  heard_ms: number;
  /** All of it is here, and the engine has another owner. */
  handedOver: boolean;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  #stream: Stream | null = null;
  /** Highest number of a stream that was begun. A sender's numbers grow, and a later leader's are higher. */
  #newest = 0;
  #work: Promise<void> = Promise.resolve();
  #silence: Timer | null = null;
  #closed = false;

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  get receiving(): boolean {
    return this.#stream !== null && !this.#stream.handedOver;
  }

  onFrame(fromNode: NodeId, frame: SnapshotFrame): void {
    if (this.#closed || frame.to !== this.#options.replica) return;
    // A repetition that comes late must not end the stream that has begun since.
    if (frame.kind === 'begin' && frame.stream > this.#newest) this.#begin(fromNode, frame);
    const stream = this.#stream;
    if (stream === null || stream.id !== frame.stream) {
      this.#refuse(fromNode, frame, 'no such stream here');
      return;
    }
    stream.heard_ms = this.#options.clock.monotonic_ms();
    if (frame.seq < stream.next) {
      if (frame.seq < stream.done) this.#ack(stream, frame);
    } else if (frame.seq < stream.next + WINDOW_FRAMES) {
      stream.early.set(frame.seq, frame);
      this.#proceed(stream);
    }
  }

  #begin(fromNode: NodeId, frame: SnapshotFrame & { kind: 'begin' }): void {
    const { index, term, conf } = frame;
    const old = this.#stream;
    this.#newest = frame.stream;
    this.#stream = {
      id: frame.stream,
      fromNode,
      from: frame.from,
      meta: { index, term, conf },
      leaderTerm: frame.leaderTerm,
      engineName: this.#options.newEngineName(),
      engine: null,
      next: 0,
      done: 0,
      early: new Map(),
      rowCount: 0,
      crc: 0,
      heard_ms: this.#options.clock.monotonic_ms(),
      handedOver: false,
    };
    this.#watchSilence();
    if (old !== null) this.#enqueue(() => this.#discard(old));
  }

  /** Its sender may have died, or lead no more: what it has left half done takes as much room as the state itself. */
  #watchSilence(wait_ms: number = SILENCE_MS): void {
    this.#silence?.cancel();
    this.#silence = this.#options.clock.after(wait_ms, () => {
      this.#silence = null;
      const stream = this.#stream;
      if (this.#closed || stream === null || stream.handedOver) return;
      const left_ms = stream.heard_ms + SILENCE_MS - this.#options.clock.monotonic_ms();
      if (left_ms > 0) return this.#watchSilence(left_ms);
      this.#abandon(stream, 'has fallen silent');
    });
  }

  /** The replica is in this term now: what an earlier leader sends would be refused once all of it was here. */
  enterTerm(term: Term): void {
    const stream = this.#stream;
    if (this.#closed || stream === null || stream.handedOver || stream.leaderTerm >= term) return;
    this.#abandon(stream, 'leads no more');
  }

  #abandon(stream: Stream, why: string): void {
    this.#options.event(`a snapshot is given up: its sender ${why}`);
    this.#stream = null;
    this.#enqueue(() => this.#discard(stream));
  }

  /** Takes the next frame if it is here and the one before it is written. */
  #proceed(stream: Stream): void {
    if (stream.next > stream.done) return;
    const frame = stream.early.get(stream.next);
    if (frame === undefined) return;
    stream.early.delete(stream.next);
    stream.next++;
    this.#enqueue(async () => {
      if (this.#closed || this.#stream !== stream) return;
      const fault = await this.#take(stream, frame).catch(
        (error: unknown) => `writing the snapshot failed: ${String(error)}`,
      );
      if (this.#closed || this.#stream !== stream) return;
      if (fault === null) this.#taken(stream, frame);
      else await this.#giveUp(stream, frame, fault);
    });
  }

  /** Returns what is wrong with the frame, or null. */
  async #take(stream: Stream, frame: SnapshotFrame): Promise<string | null> {
    if ((frame.kind === 'begin') !== (frame.seq === 0)) return 'a stream begins with its first frame';
    if (frame.kind === 'begin') {
      stream.engine = await this.#options.engines.open(stream.engineName);
    } else if (frame.kind === 'rows') {
      const ops: EngineOp[] = [];
      for (const [key, value] of frame.rows) {
        stream.crc = crc32c(value, crc32c(key, stream.crc));
        ops.push({ key, value });
      }
      stream.rowCount += ops.length;
      await stream.engine!.write(ops);
    } else if (frame.kind === 'end') {
      if (frame.rowCount !== stream.rowCount || frame.crc !== stream.crc) return 'the rows received do not add up';
      await stream.engine!.flush();
    }
    return null;
  }

  #taken(stream: Stream, frame: SnapshotFrame): void {
    stream.done = stream.next;
    this.#ack(stream, frame);
    if (frame.kind === 'end') {
      const { meta, leaderTerm, from, engineName } = stream;
      stream.handedOver = true;
      stream.early.clear();
      this.#options.staged({ meta, leaderTerm, from, engineName, engine: stream.engine! });
    } else {
      this.#proceed(stream);
    }
  }

  async #giveUp(stream: Stream, frame: SnapshotFrame, fault: string): Promise<void> {
    this.#stream = null;
    this.#refuse(stream.fromNode, frame, fault);
    await this.#discard(stream);
  }

  async #discard(stream: Stream): Promise<void> {
    if (stream.handedOver) return;
    const engine = stream.engine;
    stream.engine = null;
    if (engine !== null) await engine.close();
    await this.#options.engines.remove(stream.engineName);
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      this.#options.failed(asError(error));
    });
  }

  #ack(stream: Stream, frame: SnapshotFrame): void {
    this.#reply(stream.fromNode, frame, { kind: 'ack', seq: stream.done - 1 });
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

  /** Resolves when nothing is left of a stream that was not handed over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#silence?.cancel();
    const stream = this.#stream;
    if (stream !== null) this.#enqueue(() => this.#discard(stream));
    await this.#work;
  }
}
