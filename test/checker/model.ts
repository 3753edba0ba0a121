/**
 * What the checker must know of an object: how it starts and what each operation does to it. A model is written for one
 * key at a time (linearizability is local: a history is linearizable if it is for each key; Herlihy and Wing 1990).
 */
import type { Operation } from './history.js';

export type Step<State> = { readonly ok: true; readonly state: State } | { readonly ok: false };

export const REFUSED: { readonly ok: false } = { ok: false };

/** An operation to be placed in the order, with what is known in advance about its place. Hints only save work. */
export interface Task {
  /** With an unknown outcome: may be left out. What `step` does depends only on kind, value, condition and outcome. */
  readonly op: Operation;
  /** Tasks with ranks stand in the order of their ranks in every linearization; never on a task that may be left out. */
  readonly rank: number | null;
  /** Fits only while `token(state)` is this, a token that never comes back once it is gone. */
  readonly needs: string | null;
}

export type Prepared<State> =
  | { readonly ok: true; readonly init: State; readonly tasks: readonly Task[] }
  /** Contradictory without any search. */
  | { readonly ok: false; readonly reason: string; readonly operations: readonly Operation[] };

export interface Model<State> {
  readonly name: string;
  init(): State;
  /** Whether `op`, with the outcome that it had, can happen in `state`, and what it leaves. An unknown outcome: as if applied. */
  step(state: State, op: Operation): Step<State>;
  /** Equal for equal states, different for different ones, up to `cost`. */
  fingerprint(state: State): string;
  /** Of states with equal fingerprints, one with less cost can do all that one with more can, to the same end. */
  cost?(state: State): number;
  /** In this state, or any that follows it, no task with this rank or a smaller one fits. */
  reached?(state: State): number;
  describe(state: State): string;
  /** What reads can recognise the state by; with `needs` of tasks. */
  token?(state: State): string | null;
  /**
   * Looks at all operations of one key (none of them failed) to make the search short, without changing its result:
   * joins attempts at one write, bounds open operations whose effect was seen, ranks.
   */
  prepare?(operations: readonly Operation[]): Prepared<State>;
}

/** The tasks without any hint. */
export function plainTasks(operations: readonly Operation[]): readonly Task[] {
  return operations.map((op) => ({ op, rank: null, needs: null }));
}
