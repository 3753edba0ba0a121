/**
 * Reads the body of one PUT into one buffer, under two bounds: of a value, and of all bodies in flight together. The bytes
 * stay counted until the request is answered, for as long the log holds them.
 *
 * Once `Content-Length` bytes are here the body is whole, a turn of the event loop before the stream says so.
 */
import type { IncomingMessage } from 'node:http';
import { EMPTY_BODY } from './kv-request.js';

/** Bytes of bodies in flight, against a limit. */
export class BodyBudget {
  readonly limit_bytes: number;
  #inflight_bytes = 0;

  constructor(limit_bytes: number) {
    this.limit_bytes = limit_bytes;
  }

  get inflight_bytes(): number {
    return this.#inflight_bytes;
  }

  fits(bytes: number): boolean {
    return this.#inflight_bytes + bytes <= this.limit_bytes;
  }

  take(bytes: number): void {
    this.#inflight_bytes += bytes;
  }

  give(bytes: number): void {
    this.#inflight_bytes -= bytes;
    if (this.#inflight_bytes < 0) throw new Error('invariant: more body bytes given back than taken');
  }
}

export type IntakeResult =
  | { readonly kind: 'whole'; readonly body: Buffer }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'overloaded' }
  /** The client went away before the body was whole: there is nobody to answer. */
  | { readonly kind: 'aborted' };

export interface IntakeLimits {
  readonly valueBytes: number;
  readonly budget: BodyBudget;
}

/** `Content-Length`, or null where the length is not declared (chunked). Node's parser has refused malformed ones. */
export function declaredLength(req: IncomingMessage): number | null {
  const declared = req.headers['content-length'];
  if (declared !== undefined) return Number(declared);
  return req.headers['transfer-encoding'] === undefined ? 0 : null;
}

/**
 * Calls `done` exactly once. With `whole`, the body's bytes are taken from the budget and the caller gives them back; with
 * any other result nothing stays taken.
 */
export function takeBody(
  req: IncomingMessage,
  declared_bytes: number | null,
  limits: IntakeLimits,
  done: (result: IntakeResult) => void,
): void {
  if (declared_bytes === 0) {
    done({ kind: 'whole', body: EMPTY_BODY });
    return;
  }
  new BodyIntake(req, declared_bytes, limits, done).listen();
}

class BodyIntake {
  readonly #req: IncomingMessage;
  readonly #declared_bytes: number | null;
  readonly #limits: IntakeLimits;
  readonly #done: (result: IntakeResult) => void;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #finished = false;

  constructor(
    req: IncomingMessage,
    declared_bytes: number | null,
    limits: IntakeLimits,
    done: (result: IntakeResult) => void,
  ) {
    this.#req = req;
    this.#declared_bytes = declared_bytes;
    this.#limits = limits;
    this.#done = done;
  }

  listen(): void {
    this.#req.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    // The last chunk of a body without a declared length is known by the end only.
    if (this.#declared_bytes === null) this.#req.on('end', () => this.#finishWhole());
    this.#req.on('close', () => this.#fail('aborted'));
  }

  #onChunk(chunk: Buffer): void {
    if (this.#finished) return;
    if (this.#bytes + chunk.length > this.#limits.valueBytes) {
      this.#fail('too_large');
    } else if (!this.#limits.budget.fits(chunk.length)) {
      this.#fail('overloaded');
    } else {
      this.#limits.budget.take(chunk.length);
      this.#bytes += chunk.length;
      this.#chunks.push(chunk);
      if (this.#bytes === this.#declared_bytes) this.#finishWhole();
    }
  }

  #finishWhole(): void {
    if (this.#finished) return;
    this.#finished = true;
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks.length = 0;
    this.#done({ kind: 'whole', body });
  }

  #fail(kind: 'too_large' | 'overloaded' | 'aborted'): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#chunks.length = 0;
    this.#limits.budget.give(this.#bytes);
    this.#done({ kind });
  }
}
