/**
 * The driver of one replica: takes `Ready` from the core and does what it says, in the order it demands. Persist, send,
 * apply; nothing is decided here.
 *
 * Batching (architecture decision 6): proposals gather into appends (proposal-inbox.ts); all reads of a turn share one
 * ReadIndex; results of a round are handed out together.
 */
import { index, type Ready, type ReplicaId } from '../core/index.js';
import type { Appends } from './appends.js';
import type { Applier } from './applier.js';
import type { IncomingState } from './incoming-state.js';
import type { LogCompaction } from './log-compaction.js';
import type { Peers } from './peers.js';
import type { PendingProposals } from './pending-proposals.js';
import type { PendingReads } from './pending-reads.js';
import type { ProposalInbox } from './proposal-inbox.js';
import type { ReplicaContext } from './replica-context.js';
import type { SnapshotSenders } from './snapshot-senders.js';

export interface ReadyLoopParts {
  readonly inbox: ProposalInbox;
  readonly proposals: PendingProposals;
  readonly reads: PendingReads;
  readonly peers: Peers;
  readonly appends: Appends;
  readonly applier: Applier;
  readonly compaction: LogCompaction;
  readonly incoming: IncomingState;
  readonly senders: SnapshotSenders;
}

export class ReadyLoop {
  readonly #context: ReplicaContext;
  readonly #parts: ReadyLoopParts;

  constructor(context: ReplicaContext, parts: ReadyLoopParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Everything that has arrived since the last turn. What is thrown ends the replica. */
  turn(): void {
    const { core } = this.#context;
    this.#takeProposals();
    this.#parts.reads.askAll((context) => core.readIndex(context));
    do {
      while (core.hasReady()) this.#handle(core.ready());
      this.#parts.incoming.discardUnused();
      this.#apply();
      // What was applied may have changed the membership, and so what is committed.
    } while (core.hasReady());
  }

  #takeProposals(): void {
    const { environment, core } = this.#context;
    const { inbox, proposals, appends, applier } = this.#parts;
    if (inbox.empty) return;
    // What is in flight on a full disk waits for space; what comes now is told at once (F36).
    const { full } = environment.log;
    if (core.role === 'leader' && (full || applier.overloaded)) {
      inbox.refuseAll(full ? 'disk_full' : 'overloaded');
      return;
    }
    const taken = inbox.take(proposals.size, appends.inFlight);
    if (taken.length === 0) return;
    const result = core.propose(taken.map((proposal) => proposal.data));
    if (!result.ok) {
      const reason = result.reason === 'too_many_uncommitted' ? 'overloaded' : result.reason;
      for (const { waiter } of taken) waiter.refused(reason);
      return;
    }
    for (let i = 0; i < taken.length; i++) {
      proposals.add(index(result.first + i), result.term, taken[i]!.waiter);
    }
  }

  #handle(ready: Ready): void {
    const { core, schedule } = this.#context;
    const { peers, incoming, appends, applier, reads } = this.#parts;
    peers.sendAll(ready.messages);
    if (ready.hardState !== null) incoming.enterTerm(ready.hardState.term);
    if (ready.snapshot !== null) incoming.adopt(ready);
    else if (ready.seq > 0) appends.write(ready);
    applier.push(ready.committed);
    if (ready.reads.length > 0) {
      reads.answered(ready.reads);
      reads.applied(core.appliedIndex);
      if (reads.waiting) schedule();
    }
    for (const to of ready.snapshotsTo) this.#startSnapshot(to);
  }

  #apply(): void {
    const { applier, appends, reads, compaction } = this.#parts;
    const { switching } = appends;
    if (!switching && !applier.applyAll()) return;
    reads.applied(this.#context.core.appliedIndex);
    if (!switching) compaction.run();
  }

  #startSnapshot(to: ReplicaId): void {
    const { peers, appends, applier, senders, compaction } = this.#parts;
    const node = peers.nodeOf(to);
    if (node === undefined || appends.switching) return;
    // The snapshot may be of a later index than what we know to be in the engine.
    const { rows } = applier.state;
    if (senders.start(to, node, rows.engine)) compaction.catchUps.begin(to, rows.written.index);
  }
}
