/**
 * What waits is bounded (F42; the table "What is bounded" of src/raft/runtime/README.md). Numbers are taken from outside as far
 * as they can be: bytes are added up from the log's entries, reads are counted at the replica's door, so that a counter which
 * is wrong does not hide a queue that grows.
 *
 * Not here, because no load of the simulator fills it, and a check that cannot fail is no check: rows on their way into an
 * engine (16 MiB; raft/runtime/applied-state.test.ts) and the window of a snapshot's pages (four of 256 KiB;
 * raft/runtime/snapshots.test.ts). The queues of the transport are the simulated network's own, with production's limits.
 */
import { type Entry, EntryKind, index, type Progress } from '../../../src/raft/index.js';
import { Replica } from '../../../src/raft/runtime/replica.js';
import { type ClusterState, type Invariant, nameOf, type ReplicaView } from './invariant.js';

export interface QueueLimits {
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  readonly maxUncommittedBytes: number;
}

/** As the core counts them: an entry costs more than its data. */
const ENTRY_OVERHEAD_BYTES = 32;
/** Of `PendingReads`. */
export const READS_MAX = 65_536;
/** A window that has overflown stays so for as long as its follower is slow. */
const LOOK_MS = 100;

interface Uncommitted {
  readonly term: number;
  readonly last: number;
  readonly bytes: number;
}

const bytesOf = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { data }) => sum + data.length + ENTRY_OVERHEAD_BYTES, 0);

const uncommittedBytes = (replica: Replica): number =>
  bytesOf(replica.entriesFrom(index(replica.commit + 1), Number.POSITIVE_INFINITY));

export class BoundedQueues implements Invariant {
  readonly name = 'queues are bounded';
  readonly #limits: () => QueueLimits;
  readonly #uncommitted = new WeakMap<Replica, Uncommitted>();
  /** By group: the biggest entry that a leader has had, and how far that was looked at. */
  readonly #biggest = new Map<number, { bytes: number; seen: number }>();
  #next_ms = 0;
  /** The fullest that each has been, for the test that anything fills them at all. */
  readonly peaks = { inflightMessages: 0, inflightBytes: 0, uncommittedBytes: 0, refusedReads: 0 };

  constructor(limits: () => QueueLimits) {
    this.#limits = limits;
  }

  check(state: ClusterState): string | null {
    for (const view of state.changed) {
      const wrong = view.replica.role === 'leader' ? this.#uncommittedGrows(view) : null;
      if (wrong !== null) return wrong;
    }
    if (state.now_ms < this.#next_ms) return null;
    this.#next_ms = state.now_ms + LOOK_MS;
    for (const view of state.replicas) {
      const wrong = view.replica.role === 'leader' ? this.#windows(view) : null;
      if (wrong !== null) return wrong;
    }
    return null;
  }

  /**
   * Once a leader holds that much, it takes no more; something always goes when nothing is uncommitted, however big it is. What a
   * leader was elected with counts for it, but is nothing that it has taken.
   */
  #uncommittedGrows({ node, group, replica }: ReplicaView): string | null {
    const { term, lastIndex: last } = replica;
    const before = this.#uncommitted.get(replica);
    const bytes = uncommittedBytes(replica);
    this.#uncommitted.set(replica, { term, last, bytes });
    this.#look(group, replica);
    this.peaks.uncommittedBytes = Math.max(this.peaks.uncommittedBytes, bytes);
    const { maxUncommittedBytes } = this.#limits();
    const grew = before !== undefined && before.term === term && before.last < last && before.bytes > 0;
    if (!grew || bytes <= before.bytes || bytes <= maxUncommittedBytes) return null;
    // A change of members always goes: there is one at a time.
    const taken = replica.entriesFrom(index(before.last + 1), Number.POSITIVE_INFINITY);
    if (taken.every(({ kind }) => kind !== EntryKind.Command)) return null;
    return `${node} leads ${nameOf(group)} and took proposals up to ${bytes} uncommitted bytes on top of ${before.bytes}; the limit is ${maxUncommittedBytes}`;
  }

  #look(group: number, replica: Replica): { readonly bytes: number } {
    const known = this.#biggest.get(group) ?? { bytes: 0, seen: 0 };
    this.#biggest.set(group, known);
    // From where another leader's log may differ, once more.
    const from = Math.min(known.seen, replica.commit) + 1;
    for (const entry of replica.entriesFrom(index(from), Number.POSITIVE_INFINITY))
      known.bytes = Math.max(known.bytes, bytesOf([entry]));
    known.seen = replica.lastIndex;
    return known;
  }

  #windows({ node, group, replica }: ReplicaView): string | null {
    const biggest = this.#look(group, replica).bytes;
    for (const progress of replica.status().progress) {
      const wrong = progress.state === 'replicate' ? this.#window(replica, progress, biggest) : null;
      if (wrong !== null)
        return `${node} leads ${nameOf(group)} and has ${wrong} in flight to ${replica.nodeOf(progress.id)}`;
    }
    return null;
  }

  #window(replica: Replica, progress: Progress, biggest: number): string | null {
    const { maxInflightMessages, maxInflightBytes } = this.#limits();
    const { inflightMessages, match, next } = progress;
    const { peaks } = this;
    peaks.inflightMessages = Math.max(peaks.inflightMessages, inflightMessages);
    if (inflightMessages > maxInflightMessages) return `${inflightMessages} messages (${maxInflightMessages} may be)`;
    // The last message may be of one entry, however big.
    const bytesMax = maxInflightBytes + biggest;
    const sent = replica.entriesFrom(index(match + 1), 2 * bytesMax).filter((entry) => entry.index < next);
    const bytes = progress.id === replica.id ? 0 : Math.max(bytesOf(sent), progress.inflightBytes);
    peaks.inflightBytes = Math.max(peaks.inflightBytes, bytes);
    return bytes > bytesMax ? `${bytes} bytes (${maxInflightBytes} and an entry of ${biggest} may be)` : null;
  }

  /** Stands in front of each replica's reads while `run` runs: how many wait there? One simulation at a time in a process. */
  async countingReads<T>(failed: (what: string) => void, run: () => Promise<T>): Promise<T> {
    const { read } = Replica.prototype;
    const { peaks } = this;
    const waiting = new WeakMap<Replica, number>();
    Replica.prototype.read = function (this: Replica, waiter): void {
      const answered = (how: 'ready' | 'refused'): void => {
        waiting.set(this, waiting.get(this)! - 1);
        if (how === 'refused') peaks.refusedReads++;
        waiter[how]();
      };
      waiting.set(this, (waiting.get(this) ?? 0) + 1);
      read.call(this, { ready: () => answered('ready'), refused: () => answered('refused') });
      const now = waiting.get(this)!;
      if (now > READS_MAX) failed(`queues are bounded: ${now} reads wait at a replica of ${nameOf(this.group)}`);
    };
    try {
      return await run();
    } finally {
      Replica.prototype.read = read;
    }
  }
}
