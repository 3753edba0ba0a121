/** The snapshots that a leader streams: at most one at a time to each follower. */
import { type GroupId, type Index, isMember, type NodeId, type ReplicaId, type Term } from '../core/index.js';
import type { Clock, EngineRow, EngineSnapshot, StateEngine } from '../ports.js';
import { type AppliedMeta, AppliedState } from './applied-state.js';
import { asError } from './damage.js';
import type { SnapshotFrame } from './snapshot-codec.js';
import { SnapshotSender } from './snapshot-sender.js';

export interface SnapshotSendersOptions {
  readonly group: GroupId;
  readonly from: ReplicaId;
  readonly clock: Clock;
  readonly send: (to: NodeId, frame: Buffer) => boolean;
  /** null: not leader any more. */
  readonly leaderTerm: () => Term | null;
  /** Why a row is not what its machine wrote, or null. */
  readonly fault: (row: EngineRow) => string | null;
  readonly started: (to: ReplicaId, node: NodeId, meta: AppliedMeta) => void;
  /** `at`: the index of the state that was sent. */
  readonly done: (to: ReplicaId, node: NodeId, at: Index, ok: boolean, why: string) => void;
  /** The engine's state could not be read, or is damaged. */
  readonly failed: (engine: StateEngine, error: Error) => void;
}

interface Streamed {
  readonly snapshot: EngineSnapshot;
  readonly meta: AppliedMeta;
  readonly leaderTerm: Term;
}

/** Streams of later terms have higher numbers: receivers go by that. A term has room for so many. */
const STREAMS_PER_TERM = 2 ** 20;

export class SnapshotSenders {
  readonly #options: SnapshotSendersOptions;
  readonly #senders = new Map<ReplicaId, SnapshotSender>();
  readonly #starting = new Set<ReplicaId>();
  #lastStream = 0;

  constructor(options: SnapshotSendersOptions) {
    this.#options = options;
  }

  /**
   * False: one is on its way already. The snapshot's own row says which index it is of: a write may have reached the engine since we last
   * heard.
   */
  start(to: ReplicaId, node: NodeId, engine: StateEngine): boolean {
    if (this.#senders.has(to) || this.#starting.has(to)) return false;
    const snapshot = engine.snapshot();
    this.#starting.add(to);
    AppliedState.readMetaOf(snapshot)
      .then((meta) => {
        this.#starting.delete(to);
        const leaderTerm = this.#options.leaderTerm();
        if (meta === null || leaderTerm === null) return snapshot.close();
        // What is in the engine may be a moment older than the change that made `to` a member; it would not know itself by it.
        if (!isMember(meta.conf, to)) {
          this.#options.done(to, node, meta.index, false, 'it is of before that replica joined, a later one is needed');
          return snapshot.close();
        }
        this.#send(to, node, engine, { snapshot, meta, leaderTerm });
        return undefined;
      })
      .catch((error: unknown) => {
        this.#starting.delete(to);
        snapshot.close().catch(() => undefined);
        this.#options.failed(engine, asError(error));
      });
    return true;
  }

  #send(to: ReplicaId, node: NodeId, engine: StateEngine, what: Streamed): void {
    const { group, from, clock, send, fault, failed } = this.#options;
    this.#options.started(to, node, what.meta);
    const sender = new SnapshotSender({
      group,
      from,
      to: { node, replica: to },
      stream: this.#nextStream(what.leaderTerm),
      ...what,
      clock,
      send,
      fault,
      failed: (error) => failed(engine, error),
      done: (ok, why) => {
        this.#senders.delete(to);
        this.#options.done(to, node, what.meta.index, ok, why);
      },
    });
    this.#senders.set(to, sender);
  }

  #nextStream(leaderTerm: Term): number {
    this.#lastStream = Math.max(this.#lastStream, leaderTerm * STREAMS_PER_TERM) + 1;
    return this.#lastStream;
  }

  /** Frames of the snapshot under way that have arrived; 0: none is. */
  acknowledged(to: ReplicaId): number {
    return this.#senders.get(to)?.acknowledged ?? 0;
  }

  onFrame(frame: SnapshotFrame): void {
    this.#senders.get(frame.from)?.onFrame(frame);
  }

  abortAll(): void {
    for (const sender of [...this.#senders.values()]) sender.abort();
  }
}
