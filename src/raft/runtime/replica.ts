/**
 * One replica of a group, as its host and the rest of the node see it: what it knows, what it is asked, and its end. What it
 * does is done in its turns (ready-loop.ts).
 */
import {
  type ConfChange,
  type ConfChangeResult,
  type ConfState,
  type CoreStatus,
  type Entry,
  type GroupId,
  type Index,
  type Member,
  type Message,
  MessageType,
  NOBODY,
  type NodeId,
  type RaftCore,
  type ReplicaId,
  type Role,
  type Term,
  type TransferResult,
} from '../core/index.js';
import type { RecoveredGroup, StateEngine, StateMachine } from '../ports.js';
import { Appends } from './appends.js';
import { isRuntimeRow } from './applied-state.js';
import { Applier } from './applier.js';
import { asDamage, asError } from './damage.js';
import { type EventLevel, type ReplicaEnvironment, TICKS_PER_HEARTBEAT } from './environment.js';
import { IncomingState } from './incoming-state.js';
import { LeaderContact } from './leader-contact.js';
import { Life } from './life.js';
import { LogCompaction } from './log-compaction.js';
import { type OpenState, stateOn } from './open-state.js';
import { Peers } from './peers.js';
import { PendingProposals, type ProposalWaiter } from './pending-proposals.js';
import { PendingReads, type ReadWaiter } from './pending-reads.js';
import { ProposalInbox } from './proposal-inbox.js';
import { ReadyLoop } from './ready-loop.js';
import type { ReplicaContext } from './replica-context.js';
import { resumedCore, resumedMeta } from './resume.js';
import type { SnapshotFrame } from './snapshot-codec.js';
import { SnapshotSenders } from './snapshot-senders.js';

/** Below the shortest election timeout: nobody else campaigns meanwhile. */
const FIRST_CHOICE_TICKS = 8 * TICKS_PER_HEARTBEAT;

export interface ReplicaOptions {
  readonly id: ReplicaId;
  readonly recovered: RecoveredGroup;
  readonly environment: ReplicaEnvironment;
}

export class Replica {
  readonly group: GroupId;
  readonly id: ReplicaId;
  readonly #env: ReplicaEnvironment;
  readonly #core: RaftCore;
  readonly #life: Life;
  readonly #leaderContact: LeaderContact;
  readonly #peers: Peers;
  readonly #inbox: ProposalInbox;
  readonly #proposals = new PendingProposals();
  readonly #reads = new PendingReads();
  readonly #senders: SnapshotSenders;
  readonly #applier: Applier;
  readonly #compaction: LogCompaction;
  readonly #incoming: IncomingState;
  readonly #readyLoop: ReadyLoop;
  #firstChoice = 0;
  #stopping: Promise<void> | null = null;
  #known = '';

  private constructor(options: ReplicaOptions, state: OpenState) {
    const { recovered, environment } = options;
    this.group = recovered.group;
    this.id = options.id;
    this.#env = environment;
    this.#inbox = new ProposalInbox(environment.clock, () => environment.schedule(this));
    this.#core = resumedCore(options.id, recovered, state.rows.written, environment);
    this.#life = new Life({
      freeze: () => this.#applier.state.rows.freeze(),
      abandon: () => this.#abandon(),
      changed: () => environment.changed(this),
      fatal: environment.fatal,
      event: (level, text, fields) => this.#event(level, text, fields),
    });
    const context: ReplicaContext = {
      environment,
      group: this.group,
      id: this.id,
      core: this.#core,
      life: this.#life,
      schedule: () => environment.schedule(this),
      changed: () => environment.changed(this),
      event: (level, text) => this.#event(level, text),
    };
    this.#leaderContact = new LeaderContact(this.#core, environment.pulse);
    this.#peers = new Peers(context, this.#leaderContact);
    const appends = new Appends(context, this.#peers);
    this.#applier = new Applier(context, this.#proposals, state);
    this.#compaction = new LogCompaction(context, this.#applier);
    this.#incoming = new IncomingState(context, {
      appends,
      applier: this.#applier,
      proposals: this.#proposals,
      step: (message) => this.#step(message),
    });
    this.#senders = new SnapshotSenders({
      group: this.group,
      from: this.id,
      clock: environment.clock,
      send: environment.sendSnapshot,
      leaderTerm: () => (this.isLeader ? this.#core.term : null),
      fault: ({ key, value }) => (isRuntimeRow(key) ? null : this.#applier.state.machine.rowFault(key, value)),
      started: (to, node, meta) => {
        this.#compaction.catchUps.streams(to, meta.index);
        this.#event('info', `sending a snapshot at index ${meta.index} to ${node}`);
      },
      done: (to, node, at, ok, why) => this.#snapshotDone(to, node, at, ok, why),
      failed: (engine, error) => this.#applier.engineFailed(engine, error),
    });
    this.#readyLoop = new ReadyLoop(context, {
      inbox: this.#inbox,
      proposals: this.#proposals,
      reads: this.#reads,
      peers: this.#peers,
      appends,
      applier: this.#applier,
      compaction: this.#compaction,
      incoming: this.#incoming,
      senders: this.#senders,
    });
  }

  /**
   * Opens the engine that the log names and resumes. Rejects with an error that `isDamage` knows if its state can't be
   * trusted, with any other if that could not be found out.
   */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const { recovered, environment } = options;
    const engineName = recovered.snapshot.engine;
    const engine = await environment.engines.open(engineName);
    try {
      const meta = resumedMeta(engine, recovered);
      // Nothing is written before there is a replica.
      let replica: Replica | null = null;
      const failed = (error: Error): void => {
        if (replica !== null) replica.#applier.engineFailed(engine, error);
      };
      const state = stateOn({ engineName, engine, meta }, environment, recovered.group, failed);
      await state.machine.open(engine, state.rows);
      replica = new Replica(options, state);
      return replica;
    } catch (error) {
      await engine.close();
      throw asDamage(error);
    }
  }

  // ------------------------------------------------------------------------------------------------------- what it knows

  get machine(): StateMachine {
    return this.#applier.state.machine;
  }

  get engine(): StateEngine {
    return this.#applier.state.rows.engine;
  }

  get role(): Role {
    return this.#core.role;
  }

  get term(): number {
    return this.#core.term;
  }

  get isLeader(): boolean {
    return this.#core.role === 'leader' && this.#life.active;
  }

  /** Leader that has applied an entry of its own term, and so all that was committed before it: its state is up to date. */
  get leads(): boolean {
    return this.isLeader && this.#core.termAt(this.#core.appliedIndex) === this.#core.term;
  }

  /** Node of the leader, or null where it is not known or this replica does not take part any more. */
  get leaderNode(): NodeId | null {
    if (this.#core.leader === NOBODY || !this.#life.active) return null;
    return this.nodeOf(this.#core.leader) ?? null;
  }

  get applied(): Index {
    return this.#core.appliedIndex;
  }

  get commit(): Index {
    return this.#core.commit;
  }

  get lastIndex(): Index {
    return this.#core.lastIndex;
  }

  /** null: compacted, or beyond the end. */
  termAt(at: Index): Term | null {
    return this.#core.termAt(at);
  }

  /** The log as it stands in memory, committed or not; none where `from` is compacted. */
  entriesFrom(from: Index, maxBytes: number): readonly Entry[] {
    return this.#core.entriesFrom(from, maxBytes);
  }

  get damage(): string | null {
    return this.#life.damage;
  }

  get snapshotIncoming(): boolean {
    return this.#incoming.underWay;
  }

  /** Milliseconds since this replica last knew that its leader leads, be it itself; Infinity if never. */
  leaderAge_ms(): number {
    return this.#leaderContact.age_ms();
  }

  /**
   * How old the applied state may be: everything that was committed so long ago is in it. Up to two heartbeats and a way
   * there and back where all is well; Infinity where nothing is known or the state can't be trusted.
   */
  staleness_ms(): number {
    // A newcomer does not know yet what there is to be applied.
    if (!this.#life.active || this.#core.conf.voters.length === 0) return Number.POSITIVE_INFINITY;
    return this.#leaderContact.staleness_ms();
  }

  status(): CoreStatus {
    return this.#core.status();
  }

  /** Of the snapshot that this leader streams to a member: how many frames have arrived; 0: it streams none. */
  snapshotFrames(to: ReplicaId): number {
    return this.#senders.acknowledged(to);
  }

  get members(): readonly Member[] {
    return this.#peers.members;
  }

  nodeOf(id: ReplicaId): NodeId | undefined {
    return this.#peers.nodeOf(id);
  }

  /** See `RaftCore.confIndex`. */
  get confIndex(): Index {
    return this.#core.confIndex;
  }

  /** See `RaftCore.confSettled`. */
  get confSettled(): boolean {
    return this.#core.confSettled;
  }

  get conf(): ConfState {
    return this.#core.conf;
  }

  /** Who read this replica's rows found them not to be what was written: it stops, as if it had found that itself. */
  reportDamage(error: Error): void {
    this.#life.markDamaged(error);
  }

  /** Resolves when everything applied so far can be read through `engine`. */
  settled(): Promise<void> {
    return this.#applier.state.rows.settled(this.#core.appliedIndex);
  }

  // --------------------------------------------------------------------------------------------------- what it is asked

  propose(data: Uint8Array, waiter: ProposalWaiter): void {
    if (!this.isLeader) {
      waiter.refused('not_leader');
      return;
    }
    this.#inbox.add(data, waiter);
    this.#env.schedule(this);
  }

  read(waiter: ReadWaiter): void {
    if (this.#life.active && this.#reads.add(waiter)) this.#env.schedule(this);
    else waiter.refused();
  }

  step(from: NodeId, message: Message): void {
    if (!this.#life.active || message.to !== this.id || !this.#peers.recognize(message.from, from)) return;
    if (message.type === MessageType.Append || message.type === MessageType.Heartbeat) {
      if (message.term >= this.#core.term) this.#leaderContact.seen();
      // A slow engine slows the leader down instead of filling the memory (F42): a message not taken is a message lost.
      if (message.entries.length > 0 && this.#applier.overloaded) return;
    }
    this.#step(message);
    if (message.term !== this.#core.term) return;
    if (message.type === MessageType.Heartbeat) this.#noteHeartbeat(message);
    else if (message.type === MessageType.HeartbeatResponse && this.isLeader) this.#peers.answered(message);
  }

  #noteHeartbeat(message: Message): void {
    const asOf_ms = this.#peers.answeredBefore_ms(message);
    if (asOf_ms !== null) this.#leaderContact.heartbeat(message.index, asOf_ms);
  }

  /** An invariant that fails ends this replica, not its neighbours on the node. */
  #step(message: Message): void {
    try {
      this.#core.step(message);
    } catch (error) {
      this.#life.markDamaged(asError(error));
      return;
    }
    this.#env.schedule(this);
  }

  onSnapshotFrame(from: NodeId, frame: SnapshotFrame): void {
    if (!this.#life.active) return;
    if (frame.kind === 'ack' || frame.kind === 'refuse') this.#senders.onFrame(frame);
    else this.#incoming.onFrame(from, frame);
  }

  tick(): void {
    if (!this.#life.active) return;
    if (this.#firstChoice > 0 && --this.#firstChoice % TICKS_PER_HEARTBEAT === 0) this.#campaignIfLeaderless();
    try {
      this.#core.tick();
    } catch (error) {
      this.#life.markDamaged(asError(error));
      return;
    }
    if (this.isLeader) this.#leaderContact.noteConfirmed();
    if (this.#core.hasReady() || this.#reads.waiting || !this.#inbox.empty) this.#env.schedule(this);
  }

  /**
   * This replica is to lead a group that has just been made: it campaigns now, and again with each heartbeat's time for a
   * while, since the other members may not be there yet. So leaders are spread as the placement says.
   */
  campaignFirst(): void {
    this.#firstChoice = FIRST_CHOICE_TICKS;
    this.#campaignIfLeaderless();
  }

  #campaignIfLeaderless(): void {
    if (!this.#life.active) return;
    if (this.#core.leader !== NOBODY) {
      this.#firstChoice = 0;
      return;
    }
    this.#core.campaign();
    this.#env.schedule(this);
  }

  /** The process of `node` has ended: if it led this group, there is no point in waiting for it. */
  nodeGone(node: NodeId): void {
    if (this.leaderNode !== node) return;
    this.#core.forgetLeader();
    this.#env.schedule(this);
  }

  transferLeader(to: NodeId): TransferResult {
    if (!this.isLeader) return { ok: false, reason: 'not_leader' };
    const member = this.members.find((candidate) => candidate.node === to);
    if (member === undefined) return { ok: false, reason: 'unknown_member' };
    const result = this.#core.transferLeader(member.id);
    this.#env.schedule(this);
    return result;
  }

  /** `seenAt`: refused as `outdated` unless `confIndex` is still this. */
  proposeConfChange(change: ConfChange, seenAt: Index): ConfChangeResult {
    if (!this.isLeader) return { ok: false, reason: 'not_leader', detail: 'this replica does not lead its group' };
    const result = this.#core.proposeConfChange(change, seenAt);
    this.#env.schedule(this);
    return result;
  }

  /** One turn: called by the host, once for all that has arrived since the last. */
  pass(): void {
    if (!this.#life.active) return;
    try {
      this.#readyLoop.turn();
      this.#noticeChange();
    } catch (error) {
      this.#life.markDamaged(asError(error));
    }
  }

  unreachable(to: ReplicaId): void {
    if (this.#life.active) this.#core.reportUnreachable(to);
  }

  #snapshotDone(to: ReplicaId, node: NodeId, at: Index, ok: boolean, why: string): void {
    if (!this.#life.active) return;
    this.#event(ok ? 'info' : 'warn', `snapshot to ${node}: ${why}`);
    this.#core.reportSnapshot(to, ok, at);
    this.#env.schedule(this);
  }

  // -------------------------------------------------------------------------------------------------------------- its end

  #noticeChange(): void {
    const core = this.#core;
    const committed = core.role === 'leader' && core.hasCommittedInTerm();
    const now = `${core.role}/${core.term}/${core.leader}${committed ? (this.leads ? '++' : '+') : ''}`;
    if (now === this.#known) return;
    // A quorum has just elected it; its first tick may come after its first heartbeat.
    const elected = core.role === 'leader' && !this.#known.startsWith(`leader/${core.term}/`);
    if (elected) this.#leaderContact.seen();
    this.#known = now;
    if (core.role !== 'leader') {
      this.#senders.abortAll();
      this.#compaction.forgetFollowers();
      this.#inbox.refuseAll('not_leader');
    }
    this.#env.changed(this);
  }

  #abandon(): void {
    this.#inbox.refuseAll('not_leader');
    this.#proposals.abandonAll();
    this.#reads.abandonAll();
    this.#senders.abortAll();
    this.#compaction.forgetFollowers();
  }

  /** Answers everyone who waits; resolves when all engines are closed. Does not wait for the log. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#life.stop();
    await this.#incoming.stopReceiving();
    await this.#incoming.settled();
    await this.#incoming.close();
    await this.#applier.state.rows.close();
  }

  #event(level: EventLevel, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#env.event(level, text, { group: this.group, replica: this.id, ...fields });
  }
}
