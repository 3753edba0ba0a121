/**
 * The driver of one replica: takes `Ready` from the core and does what it says, in the order it demands. Persist, send,
 * apply; nothing is decided here.
 *
 * Batching (architecture decision 6): proposals that arrive while an append is in flight wait and become the next one;
 * all reads of a turn share one ReadIndex; results of a round are handed out together.
 */
import {
  type ConfChange,
  type ConfChangeResult,
  type CoreStatus,
  type Entry,
  EntryKind,
  type GroupId,
  type Index,
  index,
  type Member,
  type Message,
  MessageType,
  NO_ENTRIES,
  NOBODY,
  type NodeId,
  RaftCore,
  type Ready,
  type ReplicaId,
  type Role,
  type Term,
  type TransferResult,
  term,
} from '../core/index.js';
import type { EngineSnapshot, RecoveredGroup, StateEngine, StateMachine } from '../ports.js';
import { type AppliedMeta, AppliedState } from './applied-state.js';
import { ReplicaDamaged } from './damage.js';
import { type ReplicaEnvironment, TICKS_PER_HEARTBEAT } from './environment.js';
import { PendingProposals, type ProposalWaiter } from './pending-proposals.js';
import { PendingReads, type ReadWaiter } from './pending-reads.js';
import type { SnapshotFrame } from './snapshot-codec.js';
import { SnapshotReceiver, type StagedSnapshot } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';

const ROUND_ENTRIES = 1024;
const ROUND_BYTES = 4 * 1024 * 1024;
/** While an append is in flight, proposals wait for it, but not more than this. */
const HELD_BYTES = 256 * 1024;
/** Below the shortest election timeout: nobody else campaigns meanwhile. */
const FIRST_CHOICE_TICKS = 8 * TICKS_PER_HEARTBEAT;

interface Proposal {
  readonly data: Uint8Array;
  readonly waiter: ProposalWaiter;
}

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
  readonly #proposals = new PendingProposals();
  readonly #reads = new PendingReads();
  readonly #receiver: SnapshotReceiver;
  readonly #senders = new Map<ReplicaId, SnapshotSender>();
  readonly #starting = new Set<ReplicaId>();
  #state: AppliedState;
  #machine: StateMachine;
  #engineName: string;
  #inbox: Proposal[] = [];
  #inboxBytes = 0;
  #applyQueue: Entry[] = [];
  #applyAt = 0;
  #appendsInFlight = 0;
  #lastAppend: Promise<void> = Promise.resolve();
  #staged: StagedSnapshot | null = null;
  #restoring = false;
  #switching: Promise<void> | null = null;
  #compacting = false;
  #nextStream = 1;
  #ticks = 0;
  #leaderSeen_ms = Number.NEGATIVE_INFINITY;
  #firstChoice = 0;
  #damage: string | null = null;
  #stopped = false;
  #known = '';
  #nodeOf = new Map<ReplicaId, NodeId>();
  #conf: unknown = null;

  private constructor(options: ReplicaOptions, state: AppliedState, machine: StateMachine) {
    const { recovered, environment } = options;
    this.group = recovered.group;
    this.id = options.id;
    this.#env = environment;
    this.#state = state;
    this.#machine = machine;
    this.#engineName = recovered.snapshot.engine;
    this.#core = new RaftCore({
      id: options.id,
      electionTicks: Math.round(
        (environment.settings.election_timeout_ms / environment.settings.heartbeat_ms) * TICKS_PER_HEARTBEAT,
      ),
      heartbeatTicks: TICKS_PER_HEARTBEAT,
      random: () => environment.random.next(),
      maxInflightMessages: environment.settings.maxInflightMessages,
      maxInflightBytes: environment.settings.maxInflightBytes,
      maxMessageBytes: environment.settings.maxMessageBytes,
      maxUncommittedBytes: environment.settings.maxUncommittedBytes,
      hardState: recovered.hardState,
      compacted: recovered.compacted,
      entries: recovered.entries,
      applied: state.written.index,
      conf: state.written.conf,
    });
    this.#receiver = new SnapshotReceiver({
      group: this.group,
      replica: this.id,
      engines: environment.engines,
      newEngineName: () => environment.newEngineName(this.group),
      send: environment.sendSnapshot,
      staged: (snapshot) => this.#onStaged(snapshot),
      event: (text) => this.#event('warn', text),
    });
  }

  /** Opens the engine that the log names and resumes. Rejects with an error that `isDamage` knows if its state can't be trusted. */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const { recovered, environment } = options;
    const engine = await environment.engines.open(recovered.snapshot.engine);
    try {
      const meta = AppliedState.readMeta(engine) ?? { index: index(0), term: term(0), conf: recovered.snapshot.conf };
      const last = recovered.entries.at(-1)?.index ?? recovered.compacted.index;
      if (meta.index > last || meta.index < recovered.compacted.index) {
        throw new ReplicaDamaged(
          `the state is at index ${meta.index}, but the log holds ${recovered.compacted.index + 1} to ${last}: one of them is not what was written`,
        );
      }
      const state = new AppliedState(engine, meta, (error) => environment.fatal(error));
      const machine = environment.newMachine(recovered.group);
      await machine.open(engine, state);
      return new Replica(options, state, machine);
    } catch (error) {
      await engine.close();
      throw new ReplicaDamaged(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  // ------------------------------------------------------------------------------------------------------- what it knows

  get machine(): StateMachine {
    return this.#machine;
  }

  get engine(): StateEngine {
    return this.#state.engine;
  }

  get role(): Role {
    return this.#core.role;
  }

  get term(): number {
    return this.#core.term;
  }

  get isLeader(): boolean {
    return this.#core.role === 'leader' && this.#damage === null && !this.#stopped;
  }

  /** Leader that has applied an entry of its own term, and so all that was committed before it: its state is up to date. */
  get leads(): boolean {
    return this.isLeader && this.#core.termAt(this.#core.appliedIndex) === this.#core.term;
  }

  /** Node of the leader, or null. */
  get leaderNode(): NodeId | null {
    return this.#core.leader === NOBODY ? null : (this.nodeOf(this.#core.leader) ?? null);
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
    return this.#damage;
  }

  get snapshotIncoming(): boolean {
    return this.#restoring || this.#receiver.receiving;
  }

  get engineName(): string {
    return this.#engineName;
  }

  /** Milliseconds since this replica last knew that its leader leads; 0 on a leader; Infinity if never. */
  leaderAge_ms(): number {
    if (this.isLeader) return 0;
    return this.#env.clock.monotonic_ms() - this.#leaderSeen_ms;
  }

  /** How old the applied state may be: 0 on a leader; Infinity where something committed is known and not applied yet. */
  staleness_ms(): number {
    return this.#core.appliedIndex >= this.#core.commit ? this.leaderAge_ms() : Number.POSITIVE_INFINITY;
  }

  status(): CoreStatus {
    return this.#core.status();
  }

  get members(): readonly Member[] {
    const conf = this.#core.conf;
    return [...conf.voters, ...conf.outgoing, ...conf.learners];
  }

  nodeOf(id: ReplicaId): NodeId | undefined {
    if (this.#conf !== this.#core.conf) {
      this.#conf = this.#core.conf;
      this.#nodeOf = new Map(this.members.map((member) => [member.id, member.node]));
    }
    return this.#nodeOf.get(id);
  }

  /** Resolves when everything applied so far can be read through `engine`. */
  settled(): Promise<void> {
    return this.#state.settled(this.#core.appliedIndex);
  }

  // --------------------------------------------------------------------------------------------------- what it is asked

  propose(data: Uint8Array, waiter: ProposalWaiter): void {
    if (!this.isLeader) {
      waiter.refused('not_leader');
      return;
    }
    this.#inbox.push({ data, waiter });
    this.#inboxBytes += data.length;
    this.#env.schedule(this);
  }

  read(waiter: ReadWaiter): void {
    if (this.#stopped || this.#damage !== null) {
      waiter.refused();
      return;
    }
    this.#reads.add(waiter);
    this.#env.schedule(this);
  }

  step(from: NodeId, message: Message): void {
    if (this.#stopped || this.#damage !== null || message.to !== this.id) return;
    const known = this.nodeOf(message.from);
    if (known !== undefined && known !== from) return;
    if (message.type === MessageType.Append || message.type === MessageType.Heartbeat) {
      if (message.term >= this.#core.term) this.#leaderSeen_ms = this.#env.clock.monotonic_ms();
    }
    this.#core.step(message);
    this.#env.schedule(this);
  }

  onSnapshotFrame(from: NodeId, frame: SnapshotFrame): void {
    if (this.#stopped || this.#damage !== null) return;
    if (frame.kind === 'ack' || frame.kind === 'refuse') this.#senders.get(frame.from)?.onFrame(frame);
    else this.#receiver.onFrame(from, frame);
  }

  tick(): void {
    if (this.#stopped || this.#damage !== null) return;
    this.#ticks++;
    // So that a leader that steps down here is as old as a follower that heard of it last.
    if (this.isLeader) this.#leaderSeen_ms = this.#env.clock.monotonic_ms();
    if (this.#firstChoice > 0 && --this.#firstChoice % TICKS_PER_HEARTBEAT === 0) this.#campaignIfLeaderless();
    this.#core.tick();
    this.#reads.askAgain(this.#ticks, 2 * TICKS_PER_HEARTBEAT);
    if (this.#core.hasReady() || this.#reads.waiting || this.#inbox.length > 0) this.#env.schedule(this);
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
    if (this.#stopped || this.#damage !== null) return;
    if (this.#core.leader !== NOBODY) {
      this.#firstChoice = 0;
      return;
    }
    this.#core.campaign();
    this.#env.schedule(this);
  }

  /** The process of `node` has ended: if it led this group, there is no point in waiting for it. */
  nodeGone(node: NodeId): void {
    if (this.#stopped || this.#damage !== null || this.leaderNode !== node) return;
    this.#core.forgetLeader();
    this.#env.schedule(this);
  }

  transferLeader(to: NodeId): TransferResult {
    const member = this.members.find((candidate) => candidate.node === to);
    if (member === undefined) return { ok: false, reason: 'unknown_member' };
    const result = this.#core.transferLeader(member.id);
    this.#env.schedule(this);
    return result;
  }

  proposeConfChange(change: ConfChange): ConfChangeResult {
    const result = this.#core.proposeConfChange(change);
    this.#env.schedule(this);
    return result;
  }

  // ------------------------------------------------------------------------------------------------------- the Ready loop

  /** One turn: called by the host, once for all that has arrived since the last. */
  pass(): void {
    if (this.#stopped || this.#damage !== null) return;
    try {
      this.#takeProposals();
      this.#reads.askAll((context) => this.#core.readIndex(context), this.#ticks);
      while (this.#core.hasReady()) this.#handle(this.#core.ready());
      this.#discardUnusedSnapshot();
      this.#apply();
      while (this.#core.hasReady()) this.#handle(this.#core.ready());
      this.#noticeChange();
    } catch (error) {
      this.#markDamaged(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #takeProposals(): void {
    if (this.#inbox.length === 0) return;
    if (this.#appendsInFlight > 0 && this.#inboxBytes < HELD_BYTES) return;
    const inbox = this.#inbox;
    this.#inbox = [];
    this.#inboxBytes = 0;
    const result = this.#core.propose(inbox.map((proposal) => proposal.data));
    if (!result.ok) {
      const reason = result.reason === 'too_many_uncommitted' ? 'overloaded' : result.reason;
      for (const { waiter } of inbox) waiter.refused(reason);
      return;
    }
    for (let i = 0; i < inbox.length; i++) {
      this.#proposals.add(index(result.first + i), result.term, inbox[i]!.waiter);
    }
  }

  #handle(ready: Ready): void {
    this.#sendAll(ready.messages);
    if (ready.snapshot !== null) this.#restore(ready);
    else if (ready.seq > 0) this.#persist(ready);
    for (const entry of ready.committed) this.#applyQueue.push(entry);
    if (ready.reads.length > 0) {
      this.#reads.answered(ready.reads);
      this.#reads.applied(this.#core.appliedIndex);
      if (this.#reads.waiting) this.#env.schedule(this);
    }
    for (const to of ready.snapshotsTo) this.#startSnapshot(to);
  }

  #persist(ready: Ready): void {
    const { seq, hardState, entries, messagesAfterAppend } = ready;
    this.#appendsInFlight++;
    const durable = this.#env.log.append({ group: this.group, hardState, snapshot: null, entries });
    this.#lastAppend = durable;
    // While a received snapshot takes the state's place, nothing is acknowledged: the core would take it for applied.
    const acknowledged = this.#switching === null ? durable : durable.then(() => this.#switching);
    acknowledged.then(
      () => {
        this.#appendsInFlight--;
        if (this.#stopped || this.#damage !== null) return;
        this.#sendAll(messagesAfterAppend);
        this.#core.persisted(seq);
        this.#env.schedule(this);
      },
      (error: Error) => this.#env.fatal(error),
    );
  }

  #sendAll(messages: readonly Message[]): void {
    for (const message of messages) {
      const node = this.nodeOf(message.to);
      if (node !== undefined) this.#env.sendRaft(node, this.group, message);
    }
  }

  unreachable(to: ReplicaId): void {
    if (!this.#stopped && this.#damage === null) this.#core.reportUnreachable(to);
  }

  // --------------------------------------------------------------------------------------------------------------- apply

  #apply(): void {
    while (this.#applyAt < this.#applyQueue.length && !this.#restoring) {
      if (this.#state.saturated) {
        this.#state.onDrained(() => this.#env.schedule(this));
        return;
      }
      this.#applyRound();
    }
    if (this.#applyAt > 0 && this.#applyAt === this.#applyQueue.length) {
      this.#applyQueue = [];
      this.#applyAt = 0;
    }
    this.#reads.applied(this.#core.appliedIndex);
    this.#maybeCompact();
  }

  /** Some entries, one atomic batch of rows, then the answers. */
  #applyRound(): void {
    const queue = this.#applyQueue;
    const from = this.#applyAt;
    const results: unknown[] = [];
    let bytes = 0;
    let at = from;
    for (; at < queue.length && results.length < ROUND_ENTRIES && bytes < ROUND_BYTES; at++) {
      const entry = queue[at]!;
      results.push(entry.kind === EntryKind.Command ? this.#machine.apply(entry) : undefined);
      bytes += entry.data.length;
    }
    const last = queue[at - 1]!;
    this.#machine.endRound();
    this.#applyAt = at;
    this.#core.applied(last.index);
    this.#state.endRound({ index: last.index, term: last.term, conf: this.#core.conf });
    for (let i = 0; i < results.length; i++) {
      const entry = queue[from + i]!;
      this.#proposals.committed(entry.index, entry.term, results[i]);
    }
  }

  #maybeCompact(): void {
    const limit = this.#env.settings.snapshotLogBytes;
    if (this.#compacting || this.#restoring || this.#core.logBytes <= limit) return;
    const state = this.#state;
    const target = this.#compactionTarget(state.written.index, limit);
    if (target <= this.#core.firstIndex) return;
    this.#compacting = true;
    state.engine.flush().then(
      () => {
        this.#compacting = false;
        if (this.#stopped || this.#damage !== null || state !== this.#state) return;
        const targetTerm = this.#core.termAt(target);
        if (targetTerm === null) return;
        this.#env.log.compact(this.group, target, targetTerm);
        this.#core.compact(target);
      },
      (error: Error) => {
        this.#compacting = false;
        if (!this.#stopped && state === this.#state) this.#env.fatal(error);
      },
    );
  }

  /** A follower that is a little behind gets entries, not a snapshot, as long as that costs at most twice the limit. */
  #compactionTarget(written: Index, limit: number): Index {
    if (!this.isLeader || this.#core.logBytes > 2 * limit) return written;
    let target = written;
    for (const follower of this.#core.status().progress) {
      if (follower.recentActive && follower.match < target) target = follower.match;
    }
    return target;
  }

  // ----------------------------------------------------------------------------------------------------------- snapshots

  /** The snapshot's own row says which index it is of: a write may have reached the engine since we last heard. */
  #startSnapshot(to: ReplicaId): void {
    const node = this.nodeOf(to);
    if (node === undefined || this.#senders.has(to) || this.#starting.has(to) || this.#restoring) return;
    const snapshot = this.#state.engine.snapshot();
    this.#starting.add(to);
    AppliedState.readMetaOf(snapshot).then(
      (meta) => {
        this.#starting.delete(to);
        if (meta !== null && this.isLeader) this.#sendSnapshot(to, node, snapshot, meta);
        else void snapshot.close();
      },
      (error: Error) => {
        this.#starting.delete(to);
        if (!this.#stopped) this.#markDamaged(error);
      },
    );
  }

  #sendSnapshot(to: ReplicaId, node: NodeId, snapshot: EngineSnapshot, meta: AppliedMeta): void {
    const stream = this.#core.term * 65_536 + this.#nextStream++;
    this.#event('info', `sending a snapshot at index ${meta.index} to ${node}`);
    const sender = new SnapshotSender({
      group: this.group,
      from: this.id,
      to: { node, replica: to },
      stream,
      meta,
      leaderTerm: this.#core.term,
      snapshot,
      clock: this.#env.clock,
      send: this.#env.sendSnapshot,
      done: (ok, why) => {
        this.#senders.delete(to);
        if (this.#stopped) return;
        this.#event(ok ? 'info' : 'warn', `snapshot to ${node}: ${why}`);
        this.#core.reportSnapshot(to, ok);
        this.#env.schedule(this);
      },
    });
    this.#senders.set(to, sender);
  }

  #onStaged(staged: StagedSnapshot): void {
    if (this.#staged !== null || this.#restoring || this.#stopped) {
      void this.#dropEngine(staged.engine, staged.engineName);
      return;
    }
    this.#staged = staged;
    this.#core.step({
      type: MessageType.InstallSnapshot,
      from: staged.from,
      to: this.id,
      term: staged.leaderTerm,
      index: staged.meta.index,
      logTerm: staged.meta.term,
      commit: index(0),
      entries: NO_ENTRIES,
      reject: false,
      hint: index(0),
      context: 0,
      snapshot: staged.meta,
    });
    this.#env.schedule(this);
  }

  /** The core found it stale. */
  #discardUnusedSnapshot(): void {
    const staged = this.#staged;
    if (staged === null) return;
    this.#staged = null;
    void this.#dropEngine(staged.engine, staged.engineName);
  }

  #restore(ready: Ready): void {
    const staged = this.#staged;
    const meta = ready.snapshot;
    if (meta === null || staged === null || staged.meta.index !== meta.index) {
      throw new Error('invariant: the core adopts a snapshot that is not staged');
    }
    this.#staged = null;
    this.#restoring = true;
    this.#applyQueue = this.#applyQueue.slice(this.#applyAt).filter((entry) => entry.index > meta.index);
    this.#applyAt = 0;
    this.#appendsInFlight++;
    const { hardState, entries } = ready;
    const durable = this.#env.log.append({
      group: this.group,
      hardState,
      snapshot: { ...meta, engine: staged.engineName },
      entries,
    });
    this.#lastAppend = durable;
    const switched = durable.then(() => this.#switchTo(staged));
    this.#switching = switched.catch(() => undefined);
    switched.then(
      () => {
        this.#appendsInFlight--;
        this.#restoring = false;
        this.#switching = null;
        if (this.#stopped) return;
        this.#sendAll(ready.messagesAfterAppend);
        this.#core.persisted(ready.seq);
        this.#env.schedule(this);
      },
      (error: Error) => this.#env.fatal(error),
    );
  }

  async #switchTo(staged: StagedSnapshot): Promise<void> {
    const machine = this.#env.newMachine(this.group);
    const state = new AppliedState(staged.engine, staged.meta, (error) => this.#env.fatal(error));
    await machine.open(staged.engine, state);
    if (this.#stopped) {
      await state.close();
      return;
    }
    const old = { state: this.#state, name: this.#engineName };
    this.#state = state;
    this.#machine = machine;
    this.#engineName = staged.engineName;
    this.#proposals.skippedTo(staged.meta.index);
    this.#event('info', `restored from a snapshot at index ${staged.meta.index}`);
    this.#env.changed(this);
    await old.state.close();
    await this.#env.engines.remove(old.name);
  }

  async #dropEngine(engine: StateEngine, name: string): Promise<void> {
    await engine.close();
    await this.#env.engines.remove(name);
  }

  // -------------------------------------------------------------------------------------------------------------- its end

  #noticeChange(): void {
    const core = this.#core;
    const committed = core.role === 'leader' && core.hasCommittedInTerm();
    const now = `${core.role}/${core.term}/${core.leader}${committed ? (this.leads ? '++' : '+') : ''}`;
    if (now === this.#known) return;
    this.#known = now;
    if (core.role !== 'leader') {
      for (const sender of [...this.#senders.values()]) sender.abort();
      for (const { waiter } of this.#inbox.splice(0)) waiter.refused('not_leader');
      this.#inboxBytes = 0;
    }
    this.#env.changed(this);
  }

  #markDamaged(error: Error): void {
    this.#damage = error.message;
    this.#event('error', `replica is damaged and stops: ${error.message}`, { stack: error.stack });
    this.#abandon();
    this.#env.changed(this);
  }

  #abandon(): void {
    for (const { waiter } of this.#inbox.splice(0)) waiter.refused('not_leader');
    this.#proposals.abandonAll();
    this.#reads.abandonAll();
    for (const sender of [...this.#senders.values()]) sender.abort();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#abandon();
    await this.#receiver.close();
    await this.#lastAppend.catch(() => undefined);
    await this.#state.close();
  }

  #event(level: 'info' | 'warn' | 'error', text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#env.event(level, text, { group: this.group, replica: this.id, ...fields });
  }
}
