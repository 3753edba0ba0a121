/**
 * One call of the client: attempts until an answer, a refusal that no retry can change, or the deadline.
 *
 * The loop is our own although cockatiel is at hand: its policies count attempts on the global clock and timers, while
 * here the deadline, the pauses and their jitter come from injected ports, so that a simulated run repeats exactly; and
 * what may be retried depends on what all attempts so far may have done, not on the last one alone.
 */
import type { Clock, Random } from '../../raft/index.js';
import type { ClusterView } from '../server/api.js';
import { OutcomeUnknown, type Problem, QuorateError } from './errors.js';
import type { HttpRequest, HttpResponse, HttpSend } from './http-send.js';
import type { LeaderDirectory } from './leader-directory.js';
import { type Attempt, judge } from './verdict.js';

/**
 * What protects a call from a second effect when it is sent again after an attempt that may have been carried out.
 * `read`: it has none. `keyed`: an idempotency key. `guarded`: `If-Match` with a revision, which never comes back.
 * `repeatable`: what it asks for is a state, and asking again where it holds changes nothing. `once`: nothing; it is not sent again.
 */
export type Safety = 'read' | 'keyed' | 'guarded' | 'repeatable' | 'once';

export interface Call {
  readonly method: HttpRequest['method'];
  readonly path: string;
  /** Encoded `name=value` pairs, without `timeout`. */
  readonly query: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** null: any node will do. */
  readonly slot: number | null;
  readonly safety: Safety;
  readonly idempotencyKey: string | null;
  readonly timeout_ms: number;
  /** False: the path answers at once, and no `?timeout=` is sent along. */
  readonly waits: boolean;
}

export interface CallerPorts {
  readonly send: HttpSend;
  readonly clock: Pick<Clock, 'monotonic_ms' | 'after'>;
  readonly random: Random;
  readonly directory: LeaderDirectory;
  /** Give up once every node has refused the connection twice in a row. */
  readonly failFast: boolean;
}

const BACKOFF_MS = { first: 20, max: 1_000 } as const;
/** An attempt at a node that hangs must leave time for other nodes. */
const ATTEMPT_MS = { min: 2_500, max: 10_000 } as const;
const ATTEMPTS_PER_CALL = 3;
/** The server's deadline lies before ours, so that its answer, not our timeout, ends a slow attempt. */
const ANSWER_MARGIN_MS = 250;
const SERVER_TIMEOUT_MS_MAX = 60_000;
/** After that many answers of 500 another attempt promises nothing. */
const LASTING_FAILURES_MAX = 3;
const REFRESH_TIMEOUT_MS = 3_000;

/** What all attempts of one call have come to. */
interface Course {
  readonly end_ms: number;
  avoid: string | null;
  /** An attempt that may have been carried out. */
  uncertain: Problem | null;
  lasting: number;
  attempts: number;
  /** Connections refused in a row. */
  refusals: number;
  /** Of the attempts so far that were answered. */
  slowest_ms: number;
}

/** The answers that an idempotency record gives again, so that they speak for every earlier attempt too. */
const RECORDED = new Set([404, 412]);

export class RetryingCaller {
  readonly #ports: CallerPorts;
  #refreshing = false;

  constructor(ports: CallerPorts) {
    this.#ports = ports;
  }

  /**
   * Resolves with an answer of 2xx or 304.
   * @throws QuorateError refused, or not carried out by the deadline
   * @throws OutcomeUnknown a write that may have been carried out
   */
  async call(call: Call): Promise<HttpResponse> {
    const { clock } = this.#ports;
    const end_ms = clock.monotonic_ms() + call.timeout_ms;
    const course: Course = {
      end_ms,
      avoid: null,
      uncertain: null,
      lasting: 0,
      attempts: 0,
      refusals: 0,
      slowest_ms: 0,
    };
    const share_ms = Math.max(ATTEMPT_MS.min, Math.min(ATTEMPT_MS.max, call.timeout_ms / ATTEMPTS_PER_CALL));
    const attempt_ms = call.safety === 'once' ? call.timeout_ms : share_ms;
    const target = this.#target(call, Math.min(attempt_ms, call.timeout_ms));
    for (;;) {
      const left_ms = course.end_ms - clock.monotonic_ms();
      const attempt = await this.#attempt(call, target, course.avoid, Math.min(left_ms, attempt_ms));
      if (attempt.kind === 'answer') {
        const took_ms = clock.monotonic_ms() - (course.end_ms - left_ms);
        course.slowest_ms = Math.max(course.slowest_ms, took_ms);
      }
      const pause_ms = this.#next(call, course, attempt);
      if (pause_ms === null) {
        if (attempt.kind !== 'answer') throw new Error('invariant: only an answer ends a call well');
        return attempt.response;
      }
      await new Promise<void>((resolve) => clock.after(pause_ms, resolve));
    }
  }

  /** The same for every attempt: the query is part of what an idempotency key stands for. */
  #target(call: Call, attempt_ms: number): string {
    const server_ms = Math.min(SERVER_TIMEOUT_MS_MAX, Math.max(attempt_ms - ANSWER_MARGIN_MS, attempt_ms / 2));
    const timeout = call.waits ? [`timeout=${Math.max(1, Math.round(server_ms))}ms`] : [];
    const query = [...call.query, ...timeout];
    return `${call.path}?${query.join('&')}`;
  }

  async #attempt(call: Call, target: string, avoid: string | null, timeout_ms: number): Promise<Attempt> {
    const { directory, send } = this.#ports;
    const base = directory.pick(call.slot, avoid);
    const { method, headers, body } = call;
    try {
      const response = await send({
        method,
        url: base + target,
        headers,
        timeout_ms,
        ...(body === undefined ? {} : { body }),
      });
      return { kind: 'answer', base, response };
    } catch (error) {
      return { kind: 'failure', base, error };
    }
  }

  /** null: done. Otherwise how long to wait before the next attempt; throws where there is none. */
  #next(call: Call, course: Course, attempt: Attempt): number | null {
    const verdict = judge(attempt);
    this.#note(call, attempt);
    course.attempts++;
    switch (verdict.kind) {
      case 'done':
        return null;
      case 'refused': {
        const spoken = call.safety === 'keyed' && RECORDED.has(verdict.problem.status);
        if (course.uncertain !== null && !spoken) throw this.#unknown(call, course, verdict.problem);
        throw new QuorateError(verdict.problem);
      }
      case 'definite': {
        course.avoid = attempt.base;
        const { shard, leader } = verdict.problem;
        if (shard !== undefined && leader !== undefined) this.#ports.directory.hint(shard, leader);
        if (shard !== undefined && call.slot !== null) this.#ports.directory.owner(call.slot, shard);
        if (this.#nobodyThere(course, attempt)) throw this.#end(call, course, verdict.problem);
        return this.#pause(call, course, verdict.problem, verdict.pause_ms);
      }
      case 'uncertain':
        course.avoid = attempt.base;
        // A read has no outcome to be unsure of.
        if (call.safety !== 'read') course.uncertain ??= verdict.problem;
        if (call.safety === 'once') throw this.#unknown(call, course, verdict.problem);
        if (verdict.lasting && ++course.lasting >= LASTING_FAILURES_MAX) throw this.#end(call, course, verdict.problem);
        return this.#pause(call, course, verdict.problem, null);
    }
  }

  #nobodyThere(course: Course, attempt: Attempt): boolean {
    const { failFast, directory } = this.#ports;
    course.refusals = attempt.kind === 'failure' ? course.refusals + 1 : 0;
    return failFast && course.refusals >= 2 * directory.size;
  }

  /** Exponential with jitter; at least what the server asked for. Throws where the deadline comes first. */
  #pause(call: Call, course: Course, problem: Problem, asked_ms: number | null): number {
    const { clock, random } = this.#ports;
    const ceiling_ms = Math.min(BACKOFF_MS.max, BACKOFF_MS.first * 2 ** Math.min(course.attempts, 16));
    const pause_ms = Math.max(asked_ms ?? 0, ceiling_ms * (0.5 + 0.5 * random.next()));
    // A write that certainly was not carried out is not sent once more, only to be cut off: nobody would know then.
    const needed_ms = call.safety === 'read' ? 0 : 2 * course.slowest_ms;
    if (clock.monotonic_ms() + pause_ms + needed_ms >= course.end_ms) throw this.#end(call, course, problem);
    return pause_ms;
  }

  #end(call: Call, course: Course, last: Problem): QuorateError {
    if (course.uncertain !== null) return this.#unknown(call, course, last);
    // A gateway's or a node's 504 to a read: there is no outcome to know, only no answer.
    const code = last.code === 'outcome_unknown' ? 'unavailable' : last.code;
    return new QuorateError({ ...last, code });
  }

  #unknown(call: Call, course: Course, last: Problem): OutcomeUnknown {
    const first = course.uncertain ?? last;
    const since = first === last ? '' : `; at last: ${last.detail}`;
    return new OutcomeUnknown(`it may or may not have been carried out: ${first.detail}${since}`, call.idempotencyKey);
  }

  /** Keeps what the attempt tells about the cluster. */
  #note(call: Call, attempt: Attempt): void {
    const { directory } = this.#ports;
    const { base } = attempt;
    if (attempt.kind === 'failure') directory.failed(base, call.slot, true);
    else {
      const { status, headers } = attempt.response;
      const epoch = /^\d{1,15}$/.exec(headers['x-quorate-epoch'] ?? '');
      directory.answered(base, epoch === null ? null : Number(epoch[0]));
      const shard = headers['x-quorate-shard'];
      if (shard !== undefined && call.slot !== null) directory.owner(call.slot, shard);
      if (status === 421 || status >= 503) directory.failed(base, call.slot, false);
    }
    if (!this.#refreshing && directory.takeRefresh()) void this.#refresh();
  }

  /** In the background: nobody waits for it, and it fails silently, since all it brings is a shorter way. */
  async #refresh(): Promise<void> {
    this.#refreshing = true;
    const { directory, send } = this.#ports;
    const base = directory.pick(null, null);
    try {
      const url = `${base}/v1/cluster`;
      const response = await send({ method: 'GET', url, headers: {}, timeout_ms: REFRESH_TIMEOUT_MS });
      if (response.status === 200) directory.learn(JSON.parse(response.body.toString('utf8')) as ClusterView);
    } catch {
      directory.failed(base, null, true);
    } finally {
      this.#refreshing = false;
    }
  }
}
