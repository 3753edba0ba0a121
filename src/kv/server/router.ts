/**
 * From a key to its answer: slot → shard → leader, here or on another node; and patience, up to the deadline, with
 * elections, moving slots and older maps. A write is sent again only after a definite refusal or where it has an
 * idempotency key; a read freely.
 *
 * One timer serves all operations; a waiting one is also woken by a newer map or a change of leadership.
 */
import type { Clock, GroupId, NodeId, ProposalRefusal, Replica, ReplicaHost, Timer } from '../../raft/index.js';
import { SlotState, shardName } from '../../shardctrl/index.js';
import {
  decodeLookup,
  decodeResult,
  encodeCommand,
  type KvResult,
  type KvStateMachine,
  type LookupResult,
  type NotServing,
  stampCommand,
} from '../store/index.js';
import { Admission } from './admission.js';
import type { GetRequest, KvOutcome, KvRequest, RequestContext } from './api.js';
import { Attempt, type AttemptOwner } from './attempt.js';
import type { ClusterClock } from './cluster-clock.js';
import { decodeForwardReply, encodeGetRequest, encodeWriteRequest, type ForwardReply } from './forward-codec.js';
import type { Leaders } from './leaders.js';
import type { RequestCounter } from './load-meter.js';
import type { MapKeeper } from './map-keeper.js';
import { onStateNow } from './on-state.js';
import { Operation, type WaitReason } from './operation.js';
import { foundOutcome, writeOutcome } from './outcomes.js';
import { Roster } from './roster.js';
import { type CallResult, Method, type Rpc } from './rpc.js';
import { refusalOf } from './slot-refusal.js';
import type { StampClock } from './stamp-clock.js';

const SWEEP_MS = 20;
const RETRY_MS = 20;
/** After so many attempts, waiting ones look again only this often: at the latest `PATIENT_RETRY_MS` later, the sweep included. */
const PATIENT_AFTER = 10;
const PATIENT_RETRY_MS = 100;
/** Where a replica here knows no leader, every so many attempts ask the others all the same: this one may be cut off. */
const ASK_OTHERS_EVERY = 5;
export const STALE_LIMIT_MS = 10_000;

export interface RouterOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  readonly maps: MapKeeper;
  readonly leaders: Leaders;
  readonly clusterClock: ClusterClock;
  /** Told of what replicas here carry out; what is passed on is counted where it is carried out. */
  readonly load: RequestCounter;
  readonly stampOf: (shard: number) => StampClock;
  /** How long an attempt that may be repeated is waited for. */
  readonly attempt_ms: number;
  /** Operations that may be under way at once; beyond it: `overloaded`. */
  readonly maxOperations: number;
  /** Members of the shard that are not healthy, in words; empty if all are. */
  readonly away: (shard: GroupId) => string;
}

const IDEMPOTENCY_CONFLICT = 'the Idempotency-Key was used for another request on this key within the last 10 minutes';

export class Router implements AttemptOwner {
  readonly #options: RouterOptions;
  readonly #active = new Roster();
  readonly #admission: Admission;
  readonly #waiting = new Set<Operation>();
  #sweeper: Timer | null = null;
  #wakeScheduled = false;
  #closed = false;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#admission = new Admission(options.maxOperations, () => options.maps.map?.shards.length ?? 0);
    options.maps.onChange(() => this.wake());
  }

  get active(): number {
    return this.#active.size;
  }

  /** How many requests it has ever let in. */
  get taken(): number {
    return this.#admission.admitted;
  }

  execute(request: KvRequest, context: RequestContext, done: (outcome: KvOutcome) => void): void {
    const now = this.#options.clock.monotonic_ms();
    const command = request.kind === 'get' ? null : encodeCommand(request, 0);
    const operation = new Operation(request, context, command, now, done);
    if (this.#closed) return operation.fail({ code: 'unavailable', detail: 'this node is shutting down' });
    operation.admittedFor = this.#options.maps.ownerOf(operation.slot);
    const crowded = this.#admission.enter(operation.admittedFor);
    if (crowded !== null) return operation.fail({ code: 'overloaded', detail: crowded });
    this.#active.add(operation);
    this.#sweeper ??= this.#options.clock.after(SWEEP_MS, () => this.#sweep());
    this.#attempt(operation);
  }

  /** A leader was elected, a map arrived: what waits tries again, all in one turn. */
  wake(): void {
    if (this.#wakeScheduled || this.#waiting.size === 0) return;
    this.#wakeScheduled = true;
    this.#options.clock.soon(() => {
      this.#wakeScheduled = false;
      for (const operation of [...this.#waiting]) this.#attempt(operation);
    });
  }

  close(): void {
    this.#closed = true;
    this.#sweeper?.cancel();
    const active = this.#active.all();
    this.#active.clear();
    this.#admission.clear();
    this.#waiting.clear();
    for (const operation of active) operation.abandon(this.#options.maps.epoch);
  }

  // ------------------------------------------------------------------------------------------------------------- attempts

  #attempt(operation: Operation): void {
    if (operation.finished || this.#closed) return;
    this.#waiting.delete(operation);
    operation.shard = this.#options.maps.ownerOf(operation.slot);
    if (operation.shard === 0) return this.#wait(operation, { kind: 'no_map' });
    operation.attempt++;
    if (operation.isWrite) this.#attemptWrite(operation);
    else this.#attemptRead(operation, operation.request as GetRequest);
  }

  #attemptWrite(operation: Operation): void {
    const { maps, self, leaders } = this.#options;
    const { shard } = operation;
    const known = leaders.known(shard);
    if (known === self && this.#hosted(shard)?.isLeader === true) return this.#proposeHere(operation);
    if (operation.context.noForward) return this.#notHere(operation);
    // A replica here hears of a new leader as soon as the others do, and the change wakes what waits.
    const hears = this.#hosted(shard) !== undefined && operation.attempt % ASK_OTHERS_EVERY !== 0;
    if (known === null && hears) return this.#wait(operation, { kind: 'no_leader', shard });
    const to = leaders.candidate(shard, maps.membersOf(shard), operation.attempt);
    if (to === null || to === self) return this.#wait(operation, { kind: 'no_leader', shard });
    this.#forward(operation, to, Method.Write, encodeWriteRequest(shard, operation.slot, operation.command!));
  }

  #hosted(shard: GroupId): Replica | undefined {
    const replica = this.#options.host.get(shard);
    return replica !== undefined && replica.damage === null ? replica : undefined;
  }

  #proposeHere(operation: Operation): void {
    const replica = this.#options.host.get(operation.shard)!;
    const machine = replica.machine as KvStateMachine;
    const refusal = replica.leads ? refusalOf(machine, operation.slot) : null;
    if (refusal !== null) return this.#notServing(operation, refusal);
    // An earlier attempt's buffer may stand in a log: it must not change any more.
    const command = operation.attempt === 1 ? operation.command! : Buffer.from(operation.command!);
    const stamps = this.#options.stampOf(operation.shard);
    if (stamps.holds(command, machine.clock_ms)) {
      return this.#wait(operation, { kind: 'clock_unsure', shard: operation.shard });
    }
    stampCommand(command, stamps.next(machine.clock_ms));
    const { load } = this.#options;
    if (load.wrote(operation.slot)) load.note(operation.request.key);
    replica.propose(command, this.#sent(operation, this.#options.self));
  }

  #attemptRead(operation: Operation, request: GetRequest): void {
    const { maps, self, leaders } = this.#options;
    const { shard, attempt } = operation;
    const stale_ms =
      request.consistency === 'stale' ? Math.min(request.maxStaleness_ms ?? STALE_LIMIT_MS, STALE_LIMIT_MS) : null;
    if (operation.context.noForward) return this.#readHere(operation, stale_ms);
    const replica = this.#hosted(shard);
    if (replica !== undefined) {
      // Every other attempt goes elsewhere: this replica may be the one that is cut off, or behind.
      const turn = attempt % 2 === 1;
      if (stale_ms !== null && turn && replica.staleness_ms() <= stale_ms) return this.#answerStale(operation, replica);
      // Also for a stale read: a leader that no quorum has confirmed lately enough asks it, and no answer is fresher.
      const here =
        stale_ms === null ? replica.isLeader || (turn && replica.leaderNode !== null) : turn && replica.isLeader;
      if (here) return replica.read(this.#sent(operation, self));
    }
    const reason: WaitReason = stale_ms === null ? { kind: 'no_leader', shard } : { kind: 'too_old', shard };
    const others = maps.membersOf(shard).filter((node) => node !== self);
    const leader = leaders.known(shard);
    const to = leader !== null && leader !== self && attempt <= 2 ? leader : others[attempt % others.length];
    if (to === undefined) return this.#wait(operation, reason);
    const body = encodeGetRequest({ shard, maxStaleness_ms: stale_ms, key: request.key });
    this.#forward(operation, to, Method.Get, body);
  }

  /** Not to be passed on: what is to be up to date the leader answers, as it does writes; what may be stale, any replica. */
  #readHere(operation: Operation, stale_ms: number | null): void {
    const { shard } = operation;
    const replica = this.#hosted(shard);
    if (replica === undefined || (stale_ms === null && !replica.isLeader)) return this.#notHere(operation);
    if (stale_ms !== null && replica.staleness_ms() <= stale_ms) return this.#answerStale(operation, replica);
    if (replica.isLeader) return replica.read(this.#sent(operation, this.#options.self));
    this.#wait(operation, { kind: 'too_old', shard });
  }

  /** By what is applied here; where that cannot be read, the replica is at its end, and another is asked. */
  #answerStale(operation: Operation, replica: Replica): void {
    const found = onStateNow(replica, () => this.#lookUp(replica, operation));
    if (found === null) return this.#wait(operation, { kind: 'too_old', shard: operation.shard });
    this.#lookedUp(operation, found, 0, operation.shard, true);
  }

  /** Not to be passed on, and not led here: whose it is; or, where a replica here will hear of a leader, wait for one. */
  #notHere(operation: Operation): void {
    const { shard } = operation;
    const leader = this.#leaderElsewhere(shard);
    if (leader !== null || this.#hosted(shard) === undefined) return this.#wrongShard(operation, leader);
    this.#wait(operation, { kind: 'no_leader', shard });
  }

  /** null: not known; this node itself may still be taken for it, and is not. */
  #leaderElsewhere(shard: GroupId): NodeId | null {
    const known = this.#options.leaders.known(shard);
    return known === this.#options.self ? null : known;
  }

  #forward(operation: Operation, to: NodeId, method: Method, body: Buffer): void {
    const attempt = this.#sent(operation, to);
    const left_ms = operation.deadline_ms - this.#options.clock.monotonic_ms();
    this.#options.rpc.call(to, method, body, left_ms + 100, (result) => attempt.answered(result));
  }

  #sent(operation: Operation, to: NodeId): Attempt {
    operation.out = true;
    operation.to = to;
    operation.next_ms = this.#options.clock.monotonic_ms() + this.#options.attempt_ms;
    if (operation.isWrite) operation.maybeApplied++;
    return new Attempt(this, operation, to);
  }

  // -------------------------------------------------------------------------------------------------------------- answers

  readReady(attempt: Attempt): void {
    const { operation, shard } = attempt;
    if (operation.finished) return;
    const replica = this.#hosted(shard);
    if (replica === undefined) return this.refused(attempt, 'not_leader');
    const { clock_ms } = replica.machine as KvStateMachine;
    this.#lookedUp(operation, this.#lookUp(replica, operation), clock_ms, shard, attempt.current);
  }

  /** On this node's own replica. */
  #lookUp(replica: Replica, { request, slot }: Operation): LookupResult {
    const { load } = this.#options;
    const result = (replica.machine as KvStateMachine).lookup(request.key);
    if (result.kind !== 'not_serving' && load.read(slot)) load.note(request.key);
    return result;
  }

  answered(attempt: Attempt, result: CallResult): void {
    if (attempt.operation.finished) return;
    const { leaders } = this.#options;
    const { shard, to } = attempt;
    if (result.kind === 'reply') return this.#forwarded(attempt, decodeForwardReply(result.body));
    leaders.wrong(shard, to);
    if (result.kind === 'unsent') this.refused(attempt, 'not_leader');
    else this.unknown(attempt);
  }

  #forwarded(attempt: Attempt, reply: ForwardReply): void {
    const { operation, shard, to } = attempt;
    const { leaders } = this.#options;
    if (reply.kind === 'unknown') return this.unknown(attempt);
    if (reply.kind === 'refused') {
      leaders.wrong(shard, to);
      const elsewhere = reply.leader !== null && reply.leader !== to;
      if (elsewhere) leaders.hint(shard, reply.leader);
      if (reply.reason === 'too_old') return this.#retryLater(attempt, { kind: 'too_old', shard });
      const reason = reply.reason === 'not_here' ? 'not_leader' : reply.reason;
      // Whom it names is asked at once, but not for ever: two nodes may name each other.
      this.#refused(attempt, reason, elsewhere && operation.attempt < 3);
    } else if (operation.isWrite) {
      leaders.hint(shard, to);
      const result = decodeResult(reply.body);
      if (result.kind === 'undecodable') this.unknown(attempt);
      else this.applied(attempt, result);
    } else {
      const found = decodeLookup(reply.body);
      if (found.kind === 'undecodable') this.unknown(attempt);
      else this.#lookedUp(operation, found, reply.clock_ms, shard, attempt.current);
    }
  }

  applied(attempt: Attempt, result: unknown): void {
    const { operation } = attempt;
    if (operation.finished) return;
    const answer = result as KvResult;
    switch (answer.kind) {
      case 'stored':
      case 'deleted':
      case 'missing':
      case 'precondition_failed':
        return this.#finish(operation, writeOutcome(answer, attempt.shard));
      case 'conflict':
        return this.#fail(operation, 'conflict', IDEMPOTENCY_CONFLICT);
      case 'not_serving':
        operation.maybeApplied--;
        if (attempt.current) this.#notServing(operation, answer);
        return;
      case 'malformed':
        return this.#fail(operation, 'internal', `the shard did not understand the command: ${answer.detail}`);
      default:
        return this.#fail(operation, 'internal', `unexpected answer of the shard: ${answer.kind}`);
    }
  }

  /** `clock_ms` 0: of this node's own replica, not asked for. */
  #lookedUp(operation: Operation, result: LookupResult, clock_ms: number, shard: GroupId, current: boolean): void {
    if (operation.finished) return;
    switch (result.kind) {
      case 'found': {
        const { expires_ms } = result.record;
        const expiresIn_ms = expires_ms === 0 ? null : this.#expiresIn_ms(expires_ms, clock_ms);
        return this.#finish(operation, foundOutcome(result.record, expiresIn_ms, shard));
      }
      case 'missing':
        return this.#finish(operation, { kind: 'missing', shard: shardName(shard) });
      case 'not_serving':
        if (current) this.#notServing(operation, result);
        return;
      case 'corrupt': {
        const detail = `the stored value is corrupt on the replica that read it: ${result.detail}`;
        return this.#fail(operation, 'internal', detail);
      }
    }
  }

  #expiresIn_ms(expires_ms: number, clock_ms: number): number {
    return Math.max(1, Math.ceil(expires_ms - Math.max(clock_ms, this.#options.clusterClock.now_ms())));
  }

  #notServing(operation: Operation, refusal: NotServing): void {
    operation.out = false;
    const { shard } = operation;
    // The newer map may have come while the older one's owner was asked.
    if (this.#options.maps.ownerOf(operation.slot) !== shard) return this.#attempt(operation);
    if (operation.context.noForward && refusal.state === SlotState.None) {
      return this.#wrongShard(operation, this.#leaderElsewhere(shard));
    }
    const phase = PHASES[refusal.state] ?? 'unknown';
    this.#wait(operation, { kind: 'slot_moving', shard, phase, move: refusal.move });
  }

  refused(attempt: Attempt, reason: ProposalRefusal): void {
    this.#refused(attempt, reason, false);
  }

  #refused(attempt: Attempt, reason: ProposalRefusal | 'clock_unsure', again: boolean): void {
    const { operation, shard } = attempt;
    if (operation.finished) return;
    if (operation.isWrite) operation.maybeApplied--;
    if (!attempt.current) return;
    const kind = TELLING.find((telling) => telling === reason) ?? 'no_leader';
    if (again && kind === 'no_leader') {
      operation.out = false;
      return this.#attempt(operation);
    }
    this.#retryLater(attempt, { kind, shard });
  }

  unknown(attempt: Attempt): void {
    const { operation, shard } = attempt;
    if (operation.finished) return;
    if (operation.repeatable) return this.#retryLater(attempt, { kind: 'no_leader', shard });
    const detail = `shard ${shardName(shard)} lost its leader, or the connection to it broke, while the write was under way: it may or may not have been applied`;
    this.#fail(operation, 'outcome_unknown', detail);
  }

  #retryLater(attempt: Attempt, reason: WaitReason): void {
    if (!attempt.current) return;
    attempt.operation.out = false;
    this.#wait(attempt.operation, reason);
  }

  /**
   * What it waits for wakes it, where this node sees that: a newer map, a leader, a step of a move at a shard that it leads. Else it
   * looks again, less often the longer it takes: a thaw at another node is seen within 100 ms.
   */
  #wait(operation: Operation, reason: WaitReason): void {
    operation.waiting = reason;
    const retry_ms = operation.attempt > PATIENT_AFTER ? PATIENT_RETRY_MS - SWEEP_MS : RETRY_MS;
    operation.next_ms = this.#options.clock.monotonic_ms() + retry_ms;
    this.#waiting.add(operation);
  }

  #wrongShard(operation: Operation, leader: NodeId | null): void {
    this.#forget(operation);
    operation.wrongShard(this.#options.maps.epoch, leader);
  }

  #finish(operation: Operation, outcome: KvOutcome): void {
    this.#forget(operation);
    operation.finish(outcome);
  }

  #fail(operation: Operation, code: 'conflict' | 'internal' | 'outcome_unknown', detail: string): void {
    this.#forget(operation);
    operation.fail({
      code,
      detail,
      shard: shardName(operation.shard),
      slot: operation.slot,
      epoch: this.#options.maps.epoch,
    });
  }

  #forget(operation: Operation): void {
    if (this.#active.delete(operation)) this.#admission.leave(operation.admittedFor);
    this.#waiting.delete(operation);
  }

  /**
   * A write that stands in this node's own log, while it leads, is answered by that log: to propose it again would only add to
   * what keeps it waiting.
   */
  #mayRepeat(operation: Operation): boolean {
    if (!operation.out) return true;
    const here = operation.isWrite && operation.to === this.#options.self;
    return operation.repeatable && !(here && this.#hosted(operation.shard)?.isLeader === true);
  }

  // ---------------------------------------------------------------------------------------------------------------- timer

  #sweep(): void {
    this.#sweeper = null;
    const now = this.#options.clock.monotonic_ms();
    for (const operation of this.#active.all()) {
      if (operation.finished) {
        this.#forget(operation);
      } else if (operation.deadline_ms <= now) {
        this.#forget(operation);
        operation.expire(this.#options.maps.epoch, this.#options.away(operation.shard));
      } else if (operation.next_ms <= now && this.#mayRepeat(operation)) {
        this.#attempt(operation);
      }
    }
    if (this.#active.size > 0 && !this.#closed) {
      this.#sweeper = this.#options.clock.after(SWEEP_MS, () => this.#sweep());
    }
  }
}

/** Refusals that say why; the others come to not being the leader. */
const TELLING = ['overloaded', 'disk_full', 'clock_unsure'] as const;

const PHASES: Readonly<Record<number, string>> = {
  [SlotState.None]: 'not_owned',
  [SlotState.Own]: 'owned',
  [SlotState.Exporting]: 'exporting',
  [SlotState.Frozen]: 'frozen',
  [SlotState.Purging]: 'moved',
  [SlotState.Importing]: 'importing',
};
