/**
 * The rule of safe retries, apart from the loop that obeys it: what one attempt's end says about whether the request was
 * carried out, and so what may be done next.
 *
 * - *definite*: certainly not carried out (no connection, 503 with its codes, 429): anyone may send it again.
 * - *uncertain*: perhaps carried out (504, connection lost, timeout, an answer from no node): only reads, and writes under an
 *   idempotency key or a condition, may be sent again. An uncertain attempt stays uncertain whatever later attempts say.
 */
import { type Problem, readProblem, strangeAnswer } from './errors.js';
import { type HttpResponse, NotSent } from './http-send.js';

export type Attempt =
  | { readonly kind: 'answer'; readonly base: string; readonly response: HttpResponse }
  | { readonly kind: 'failure'; readonly base: string; readonly error: unknown };

export type Verdict =
  | { readonly kind: 'done'; readonly response: HttpResponse }
  | { readonly kind: 'refused'; readonly problem: Problem }
  /** `pause_ms`: what the server asked for (Retry-After), or null. */
  | { readonly kind: 'definite'; readonly problem: Problem; readonly pause_ms: number | null }
  /** `lasting`: sending it again promises little (500). */
  | { readonly kind: 'uncertain'; readonly problem: Problem; readonly lasting: boolean };

function retryAfter_ms(response: HttpResponse): number | null {
  const text = response.headers['retry-after'];
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : null;
}

function judgeProblem(problem: Problem, response: HttpResponse): Verdict {
  switch (problem.code) {
    case 'no_leader':
    case 'slot_moving':
    case 'unavailable':
      // Another node may know more, and the server has waited already: only 429 asks to be left alone.
      return { kind: 'definite', problem, pause_ms: null };
    case 'overloaded':
      return { kind: 'definite', problem, pause_ms: retryAfter_ms(response) };
    case 'wrong_shard':
      return { kind: 'definite', problem, pause_ms: null };
    case 'outcome_unknown':
      return { kind: 'uncertain', problem, lasting: false };
    case 'internal':
      return { kind: 'uncertain', problem, lasting: true };
    default:
      return { kind: 'refused', problem };
  }
}

export function judge(attempt: Attempt): Verdict {
  const { base } = attempt;
  if (attempt.kind === 'failure') {
    const { error } = attempt;
    const why = error instanceof Error ? error.message : String(error);
    const problem: Problem = {
      code: 'unavailable',
      status: 0,
      detail: `${base} does not answer: ${why}`,
      retryable: true,
    };
    return error instanceof NotSent
      ? { kind: 'definite', problem, pause_ms: null }
      : { kind: 'uncertain', problem, lasting: false };
  }
  const { response } = attempt;
  if ((response.status >= 200 && response.status < 300) || response.status === 304) return { kind: 'done', response };
  const problem = readProblem(response);
  if (problem !== null) return judgeProblem(problem, response);
  // A gateway in between: what became of the request behind it is unknown, except where it was turned away as wrong.
  return response.status >= 500
    ? { kind: 'uncertain', problem: strangeAnswer(base, response), lasting: false }
    : { kind: 'refused', problem: strangeAnswer(base, response) };
}
