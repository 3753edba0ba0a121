/**
 * A workload is a few clients that do one kind of thing for the whole run, write down all they did and saw, and afterwards say
 * what in it cannot be. The cluster is never asked to judge itself.
 */
import type { HistoryRecorder } from '../../checker/history.js';
import type { SimRandom } from '../../sim/fakes/random.js';

export interface WorkloadContext {
  readonly endpoints: readonly string[];
  /** Of all keys of this run: it may share a cluster with others. */
  readonly prefix: string;
  readonly random: SimRandom;
  readonly now: () => number;
  /** No new operations after it. */
  readonly signal: AbortSignal;
}

/** Something that happened and must not; in words, with the operations that show it. */
export interface Finding {
  readonly workload: string;
  readonly message: string;
}

export interface WorkloadRun {
  /** What is needed before faults begin. */
  prepare(): Promise<void>;
  /** Resolves when the context's signal says so and the last operation has ended. */
  run(): Promise<void>;
  /** Reads what is there in the end, with the cluster calm. */
  finish(): Promise<void>;
  judge(): readonly Finding[];
  /** Keyed operations, for figures and for its history file. */
  readonly history: HistoryRecorder;
  /** Further JSON lines of its history, where it has operations that are not on one key. */
  extraLines?(): readonly object[];
  close(): void;
}

export interface Workload {
  readonly name: string;
  readonly describe: string;
  start(context: WorkloadContext): WorkloadRun;
}
