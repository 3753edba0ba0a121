/**
 * HTTP as any program speaks it: one request, one answer, nothing sent again. Paths go out exactly as they are given
 * (`fetch` would fold `..` and re-encode).
 */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';

export interface PlainAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface PlainRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Of silence. Default 15 s: longer than a node takes to answer anything. */
  readonly timeout_ms?: number;
}

/** No answer came. `sent` false: there was no connection, so nothing can have happened. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly code: string;
  readonly sent: boolean;

  constructor(cause: NodeJS.ErrnoException) {
    super(`no answer: ${cause.code ?? cause.message}`, { cause });
    this.code = cause.code ?? cause.message;
    this.sent = cause.syscall !== 'connect';
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

/** `base`: `http://host:port`. `target`: path and query. Throws `NoAnswer`. */
export function plain(base: string, target: string, options: PlainRequest = {}): Promise<PlainAnswer> {
  const { method = 'GET', headers = {}, body, timeout_ms = 15_000 } = options;
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    const request = httpRequest({ agent, hostname, port, method, path: target, headers: { ...length, ...headers } });
    const fail = (error: NodeJS.ErrnoException): void => reject(new NoAnswer(error));
    request.setTimeout(timeout_ms, () =>
      request.destroy(Object.assign(new Error(`silence for ${timeout_ms} ms`), { code: 'ETIMEDOUT' })),
    );
    request.once('error', fail);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', fail);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.end(body);
  });
}

export const jsonOf = <T = Record<string, unknown>>(answer: PlainAnswer): T =>
  JSON.parse(answer.body.toString('utf8')) as T;

/** The path of a key of any bytes. */
export const keyPath = (key: string | Uint8Array): string =>
  `/v1/kv/${Buffer.from(key).toString('base64url')}?enc=b64url`;

/** The stable code of a problem+json answer; null where it is none. */
export const codeOf = (answer: PlainAnswer): string | null =>
  (answer.headers['content-type'] ?? '').startsWith('application/problem+json')
    ? (jsonOf<{ code: string }>(answer).code ?? null)
    : null;
