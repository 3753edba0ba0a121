/**
 * A load generator that costs little beside what it measures: raw sockets, keep-alive, one request in flight a
 * connection, prebuilt requests, and no parsing beyond status and length.
 */
import { connect, type Socket } from 'node:net';
import { build, type Histogram } from 'hdr-histogram-js';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface LoadOptions {
  readonly connections: number;
  readonly warmup_ms: number;
  readonly duration_ms: number;
  /** The i-th connection's target. */
  readonly target: (connection: number) => Target;
  /** The next request of the i-th connection, whole. */
  readonly request: (connection: number) => Buffer;
  /** No connection sends more often than this. Default: as soon as it has its answer. */
  readonly interval_ms?: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly p999_ms: number;
  readonly max_ms: number;
  /** Answers by status class other than 2xx, and broken connections. */
  readonly errors: number;
}

const HEADER_END = Buffer.from('\r\n\r\n');
const LENGTH = Buffer.from('ontent-Length: ');
const LENGTH_LOWER = Buffer.from('ontent-length: ');

/** Of all connections: what is read is looked at at once. A buffer for each read costs more than all else here. */
const READ_BUFFER = Buffer.alloc(64 * 1024);

class Connection {
  readonly #socket: Socket;
  readonly #options: LoadOptions;
  readonly #index: number;
  readonly #record: (latency_us: number, ok: boolean) => void;
  #buffer: Buffer | null = null;
  #sentAt = 0;
  stopped = false;

  constructor(options: LoadOptions, index: number, record: (latency_us: number, ok: boolean) => void) {
    this.#options = options;
    this.#index = index;
    this.#record = record;
    const { host, port } = options.target(index);
    const onread = {
      buffer: READ_BUFFER,
      callback: (bytes: number, buffer: Uint8Array) => this.#onRead(bytes, buffer),
    };
    this.#socket = connect({ host, port, noDelay: true, onread });
    this.#socket.on('error', () => record(0, false));
    this.#socket.on('connect', () => this.#send());
  }

  #send(): void {
    if (this.stopped) return;
    this.#sentAt = performance.now();
    this.#socket.write(this.#options.request(this.#index));
  }

  /** True: read on. */
  #onRead(length: number, buffer: Uint8Array): boolean {
    const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, length);
    const bytes = this.#buffer === null ? chunk : Buffer.concat([this.#buffer, chunk]);
    if (!this.#onData(bytes)) this.#buffer = bytes === chunk ? Buffer.from(chunk) : bytes;
    return true;
  }

  /** False: the answer is not whole yet. */
  #onData(bytes: Buffer): boolean {
    const headerEnd = bytes.indexOf(HEADER_END);
    if (headerEnd < 0) return false;
    let at = bytes.indexOf(LENGTH);
    if (at < 0) at = bytes.indexOf(LENGTH_LOWER);
    let length = 0;
    if (at >= 0 && at < headerEnd) {
      for (let i = at + LENGTH.length; bytes[i]! >= 48 && bytes[i]! <= 57; i++) length = length * 10 + bytes[i]! - 48;
    }
    if (bytes.length < headerEnd + 4 + length) return false;
    this.#buffer = null;
    const took_ms = performance.now() - this.#sentAt;
    this.#record(took_ms * 1000, bytes[9] === 50);
    const rest_ms = (this.#options.interval_ms ?? 0) - took_ms;
    if (rest_ms > 0) setTimeout(() => this.#send(), rest_ms);
    else this.#send();
    return true;
  }

  close(): void {
    this.stopped = true;
    this.#socket.destroy();
  }
}

/** Runs for `duration_ms`, or until `over` resolves. */
export async function runLoad(options: LoadOptions, over?: Promise<unknown>): Promise<LoadResult> {
  const histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  let measuring = false;
  let requests = 0;
  let errors = 0;
  const record = (latency_us: number, ok: boolean): void => {
    if (!measuring) return;
    if (!ok) errors++;
    else {
      requests++;
      histogram.recordValue(Math.max(1, Math.round(latency_us)));
    }
  };
  const connections = Array.from({ length: options.connections }, (_, i) => new Connection(options, i, record));
  await pause(options.warmup_ms);
  measuring = true;
  const from = performance.now();
  await (over ?? pause(options.duration_ms));
  measuring = false;
  const elapsed_s = (performance.now() - from) / 1000;
  for (const connection of connections) connection.close();
  return {
    requests,
    perSecond: Math.round(requests / elapsed_s),
    p50_ms: histogram.getValueAtPercentile(50) / 1000,
    p99_ms: histogram.getValueAtPercentile(99) / 1000,
    p999_ms: histogram.getValueAtPercentile(99.9) / 1000,
    max_ms: histogram.maxValue / 1000,
    errors,
  };
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
