/**
 * One try of an operation: whom the runtime and the connection to a peer answer. A try that is over says nothing about what
 * to do next, but what it says of a write's fate still counts. One object, no closures: there is one for every request.
 */
import type { GroupId, NodeId, ProposalRefusal, ProposalWaiter, ReadWaiter } from '../../raft/index.js';
import type { Operation } from './operation.js';
import type { CallResult } from './rpc.js';

/** Who decides what follows: the router. */
export interface AttemptOwner {
  applied(attempt: Attempt, result: unknown): void;
  refused(attempt: Attempt, reason: ProposalRefusal): void;
  unknown(attempt: Attempt): void;
  readReady(attempt: Attempt): void;
  answered(attempt: Attempt, result: CallResult): void;
}

export class Attempt implements ProposalWaiter, ReadWaiter {
  readonly owner: AttemptOwner;
  readonly operation: Operation;
  readonly number: number;
  /** The shard that was asked: by the time of the answer the slot may belong to another one. */
  readonly shard: GroupId;
  /** The node that was asked. */
  readonly to: NodeId;

  constructor(owner: AttemptOwner, operation: Operation, to: NodeId) {
    this.owner = owner;
    this.operation = operation;
    this.number = operation.attempt;
    this.shard = operation.shard;
    this.to = to;
  }

  /** The operation's present attempt. */
  get current(): boolean {
    return this.operation.attempt === this.number;
  }

  applied(result: unknown): void {
    this.owner.applied(this, result);
  }

  refused(reason: ProposalRefusal = 'not_leader'): void {
    this.owner.refused(this, reason);
  }

  unknown(): void {
    this.owner.unknown(this);
  }

  ready(): void {
    this.owner.readReady(this);
  }

  answered(result: CallResult): void {
    this.owner.answered(this, result);
  }
}
