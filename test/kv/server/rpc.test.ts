import { describe, expect, it } from 'vitest';
import { type CallResult, Method, Rpc } from '../../../src/kv/server/rpc.js';
import type { Channel, Clock, NodeId, PeerAddress, PeerEvent, Transport } from '../../../src/raft/index.js';

/** Two nodes whose directions can be up or down apart from each other, as TCP streams can. */
class Pair {
  readonly #ends = new Map<NodeId, End>();

  end(self: NodeId): End {
    const end = new End(self, this.#ends);
    this.#ends.set(self, end);
    return end;
  }
}

class End implements Transport {
  readonly self: NodeId;
  readonly #ends: Map<NodeId, End>;
  readonly #up = new Set<NodeId>();
  #handler: ((from: NodeId, frame: Buffer) => void) | null = null;
  #listener: ((peer: NodeId, event: PeerEvent) => void) | null = null;

  constructor(self: NodeId, ends: Map<NodeId, End>) {
    this.self = self;
    this.#ends = ends;
  }

  event(peer: NodeId, event: PeerEvent): void {
    if (event.kind === 'up') this.#up.add(peer);
    else this.#up.delete(peer);
    this.#listener?.(peer, event);
  }

  send(to: NodeId, _channel: Channel, frame: Uint8Array): boolean {
    if (!this.#up.has(to)) return false;
    this.#ends.get(to)?.arrived(this.self, Buffer.from(frame));
    return true;
  }

  arrived(from: NodeId, frame: Buffer): void {
    this.#handler?.(from, frame);
  }

  onFrame(_channel: Channel, handler: (from: NodeId, frame: Buffer) => void): void {
    this.#handler = handler;
  }

  onPeer(listener: (peer: NodeId, event: PeerEvent) => void): void {
    this.#listener = listener;
  }

  setPeers(_peers: ReadonlyMap<NodeId, PeerAddress>): void {}

  async discover(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {}
}

const clock: Clock = {
  monotonic_ms: () => 0,
  wall_ms: () => 0,
  after: () => ({ cancel: () => undefined }),
  soon: (task) => task(),
};
const UP: PeerEvent = { kind: 'up', incarnation: 'i' };

function setup() {
  const pair = new Pair();
  const asker = pair.end('a');
  const answerer = pair.end('b');
  let seed = 0;
  const random = { next: () => ++seed / 10 };
  const a = new Rpc(asker, clock, random);
  const b = new Rpc(answerer, clock, random);
  b.handle(Method.Hello, (_from, body, reply) => reply(Buffer.from(`heard ${body}`)));
  const results: CallResult[] = [];
  const ask = (): void => a.call('b', Method.Hello, Buffer.from('x'), 1_000, (result) => results.push(result));
  return { asker, answerer, results, ask };
}

const replies = (results: readonly CallResult[]): string[] =>
  results.map((result) => (result.kind === 'reply' ? String(result.body) : result.kind));

describe('calls between nodes', () => {
  it('says that a call was never sent where there is no connection', () => {
    const { results, ask } = setup();
    ask();
    expect(replies(results)).toEqual(['unsent']);
  });

  it('keeps the answer until the way back is connected', () => {
    const { asker, answerer, results, ask } = setup();
    asker.event('b', UP);
    ask();
    expect(replies(results)).toEqual([]);
    answerer.event('a', UP);
    expect(replies(results)).toEqual(['heard x']);
    answerer.event('a', { kind: 'lost' });
    ask();
    ask();
    answerer.event('a', UP);
    expect(replies(results)).toEqual(['heard x', 'heard x', 'heard x']);
  });

  it('forgets answers to a process that has ended, and calls are lost with the connection', () => {
    const { asker, answerer, results, ask } = setup();
    asker.event('b', UP);
    ask();
    answerer.event('a', { kind: 'gone' });
    answerer.event('a', UP);
    expect(replies(results)).toEqual([]);
    asker.event('b', { kind: 'lost' });
    expect(replies(results)).toEqual(['lost']);
  });
});
