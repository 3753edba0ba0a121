/**
 * From a key to its answer: slot → shard → leader, here or on another node; and patience, up to the deadline, with
 * elections, moving slots and older maps. A write is sent again only after a definite refusal or where it has an
 * idempotency key; a read freely.
 *
 * One timer serves all operations; a waiting one is also woken by a newer map or a change of leadership.
 */
import type { Clock, NodeId, ProposalRefusal, ReplicaHost, Timer } from '../../raft/index.js';
import { SlotState } from '../../shardctrl/index.js';
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
import type { KvOutcome, KvRequest, RequestContext } from './api.js';
import type { ClusterClock } from './cluster-clock.js';
import { decodeForwardReply, encodeGetRequest, encodeWriteRequest, type ForwardReply } from './forward-codec.js';
import type { Leaders } from './leaders.js';
import type { MapKeeper } from './map-keeper.js';
import { Operation, type WaitReason } from './operation.js';
import { Method, type Rpc } from './rpc.js';
import { refusalOf } from './slot-refusal.js';
import type { StampClock } from './stamp-clock.js';

const SWEEP_MS = 20;
const RETRY_MS = 20;
export const STALE_LIMIT_MS = 10_000;

export interface RouterOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly host: ReplicaHost;
  readonly rpc: Rpc;
  readonly maps: MapKeeper;
  readonly leaders: Leaders;
  readonly clusterClock: ClusterClock;
  readonly stampOf: (shard: number) => StampClock;
  /** How long an attempt that may be repeated is waited for. */
  readonly attempt_ms: number;
  /** Operations that may be under way at once; beyond it: `overloaded`. */
  readonly maxOperations: number;
}

export class Router {
  readonly #options: RouterOptions;
  readonly #active = new Set<Operation>();
  readonly #waiting = new Set<Operation>();
  #sweeper: Timer | null = null;
  #wakeScheduled = false;
  #closed = false;

  constructor(options: RouterOptions) {
    this.#options = options;
    options.maps.onChange(() => this.wake());
  }

  get active(): number {
    return this.#active.size;
  }

  execute(request: KvRequest, context: RequestContext, done: (outcome: KvOutcome) => void): void {
    const now = this.#options.clock.monotonic_ms();
    const command = request.kind === 'get' ? null : encodeCommand(request, 0);
    const operation = new Operation(request, context, command, now, done);
    if (this.#closed) {
      operation.fail({ code: 'unavailable', detail: 'this node is shutting down' });
    } else if (this.#active.size >= this.#options.maxOperations) {
      operation.fail({ code: 'overloaded', detail: `${this.#active.size} requests are under way on this node` });
    } else {
      this.#active.add(operation);
      this.#sweeper ??= this.#options.clock.after(SWEEP_MS, () => this.#sweep());
      this.#attempt(operation);
    }
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
    for (const operation of [...this.#active]) {
      operation.expire(this.#options.maps.epoch);
    }
    this.#active.clear();
    this.#waiting.clear();
  }

  // ------------------------------------------------------------------------------------------------------------- attempts

  #attempt(operation: Operation): void {
    if (operation.finished || this.#closed) return;
    this.#waiting.delete(operation);
    const { maps, self, leaders } = this.#options;
    operation.shard = maps.ownerOf(operation.slot);
    if (operation.shard === 0) return this.#wait(operation, { kind: 'no_map' });
    operation.attempt++;
    if (operation.request.kind === 'get') return this.#attemptRead(operation);
    const leader = leaders.candidate(operation.shard, maps.membersOf(operation.shard), operation.attempt);
    if (leader === self) return this.#proposeHere(operation);
    if (operation.context.noForward) return this.#wrongShard(operation, leader);
    if (leader === null) return this.#wait(operation, { kind: 'no_leader', shard: operation.shard });
    this.#forward(
      operation,
      leader,
      Method.Write,
      encodeWriteRequest(operation.shard, operation.slot, operation.command!),
    );
  }

  #proposeHere(operation: Operation): void {
    const replica = this.#options.host.get(operation.shard)!;
    const machine = replica.machine as KvStateMachine;
    const refusal = replica.leads ? refusalOf(machine, operation.slot) : null;
    if (refusal !== null) return this.#notServing(operation, refusal);
    // An earlier attempt's buffer may stand in a log: it must not change any more.
    const command = operation.attempt === 1 ? operation.command! : Buffer.from(operation.command!);
    stampCommand(command, this.#options.stampOf(operation.shard).next(machine.clock_ms));
    const sent = this.#sent(operation);
    operation.maybeApplied++;
    replica.propose(command, {
      applied: (result) => this.#writeResult(operation, sent, result as KvResult),
      refused: (reason) => this.#refused(operation, sent, reason, null),
      unknown: () => this.#unknown(operation, sent),
    });
  }

  #attemptRead(operation: Operation): void {
    const request = operation.request;
    if (request.kind !== 'get') return;
    const { host, maps, self, leaders } = this.#options;
    const stale_ms =
      request.consistency === 'stale' ? Math.min(request.maxStaleness_ms ?? STALE_LIMIT_MS, STALE_LIMIT_MS) : null;
    const replica = host.get(operation.shard);
    if (replica !== undefined && replica.damage === null) {
      // Every other attempt goes elsewhere: this replica may be the one that is cut off.
      const here = operation.attempt % 2 === 1 && replica.leaderNode !== null;
      if (stale_ms !== null && replica.staleness_ms() <= stale_ms) {
        return this.#lookedUp(operation, (replica.machine as KvStateMachine).lookup(request.key), 0);
      }
      if (stale_ms === null && (here || replica.isLeader)) return this.#readHere(operation);
    }
    if (operation.context.noForward) return this.#wrongShard(operation, leaders.known(operation.shard));
    const others = maps.membersOf(operation.shard).filter((node) => node !== self);
    const leader = leaders.known(operation.shard);
    const to =
      leader !== null && leader !== self && operation.attempt <= 2 ? leader : others[operation.attempt % others.length];
    if (to === undefined) return this.#wait(operation, { kind: 'no_leader', shard: operation.shard });
    const body = encodeGetRequest({ shard: operation.shard, maxStaleness_ms: stale_ms, key: request.key });
    this.#forward(operation, to, Method.Get, body);
  }

  #readHere(operation: Operation): void {
    const { host } = this.#options;
    const shard = operation.shard;
    const sent = this.#sent(operation);
    host.get(shard)!.read({
      ready: () => {
        if (operation.finished) return;
        const machine = host.get(shard)?.machine as KvStateMachine | undefined;
        if (machine === undefined) this.#refused(operation, sent, 'not_leader', null);
        else this.#lookedUp(operation, machine.lookup(operation.request.key), machine.clock_ms, sent);
      },
      refused: () => this.#refused(operation, sent, 'not_leader', null),
    });
  }

  #forward(operation: Operation, to: NodeId, method: Method, body: Buffer): void {
    const sent = this.#sent(operation);
    const shard = operation.shard;
    if (operation.isWrite) operation.maybeApplied++;
    const left_ms = operation.deadline_ms - this.#options.clock.monotonic_ms();
    this.#options.rpc.call(to, method, body, left_ms + 100, (result) => {
      if (operation.finished) return;
      if (result.kind === 'unsent') {
        this.#options.leaders.wrong(shard, to);
        this.#refused(operation, sent, 'not_leader', null);
      } else if (result.kind === 'lost') {
        this.#options.leaders.wrong(shard, to);
        this.#unknown(operation, sent);
      } else {
        this.#forwarded(operation, sent, to, shard, decodeForwardReply(result.body));
      }
    });
  }

  #forwarded(operation: Operation, sent: number, from: NodeId, shard: number, reply: ForwardReply): void {
    switch (reply.kind) {
      case 'result':
        if (operation.isWrite) {
          this.#options.leaders.hint(shard, from);
          const result = decodeResult(reply.body);
          if (result.kind === 'undecodable') this.#unknown(operation, sent);
          else this.#writeResult(operation, sent, result);
        } else {
          const found = decodeLookup(reply.body);
          if (found.kind === 'undecodable') this.#unknown(operation, sent);
          else this.#lookedUp(operation, found, reply.clock_ms, sent);
        }
        return;
      case 'refused':
        this.#options.leaders.wrong(shard, from);
        if (reply.leader !== null && reply.leader !== from) this.#options.leaders.hint(shard, reply.leader);
        if (reply.reason === 'too_old') this.#retryLater(operation, sent, { kind: 'too_old', shard });
        else if (reply.reason === 'not_here') this.#refused(operation, sent, 'not_leader', null);
        else this.#refused(operation, sent, reply.reason, reply.leader);
        return;
      case 'unknown':
        this.#unknown(operation, sent);
    }
  }

  // -------------------------------------------------------------------------------------------------------------- answers

  #sent(operation: Operation): number {
    operation.out = true;
    operation.next_ms = this.#options.clock.monotonic_ms() + this.#options.attempt_ms;
    return operation.attempt;
  }

  #writeResult(operation: Operation, sent: number, result: KvResult): void {
    if (operation.finished) return;
    const shard = `s${operation.shard}`;
    switch (result.kind) {
      case 'stored':
        return this.#finish(operation, { ...result, shard });
      case 'deleted':
        return this.#finish(operation, { ...result, shard });
      case 'missing':
        return this.#finish(operation, { kind: 'missing', shard });
      case 'precondition_failed':
        return this.#finish(operation, { ...result, shard });
      case 'conflict':
        return this.#fail(
          operation,
          'conflict',
          'the Idempotency-Key was used for another request on this key within the last 10 minutes',
        );
      case 'not_serving':
        operation.maybeApplied--;
        if (operation.attempt === sent) this.#notServing(operation, result);
        return;
      case 'malformed':
        return this.#fail(operation, 'internal', `the shard did not understand the command: ${result.detail}`);
      default:
        return this.#fail(operation, 'internal', `unexpected answer of the shard: ${result.kind}`);
    }
  }

  /** `clock_ms` 0: of this node's own replica, not asked for. */
  #lookedUp(operation: Operation, result: LookupResult, clock_ms: number, sent = operation.attempt): void {
    if (operation.finished) return;
    switch (result.kind) {
      case 'found': {
        const { value, contentType, revision, version, expires_ms } = result.record;
        const now = Math.max(clock_ms, this.#options.clusterClock.now_ms());
        const expiresIn_ms = expires_ms === 0 ? null : Math.max(1, Math.ceil(expires_ms - now));
        const shard = `s${operation.shard}`;
        return this.#finish(operation, { kind: 'found', value, contentType, revision, version, expiresIn_ms, shard });
      }
      case 'missing':
        return this.#finish(operation, { kind: 'missing', shard: `s${operation.shard}` });
      case 'not_serving':
        if (operation.attempt === sent) this.#notServing(operation, result);
        return;
      case 'corrupt':
        return this.#fail(
          operation,
          'internal',
          `the stored value is corrupt on the replica that read it: ${result.detail}`,
        );
    }
  }

  #notServing(operation: Operation, refusal: NotServing): void {
    operation.out = false;
    const phase = PHASES[refusal.state] ?? 'unknown';
    if (operation.context.noForward && refusal.state === SlotState.None) {
      return this.#wrongShard(operation, this.#options.leaders.known(operation.shard));
    }
    this.#wait(operation, { kind: 'slot_moving', shard: operation.shard, phase });
  }

  #refused(operation: Operation, sent: number, reason: ProposalRefusal, leader: NodeId | null): void {
    if (operation.finished) return;
    if (operation.isWrite) operation.maybeApplied--;
    if (operation.attempt !== sent) return;
    if (reason === 'overloaded')
      return this.#retryLater(operation, sent, { kind: 'overloaded', shard: operation.shard });
    if (leader !== null && operation.attempt < 3) {
      operation.out = false;
      return this.#attempt(operation);
    }
    this.#retryLater(operation, sent, { kind: 'no_leader', shard: operation.shard });
  }

  #unknown(operation: Operation, sent: number): void {
    if (operation.finished) return;
    if (!operation.repeatable) {
      const detail = `shard s${operation.shard} lost its leader, or the connection to it broke, while the write was under way: it may or may not have been applied`;
      return this.#fail(operation, 'outcome_unknown', detail);
    }
    this.#retryLater(operation, sent, { kind: 'no_leader', shard: operation.shard });
  }

  #retryLater(operation: Operation, sent: number, reason: WaitReason): void {
    if (operation.attempt !== sent) return;
    operation.out = false;
    this.#wait(operation, reason);
  }

  #wait(operation: Operation, reason: WaitReason): void {
    operation.waiting = reason;
    operation.next_ms = this.#options.clock.monotonic_ms() + RETRY_MS;
    this.#waiting.add(operation);
  }

  #wrongShard(operation: Operation, leader: NodeId | null): void {
    const shard = `s${operation.shard}`;
    const detail = `this node does not lead ${shard}, which owns slot ${operation.slot}, and the request asked not to be forwarded`;
    operation.fail({
      code: 'wrong_shard',
      detail,
      shard,
      slot: operation.slot,
      epoch: this.#options.maps.epoch,
      ...(leader === null ? {} : { leader }),
    });
    this.#forget(operation);
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
      shard: `s${operation.shard}`,
      slot: operation.slot,
      epoch: this.#options.maps.epoch,
    });
  }

  #forget(operation: Operation): void {
    this.#active.delete(operation);
    this.#waiting.delete(operation);
  }

  // ---------------------------------------------------------------------------------------------------------------- timer

  #sweep(): void {
    this.#sweeper = null;
    const now = this.#options.clock.monotonic_ms();
    for (const operation of this.#active) {
      if (operation.finished) {
        this.#forget(operation);
      } else if (operation.deadline_ms <= now) {
        this.#forget(operation);
        operation.expire(this.#options.maps.epoch);
      } else if (operation.next_ms <= now && (!operation.out || operation.repeatable)) {
        this.#attempt(operation);
      }
    }
    if (this.#active.size > 0 && !this.#closed) {
      this.#sweeper = this.#options.clock.after(SWEEP_MS, () => this.#sweep());
    }
  }
}

const PHASES: Readonly<Record<number, string>> = {
  [SlotState.None]: 'not_owned',
  [SlotState.Own]: 'owned',
  [SlotState.Exporting]: 'exporting',
  [SlotState.Frozen]: 'frozen',
  [SlotState.Purging]: 'moved',
  [SlotState.Importing]: 'importing',
};
