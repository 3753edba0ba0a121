/**
 * All replicas of one node: who gets which frame, one tick for all, one turn for all that have something to do, one frame
 * a peer for what they send in that turn.
 */
import { type GroupId, index, type Member, type Message, type NodeId, type ReplicaId, term } from '../core/index.js';
import {
  Channel,
  type Clock,
  type LogStorage,
  type Random,
  type RecoveredGroup,
  type StateEngines,
  type StateMachine,
  type Timer,
  type Transport,
} from '../ports.js';
import { decodeMessages, encodeMessages } from '../transport/index.js';
import { isDamage } from './damage.js';
import { type EventSink, type RaftSettings, type ReplicaEnvironment, TICKS_PER_HEARTBEAT } from './environment.js';
import { Replica } from './replica.js';
import { decodeSnapshotFrame } from './snapshot-codec.js';

export interface ReplicaHostOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LogStorage;
  readonly transport: Transport;
  readonly engines: StateEngines;
  readonly settings: RaftSettings;
  readonly newMachine: (group: GroupId) => StateMachine;
  /** A replica's role, leader or health has changed, or it has come or gone. */
  readonly changed: (group: GroupId) => void;
  readonly fatal: (error: Error) => void;
  readonly event: EventSink;
}

/** A replica that cannot be trusted: it neither votes nor acknowledges; its files are kept for a person to look at. */
export interface DamagedReplica {
  readonly group: GroupId;
  readonly reason: string;
}

interface Outgoing {
  readonly group: GroupId;
  readonly message: Message;
}

export class ReplicaHost {
  readonly #options: ReplicaHostOptions;
  readonly #environment: ReplicaEnvironment;
  readonly #replicas = new Map<GroupId, Replica>();
  readonly #damaged = new Map<GroupId, DamagedReplica>();
  /** Groups being opened or removed: nobody else may do either meanwhile. */
  readonly #busy = new Set<GroupId>();
  readonly #dirty = new Set<Replica>();
  readonly #outgoing = new Map<NodeId, Outgoing[]>();
  #scheduled = false;
  #tick: Timer | null = null;
  #closed = false;
  #engineSerial: number;

  private constructor(options: ReplicaHostOptions, engineSerial: number) {
    this.#options = options;
    this.#engineSerial = engineSerial;
    this.#environment = {
      clock: options.clock,
      random: options.random,
      log: options.log,
      engines: options.engines,
      settings: options.settings,
      newMachine: options.newMachine,
      sendRaft: (to, group, message) => this.#queue(to, group, message),
      sendSnapshot: (to, frame) => options.transport.send(to, Channel.Snapshot, frame),
      schedule: (replica) => this.#schedule(replica),
      newEngineName: (group) => this.#newEngineName(group),
      changed: (replica) => options.changed(replica.group),
      fatal: (error) => options.fatal(error),
      event: options.event,
    };
  }

  /** Resumes every group that the log knows and removes engines that it does not name. */
  static async open(options: ReplicaHostOptions): Promise<ReplicaHost> {
    const names = await options.engines.list();
    const serial = names.reduce((most, name) => Math.max(most, Number(/-(\d+)$/.exec(name)?.[1] ?? 0)), 0);
    const host = new ReplicaHost(options, serial);
    const recovered = [...options.log.recovered().values()];
    const inForce = new Set(recovered.map((group) => group.snapshot.engine));
    for (const name of names) if (!inForce.has(name)) await options.engines.remove(name);
    for (const group of recovered) await host.#resume(group);
    options.transport.onFrame(Channel.Raft, (from, frame) => host.#onRaftFrame(from, frame));
    options.transport.onFrame(Channel.Snapshot, (from, frame) => host.#onSnapshotFrame(from, frame));
    options.transport.onPeer((peer, event) => {
      if (event.kind === 'gone') for (const replica of host.#replicas.values()) replica.nodeGone(peer);
    });
    host.#armTick();
    return host;
  }

  async #resume(group: RecoveredGroup): Promise<void> {
    const id = group.snapshot.conf.voters
      .concat(group.snapshot.conf.outgoing, group.snapshot.conf.learners)
      .find((member) => member.node === this.#options.transport.self)?.id;
    if (group.damaged !== null) {
      this.#damage(group.group, group.damaged);
    } else if (id === undefined) {
      this.#damage(group.group, `the log's configuration of this group does not name ${this.#options.transport.self}`);
    } else {
      try {
        const replica = await Replica.open({ id, recovered: group, environment: this.#environment });
        this.#replicas.set(group.group, replica);
      } catch (error) {
        if (!isDamage(error)) throw error;
        this.#damage(group.group, error.message);
      }
    }
  }

  #damage(group: GroupId, reason: string): void {
    this.#damaged.set(group, { group, reason });
    this.#options.event('error', `replica is damaged and does not serve: ${reason}`, { group });
  }

  // ------------------------------------------------------------------------------------------------------------- replicas

  get(group: GroupId): Replica | undefined {
    return this.#replicas.get(group);
  }

  damaged(group: GroupId): DamagedReplica | undefined {
    const replica = this.#replicas.get(group);
    if (replica !== undefined && replica.damage !== null) return { group, reason: replica.damage };
    return this.#damaged.get(group);
  }

  groups(): readonly GroupId[] {
    return [...this.#replicas.keys()];
  }

  /** Hosted, damaged or about to be either. */
  knows(group: GroupId): boolean {
    return this.#replicas.has(group) || this.#damaged.has(group) || this.#busy.has(group);
  }

  /**
   * Makes this node's replica of a new group. Every member makes its own from the same list, so all start from the same
   * configuration at index 0. No effect where the group is known already.
   */
  async create(group: GroupId, id: ReplicaId, members: readonly Member[], campaign: boolean): Promise<void> {
    if (this.knows(group) || this.#closed) return;
    this.#busy.add(group);
    try {
      const conf = { voters: members, outgoing: [], learners: [], learnersNext: [], autoLeave: false };
      const base = { index: index(0), term: term(0) };
      const snapshot = { ...base, conf, engine: this.#newEngineName(group) };
      const hardState = { term: term(0), vote: 0, commit: index(0) };
      await this.#options.log.append({ group, hardState, snapshot, entries: [] });
      const recovered = { group, hardState, snapshot, compacted: base, entries: [], damaged: null };
      const replica = await Replica.open({ id, recovered, environment: this.#environment });
      if (this.#closed) {
        await replica.stop();
        return;
      }
      this.#replicas.set(group, replica);
      this.#options.event('info', 'replica made', { group, replica: id });
      if (campaign) replica.campaignFirst();
      this.#options.changed(group);
    } finally {
      this.#busy.delete(group);
    }
  }

  /** Stops the replica; its log and its data are gone from disk when this resolves. */
  async remove(group: GroupId): Promise<void> {
    if (this.#busy.has(group) || this.#closed) return;
    const replica = this.#replicas.get(group);
    if (replica === undefined) return;
    this.#busy.add(group);
    try {
      this.#replicas.delete(group);
      const name = replica.engineName;
      await replica.stop();
      await this.#options.log.remove(group);
      await this.#options.engines.remove(name);
      this.#options.event('info', 'replica removed', { group });
      this.#options.changed(group);
    } finally {
      this.#busy.delete(group);
    }
  }

  #newEngineName(group: GroupId): string {
    return `g${group}-${++this.#engineSerial}`;
  }

  // --------------------------------------------------------------------------------------------------------------- frames

  #onRaftFrame(from: NodeId, frame: Buffer): void {
    if (this.#closed) return;
    decodeMessages(frame, (group, message) => this.#replicas.get(group)?.step(from, message));
  }

  #onSnapshotFrame(from: NodeId, bytes: Buffer): void {
    if (this.#closed) return;
    const frame = decodeSnapshotFrame(bytes);
    if (frame === null) this.#options.event('warn', 'a snapshot frame of an unknown format was dropped', { from });
    else this.#replicas.get(frame.group)?.onSnapshotFrame(from, frame);
  }

  #queue(to: NodeId, group: GroupId, message: Message): void {
    const waiting = this.#outgoing.get(to);
    if (waiting === undefined) this.#outgoing.set(to, [{ group, message }]);
    else waiting.push({ group, message });
    this.#wake();
  }

  #flush(): void {
    for (const [to, batch] of this.#outgoing) {
      if (batch.length === 0) continue;
      this.#outgoing.set(to, []);
      for (const frame of encodeMessages(batch)) {
        if (this.#options.transport.send(to, Channel.Raft, frame)) continue;
        for (const { group, message } of batch) this.#replicas.get(group)?.unreachable(message.to);
        break;
      }
    }
  }

  // ----------------------------------------------------------------------------------------------------------------- turns

  #schedule(replica: Replica): void {
    this.#dirty.add(replica);
    this.#wake();
  }

  #wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const replica of dirty) replica.pass();
    this.#flush();
  }

  #armTick(): void {
    const { clock, settings } = this.#options;
    this.#tick = clock.after(settings.heartbeat_ms / TICKS_PER_HEARTBEAT, () => {
      if (this.#closed) return;
      for (const replica of this.#replicas.values()) replica.tick();
      this.#armTick();
    });
  }

  /** Stops every replica. Transport, log and engines belong to the caller. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#tick?.cancel();
    await Promise.all([...this.#replicas.values()].map((replica) => replica.stop()));
  }
}
