/**
 * Who speaks to whom, settled once per connection before any frame. The one who dialled says hello, the other answers
 * and says either yes or why not; then both have checked the other.
 *
 *   greeting = 'QRTM' version:u16 length:u16 crc:u32 body:byte*length     crc is CRC32C of the body
 *   hello    = clusterId:str node:str incarnation:str target:str          text of length 0: no cluster id yet; no target
 *   answer   = refusal:u8 detail:str clusterId:str node:str incarnation:str maxFrame_bytes:u32
 *   str      = length:u16 utf8*length
 *
 * A hello without a target asks who listens here (`Discovery`): it is answered after the same checks, and that is the end of
 * the connection. It makes no peer of the one who asks, and neither side learns a cluster id by it.
 *
 * The first twelve bytes mean the same in every version of the protocol, so that versions can refuse each other by name.
 *
 * A node that belongs to no cluster yet has no cluster id, and that matches any. This is safe because such a node has no
 * replicas: it holds nothing that a foreign cluster could damage and has no vote to give. Once it joins one, the
 * connections it made before are checked again against what was said in the handshake (`stillAgrees`), and those that
 * do not fit are broken before the next frame passes.
 */
import { crc32c } from '@node-rs/crc32';
import type { NodeId } from '../core/index.js';
import { MalformedFrame } from './malformed-frame.js';

export const PROTOCOL_VERSION = 1;

const MAGIC = Buffer.from('QRTM');
const GREETING_HEAD_BYTES = 12;
const GREETING_BODY_BYTES_MAX = 4096;

export interface Identity {
  readonly clusterId: string | null;
  readonly node: NodeId;
  readonly incarnation: string;
}

export interface Hello extends Identity {
  /** Whom the dialler means to reach; null: whoever is there, only to hear who that is. */
  readonly target: NodeId | null;
}

/** Names under which one node turns another away. */
export const REFUSALS = [
  'wrong_cluster',
  'wrong_incarnation',
  'wrong_node',
  'unknown_version',
  'not_admitted',
] as const;
export type RefusalName = (typeof REFUSALS)[number];

export interface Refusal {
  readonly name: RefusalName;
  readonly detail: string;
}

export interface Answer extends Identity {
  readonly refusal: Refusal | null;
  /** The biggest frame the acceptor takes. */
  readonly maxFrame_bytes: number;
}

export function refusalText(refusal: Refusal): string {
  return `${refusal.name}: ${refusal.detail}`;
}

// --------------------------------------------------------------------------------------------------------------- checks

/** Why `self` does not speak to `peer`, whichever of them dialled; null if it does. */
export function refuseIdentity(self: Identity, peer: Identity, expectedIncarnation: string | null): Refusal | null {
  if (!clustersAgree(self.clusterId, peer.clusterId)) {
    return {
      name: 'wrong_cluster',
      detail: `${peer.node} belongs to cluster ${peer.clusterId}, ${self.node} to ${self.clusterId}`,
    };
  }
  if (expectedIncarnation !== null && peer.incarnation !== expectedIncarnation) {
    return {
      name: 'wrong_incarnation',
      detail: `${peer.node} shows incarnation ${peer.incarnation}, ${self.node} knows ${expectedIncarnation}: its disk is another one`,
    };
  }
  return null;
}

/** Why the acceptor does not want to be what the dialler takes it for. */
export function refuseTarget(self: NodeId, target: NodeId | null): Refusal | null {
  return target === null || target === self
    ? null
    : { name: 'wrong_node', detail: `${target} was meant, ${self} answers here` };
}

/** No cluster id matches any. */
export function clustersAgree(a: string | null, b: string | null): boolean {
  return a === null || b === null || a === b;
}

/**
 * Whether a connection made while this node had the cluster id `own` may go on under `now`. It may if nothing has changed
 * or if the other side had told the very id that this node has by now.
 */
export function stillAgrees(own: string | null, peer: string | null, now: string | null): boolean {
  return own === now || peer === now;
}

// ---------------------------------------------------------------------------------------------------------------- codec

export function encodeHello(hello: Hello): Buffer {
  return encodeGreeting([
    text(hello.clusterId ?? ''),
    text(hello.node),
    text(hello.incarnation),
    text(hello.target ?? ''),
  ]);
}

export function encodeAnswer(answer: Answer): Buffer {
  const code = answer.refusal === null ? 0 : 1 + REFUSALS.indexOf(answer.refusal.name);
  const limit = Buffer.alloc(4);
  limit.writeUInt32LE(answer.maxFrame_bytes);
  return encodeGreeting([
    Buffer.from([code]),
    text(answer.refusal?.detail ?? ''),
    text(answer.clusterId ?? ''),
    text(answer.node),
    text(answer.incarnation),
    limit,
  ]);
}

function encodeGreeting(fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat(fields);
  if (body.length > GREETING_BODY_BYTES_MAX) throw new Error(`invariant: a greeting of ${body.length} bytes`);
  const head = Buffer.alloc(GREETING_HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt16LE(PROTOCOL_VERSION, 4);
  head.writeUInt16LE(body.length, 6);
  head.writeUInt32LE(crc32c(body), 8);
  return Buffer.concat([head, body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const field = Buffer.alloc(2 + bytes.length);
  field.writeUInt16LE(bytes.length);
  bytes.copy(field, 2);
  return field;
}

export interface Greeting {
  readonly version: number;
  readonly body: Buffer;
  /** Bytes that came after the greeting. */
  readonly rest: Buffer;
}

/** Collects the bytes of one greeting. */
export class GreetingReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** The greeting once it is complete, null before. Throws `MalformedFrame` as soon as it cannot become one. */
  push(chunk: Buffer): Greeting | null {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const bytes = this.#bytes;
    const magic = Math.min(MAGIC.length, bytes.length);
    if (bytes.compare(MAGIC, 0, magic, 0, magic) !== 0) throw new MalformedFrame('this is not the protocol of a node');
    if (bytes.length < GREETING_HEAD_BYTES) return null;
    const length = bytes.readUInt16LE(6);
    if (length > GREETING_BODY_BYTES_MAX) throw new MalformedFrame(`a greeting of ${length} bytes`);
    const end = GREETING_HEAD_BYTES + length;
    if (bytes.length < end) return null;
    const body = bytes.subarray(GREETING_HEAD_BYTES, end);
    if (crc32c(body) !== bytes.readUInt32LE(8)) throw new MalformedFrame('checksum mismatch in a greeting');
    return { version: bytes.readUInt16LE(4), body, rest: bytes.subarray(end) };
  }
}

/** Throws `MalformedFrame`. The version must have been checked. */
export function decodeHello(body: Buffer): Hello {
  const r = new FieldReader(body);
  const hello = {
    clusterId: r.textOrNull(),
    node: r.text(),
    incarnation: r.text(),
    target: r.textOrNull(),
  };
  r.end();
  if (hello.node === '') throw new MalformedFrame('a hello without a node id');
  return hello;
}

/** Throws `MalformedFrame`. The version must have been checked. */
export function decodeAnswer(body: Buffer): Answer {
  const r = new FieldReader(body);
  const code = r.u8();
  const detail = r.text();
  const answer = {
    clusterId: r.textOrNull(),
    node: r.text(),
    incarnation: r.text(),
    maxFrame_bytes: r.u32(),
  };
  r.end();
  if (answer.node === '') throw new MalformedFrame('an answer without a node id');
  if (code === 0) return { ...answer, refusal: null };
  const name = REFUSALS[code - 1];
  if (name === undefined) throw new MalformedFrame(`unknown refusal ${code}`);
  return { ...answer, refusal: { name, detail } };
}

class FieldReader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (bytes > this.#body.length - at) throw new MalformedFrame('a greeting ends early');
    this.#at = at + bytes;
    return at;
  }

  u8(): number {
    return this.#body[this.#take(1)]!;
  }

  u32(): number {
    return this.#body.readUInt32LE(this.#take(4));
  }

  text(): string {
    const length = this.#body.readUInt16LE(this.#take(2));
    const at = this.#take(length);
    return this.#body.toString('utf8', at, at + length);
  }

  /** Text of length 0 stands for null. */
  textOrNull(): string | null {
    const text = this.text();
    return text === '' ? null : text;
  }

  end(): void {
    if (this.#at !== this.#body.length) throw new MalformedFrame('a greeting goes on after its end');
  }
}
