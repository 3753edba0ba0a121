/**
 * The state in force, and how committed entries get into it: in rounds, each of them some entries, one atomic batch of rows
 * with the applied index in it (F31), then the answers.
 */
import { type Entry, EntryKind, type RaftCore } from '../core/index.js';
import { ApplyQueue } from './apply-queue.js';
import type { OpenState } from './open-state.js';
import type { PendingProposals } from './pending-proposals.js';

const ROUND_ENTRIES = 1024;
const ROUND_BYTES = 4 * 1024 * 1024;

export interface ApplierOptions {
  readonly core: RaftCore;
  readonly proposals: PendingProposals;
  /** Of entries that wait: more than the engine takes in. */
  readonly waitingBytesMax: number;
  /** The engine has room again. */
  readonly schedule: () => void;
}

export class Applier {
  readonly #options: ApplierOptions;
  readonly #queue = new ApplyQueue();
  #state: OpenState;

  constructor(state: OpenState, options: ApplierOptions) {
    this.#options = options;
    this.#state = state;
  }

  get state(): OpenState {
    return this.#state;
  }

  /** More is committed than the engine takes in. */
  get overloaded(): boolean {
    return this.#queue.bytes > this.#options.waitingBytesMax;
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

  /** False: the rest waits until the engine has taken in what was applied. */
  applyAll(): boolean {
    const { rows } = this.#state;
    while (!this.#queue.empty) {
      if (rows.saturated) {
        rows.onDrained(this.#options.schedule);
        return false;
      }
      const entries = this.#queue.take(ROUND_ENTRIES, ROUND_BYTES);
      for (let from = 0; from < entries.length; ) from = this.#applyRound(entries, from);
    }
    return true;
  }

  /** Returns where the next round begins: a view ends this one. */
  #applyRound(entries: readonly Entry[], from: number): number {
    const { core, proposals } = this.#options;
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
      proposals.committed(entry.index, entry.term, results[i - from]);
    }
    return to;
  }
}
