/**
 * Linearizability by its definition: tries every order that respects real time, without memory, hints or pruning. For
 * histories of a few operations of one key; what the fast checker is compared with.
 *
 * Retries are played as the store does it: the first attempt that takes effect is answered, the others get its answer.
 */
import type { Operation, Outcome } from './history.js';
import { sameAnswer, sameRequest } from './idempotent-retries.js';
import { type Model, REFUSED, type Step } from './model.js';

/** Of one key. Takes time that grows with the factorial of their number. */
export function isLinearizable<State>(model: Model<State>, history: readonly Operation[]): boolean {
  const operations = history.filter(({ outcome }) => outcome.kind !== 'failed');
  return new BruteForce(model, operations).extends(model.init(), operations, []);
}

class BruteForce<State> {
  readonly #model: Model<State>;
  readonly #operations: readonly Operation[];

  constructor(model: Model<State>, operations: readonly Operation[]) {
    this.#model = model;
    this.#operations = operations;
  }

  /** Whether `pending` can follow on `state`, which was reached by `done`. */
  extends(state: State, pending: readonly Operation[], done: readonly Operation[]): boolean {
    if (pending.every(({ return: end }) => end === null)) return true;
    return pending.some((next) => {
      if (pending.some(({ return: end }) => end !== null && end < next.call)) return false;
      const step = this.#step(state, next, done);
      if (!step.ok) return false;
      return this.extends(
        step.state,
        pending.filter((other) => other !== next),
        [...done, next],
      );
    });
  }

  #step(state: State, op: Operation, done: readonly Operation[]): Step<State> {
    if (op.idempotencyKey === null) return this.#model.step(state, op);
    const first = done.find((other) => other.idempotencyKey === op.idempotencyKey && this.#barred(other, op));
    if (first !== undefined && !sameRequest(first, op))
      return op.outcome.kind === 'unknown' ? { ok: true, state } : REFUSED;
    // What an attempt without an answer did is what the others were told that it did.
    const answers = this.#operations.filter(
      (other) =>
        other.idempotencyKey === op.idempotencyKey && sameRequest(op, other) && other.outcome.kind !== 'unknown',
    );
    const outcome = answers.reduce<Outcome | null>(
      (known, other) => (known === null ? null : sameAnswer(known, other.outcome)),
      answers[0]?.outcome ?? op.outcome,
    );
    if (outcome === null) return REFUSED;
    return first === undefined ? this.#model.step(state, { ...op, outcome }) : { ok: true, state };
  }

  /** Of different requests under one key of which none was answered, the checker does not know that one bars the others. */
  #barred(first: Operation, op: Operation): boolean {
    const answered = this.#operations.some(
      (other) => other.idempotencyKey === op.idempotencyKey && other.outcome.kind !== 'unknown',
    );
    return answered || sameRequest(first, op);
  }
}
