/**
 * One request on a key on its way: which attempts it made, what is still out, when it must be answered and what is said
 * then. Whether a write may have been applied is decided here and nowhere else.
 */
import type { GroupId, NodeId } from '../../raft/index.js';
import { shardName, slotOfKey } from '../../shardctrl/index.js';
import type { ApiError, KvOutcome, KvRequest, RequestContext } from './api.js';

/** Why an operation waits: what it says if its deadline comes meanwhile. */
export type WaitReason =
  | { readonly kind: 'no_map' }
  | { readonly kind: 'no_leader'; readonly shard: GroupId }
  | { readonly kind: 'slot_moving'; readonly shard: GroupId; readonly phase: string; readonly move: number }
  | { readonly kind: 'unreachable'; readonly shard: GroupId }
  | { readonly kind: 'too_old'; readonly shard: GroupId }
  | { readonly kind: 'overloaded'; readonly shard: GroupId }
  | { readonly kind: 'disk_full'; readonly shard: GroupId }
  | { readonly kind: 'clock_unsure'; readonly shard: GroupId };

export class Operation {
  readonly request: KvRequest;
  readonly context: RequestContext;
  readonly slot: number;
  readonly deadline_ms: number;
  /** The write's command, encoded once; null for a read. */
  readonly command: Buffer | null;
  readonly #done: (outcome: KvOutcome) => void;
  /** Number of the present attempt; answers that belong to an earlier one say nothing about what to do next. */
  attempt = 0;
  /** The present attempt has been sent and not answered. */
  out = false;
  /** Whom the present attempt was sent to. */
  to: NodeId = '';
  /** When the present attempt, if it may be repeated, is repeated; or when a waiting operation tries again. */
  next_ms = 0;
  /** Attempts that may have been applied. */
  maybeApplied = 0;
  waiting: WaitReason = { kind: 'no_map' };
  shard: GroupId = 0;
  /** The shard whose place it takes on this node, also when the slot moves meanwhile. */
  admittedFor: GroupId = 0;
  finished = false;
  /** Where it stands in the router's roster; -1: not in it. */
  place = -1;

  constructor(
    request: KvRequest,
    context: RequestContext,
    command: Buffer | null,
    now_ms: number,
    done: (outcome: KvOutcome) => void,
  ) {
    this.request = request;
    this.context = context;
    this.command = command;
    this.slot = slotOfKey(request.key);
    this.deadline_ms = now_ms + context.timeout_ms;
    this.#done = done;
  }

  get isWrite(): boolean {
    return this.command !== null;
  }

  /** A read, or a write that has one effect however often it is sent. */
  get repeatable(): boolean {
    return this.request.kind === 'get' || this.request.idempotency !== null;
  }

  finish(outcome: KvOutcome): void {
    if (this.finished) return;
    this.finished = true;
    this.#done(outcome);
  }

  fail(error: ApiError): void {
    this.finish({ kind: 'failed', error });
  }

  /** A late answer may still come, and is still the truth; but by now the client is told what is known. `away`: whom the shard misses. */
  expire(epoch: number, away: string): void {
    const { timeout_ms } = this.context;
    if (this.isWrite && this.maybeApplied > 0) return this.#outcomeUnknown(epoch, `no answer came in ${timeout_ms} ms`);
    const reason: WaitReason = this.out ? { kind: 'unreachable', shard: this.shard } : this.waiting;
    this.fail({ slot: this.slot, epoch, ...explain(reason, this.slot, timeout_ms, away) });
  }

  /** Another node leads the shard, and the request is not to be passed on. `leader` null: nobody here knows who. */
  wrongShard(epoch: number, leader: NodeId | null): void {
    // "Wrong shard" means refused for certain, and an earlier attempt may stand in a log.
    if (this.isWrite && this.maybeApplied > 0) {
      return this.#outcomeUnknown(epoch, 'this node, which did that, does not lead the shard any more');
    }
    const shard = shardName(this.shard);
    const detail = `this node does not lead ${shard}, which owns slot ${this.slot}, and the request asked not to be forwarded`;
    this.fail({
      code: 'wrong_shard',
      detail,
      shard,
      slot: this.slot,
      epoch,
      ...(leader === null ? {} : { leader }),
    });
  }

  /** The node stops. */
  abandon(epoch: number): void {
    if (this.isWrite && this.maybeApplied > 0) return this.#outcomeUnknown(epoch, 'this node is shutting down');
    this.fail({ slot: this.slot, epoch, code: 'unavailable', detail: 'this node is shutting down: ask another one' });
  }

  #outcomeUnknown(epoch: number, why: string): void {
    const shard = shardName(this.shard);
    const detail = `the write was sent to shard ${shard}, and ${why}: it may or may not have been applied. Read the key, or repeat with the same Idempotency-Key`;
    this.fail({ code: 'outcome_unknown', detail, shard, slot: this.slot, epoch });
  }
}

function explain(reason: WaitReason, slot: number, timeout_ms: number, away: string): ApiError {
  if (reason.kind === 'no_map') {
    const detail = `this node had no shard map within ${timeout_ms} ms: it does not hear from the controller`;
    return { code: 'unavailable', detail };
  }
  const shard = shardName(reason.shard);
  const missing = away === '' ? '' : ` (${away})`;
  switch (reason.kind) {
    case 'no_leader': {
      const why = away === '' ? 'an election has not ended' : 'a majority of its members may be away';
      return {
        code: 'no_leader',
        detail: `shard ${shard} had no leader within ${timeout_ms} ms: ${why}${missing}`,
        shard,
      };
    }
    case 'slot_moving': {
      const by = reason.move === 0 ? '' : `, by move ${reason.move},`;
      const detail = `slot ${slot} is on its way${by} and was not served within ${timeout_ms} ms: ${shard} holds it as ${reason.phase}`;
      return { code: 'slot_moving', detail, shard, phase: reason.phase };
    }
    case 'unreachable':
      return { code: 'unavailable', detail: `shard ${shard} did not answer within ${timeout_ms} ms${missing}`, shard };
    case 'too_old': {
      const detail = `no replica of shard ${shard} that could be reached has heard from its leader recently enough${missing}`;
      return { code: 'unavailable', detail, shard };
    }
    case 'disk_full': {
      const detail = `the disk of the node that leads shard ${shard} is full: it takes no writes until there is space; reads go on`;
      return { code: 'unavailable', detail, shard };
    }
    case 'clock_unsure': {
      const detail = `the node that leads shard ${shard} has not learned from a majority of its members what time it is: until then it takes no writes with a ttl, nor, where it had no leader for minutes, with an idempotency key${missing}`;
      return { code: 'unavailable', detail, shard };
    }
    case 'overloaded':
      return { code: 'overloaded', detail: `shard ${shard} has too many writes that are not committed yet`, shard };
  }
}
