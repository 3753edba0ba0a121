/**
 * One replica of one Raft group as a pure, synchronous state machine (the design of etcd-io/raft with asynchronous
 * storage writes). It is told what happened (`step`, `tick`, `propose`, …, `persisted`, `applied`) and asked what is to
 * be done about it (`ready`). It holds no clock, no socket, no file; see README.md for the order the driver keeps.
 */
import { CoreState } from './core-state.js';
import { campaignForTransfer, ownVotePersisted, startPreVote } from './election.js';
import type { Leadership } from './leadership.js';
import { ENTRY_OVERHEAD_BYTES } from './log-view.js';
import { appliedTo, isSettled, maybeFinishChange, proposeConfChange } from './membership.js';
import { tickOwnDisk } from './own-disk.js';
import { hasReadsDue, repeatQuestion, requestRead, startReads } from './reads.js';
import {
  hasAppends,
  ownLogPersisted,
  reportSnapshot,
  reportUnreachable,
  sendAppends,
  sendHeartbeats,
  takeSnapshotsDue,
} from './replication.js';
import { step } from './step.js';
import { tickTransfer, transferLeader } from './transfer.js';
import {
  type ConfChange,
  type ConfChangeResult,
  type ConfState,
  type CoreOptions,
  type CoreStatus,
  type Entry,
  EntryKind,
  type HardState,
  type Index,
  index,
  type Message,
  NOBODY,
  type ProposeResult,
  type ReadIndexResult,
  type ReadState,
  type Ready,
  type ReplicaId,
  type Role,
  type SnapshotMeta,
  type Term,
  type TransferResult,
} from './types.js';

const NO_MESSAGES: readonly Message[] = Object.freeze([]);
const NO_READS: readonly ReadState[] = Object.freeze([]);
const NO_REPLICAS: readonly ReplicaId[] = Object.freeze([]);

export class RaftCore {
  readonly #core: CoreState;
  /** The hard state that was last handed out. */
  #saved: HardState;

  /** Throws when the options are impossible, or contradict each other: then the disk is damaged. */
  constructor(options: CoreOptions) {
    this.#core = new CoreState(options);
    this.#saved = options.hardState;
  }

  // ----------------------------------------------------------------------------------------------------- what it knows

  get id(): ReplicaId {
    return this.#core.id;
  }
  get role(): Role {
    return this.#core.role === 'follower' && this.#core.isLearner ? 'learner' : this.#core.role;
  }
  get term(): Term {
    return this.#core.term;
  }
  /** The leader of this term as far as it is known, perhaps ourselves, or NOBODY. */
  get leader(): ReplicaId {
    return this.#core.leader;
  }
  get commit(): Index {
    return this.#core.log.commit as Index;
  }
  get appliedIndex(): Index {
    return this.#core.log.applied as Index;
  }
  get firstIndex(): Index {
    return this.#core.log.first as Index;
  }
  get lastIndex(): Index {
    return this.#core.log.last as Index;
  }
  /** The log is durable up to here. */
  get stableIndex(): Index {
    return this.#core.log.stable as Index;
  }
  /** The configuration in force: as of the applied index. */
  get conf(): ConfState {
    return this.#core.conf;
  }
  /**
   * Grows with every change of the configuration: the index of the change that made the one in force, or, where a snapshot or
   * a restart has hidden that, a later one. Two leaders may name different numbers for the same configuration, never one
   * number for two.
   */
  get confIndex(): Index {
    return this.#core.confIndex as Index;
  }

  /**
   * Of a leader: a majority of the members knows of the configuration in force, whatever becomes of them. Before that those who
   * have left it may still be needed for an election.
   */
  get confSettled(): boolean {
    return isSettled(this.#core);
  }

  /** Bytes of entries in memory, and of those of them that are not committed. */
  get logBytes(): number {
    return this.#core.log.bytes;
  }
  get uncommittedBytes(): number {
    return this.#core.log.uncommittedBytes;
  }

  /** Leader, and an entry of its own term is committed: from here on it knows all that is committed (section 6.4). */
  hasCommittedInTerm(): boolean {
    return this.#core.committedInTerm;
  }

  /** Leader: nothing that is committed by now lies beyond this index, as long as nobody else leads. */
  get commitBound(): Index {
    return this.#core.commitBound as Index;
  }

  /** Leader: ticks since a quorum had answered it, so that nobody else led. */
  ticksSinceConfirmed(): number {
    const lead = this.#core.leading;
    return lead === null ? Number.POSITIVE_INFINITY : lead.now - lead.confirmedAt();
  }

  /** null: compacted, or beyond the end. */
  termAt(at: Index): Term | null {
    return this.#core.log.termAt(at);
  }

  /** Entries from `from` on that fit into `maxBytes`, at least one if there is one; none if `from` is compacted. */
  entriesFrom(from: Index, maxBytes: number): readonly Entry[] {
    const { log } = this.#core;
    return from < log.first || from > log.last ? [] : log.slice(from, maxBytes);
  }

  /** Allocates: not for the hot path. */
  status(): CoreStatus {
    const core = this.#core;
    return {
      id: core.id,
      role: this.role,
      term: core.term,
      vote: core.vote,
      leader: core.leader,
      commit: this.commit,
      applied: this.appliedIndex,
      firstIndex: this.firstIndex,
      lastIndex: this.lastIndex,
      stableIndex: this.stableIndex,
      conf: core.conf,
      confIndex: this.confIndex,
      transferTo: core.leading?.transferTo ?? NOBODY,
      progress: core.leading?.members.map((member) => member.view()) ?? [],
    };
  }

  // ----------------------------------------------------------------------------------------------------- what happened

  /** The only measure of time. */
  tick(): void {
    const core = this.#core;
    if (core.leading !== null) {
      this.#tickLeader(core.leading);
      return;
    }
    core.electionElapsed++;
    repeatQuestion(core);
    if (core.electionElapsed >= core.electionTimeout) startPreVote(core);
  }

  #tickLeader(lead: Leadership): void {
    const core = this.#core;
    lead.now++;
    if (!lead.checkQuorum()) {
      core.becomeFollower(core.term, NOBODY);
      return;
    }
    if (tickOwnDisk(core, lead)) return;
    if (tickTransfer(core, lead)) maybeFinishChange(core);
    lead.heartbeatElapsed++;
    if (lead.heartbeatElapsed < core.options.heartbeatTicks) return;
    lead.heartbeatElapsed = 0;
    lead.beat++;
    lead.caughtUpMark = lead.nextCaughtUpMark;
    lead.nextCaughtUpMark = Math.max(lead.nextCaughtUpMark, core.log.commit);
    for (const member of lead.members) {
      if (member.state === 'snapshot' && member.recentActive) member.snapshotDue = true;
    }
    sendHeartbeats(core);
  }

  /**
   * A message from a peer. Throws an invariant failure when the group is beyond repair (two leaders in a term, a
   * committed entry that conflicts with the leader's); malformed messages are dropped.
   */
  step(incoming: Message): void {
    step(this.#core, incoming);
  }

  /** Start an election now, with a pre-vote first. Nothing happens on a leader or a replica that is no voter. */
  campaign(): void {
    startPreVote(this.#core);
  }

  /** The driver knows that the leader's process has ended: an election starts within a few ticks. */
  forgetLeader(): void {
    this.#core.forgetLeader();
  }

  /** All or nothing, as consecutive entries. The payloads must not be changed afterwards. */
  propose(payloads: readonly Uint8Array[]): ProposeResult {
    const core = this.#core;
    const lead = core.leading;
    if (lead === null) return { ok: false, reason: 'not_leader' };
    if (lead.transferTo !== NOBODY) return { ok: false, reason: 'transferring' };
    const { log } = core;
    let bytes = 0;
    for (const payload of payloads) bytes += payload.length + ENTRY_OVERHEAD_BYTES;
    // Something must always go, however big: else a giant entry would never get through.
    if (log.uncommittedBytes > 0 && log.uncommittedBytes + bytes > core.options.maxUncommittedBytes) {
      return { ok: false, reason: 'too_many_uncommitted' };
    }
    const first = index(log.last + 1);
    for (const payload of payloads) core.appendOwn(EntryKind.Command, payload);
    return { ok: true, first, term: core.term };
  }

  /** `seenAt`: refused as `outdated` unless `confIndex` is still this; null: whatever it is. */
  proposeConfChange(change: ConfChange, seenAt: Index | null = null): ConfChangeResult {
    return proposeConfChange(this.#core, change, seenAt);
  }

  /** The answer comes in `Ready.reads` with the same context, unless false is returned. */
  readIndex(context: number): ReadIndexResult {
    return requestRead(this.#core, context);
  }

  transferLeader(to: ReplicaId): TransferResult {
    return transferLeader(this.#core, to);
  }

  /** Messages to `id` are lost. */
  reportUnreachable(id: ReplicaId): void {
    reportUnreachable(this.#core, id);
  }

  /** The stream of a snapshot at index `at` to `id` has ended: `ok` if the follower has taken all of it. */
  reportSnapshot(id: ReplicaId, ok: boolean, at: Index): void {
    reportSnapshot(this.#core, id, ok, at);
  }

  /** Everything handed out with this number, and all before it, is durable. */
  persisted(seq: number): void {
    const core = this.#core;
    const { log, writes } = core;
    for (let write = writes.shiftTo(seq); write !== null; write = writes.shiftTo(seq)) {
      if (write.snapshot !== 0) log.snapshotPersisted(write.snapshot);
      log.stableTo(write.last);
      if (write.ownVote !== 0) ownVotePersisted(core, write.ownVote);
      if (write.held !== null) core.outbox.sendAll(write.held);
    }
    ownLogPersisted(core);
  }

  /** The state machine has everything up to `to`. Membership changes on the way take effect now. */
  applied(to: Index): void {
    const core = this.#core;
    appliedTo(core, to);
    if (core.campaignWhenApplied && !core.hasUnappliedCommittedConf) {
      core.campaignWhenApplied = false;
      campaignForTransfer(core);
    }
  }

  /** Forgets entries up to `to`, at most the applied index. A follower that needs them gets a snapshot. */
  compact(to: Index): void {
    this.#core.log.compact(to);
  }

  // --------------------------------------------------------------------------------------------------- what is to be done

  hasReady(): boolean {
    const core = this.#core;
    const { log, outbox } = core;
    return (
      outbox.hasNow ||
      outbox.hasAfterAppend ||
      log.hasEntriesToWrite ||
      log.hasEntriesToApply ||
      log.hasSnapshotToWrite ||
      core.reads.length > 0 ||
      core.term !== this.#saved.term ||
      core.vote !== this.#saved.vote ||
      hasReadsDue(core) ||
      (core.leading !== null && hasAppends(core))
    );
  }

  /** What has come together since the last call. Each thing is handed out once. */
  ready(): Ready {
    const core = this.#core;
    const { log, outbox } = core;
    startReads(core);
    if (core.leading !== null) sendAppends(core);
    const snapshot = log.takeSnapshot();
    const entries = log.takeEntriesToWrite();
    const hardState = this.#takeHardState(entries.length > 0 || snapshot !== null);
    const afterAppend = outbox.takeAfterAppend();
    let seq = 0;
    let messagesAfterAppend = NO_MESSAGES;
    if (hardState !== null || entries.length > 0 || snapshot !== null) {
      seq = this.#pushWrite(entries, hardState, snapshot);
      messagesAfterAppend = afterAppend;
    } else if (afterAppend.length > 0) {
      // Nothing new to wait for: what is being written already is enough, or all is durable.
      if (core.writes.idle) outbox.sendAll(afterAppend);
      else core.writes.hold(afterAppend);
    }
    const reads = core.reads.length === 0 ? NO_READS : core.reads;
    if (reads.length > 0) core.reads = [];
    return {
      seq,
      hardState,
      entries,
      snapshot,
      messages: outbox.takeNow(),
      messagesAfterAppend,
      committed: log.takeEntriesToApply(),
      reads,
      snapshotsTo: core.leading === null ? NO_REPLICAS : takeSnapshotsDue(core),
    };
  }

  /** Term and vote must be durable as soon as they change; the commit index is a hint and only ever goes along. */
  #takeHardState(withOthers: boolean): HardState | null {
    const { term, vote } = this.#core;
    const saved = this.#saved;
    const commit = this.commit;
    const changed = term !== saved.term || vote !== saved.vote;
    if (!changed && !(withOthers && commit !== saved.commit)) return null;
    this.#saved = { term, vote, commit };
    return this.#saved;
  }

  #pushWrite(entries: readonly Entry[], hardState: HardState | null, snapshot: SnapshotMeta | null): number {
    const core = this.#core;
    const last = entries.length > 0 ? (entries[entries.length - 1] as Entry).index : 0;
    const ownVote = core.role === 'candidate' && hardState !== null ? core.term : 0;
    return core.writes.push(last, ownVote, snapshot?.index ?? 0);
  }
}
