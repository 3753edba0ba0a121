/**
 * The adapter of `HttpSend` on axios, with connections kept alive.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { type AxiosResponse } from 'axios';
import { type HttpResponse, type HttpSend, NotSent } from './http-send.js';

/** Codes of a connection that never came about. */
const NEVER_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

export interface AxiosSend {
  readonly send: HttpSend;
  /** Ends idle connections, so that the process can end. */
  close(): void;
}

function answer(response: AxiosResponse): HttpResponse {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : String(value);
  }
  const data: unknown = response.data;
  if (!Buffer.isBuffer(data)) throw new Error('invariant: axios gives a Buffer for responseType arraybuffer on Node');
  return { status: response.status, headers, body: data };
}

function failure(error: unknown, timeout_ms: number): Error {
  if (!axios.isAxiosError(error)) return error instanceof Error ? error : new Error(String(error));
  // A name with several addresses fails as an AggregateError with a code of its own and often without a message.
  const code = error.code ?? '';
  if (code === 'ERR_CANCELED') return new Error(`no answer within ${Math.round(timeout_ms)} ms`);
  const message = error.message === '' ? code : error.message;
  return NEVER_CONNECTED.has(code) ? new NotSent(message) : new Error(message);
}

export function createAxiosSend(): AxiosSend {
  const httpAgent = new HttpAgent({ keepAlive: true, maxSockets: 256 });
  const httpsAgent = new HttpsAgent({ keepAlive: true, maxSockets: 256 });
  const instance = axios.create({
    adapter: 'http',
    httpAgent,
    httpsAgent,
    responseType: 'arraybuffer',
    // Every status is an answer; what it means is decided by the retry rules, not by axios.
    validateStatus: () => true,
    decompress: false,
    maxRedirects: 0,
    maxContentLength: Number.POSITIVE_INFINITY,
    maxBodyLength: Number.POSITIVE_INFINITY,
    // A cluster's nodes are reached directly, whatever HTTP_PROXY says.
    proxy: false,
    // Bodies are bytes already.
    transformRequest: [(data: unknown) => data],
    transformResponse: [(data: unknown) => data],
  });
  const send: HttpSend = async ({ method, url, headers, body, timeout_ms }) => {
    try {
      const response = await instance.request({
        method,
        url,
        headers: { Accept: '*/*', 'Accept-Encoding': 'identity', 'User-Agent': 'quorate-client', ...headers },
        data: body === undefined ? undefined : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
        // axios's own timeout watches the socket only once there is one; the signal covers name lookup and connecting too.
        signal: AbortSignal.timeout(Math.max(1, Math.ceil(timeout_ms))),
      });
      return answer(response);
    } catch (error) {
      throw failure(error, timeout_ms);
    }
  };
  return {
    send,
    close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}
