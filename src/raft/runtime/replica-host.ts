/**
 * All replicas of one node: who gets which frame, one tick for all, one turn for all that have something to do, one frame
 * a peer for what they send in that turn.
 */
import {
  type ConfState,
  type GroupId,
  index,
  type Member,
  type Message,
  MessageType,
  type NodeId,
  type ReplicaId,
  term,
} from '../core/index.js';
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
import { LogReserve } from './log-reserve.js';
import { Pulse } from './pulse.js';
import { Replica } from './replica.js';
import { RowCache } from './row-cache.js';
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
  /** null: its log is damaged, and need not be believed in this either. */
  readonly id: ReplicaId | null;
  readonly reason: string;
}

interface Outgoing {
  readonly group: GroupId;
  readonly message: Message;
}

const NO_MEMBERS: ConfState = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false };

/** How long the news of a commit may wait for company. */
const NEWS_MS = 2;

const isOnlyNews = (message: Message): boolean => message.type === MessageType.Append && message.entries.length === 0;

export class ReplicaHost {
  readonly #options: ReplicaHostOptions;
  readonly #environment: ReplicaEnvironment;
  readonly #pulse: Pulse;
  readonly #replicas = new Map<GroupId, Replica>();
  readonly #damaged = new Map<GroupId, DamagedReplica>();
  /** Groups being made or removed: nobody else may do either meanwhile, and the host is not closed before. */
  readonly #busy = new Map<GroupId, Promise<void>>();
  readonly #dirty = new Set<Replica>();
  readonly #outgoing = new Map<NodeId, Outgoing[]>();
  /** Peers for whom something waits that should go with this turn. */
  readonly #urgent = new Set<NodeId>();
  #laterFlush: Timer | null = null;
  #scheduled = false;
  #tick: Timer | null = null;
  #closed = false;
  #closing: Promise<void> | null = null;
  #engineSerial: number;

  private constructor(options: ReplicaHostOptions, engineSerial: number) {
    this.#options = options;
    this.#engineSerial = engineSerial;
    this.#pulse = new Pulse(options.clock, options.settings.heartbeat_ms);
    this.#environment = {
      clock: options.clock,
      random: options.random,
      log: options.log,
      engines: options.engines,
      settings: options.settings,
      rowCache: new RowCache(options.settings.rowCacheBytes),
      logReserve: new LogReserve(options.settings.catchUpLogBytes),
      pulse: this.#pulse,
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

  /**
   * Resumes every group that the log knows and removes engines that it does not name. Rejects where a replica could not
   * be opened for a reason that says nothing about its files; then none is left open.
   */
  static async open(options: ReplicaHostOptions): Promise<ReplicaHost> {
    const names = await options.engines.list();
    const recovered = options.log.recovered();
    // One that the log names need not be there yet: a crash may have come in between.
    const used = [...names, ...[...recovered.values()].map(({ snapshot }) => snapshot.engine)];
    const serial = used.reduce((most, name) => Math.max(most, Number(ENGINE_NAME.exec(name)?.[2] ?? 0)), 0);
    const host = new ReplicaHost(options, serial);
    const inForce = enginesInForce(names, recovered);
    for (const name of names) if (!inForce.has(name)) await options.engines.remove(name);
    try {
      for (const group of recovered.values()) await host.#resume(group);
    } catch (error) {
      await host.close();
      throw error;
    }
    options.transport.onFrame(Channel.Raft, (from, frame) => host.#onRaftFrame(from, frame));
    options.transport.onFrame(Channel.Snapshot, (from, frame) => host.#onSnapshotFrame(from, frame));
    options.transport.onPeer((peer, event) => {
      if (event.kind === 'gone') for (const replica of host.#replicas.values()) replica.nodeGone(peer);
    });
    host.#armTick();
    return host;
  }

  async #resume(recovered: RecoveredGroup): Promise<void> {
    const { voters, outgoing, learners } = recovered.snapshot.conf;
    const members = [...voters, ...outgoing, ...learners];
    const id = members.find((member) => member.node === this.#options.transport.self)?.id;
    if (recovered.damaged !== null) {
      this.#damage(recovered.group, null, recovered.damaged);
    } else if (id === undefined) {
      this.#damage(
        recovered.group,
        null,
        `the log's configuration of this group does not name ${this.#options.transport.self}`,
      );
    } else {
      try {
        const replica = await Replica.open({ id, recovered, environment: this.#environment });
        this.#replicas.set(recovered.group, replica);
      } catch (error) {
        if (!isDamage(error)) throw error;
        this.#damage(recovered.group, id, error.message);
      }
    }
  }

  #damage(group: GroupId, id: ReplicaId | null, reason: string): void {
    this.#damaged.set(group, { group, id, reason });
    this.#options.event('error', `replica is damaged and does not serve: ${reason}`, { group });
  }

  // ------------------------------------------------------------------------------------------------------------- replicas

  get(group: GroupId): Replica | undefined {
    return this.#replicas.get(group);
  }

  damaged(group: GroupId): DamagedReplica | undefined {
    const replica = this.#replicas.get(group);
    if (replica !== undefined && replica.damage !== null) return { group, id: replica.id, reason: replica.damage };
    return this.#damaged.get(group);
  }

  groups(): readonly GroupId[] {
    return [...this.#replicas.keys()];
  }

  /** Hosted, damaged or about to be either. */
  knows(group: GroupId): boolean {
    return this.#replicas.has(group) || this.#damaged.has(group) || this.#busy.has(group);
  }

  /** Whether the replica of a group is this one, as far as can be told: a damaged log may not even say that. */
  is(group: GroupId, id: ReplicaId): boolean {
    const known = this.#replicas.get(group)?.id ?? this.#damaged.get(group)?.id ?? null;
    return known === null || known === id;
  }

  /**
   * Makes this node's replica of a new group. Every member makes its own from the same list, so all start from the same
   * configuration at index 0. No effect where the group is known already.
   */
  create(group: GroupId, id: ReplicaId, members: readonly Member[], campaign: boolean): Promise<void> {
    if (this.knows(group) || this.#closed) return Promise.resolve();
    return this.#alone(group, () => this.#make(group, id, { ...NO_MEMBERS, voters: members }, campaign));
  }

  /**
   * Makes this node's replica of a group that has been at work before. It knows no configuration but itself, so it neither
   * votes nor campaigns, and refuses entries until a leader whose group it has joined sends a snapshot, which tells who the
   * members are. No effect where the group is known already.
   */
  join(group: GroupId, id: ReplicaId): Promise<void> {
    if (this.knows(group) || this.#closed) return Promise.resolve();
    const self = { id, node: this.#options.transport.self };
    return this.#alone(group, () => this.#make(group, id, { ...NO_MEMBERS, learners: [self] }, false));
  }

  async #make(group: GroupId, id: ReplicaId, conf: ConfState, campaign: boolean): Promise<void> {
    const base = { index: index(0), term: term(0) };
    const snapshot = { ...base, conf, engine: this.#newEngineName(group) };
    const hardState = { term: term(0), vote: 0, commit: index(0) };
    await this.#options.log.append({ group, hardState, snapshot, entries: [] });
    if (this.#closed) return;
    const recovered = { group, hardState, snapshot, compacted: base, entries: [], damaged: null };
    const replica = await Replica.open({ id, recovered, environment: this.#environment });
    if (this.#closed) return replica.stop();
    this.#replicas.set(group, replica);
    this.#options.event('info', 'replica made', { group, replica: id });
    if (campaign) replica.campaignFirst();
    this.#options.changed(group);
    return undefined;
  }

  /** Stops the replica, damaged or not; its log and its data are gone from disk when this resolves. */
  remove(group: GroupId): Promise<void> {
    const known = this.#replicas.has(group) || this.#damaged.has(group);
    if (!known || this.#busy.has(group) || this.#closed) return Promise.resolve();
    return this.#alone(group, () => this.#remove(group));
  }

  async #remove(group: GroupId): Promise<void> {
    const { log, engines } = this.#options;
    const replica = this.#replicas.get(group);
    this.#replicas.delete(group);
    this.#damaged.delete(group);
    await replica?.stop();
    await log.remove(group);
    for (const name of await engines.list()) if (groupOfEngine(name) === group) await engines.remove(name);
    this.#options.event('info', 'replica removed', { group });
    this.#options.changed(group);
  }

  #alone(group: GroupId, work: () => Promise<void>): Promise<void> {
    const done = work().finally(() => this.#busy.delete(group));
    this.#busy.set(group, done);
    return done;
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
    if (isOnlyNews(message)) this.#flushLater();
    else {
      this.#urgent.add(to);
      this.#wake();
    }
  }

  /**
   * That something is committed is news a follower can wait for a moment: under load the next entries take it along, which
   * halves the frames. What is urgent for the same peer takes it along too.
   */
  #flushLater(): void {
    this.#laterFlush ??= this.#options.clock.after(NEWS_MS, () => {
      this.#laterFlush = null;
      if (this.#closed) return;
      for (const to of this.#outgoing.keys()) this.#urgent.add(to);
      this.#flush();
    });
  }

  #flush(): void {
    for (const to of this.#urgent) {
      const batch = this.#outgoing.get(to);
      if (batch === undefined || batch.length === 0) continue;
      this.#outgoing.set(to, []);
      for (const frame of encodeMessages(batch)) {
        if (this.#options.transport.send(to, Channel.Raft, frame)) continue;
        for (const { group, message } of batch) this.#replicas.get(group)?.unreachable(message.to);
        break;
      }
    }
    this.#urgent.clear();
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
    if (this.#closed) return;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const replica of dirty) replica.pass();
    this.#flush();
    // Only now: what the passes have queued went with this flush, it needs no turn of its own.
    this.#scheduled = false;
    if (this.#dirty.size > 0) this.#wake();
  }

  #armTick(): void {
    const { clock, settings } = this.#options;
    this.#tick = clock.after(settings.heartbeat_ms / TICKS_PER_HEARTBEAT, () => {
      if (this.#closed) return;
      this.#pulse.tick();
      for (const replica of this.#replicas.values()) replica.tick();
      this.#armTick();
    });
  }

  /**
   * Stops every replica. Transport, log and engines belong to the caller, who closes them afterwards. Groups that are being
   * made or removed are waited for, unless the disk of the log is full: what waits for it ends only with the log.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#tick?.cancel();
    this.#laterFlush?.cancel();
    const stopped = await Promise.allSettled([...this.#replicas.values()].map((replica) => replica.stop()));
    if (!this.#options.log.full) await Promise.allSettled(this.#busy.values());
    const failed = stopped.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

/** `newEngineName`: of a group and a number that no other engine of this node has. */
const ENGINE_NAME = /^g(\d+)-(\d+)$/;

const groupOfEngine = (name: string): GroupId => Number(ENGINE_NAME.exec(name)?.[1] ?? Number.NaN);

/** Of a group whose log is damaged nothing is thrown away (F35): the name that the log gives may be an old one. */
function enginesInForce(names: readonly string[], recovered: ReadonlyMap<GroupId, RecoveredGroup>): Set<string> {
  const inForce = new Set([...recovered.values()].map((group) => group.snapshot.engine));
  for (const name of names) if (recovered.get(groupOfEngine(name))?.damaged != null) inForce.add(name);
  return inForce;
}
