/** Runs the program as users do: a process, its exit code and what it wrote. */
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PROGRAM } from '../../e2e/program.js';

export interface Ran {
  readonly exit: number | null;
  readonly out: string;
  readonly bytes: Buffer;
  readonly err: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
}

/** The environment without what would change the program's ways. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(QUORATE_|NO_COLOR$|FORCE_COLOR$|CI$|NODE_OPTIONS$|VITEST)/.test(name)) env[name] = value;
  }
  return { ...env, ...extra };
}

export function runCli(args: readonly string[], { stdin = '', env = {} }: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { env: cleanEnvironment(env) });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.once('error', reject);
    child.once('close', (exit) => {
      const bytes = Buffer.concat(out);
      resolve({ exit, out: bytes.toString(), bytes, err: Buffer.concat(err).toString() });
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

export interface Seen {
  readonly method: string;
  /** Path and query, without the timeout. */
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface FakeReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface FakeNode {
  readonly url: string;
  readonly seen: Seen[];
  close(): Promise<void>;
}

/** A server that answers as `reply` says; null breaks the connection. */
export async function fakeNode(reply: (seen: Seen) => FakeReply | null): Promise<FakeNode> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const target = (request.url ?? '').replace(/[?&]timeout=\d+ms/, '');
      const one = { method: request.method ?? '', target, headers: request.headers, body: Buffer.concat(chunks) };
      seen.push(one);
      const answer = reply(one);
      if (answer === null) return response.destroy();
      return response.writeHead(answer.status, { 'X-Quorate-Epoch': '1', ...answer.headers }).end(answer.body ?? '');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): FakeReply => ({
  status,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

export const problem = (status: number, code: string, detail: string, extra: object = {}): FakeReply =>
  json(status, { type: 'about:blank', title: code, status, code, detail, ...extra });

/**
 * Runs one command against one node, which answers as `reply` says (`index`: how many were asked before). `rows`: what it
 * printed, in the columns of tables.
 */
export async function against(
  reply: (seen: Seen, index: number) => FakeReply | null,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const fake = await fakeNode((seen) => reply(seen, fake.seen.length - 1));
  try {
    const ran = await runCli([...args, '--endpoints', fake.url, '--timeout', '1s'], { env });
    return { ...ran, seen: fake.seen, rows: ran.out.split('\n').map((line) => line.split(/ {2,}/)) };
  } finally {
    await fake.close();
  }
}
