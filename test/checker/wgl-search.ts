/**
 * The search for a linearization of one key's operations: Wing and Gong 1993 with Lowe's memory of visited
 * configurations (Lowe 2017, as in Porcupine), iterative. A configuration is the set of operations placed so far and the
 * state they leave. Next can come whatever was called before the first return among those not placed.
 *
 * What makes it fast, none of which changes the result:
 * - An operation that fits and leaves the state as it is (a read) is placed at once, for good: any linearization of the
 *   rest stays one with it moved to the front.
 * - Of operations that do the same, only the one that returned first is tried.
 * - Open operations, which may be left out, are tried last; of those that do the same, in order of their calls, so that
 *   a count stands for the set. A configuration is not searched again if it was with fewer of them used.
 * - Ranks and `needs` (model.ts) refuse at once what could only fail later.
 */
import type { Operation } from './history.js';
import type { Model, Task } from './model.js';
import { PendingSet } from './pending-set.js';
import { VisitedConfigurations } from './visited-configurations.js';

export interface Blocked {
  readonly operation: Operation;
  /**
   * `state`: it cannot happen in the state reached. `order`: `other` has a smaller revision and must come first. `seen`:
   * it would replace for good what `other` has still to see. `later`: it fits, but nothing that follows does.
   */
  readonly because: 'state' | 'order' | 'seen' | 'later';
  readonly other: Operation | null;
}

/** The longest order that was found, and why it ends there. */
export interface PartialOrder {
  readonly order: readonly Operation[];
  /** The state after it, in words. */
  readonly state: string;
  /** All that could come next by time. */
  readonly blocked: readonly Blocked[];
}

export type SearchResult =
  | { readonly kind: 'linearizable'; readonly order: readonly Operation[]; readonly steps: number }
  | { readonly kind: 'violation'; readonly longest: PartialOrder; readonly steps: number }
  | { readonly kind: 'too_large'; readonly steps: number };

/** `definite`: index of a task that must be placed; else `group`: of a group of open ones. */
interface Move<State> {
  readonly definite: number;
  readonly group: number;
  readonly task: Task;
  readonly state: State;
}

interface Frame<State> {
  readonly state: State;
  readonly moves: readonly Move<State>[];
  next: number;
  /** The move that was made from here. */
  made: Move<State> | null;
}

/** Same for operations that no model can tell apart. */
const signatureOf = ({ op, rank, needs }: Task): string =>
  JSON.stringify([op.kind, op.value, op.condition, op.outcome, rank, needs]);

export class WglSearch<State> {
  readonly #model: Model<State>;
  readonly #maxSteps: number;
  readonly #definite: readonly Task[];
  readonly #signatures: readonly number[];
  /** Open tasks that do the same, by call. */
  readonly #groups: readonly (readonly Task[])[];
  readonly #used: number[];
  readonly #pending: PendingSet;
  readonly #visited = new VisitedConfigurations();
  /** Ascending; the task that is placed next among those with ranks has the rank at `#ranked`. */
  readonly #ranks: readonly number[];
  #ranked = 0;
  /** Tasks not yet placed that need a token. */
  readonly #needed = new Map<string, number>();
  readonly #stack: Frame<State>[] = [];
  #longest: PartialOrder | null = null;
  #leastLeft = Number.POSITIVE_INFINITY;
  #steps = 0;

  constructor(model: Model<State>, tasks: readonly Task[], maxSteps: number) {
    this.#model = model;
    this.#maxSteps = maxSteps;
    const byCall = [...tasks].sort((a, b) => a.op.call - b.op.call || a.op.id - b.op.id);
    this.#definite = byCall.filter(({ op }) => op.return !== null);
    const names = new Map<string, number>();
    this.#signatures = this.#definite.map((task) => {
      const signature = signatureOf(task);
      const known = names.get(signature) ?? names.size;
      names.set(signature, known);
      return known;
    });
    const groups = new Map<string, Task[]>();
    for (const task of byCall) {
      if (task.op.return !== null) continue;
      const signature = signatureOf(task);
      const group = groups.get(signature);
      if (group === undefined) groups.set(signature, [task]);
      else group.push(task);
    }
    this.#groups = [...groups.values()];
    this.#used = this.#groups.map(() => 0);
    this.#pending = new PendingSet(this.#definite);
    this.#ranks = this.#definite.flatMap(({ rank }) => (rank === null ? [] : [rank])).sort((a, b) => a - b);
    for (const { needs } of this.#definite) this.#countNeed(needs, 1);
  }

  run(init: State): SearchResult {
    this.#push(init);
    for (;;) {
      if (this.#pending.size === 0) return { kind: 'linearizable', order: this.#order(), steps: this.#steps };
      if (this.#steps > this.#maxSteps) return { kind: 'too_large', steps: this.#steps };
      const frame = this.#stack.at(-1)!;
      const move = frame.moves[frame.next++];
      if (move !== undefined) {
        if (this.#make(frame, move)) this.#push(move.state);
        continue;
      }
      this.#noteStuck(frame);
      this.#stack.pop();
      const parent = this.#stack.at(-1);
      if (parent === undefined) return { kind: 'violation', longest: this.#longest!, steps: this.#steps };
      this.#undo(parent.made!);
      parent.made = null;
    }
  }

  #push(state: State): void {
    this.#stack.push({ state, moves: this.#pending.size === 0 ? [] : this.#moves(state), next: 0, made: null });
  }

  /** Places the operation, unless that leads to where the search has been. */
  #make(frame: Frame<State>, move: Move<State>): boolean {
    this.#place(move);
    // A move without alternative need not be remembered: its configuration is as good as the one before.
    if (
      frame.moves.length > 1 &&
      !this.#visited.add(
        this.#pending.fingerprint(),
        this.#model.fingerprint(move.state),
        this.#costOf(move.state),
        this.#used,
      )
    ) {
      this.#undo(move);
      return false;
    }
    frame.made = move;
    return true;
  }

  #place(move: Move<State>): void {
    if (move.definite < 0) {
      this.#used[move.group]! += 1;
      return;
    }
    this.#pending.remove(move.definite);
    if (move.task.rank !== null) this.#ranked++;
    this.#countNeed(move.task.needs, -1);
  }

  #undo(move: Move<State>): void {
    if (move.definite < 0) {
      this.#used[move.group]! -= 1;
      return;
    }
    this.#pending.restore(move.definite);
    if (move.task.rank !== null) this.#ranked--;
    this.#countNeed(move.task.needs, 1);
  }

  #countNeed(token: string | null, by: number): void {
    if (token !== null) this.#needed.set(token, (this.#needed.get(token) ?? 0) + by);
  }

  /** What can come next. One move only, if it is one that is never wrong. */
  #moves(state: State): Move<State>[] {
    const fingerprint = this.#model.fingerprint(state);
    const cost = this.#costOf(state);
    const unchanged = (next: State): boolean =>
      this.#model.fingerprint(next) === fingerprint && this.#costOf(next) >= cost;
    const moves: Move<State>[] = [];
    /** The first to return of each signature. */
    const first = new Map<number, number>();
    for (const index of this.#pending.candidates()) {
      const known = first.get(this.#signatures[index]!);
      if (known === undefined || this.#definite[index]!.op.return! < this.#definite[known]!.op.return!) {
        first.set(this.#signatures[index]!, index);
      }
    }
    for (const index of first.values()) {
      const task = this.#definite[index]!;
      const next = this.#try(state, task);
      if (next === null) continue;
      const move: Move<State> = { definite: index, group: -1, task, state: next.state };
      if (this.#model.fingerprint(next.state) === fingerprint && this.#costOf(next.state) === cost) return [move];
      moves.push(move);
    }
    for (const [group, tasks] of this.#groups.entries()) {
      const task = tasks[this.#used[group]!];
      if (task === undefined || task.op.call > this.#pending.firstReturn) continue;
      const next = this.#try(state, task);
      if (next === null || unchanged(next.state)) continue;
      moves.push({ definite: -1, group, task, state: next.state });
    }
    return moves;
  }

  #try(state: State, task: Task): { readonly state: State } | null {
    if (this.#outOfRank(task)) return null;
    this.#steps++;
    const step = this.#model.step(state, task.op);
    return step.ok && !this.#abandons(state, step.state, task) && this.#passes(step.state, task) < 0 ? step : null;
  }

  #costOf(state: State): number {
    return this.#model.cost?.(state) ?? 0;
  }

  /** A rank that is still to come, but cannot after this step; -1: none. */
  #passes(to: State, task: Task): number {
    const next = this.#ranks[this.#ranked + (task.rank === null ? 0 : 1)];
    return next !== undefined && this.#model.reached !== undefined && next <= this.#model.reached(to) ? next : -1;
  }

  #outOfRank(task: Task): boolean {
    return task.rank !== null && task.rank !== this.#ranks[this.#ranked];
  }

  /** Whether the step leaves a state for good that an operation still to be placed has seen. */
  #abandons(from: State, to: State, task: Task): boolean {
    const before = this.#model.token?.(from) ?? null;
    if (before === null || before === this.#model.token!(to)) return false;
    return (this.#needed.get(before) ?? 0) > (task.needs === before ? 1 : 0);
  }

  #order(): Operation[] {
    return this.#stack.flatMap(({ made }) => (made === null ? [] : [made.task.op]));
  }

  #noteStuck(frame: Frame<State>): void {
    if (this.#pending.size >= this.#leastLeft) return;
    this.#leastLeft = this.#pending.size;
    const blocked = this.#pending.candidates().map((index) => this.#whyNot(frame.state, this.#definite[index]!));
    this.#longest = { order: this.#order(), state: this.#model.describe(frame.state), blocked };
  }

  #whyNot(state: State, task: Task): Blocked {
    const operation = task.op;
    const pending = (wanted: (other: Task) => boolean): Operation =>
      this.#definite.find((other, index) => this.#pending.has(index) && wanted(other))!.op;
    if (this.#outOfRank(task)) {
      const rank = this.#ranks[this.#ranked];
      return { operation, because: 'order', other: pending((other) => other.rank === rank) };
    }
    const step = this.#model.step(state, operation);
    if (!step.ok) return { operation, because: 'state', other: null };
    if (this.#abandons(state, step.state, task)) {
      const token = this.#model.token!(state);
      return { operation, because: 'seen', other: pending((other) => other !== task && other.needs === token) };
    }
    const passed = this.#passes(step.state, task);
    if (passed < 0) return { operation, because: 'later', other: null };
    return { operation, because: 'order', other: pending((other) => other !== task && other.rank === passed) };
  }
}
