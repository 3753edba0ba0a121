/** A real server on a free port over fake services, a client that changes nothing of a path, and a bare socket. */

import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect } from 'vitest';
import { createHttpApi, type HttpApi, type HttpApiOptions } from '../../../src/kv/http/index.js';
import { FakeAdmin, FakeKv } from './fake-services.js';

export const VALUE_BYTES = 1_048_576;

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
  json(): Record<string, unknown>;
}

export interface LogLine {
  level: string;
  fields: Record<string, unknown>;
  message: string;
}

export class ApiFixture {
  readonly kv = new FakeKv();
  readonly admin = new FakeAdmin();
  readonly logged: LogLine[] = [];
  readonly answered: { operation: string; status: number; duration_ms: number }[] = [];
  readonly api: HttpApi;
  debug = false;
  port = 0;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(config: Partial<HttpApiOptions['config']> = {}, prometheus?: HttpApiOptions['prometheus']) {
    const line =
      (level: string) =>
      (fields: object, message: string): void => {
        this.logged.push({ level, fields: { ...fields }, message });
      };
    this.api = createHttpApi({
      kv: this.kv,
      admin: this.admin,
      config: { valueBytes: VALUE_BYTES, inflightBytes: 64 * VALUE_BYTES, cors: null, ...config },
      log: { isLevelEnabled: () => this.debug, debug: line('debug'), info: line('info'), error: line('error') },
      metrics: {
        answered: (operation, status, duration_ms) => this.answered.push({ operation, status, duration_ms }),
      },
      ...(prometheus === undefined ? {} : { prometheus }),
    });
  }

  async start(): Promise<this> {
    this.api.server.listen(0, '127.0.0.1');
    await once(this.api.server, 'listening');
    this.port = (this.api.server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.api.close(0);
  }

  call(
    method: string,
    path: string,
    options: { headers?: Record<string, string>; body?: string | Buffer; chunked?: boolean } = {},
  ): Promise<Reply> {
    const { headers = {}, body, chunked = false } = options;
    const length = body === undefined || chunked ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    return new Promise((resolve, reject) => {
      const req = request(
        { host: '127.0.0.1', port: this.port, method, path, headers: { ...length, ...headers }, agent: this.#agent },
        (res) => {
          const chunks: Buffer[] = [];
          res.on('data', (chunk: Buffer) => chunks.push(chunk));
          res.on('error', reject);
          res.on('end', () => {
            const whole = Buffer.concat(chunks);
            const text = whole.toString();
            resolve({
              status: res.statusCode ?? 0,
              headers: res.headers,
              body: whole,
              text,
              json: () => JSON.parse(text) as Record<string, unknown>,
            });
          });
        },
      );
      req.on('error', reject);
      if (chunked) req.setHeader('Transfer-Encoding', 'chunked');
      req.end(body);
    });
  }

  async socket(): Promise<RawSocket> {
    const socket = connect(this.port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawSocket(socket);
  }

  /** One request line with nothing normalised, on a connection of its own. */
  async raw(method: string, target: string): Promise<RawReply> {
    const socket = await this.socket();
    socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const text = await socket.untilClosed();
    return parseRaw(text);
  }
}

export interface RawReply {
  status: number;
  head: string;
  body: string;
}

export function parseRaw(text: string): RawReply {
  const gap = text.indexOf('\r\n\r\n');
  return { status: Number(text.slice(9, 12)), head: text.slice(0, gap), body: text.slice(gap + 4) };
}

export class RawSocket {
  readonly socket: Socket;
  received = '';
  closed = false;

  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      this.received += chunk;
      this.#wake();
    });
    // A reset shows as what was received until then.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  write(data: string | Buffer): void {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Also ends when the server closes. */
  async until(what: (received: string) => boolean): Promise<string> {
    while (!what(this.received) && !this.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.received;
  }

  untilClosed(): Promise<string> {
    return this.until(() => false);
  }
}

/** A request that is to be refused, and how it is: as a problem of RFC 9457. */
export async function refusalOf(api: ApiFixture, method: string, path: string, body?: string) {
  const reply = await api.call(method, path, body === undefined ? {} : { body });
  const { code, detail } = reply.json();
  expect(reply.headers['content-type']).toBe('application/problem+json');
  return { status: reply.status, code, detail: String(detail) };
}
