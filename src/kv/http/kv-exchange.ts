/**
 * The data part of the API without a socket: the same parsing and rendering as the listener's, for the simulator's clients
 * and for tests.
 */
import type { KvOutcome, KvService } from '../server/api.js';
import { type HttpResponse, headersRecord, problemResponse, type Refusal, refusalResponse } from './http-response.js';
import { EMPTY_BODY, KV_PATH, type KvHead, kvRequestOf, parseKvHead, valueTooLarge } from './kv-request.js';
import { renderKvOutcome } from './kv-response.js';
import { type ListHead, parseListHead } from './list-request.js';
import { renderListOutcome } from './list-response.js';

export interface Exchange {
  readonly method: string;
  /** Origin form: path and query, exactly as they would stand in the request line. */
  readonly url: string;
  /** Names in any case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

export interface ExchangeResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

export interface ExchangeOptions {
  readonly valueBytes: number;
}

/** What the path of a request target is for. */
export type TargetKind = 'key' | 'list' | 'other';

export function targetKind(target: string): TargetKind {
  if (!target.startsWith('/v1/kv')) return 'other';
  if (target.length === 6) return 'list';
  const code = target.charCodeAt(6);
  if (code === 0x2f) return 'key';
  return code === 0x3f ? 'list' : 'other';
}

/** Runs a request whose head is parsed and whose body is whole. `done` is called exactly once, perhaps at once. */
export function runKv(kv: KvService, head: KvHead, body: Buffer, done: (response: HttpResponse) => void): void {
  kv.execute(kvRequestOf(head, body), head.context, (outcome: KvOutcome) => {
    done(renderKvOutcome(head, outcome, kv.epoch()));
  });
}

export async function runList(kv: KvService, head: ListHead): Promise<HttpResponse> {
  const outcome =
    head.request === null
      ? ({ kind: 'page', items: [], next: null } as const)
      : await kv.list(head.request, head.context);
  return renderListOutcome(head, outcome, kv.epoch());
}

/** `/v1/kv/{key}`. Synchronous as far as the service is. */
export function handleKv(
  kv: KvService,
  exchange: Exchange,
  done: (response: ExchangeResponse) => void,
  options: ExchangeOptions = { valueBytes: 1_048_576 },
): void {
  const finish = (response: HttpResponse): void => done(exchangeResponse(exchange.method, response));
  if (!exchange.url.startsWith(KV_PATH)) {
    finish(noSuchPath(kv, exchange.url));
    return;
  }
  const head = parseKvHead(exchange.method, exchange.url, lowerCaseNames(exchange.headers));
  if (!head.ok) {
    finish(refusalResponse(head, kv.epoch()));
  } else if (head.method === 'PUT' && exchange.body.length > options.valueBytes) {
    finish(refusalResponse(valueTooLarge(options.valueBytes), kv.epoch()));
  } else {
    runKv(kv, head, head.method === 'PUT' ? exchange.body : EMPTY_BODY, finish);
  }
}

/** `/v1/kv/{key}` and the list. Rejects only if the service's list does. */
export function handleApi(
  kv: KvService,
  exchange: Exchange,
  options: ExchangeOptions = { valueBytes: 1_048_576 },
): Promise<ExchangeResponse> {
  if (targetKind(exchange.url) !== 'list') {
    return new Promise((resolve) => handleKv(kv, exchange, resolve, options));
  }
  const head: ListHead | Refusal = parseListHead(exchange.method, exchange.url, lowerCaseNames(exchange.headers));
  const response = head.ok ? runList(kv, head) : Promise.resolve(refusalResponse(head, kv.epoch()));
  return response.then((answer) => exchangeResponse(exchange.method, answer));
}

export function noSuchPath(kv: KvService, target: string): HttpResponse {
  const path = target.split('?', 1)[0]!;
  return problemResponse({ code: 'not_found', detail: `there is no path ${path.slice(0, 200)}` }, kv.epoch());
}

function lowerCaseNames(headers: Exchange['headers']): Record<string, string | undefined> {
  const lower: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(headers)) lower[name.toLowerCase()] = value;
  return lower;
}

function exchangeResponse(method: string, response: HttpResponse): ExchangeResponse {
  const body = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
  return { status: response.status, headers: headersRecord(response), body: method === 'HEAD' ? EMPTY_BODY : body };
}
