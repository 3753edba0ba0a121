/**
 * The state in force, and how committed entries get into it: in rounds, each of them some entries, one atomic batch of rows
 * with the applied index in it (F31), then the answers.
 */
import { type Entry, EntryKind } from '../core/index.js';
import type { StateEngine } from '../ports.js';
import { ApplyQueue } from './apply-queue.js';
import type { OpenState } from './open-state.js';
import type { PendingProposals } from './pending-proposals.js';
import type { ReplicaContext } from './replica-context.js';

const ROUND_ENTRIES = 1024;
const ROUND_BYTES = 4 * 1024 * 1024;

export class Applier {
  readonly #context: ReplicaContext;
  readonly #proposals: PendingProposals;
  readonly #queue = new ApplyQueue();
  #state: OpenState;

  constructor(context: ReplicaContext, proposals: PendingProposals, state: OpenState) {
    this.#context = context;
    this.#proposals = proposals;
    this.#state = state;
  }

  get state(): OpenState {
    return this.#state;
  }

  /** More is committed than the engine takes in. */
  get overloaded(): boolean {
    return this.#queue.bytes > this.#context.environment.settings.maxUncommittedBytes;
  }

  push(committed: readonly Entry[]): void {
    this.#queue.push(committed);
  }

  /** What waits is in the state that comes next. */
  clear(): void {
    this.#queue.clear();
  }

  /** Returns the state whose place this one takes. */
  switchTo(state: OpenState): OpenState {
    const old = this.#state;
    this.#state = state;
    return old;
  }

  /** An engine that was replaced is nobody's any more. */
  engineFailed(engine: StateEngine, error: Error): void {
    if (engine === this.#state.rows.engine) this.#context.life.engineFailed(error);
  }

  /** False: the rest waits until the engine has taken in what was applied. */
  applyAll(): boolean {
    const { rows } = this.#state;
    while (!this.#queue.empty) {
      if (rows.saturated) {
        rows.onDrained(this.#context.schedule);
        return false;
      }
      const entries = this.#queue.take(ROUND_ENTRIES, ROUND_BYTES);
      for (let from = 0; from < entries.length; ) from = this.#applyRound(entries, from);
    }
    return true;
  }

  /** Returns where the next round begins: a view ends this one. */
  #applyRound(entries: readonly Entry[], from: number): number {
    const { core } = this.#context;
    const { rows, machine } = this.#state;
    const results: unknown[] = [];
    let to = from;
    while (to < entries.length && !rows.viewed) {
      const entry = entries[to++]!;
      results.push(entry.kind === EntryKind.Command ? machine.apply(entry) : undefined);
    }
    const last = entries[to - 1]!;
    machine.endRound();
    core.applied(last.index);
    rows.endRound({ index: last.index, term: last.term, conf: core.conf });
    for (let i = from; i < to; i++) {
      const entry = entries[i]!;
      this.#proposals.committed(entry.index, entry.term, results[i - from]);
    }
    return to;
  }
}
