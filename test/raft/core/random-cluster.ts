/**
 * A few cores on a network that loses, repeats and reorders, with disks that sync late and processes that crash. A seed
 * decides everything. The safety properties of Figure 3 are checked after every step.
 */
import {
  type ConfState,
  type Entry,
  EntryKind,
  type Index,
  type Message,
  MessageType,
  RaftCore,
  type ReplicaId,
} from '../../../src/raft/core/index.js';
import { FakeDisk } from './fake-disk.js';

interface Replica {
  readonly id: ReplicaId;
  readonly disk: FakeDisk;
  core: RaftCore | null;
  /** Handed out to be applied, not applied yet. */
  toApply: Entry[];
  /** Context → highest index applied anywhere when the read was asked for. */
  readonly reads: Map<number, number>;
}

export interface Faults {
  readonly loss: number;
  readonly repeat: number;
  readonly crash: number;
  readonly membership: boolean;
}

const member = (id: number) => ({ id, node: `n${id}` });

export function confOf(voters: readonly number[], learners: readonly number[] = []): ConfState {
  return {
    voters: voters.map(member),
    outgoing: [],
    learners: learners.map(member),
    learnersNext: [],
    autoLeave: false,
  };
}

/** mulberry32 */
export function prng(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class RandomCluster {
  readonly replicas: Replica[];
  readonly random: () => number;
  network: Message[] = [];
  cut = new Set<ReplicaId>();
  readonly leaders = new Map<number, ReplicaId>();
  /** What was committed, by index, as the first replica that applied it had it. */
  readonly committed: Entry[] = [];
  #faults: Faults;
  #context = 0;
  #payload = 0;
  readsAnswered = 0;
  snapshotsInstalled = 0;
  confChanges = 0;

  constructor(seed: number, size: number, faults: Faults) {
    this.random = prng(seed);
    this.#faults = faults;
    const ids = Array.from({ length: size + (faults.membership ? 2 : 0) }, (_, i) => i + 1);
    const conf = confOf(ids.slice(0, size));
    this.replicas = ids.map((id) => ({ id, disk: new FakeDisk(conf), core: null, toApply: [], reads: new Map() }));
    // Those who join later know nothing of the group.
    for (const late of this.replicas.slice(size)) late.disk.confs = [{ from: 0 as Index, conf: confOf([]) }];
    for (const replica of this.replicas) this.#start(replica);
  }

  #below(n: number): number {
    return Math.floor(this.random() * n);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)];
  }

  #start(replica: Replica): void {
    const { disk } = replica;
    // The state machine may have lost its unflushed tail, but never below the compaction point.
    disk.applied = (disk.compacted.index + this.#below(disk.applied - disk.compacted.index + 1)) as Index;
    disk.confs = disk.confs.filter(({ from }, i) => i === 0 || from <= disk.applied);
    replica.toApply = [];
    replica.reads.clear();
    replica.core = new RaftCore({
      id: replica.id,
      electionTicks: 6,
      heartbeatTicks: 1,
      random: this.random,
      maxInflightMessages: 4,
      maxInflightBytes: 1_000,
      maxMessageBytes: 250,
      maxUncommittedBytes: 5_000,
      hardState: disk.hardState,
      compacted: disk.compacted,
      entries: disk.entries,
      applied: disk.applied,
      conf: disk.confAt(disk.applied),
    });
  }

  // ------------------------------------------------------------------------------------------------------------- steps

  step(): void {
    const replica = this.#pick(this.replicas) as Replica;
    const { core } = replica;
    if (core === null) {
      if (this.random() < 0.2) this.#start(replica);
      return;
    }
    const dice = this.random();
    if (dice < 0.35) this.#deliverOne();
    else if (dice < 0.5) core.tick();
    else if (dice < 0.65) this.#takeReady(replica);
    else if (dice < 0.75) this.#syncOne(replica);
    else if (dice < 0.83) this.#applySome(replica);
    else if (dice < 0.9) this.#propose(replica);
    else if (dice < 0.93) this.#read(replica);
    else if (dice < 0.95) this.#compact(replica);
    else if (dice < 0.96) this.cut = this.random() < 0.5 ? new Set([replica.id]) : new Set();
    else if (dice < 0.97) this.#rare(replica);
    else if (this.random() < this.#faults.crash) this.#crash(replica);
    this.checkLeaders();
  }

  #deliverOne(): void {
    if (this.network.length === 0) return;
    const at = this.random() < 0.7 ? 0 : this.#below(this.network.length);
    const [message] = this.network.splice(at, 1) as [Message];
    if (this.random() < this.#faults.repeat) this.network.push(message);
    if (this.random() < this.#faults.loss) return;
    if (this.cut.has(message.from) !== this.cut.has(message.to)) return;
    this.#replica(message.to).core?.step(message);
  }

  #replica(id: ReplicaId): Replica {
    return this.replicas[id - 1] as Replica;
  }

  #takeReady(replica: Replica): void {
    const core = replica.core as RaftCore;
    if (!core.hasReady()) return;
    const ready = core.ready();
    this.#send(replica, ready.messages);
    replica.disk.enqueue(ready);
    if (ready.snapshot !== null) this.snapshotsInstalled++;
    replica.toApply.push(...ready.committed);
    for (const { context, index } of ready.reads) {
      const atLeast = replica.reads.get(context);
      if (atLeast === undefined) throw new Error(`answer to unknown read ${context}`);
      replica.reads.delete(context);
      if (index === null) continue;
      this.readsAnswered++;
      if (index < atLeast) throw new Error(`stale read: index ${index}, but ${atLeast} was applied before`);
    }
    for (const to of ready.snapshotsTo) this.#sendSnapshot(replica, to);
  }

  #send(from: Replica, messages: readonly Message[]): void {
    for (const message of messages) {
      this.#checkPromise(from, message);
      this.network.push(message);
    }
  }

  /** F1, F9, F32: what a message promises must be on the disk when it leaves. */
  #checkPromise(from: Replica, message: Message): void {
    const { hardState, last } = from.disk;
    const grantsVote = message.type === MessageType.VoteResponse && !message.reject;
    if (grantsVote && hardState.term <= message.term && hardState.vote !== message.to) {
      throw new Error(`${from.id} sends a vote for ${message.to} that is not durable`);
    }
    if (message.type === MessageType.Vote && hardState.term <= message.term && hardState.vote !== from.id) {
      throw new Error(`${from.id} asks for votes before its own is durable`);
    }
    const accepts = message.type === MessageType.AppendResponse && !message.reject;
    if (accepts && hardState.term === message.term && last < message.index) {
      throw new Error(`${from.id} acknowledges ${message.index}, durable is only ${last}`);
    }
  }

  #sendSnapshot(from: Replica, to: ReplicaId): void {
    const core = from.core as RaftCore;
    if (this.random() < 0.2) {
      core.reportSnapshot(to, false, 0 as Index);
      return;
    }
    const at = from.disk.applied;
    const term = core.termAt(at);
    if (term === null) throw new Error(`no term at the applied index ${at}`);
    this.network.push({
      type: MessageType.InstallSnapshot,
      from: from.id,
      to,
      term: core.term,
      index: 0 as Index,
      logTerm: 0 as Entry['term'],
      commit: 0 as Index,
      entries: [],
      reject: false,
      hint: 0 as Index,
      context: 0,
      snapshot: { index: at, term, conf: from.disk.confAt(at) },
    });
  }

  #syncOne(replica: Replica): void {
    const write = replica.disk.syncOne();
    if (write === undefined) return;
    if (write.snapshot !== null) replica.toApply = replica.toApply.filter((e) => e.index > write.snapshot!.index);
    this.#send(replica, write.messages);
    (replica.core as RaftCore).persisted(write.seq);
  }

  #applySome(replica: Replica): void {
    const core = replica.core as RaftCore;
    const count = 1 + this.#below(replica.toApply.length);
    const round = replica.toApply.splice(0, count);
    const { disk } = replica;
    for (const [i, entry] of round.entries()) {
      this.#apply(replica, entry);
      // A round of its own for a change of membership: the configuration must be known as of its very index.
      if (entry.kind !== EntryKind.ConfChange && i < round.length - 1) continue;
      core.applied(entry.index);
      disk.applied = entry.index;
      if (disk.confAt(disk.applied) !== core.conf) disk.confs.push({ from: disk.applied, conf: core.conf });
    }
  }

  /** State machine safety: nobody ever applies another entry at the same index. */
  #apply(replica: Replica, entry: Entry): void {
    if (entry.index > replica.disk.last) throw new Error(`${replica.id} applies ${entry.index} before it is durable`);
    const known = this.committed[entry.index];
    if (known === undefined) this.committed[entry.index] = entry;
    else if (known.term !== entry.term || Buffer.compare(known.data, entry.data) !== 0) {
      throw new Error(`entry ${entry.index}: term ${known.term} was applied, ${replica.id} applies term ${entry.term}`);
    }
  }

  #propose(replica: Replica): void {
    const core = replica.core as RaftCore;
    const payloads = Array.from({ length: 1 + this.#below(3) }, () => Buffer.from(`p${this.#payload++}`));
    core.propose(payloads);
  }

  #read(replica: Replica): void {
    const context = ++this.#context;
    const atLeast = this.committed.length - 1;
    if ((replica.core as RaftCore).readIndex(context)) replica.reads.set(context, atLeast);
  }

  #compact(replica: Replica): void {
    const { disk } = replica;
    const core = replica.core as RaftCore;
    const to = (disk.applied - this.#below(3)) as Index;
    if (to <= disk.compacted.index || disk.waiting.some((write) => write.snapshot !== null)) return;
    disk.compact(to);
    disk.confs = disk.confs.filter(({ from }, i, all) => from > to || i === all.findLastIndex((c) => c.from <= to));
    core.compact(to);
  }

  #rare(replica: Replica): void {
    const core = replica.core as RaftCore;
    const other = this.#pick(this.replicas) as Replica;
    const dice = this.random();
    if (dice < 0.2) core.forgetLeader();
    else if (dice < 0.4) core.transferLeader(other.id);
    else if (dice < 0.5) core.reportUnreachable(other.id);
    else if (this.#faults.membership) this.#changeMembership(core, other.id);
  }

  #changeMembership(core: RaftCore, id: ReplicaId): void {
    const { conf } = core;
    const transition = (['auto', 'joint_implicit', 'joint_explicit'] as const)[this.#below(3)]!;
    if (conf.outgoing.length > 0) {
      if (core.proposeConfChange({ steps: [], transition: 'auto' }).ok) this.confChanges++;
      return;
    }
    const isVoter = conf.voters.some((m) => m.id === id);
    const op = isVoter ? (['remove', 'add_learner'] as const)[this.#below(2)]! : ('add_voter' as const);
    if (isVoter && conf.voters.length <= 2) return;
    const steps = [op === 'remove' ? { op, id } : { op, member: member(id) }];
    if (core.proposeConfChange({ steps, transition }).ok) this.confChanges++;
  }

  #crash(replica: Replica): void {
    replica.core = null;
    replica.disk.crash();
    replica.toApply = [];
  }

  // ------------------------------------------------------------------------------------------------------------ checks

  /** Election safety, and leader completeness for those who have just been elected. */
  checkLeaders(): void {
    for (const { core, id } of this.replicas) {
      if (core?.role !== 'leader') continue;
      const known = this.leaders.get(core.term);
      if (known === id) continue;
      if (known !== undefined) throw new Error(`term ${core.term} has two leaders: ${known} and ${id}`);
      this.leaders.set(core.term, id);
      for (const entry of this.committed) {
        if (entry === undefined || entry.index < core.firstIndex || entry.term >= core.term) continue;
        if (core.termAt(entry.index) !== entry.term) {
          throw new Error(`leader ${id} of term ${core.term} lacks the committed entry ${entry.index}`);
        }
      }
    }
  }

  /** Log matching: where two logs agree on an entry's term, they agree on all before it. */
  checkLogMatching(): void {
    const cores = this.replicas.flatMap(({ core }) => (core === null ? [] : [core]));
    for (const a of cores) {
      for (const b of cores) {
        let agree = false;
        for (let i = Math.min(a.lastIndex, b.lastIndex) as Index; i >= Math.max(a.firstIndex, b.firstIndex); i--) {
          const same = a.termAt(i) === b.termAt(i);
          if (agree && !same) throw new Error(`logs of ${a.id} and ${b.id} differ at ${i} but agree later`);
          agree ||= same;
          if (same && !sameData(a, b, i)) throw new Error(`logs of ${a.id} and ${b.id}: same term, other data at ${i}`);
        }
      }
    }
  }

  /** Calm: everything is up, everything arrives. Returns the leader of a group in which an entry was committed by all. */
  calm(): RaftCore {
    this.#faults = { loss: 0, repeat: 0, crash: 0, membership: false };
    this.cut.clear();
    for (const replica of this.replicas) if (replica.core === null) this.#start(replica);
    let target = 0;
    for (let round = 0; round < 400; round++) {
      for (const { core } of this.replicas) core?.tick();
      this.#settle();
      const leader = this.#newestLeader();
      if (leader === undefined) continue;
      // A joint configuration that somebody wanted to leave by hand.
      if (leader.conf.outgoing.length > 0) leader.proposeConfChange({ steps: [], transition: 'auto' });
      if (target === 0) {
        const proposed = leader.propose([Buffer.from('calm')]);
        if (proposed.ok) target = proposed.first;
      }
      const members = [...leader.conf.voters, ...leader.conf.learners];
      if (target === 0 || leader.conf.outgoing.length > 0) continue;
      if (leader.appliedIndex < target && leader.termAt(target as Index) === null) target = 0;
      if (target > 0 && members.every(({ id }) => this.#replica(id).core!.appliedIndex >= target)) return leader;
    }
    throw new Error(`no progress in calm: ${this.describe()}`);
  }

  #newestLeader(): RaftCore | undefined {
    const leaders = this.replicas.flatMap(({ core }) => (core?.role === 'leader' ? [core] : []));
    return leaders.sort((a, b) => b.term - a.term)[0];
  }

  #settle(): void {
    for (let i = 0; i < 200; i++) {
      let busy = this.network.length > 0;
      for (const replica of this.replicas) {
        busy ||= replica.core!.hasReady() || replica.disk.waiting.length > 0 || replica.toApply.length > 0;
        this.#takeReady(replica);
        while (replica.disk.waiting.length > 0) this.#syncOne(replica);
        if (replica.toApply.length > 0) this.#applySome(replica);
      }
      const arriving = this.network;
      this.network = [];
      for (const message of arriving) this.#replica(message.to).core!.step(message);
      this.checkLeaders();
      if (!busy) return;
    }
  }

  describe(): string {
    return this.replicas
      .map(({ id, core }) =>
        core === null
          ? `${id} down`
          : `${id} ${core.role} term=${core.term} leader=${core.leader} log=${core.firstIndex}..${core.lastIndex} commit=${core.commit} applied=${core.appliedIndex} voters=${core.conf.voters.map((m) => m.id)} outgoing=${core.conf.outgoing.map((m) => m.id)} learners=${core.conf.learners.map((m) => m.id)} ${JSON.stringify(core.status().progress)}`,
      )
      .join('\n');
  }
}

function sameData(a: RaftCore, b: RaftCore, i: Index): boolean {
  const [x] = a.entriesFrom(i, 1);
  const [y] = b.entriesFrom(i, 1);
  return x !== undefined && y !== undefined && x.kind === y.kind && Buffer.compare(x.data, y.data) === 0;
}
