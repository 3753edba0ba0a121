/**
 * What the client sees of the world, under the test's hand: a clock that jumps to the next timer, and an `HttpSend` whose
 * answers the test writes.
 */

import type { QuorateClientOptions } from '../../../src/kv/client/index.js';
import { type HttpRequest, type HttpResponse, type HttpSend, QuorateClient } from '../../../src/kv/client/index.js';

export class JumpingClock {
  now_ms = 0;

  monotonic_ms(): number {
    return this.now_ms;
  }

  after(delay_ms: number, run: () => void) {
    const due_ms = this.now_ms + delay_ms;
    const handle = setImmediate(() => {
      this.now_ms = Math.max(this.now_ms, due_ms);
      run();
    });
    return { cancel: () => clearImmediate(handle) };
  }
}

/** Same seed, same sequence (a linear congruential generator; quality does not matter here). */
export function seededRandom(seed: number) {
  let state = seed >>> 0;
  return {
    next() {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 0x1_0000_0000;
    },
  };
}

export type Answer = HttpResponse | Error | { readonly hang: true };

export function json(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  return {
    status,
    headers: { 'content-type': 'application/json', 'x-quorate-epoch': '1', ...headers },
    body: Buffer.from(JSON.stringify(body)),
  };
}

export function problem(status: number, code: string, extra: object = {}, headers: Record<string, string> = {}) {
  return json(status, { status, code, title: code, detail: `detail of ${code}`, retryable: false, ...extra }, headers);
}

export const stored = () =>
  json(201, { key: 'k', key_encoding: 'utf8', revision: '7', version: 1, shard: 's1' }, { etag: '"7"' });

export const raw = (value: string) => ({
  status: 200,
  headers: { 'content-type': 'text/plain', etag: '"7"', 'x-quorate-version': '1', 'x-quorate-shard': 's1' },
  body: Buffer.from(value),
});

export interface Fixture {
  readonly client: QuorateClient;
  readonly clock: JumpingClock;
  /** Every request, in order. */
  readonly sent: HttpRequest[];
  /** Only those on keys. */
  readonly calls: () => HttpRequest[];
}

/** `respond` is asked for each request; a thrown or returned Error rejects, `hang` rejects at the attempt's deadline. */
export function fixture(
  respond: (request: HttpRequest, index: number) => Answer,
  options: Partial<QuorateClientOptions> = {},
): Fixture {
  const clock = new JumpingClock();
  const sent: HttpRequest[] = [];
  const send: HttpSend = async (request) => {
    sent.push(request);
    const answer = respond(request, sent.length - 1);
    if (answer instanceof Error) throw answer;
    if ('hang' in answer) {
      clock.now_ms += request.timeout_ms;
      throw new Error(`no answer within ${request.timeout_ms} ms`);
    }
    return answer;
  };
  const client = new QuorateClient({
    endpoints: ['http://a:1', 'http://b:2', 'http://c:3'],
    send,
    clock,
    random: seededRandom(1),
    direct: false,
    ...options,
  });
  return { client, clock, sent, calls: () => sent.filter((request) => request.url.includes('/v1/kv')) };
}
