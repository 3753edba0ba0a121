/**
 * What a leader believes of one member's log, and how it may talk to it.
 *
 * - `probe`: the logs' last common entry is not known; one Append per heartbeat, until one is accepted.
 * - `replicate`: it is known; Appends are sent ahead of their answers, as far as the in-flight limits go.
 * - `snapshot`: the entries it needs are gone; nothing is sent until it has a snapshot.
 *
 * Invariant: match < next; all entries strictly between are in flight.
 */
import { Inflights } from './inflights.js';
import { type Index, index, type Progress, type ReplicaId } from './types.js';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class MemberProgress {
  readonly id: ReplicaId;
  readonly inflights: Inflights;
  match = 0;
  next: number;
  state: ProgressState = 'probe';
  learner = false;
  /** It was heard of within the last election timeout. */
  recentActive = false;
  /** The leader's tick at which it was heard of last; of the leader's election, if it never was. */
  heardAt = 0;
  /** The leader's tick at which it answered last; 0, the election, if it never did. */
  answeredAt = 0;
  /** Probe: the one Append is out. Replicate: an Append has gone since the last heartbeat's answer. */
  paused = false;
  /** The highest commit index on its way to the member; below `next`. */
  sentCommit = 0;
  /** The last ReadIndex round that it has answered. */
  ackedRound = 0;
  /** The heartbeat interval in which its answer last lifted the pause. */
  liftedBeat = -1;
  /** In state `snapshot`: to be listed in the next Ready. */
  snapshotDue = false;

  constructor(id: ReplicaId, next: number, maxInflightMessages: number, maxInflightBytes: number) {
    this.id = id;
    this.next = next;
    this.inflights = new Inflights(maxInflightMessages, maxInflightBytes);
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.snapshotDue = false;
    this.inflights.clear();
  }

  becomeProbe(): void {
    this.#enter('probe');
    this.next = this.match + 1;
    this.sentCommit = Math.min(this.sentCommit, this.match);
  }

  becomeReplicate(): void {
    this.#enter('replicate');
    this.next = this.match + 1;
    this.sentCommit = Math.min(this.sentCommit, this.match);
  }

  becomeSnapshot(): void {
    this.#enter('snapshot');
    this.snapshotDue = true;
  }

  canSendEntries(lastIndex: number): boolean {
    return this.next <= lastIndex && (this.state === 'probe' || !this.inflights.full);
  }

  /** Telling it `commit` could advance what it knows. */
  canAdvanceCommit(commit: number): boolean {
    return this.sentCommit < Math.min(commit, this.next - 1);
  }

  /**
   * An Append is due: there are entries that may be sent, or the commit index is news, or the follower has answered a
   * heartbeat although entries in flight are not acknowledged (an empty Append then finds out whether they were lost).
   */
  wantsAppend(lastIndex: number, commit: number): boolean {
    if (this.state === 'probe') return !this.paused;
    if (this.state === 'snapshot') return false;
    if (this.canAdvanceCommit(commit)) return true;
    return this.match < lastIndex && (!this.paused || this.canSendEntries(lastIndex));
  }

  sent(entries: number, size_bytes: number, commit: number): void {
    if (this.state === 'replicate' && entries > 0) {
      this.next += entries;
      this.inflights.add(this.next - 1, size_bytes);
    }
    this.paused = true;
    this.sentCommit = Math.min(Math.max(this.sentCommit, commit), this.next - 1);
  }

  /** False: old news. */
  acknowledge(upTo: number): boolean {
    if (upTo <= this.match) return false;
    this.match = upTo;
    this.next = Math.max(this.next, upTo + 1);
    return true;
  }

  /**
   * The Append after `rejected` was refused; the logs may agree at `hint`. False: the refusal is of an older Append than
   * the one that counts. A refusal that moves nothing, of a follower that has lost what it had acknowledged, waits for the
   * next heartbeat's answer: else the two would say the same again and again, as fast as the line goes.
   */
  backTrack(rejected: number, hint: number): boolean {
    if (this.state === 'snapshot') return false;
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    const next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    if (next < this.next) this.paused = false;
    this.next = next;
    this.sentCommit = Math.min(this.sentCommit, next - 1);
    return true;
  }

  view(): Progress {
    return {
      id: this.id,
      match: this.match as Index,
      next: index(this.next),
      state: this.state,
      recentActive: this.recentActive,
      inflightMessages: this.inflights.count,
      inflightBytes: this.inflights.bytes,
      learner: this.learner,
    };
  }
}
